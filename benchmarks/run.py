"""./dev bench [NAME...] [--json FILE]: runs the benchmarks whose figures' names begin with a NAME, prints a
table and writes one flat object, a figure a key: {value, unit, reference, ratio}. A ratio is value /
reference, measured in the same run because machines are noisy; null only for counts."""
import argparse
import json
import os
import subprocess
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
BUILD = os.path.join(ROOT, "build")

# Prefix of the figures -> command that prints one JSON object of them on standard output.
BENCHMARKS = {
    "link.decode": [os.path.join(BUILD, "benchmarks", "link_decode")],
    "link.nominal": ["/usr/bin/python3", os.path.join(ROOT, "benchmarks/link/board.py"), "nominal"],
    "link.maximum": ["/usr/bin/python3", os.path.join(ROOT, "benchmarks/link/board.py"), "maximum"],
    **{f"storage.{part}": ["/usr/bin/python3", os.path.join(ROOT, "benchmarks/storage/storage.py"), part]
       for part in ("kill", "faults", "write", "day")},
    "link.faults": ["/usr/bin/python3", os.path.join(ROOT, "benchmarks/link/board.py"), "faults"],
    "studio": ["/usr/bin/python3", os.path.join(ROOT, "benchmarks/studio.py")],
    "core.hops": ["/usr/bin/python3", os.path.join(ROOT, "benchmarks/core/hops.py")],
    "core": ["/usr/bin/python3", os.path.join(ROOT, "benchmarks/core/core.py")],
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="link, link.decode ...; all when none is given")
    parser.add_argument("--json", help="write the figures to this file")
    args = parser.parse_args()
    chosen = {k: c for k, c in BENCHMARKS.items()
              if not args.names or any(k.startswith(n) or n.startswith(k) for n in args.names)}
    if not chosen:
        parser.error(f"no benchmark named {args.names}; there are {', '.join(BENCHMARKS)}")
    figures, failed = {}, 0
    for name, command in chosen.items():
        run = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        if run.returncode:
            print(f"{name}: failed with status {run.returncode}", file=sys.stderr)
            failed = 1
        if run.stdout.strip():
            figures.update(json.loads(run.stdout))
    for key, f in figures.items():
        ratio = "" if f["ratio"] is None else f"   {f['ratio']:.3g} x {f['reference']}"
        print(f"{key:44} {f['value']:>12.6g} {f['unit']}{ratio}", file=sys.stderr)
    if args.json:
        with open(args.json + ".new", "w", encoding="utf-8") as out:
            json.dump(figures, out, indent=1)
        os.replace(args.json + ".new", args.json)
    return failed


if __name__ == "__main__":
    sys.exit(main())
