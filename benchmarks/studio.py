"""What drawing costs: CPU of lockstep-studio recording and drawing the NOMINAL set on a display of its own, beside
`lockstep record` of the same set in the same run; the board in QEMU and the X server apart. Prints one JSON object.

    studio.py [--seconds N]       N: LOCKSTEP_BENCH_SECONDS or 60, of each program
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), ".."))
sys.path.insert(0, os.path.join(ROOT, "tests", "ui"))
from display import BUILD, Display, Studio  # noqa: E402

URI = "virtual:mps2-an386?baud=115200"
SETTLE = 4  # s, not counted: opening, first fit of the scales


def cpu_seconds(pid):
    """User and system time of one process, without its children."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(pid, seconds):
    time.sleep(SETTLE)
    cpu, begun = cpu_seconds(pid), time.monotonic()
    time.sleep(seconds)
    return 100 * (cpu_seconds(pid) - cpu) / (time.monotonic() - begun)


def record(seconds):
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [os.path.join(BUILD, "bin", "lockstep"), "record", URI, "--composite", "--seconds", str(seconds + 30), "-o",
             os.path.join(folder, "session.h5")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not any(os.path.getsize(os.path.join(folder, n)) > 20000 for n in os.listdir(folder)):
            if process.poll() is not None:
                sys.exit(f"lockstep record ended with {process.returncode}")
            time.sleep(0.1)
        cpu = measure(process.pid, seconds)
        process.terminate()
        process.wait(timeout=60)
    return cpu


def draw(seconds):
    display = Display("1920x1080")
    studio = Studio(display, URI, "-v", size="1920x1080")
    try:
        studio.shown()

        def recording():
            if not studio.files(".journal"):
                studio.key("space")
                time.sleep(1)
            return any(os.path.getsize(f) > 20000 for f in studio.files(".journal"))
        studio.wait(recording, "recording")
        cpu = measure(studio.process.pid, seconds)
        if studio.end() != 0:
            sys.exit(studio.words())
        frames = re.search(r"drew ([\d.]+) frames/s, 99 % of the gaps at most (\d+) ms", studio.words())
        if frames is None:
            sys.exit("lockstep-studio told nothing of its frames: " + studio.words())
        return cpu, float(frames.group(1)), int(frames.group(2))
    finally:
        studio.remove()
        display.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=min(60, float(os.environ.get("LOCKSTEP_BENCH_SECONDS", 60))))
    seconds = parser.parse_args().seconds
    reference = record(seconds)
    cpu, rate, gap = draw(seconds)
    beside = "% of a core, lockstep record in the same run"
    json.dump({
        "studio.cpu": {"value": cpu, "unit": "% of a core", "reference": beside, "ratio": cpu / reference},
        "studio.cpu_more": {"value": cpu - reference, "unit": "% of a core", "reference": "10 % of a core more",
                            "ratio": (cpu - reference) / 10},
        "studio.record_cpu": {"value": reference, "unit": "% of a core", "reference": "one core",
                              "ratio": reference / 100},
        "studio.frames_per_s": {"value": rate, "unit": "frames/s", "reference": "60 frames/s", "ratio": rate / 60},
        "studio.frame_gap_p99": {"value": gap, "unit": "ms", "reference": "25 ms", "ratio": gap / 25},
    }, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
