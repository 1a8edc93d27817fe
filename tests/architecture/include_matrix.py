"""Who includes whom, folder by folder; an include that goes up a floor fails (docs/architecture.md)."""
import os
import re
import subprocess
import sys
from collections import Counter

ROOT = os.environ.get("LOCKSTEP_SOURCE", os.path.join(os.path.dirname(__file__), "..", ".."))

# folder -> (floor, folders it may include beside itself). Longest prefix wins.
CORE = {"dsp/base", "dsp", "devices/wire", "models/core"}
DESKTOP = CORE | {"acquisition"}
MODELS = {"models/network", "models/import", "models/plan", "models/preprocessing", "models/data", "models/compile"}
STORAGE = {"storage", "storage/labels"}
ALLOWED = {
    "dsp/base": set(),
    "dsp": {"dsp/base"},
    "devices/wire": {"dsp/base"},
    "models/core": {"dsp/base", "dsp"},
    "embedded_target": CORE,
    "acquisition": CORE,
    "devices": DESKTOP,
    "storage/labels": DESKTOP,
    "storage": DESKTOP | {"storage/labels"},
    "storage/formats": DESKTOP | STORAGE,
    "models/network": DESKTOP,
    "models/import": DESKTOP | {"models/network"},
    "models/plan": DESKTOP,
    "models/preprocessing": DESKTOP | {"models/plan"},
    "models/data": DESKTOP | {"models/network", "models/plan"},
    "models/compile": DESKTOP | {"models/network", "models/plan", "models/preprocessing", "models/data"},
    "models": DESKTOP | MODELS,
    "ui": DESKTOP,
    "app": DESKTOP | MODELS | STORAGE | {"devices", "storage/formats", "models", "ui"},
}
FREESTANDING = {"dsp/base", "dsp", "devices/wire", "models/core", "embedded_target"}
# What the shared core may take from its tool chain.
CORE_HEADERS = {"stddef.h", "stdint.h", "string.h", "atomic"}
CORE_TOOLS = {"arm_acle.h", "arm_mve.h", "immintrin.h", "arm_neon.h"}


def folder_of(path):
    parts = path.split("/")
    for n in range(len(parts) - 1, 0, -1):
        name = "/".join(parts[:n])
        if name in ALLOWED:
            return name
    return None


def main():
    files = subprocess.run(["git", "-c", "safe.directory=*", "-C", ROOT, "ls-files", "*.cpp", "*.h"],
                           capture_output=True, text=True, check=True).stdout.split()
    matrix = Counter()
    wrong = []
    for path in files:
        here = folder_of(path)
        if here is None:
            continue
        with open(os.path.join(ROOT, path), encoding="utf-8") as f:
            text = f.read()
        for m in re.finditer(r'^\s*#\s*include\s*(["<])([^">]+)[">]', text, re.M):
            quote, target = m.groups()
            there = folder_of(target)
            line = text.count("\n", 0, m.start()) + 1
            if there is not None and quote == '"':
                matrix[here, there] += 1
                if there != here and there not in ALLOWED[here]:
                    wrong.append(f"{path}:{line}: {here} must not include {target}")
            elif quote == "<" and here in FREESTANDING - {"embedded_target"}:
                if target not in CORE_HEADERS | CORE_TOOLS:
                    wrong.append(f"{path}:{line}: the freestanding core must not include <{target}>")
            elif quote == "<" and here == "acquisition" and re.match(r"Q[A-Z]|Qt", target):
                wrong.append(f"{path}:{line}: acquisition is free of Qt")
    names = list(ALLOWED)
    width = max(map(len, names))
    print(" " * width, *(f"{i:>4}" for i in range(len(names))))
    for i, a in enumerate(names):
        print(f"{a:{width}}", *(f"{matrix[a, b] or '.':>4}" for b in names), f"  {i}")
    print(*wrong, sep="\n")
    assert matrix, "no includes found: the test looked in the wrong place"
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
