"""Small rules that keep the house tidy: links in the documents lead somewhere, the program speaks of
itself alone, libraries below app/ do not print, lockstep links no GUI library."""
import os
import re
import subprocess
import sys

ROOT = os.environ["LOCKSTEP_SOURCE"]
BUILD = os.environ["LOCKSTEP_BUILD"]


def tracked(*patterns):
    run = subprocess.run(["git", "-c", "safe.directory=*", "-C", ROOT, "ls-files", *patterns],
                         capture_output=True, text=True, check=True)
    return run.stdout.split()


def main():
    bad = []
    for path in tracked("*.md"):
        text = open(os.path.join(ROOT, path), encoding="utf-8").read()
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
            if "://" not in target and not os.path.exists(os.path.join(ROOT, os.path.dirname(path), target)):
                bad.append(f"{path}: link to {target} leads nowhere")
    for path in tracked("acquisition/*.cpp", "devices/*.cpp", "storage/*.cpp", "models/*.cpp", "dsp/*.cpp"):
        text = open(os.path.join(ROOT, path), encoding="utf-8").read()
        for m in re.finditer(r"\b(std::c(out|err)|f?printf\()", text):
            bad.append(f"{path}:{text.count(chr(10), 0, m.start()) + 1}: a library prints")
    program = os.path.join(BUILD, "bin", "lockstep")
    libraries = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    for gui in ("libQt5Gui", "libQt5Widgets", "libqwt"):
        if gui in libraries:
            bad.append(f"lockstep links {gui}")
    print(*bad, sep="\n")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
