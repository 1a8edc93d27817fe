"""Cross-compiles the shared core for a Cortex-M4F and checks that its objects need nothing but the
compiler's own helpers: no heap, no libm, no exceptions, no static guards."""
import glob
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.environ["LOCKSTEP_SOURCE"]
FLAGS = ("-std=c++17 -mcpu=cortex-m4 -mthumb -mfloat-abi=hard -mfpu=fpv4-sp-d16 -O2 -ffp-contract=off "
         "-fno-exceptions -fno-rtti -fno-threadsafe-statics -ffreestanding -Wall -Wextra -Werror -c").split()
# The compiler may call these by itself; the firmware's C library has them.
ALLOWED = {"memcpy", "memmove", "memset", "memcmp", "strlen", "strcmp", "strncmp", "memchr", "strncpy"}
HELPERS = re.compile(r"^__aeabi_(u?l?div|u?idiv|u?ldivmod|u?idivmod|l(mul|lsl|lsr|asr)|mem|f2|l2f|ul2f|[ui]2f|d|ui2d|i2d|"
                     r"f2d|d2|l2d|ul2d|c[df])|^__(u?div|mul)")
# Desktop-only parts of these folders are named *_design.cpp (filter design in double precision).


def main():
    sources = []
    for folder in ("dsp/base", "dsp", "devices/wire", "models/core", "models/core/ops",
                   "models/core/kernels"):
        sources += glob.glob(os.path.join(ROOT, folder, "*.cpp"))
    sources = [s for s in sources if not s.endswith("_design.cpp")]
    assert len(sources) > 5, sources
    bad = []
    with tempfile.TemporaryDirectory() as out:
        defined, undefined = set(), {}
        for source in sources:
            obj = os.path.join(out, os.path.relpath(source, ROOT).replace("/", "_") + ".o")
            run = subprocess.run(["arm-none-eabi-g++", *FLAGS, "-I", ROOT, source, "-o", obj],
                                 capture_output=True, text=True)
            if run.returncode:
                bad.append(run.stderr)
                continue
            for line in subprocess.run(["arm-none-eabi-nm", obj], capture_output=True, text=True,
                                       check=True).stdout.splitlines():
                kind, name = line.split()[-2:]
                if kind == "U":
                    undefined.setdefault(name, source)
                elif kind.isupper() or kind in "vw":
                    defined.add(name)
        for name, source in sorted(undefined.items()):
            if name not in defined and name not in ALLOWED and not HELPERS.match(name):
                bad.append(f"{os.path.relpath(source, ROOT)} needs {name}")
    print(f"{len(sources)} files of the shared core")
    print(*bad, sep="\n")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
