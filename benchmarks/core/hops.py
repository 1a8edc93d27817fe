"""What a network by hops costs on a board against the same network by whole windows (`lockstep model convert
--streaming`): the shared EEG network, 4 s windows, a result every 0.4 s. Instructions of one result are counted by
`lockstep model report` on the emulated board and do not depend on the samples."""
import json
import os
import subprocess
import sys
import tempfile

import numpy as np

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
PROGRAM = os.path.join(os.environ.get("LOCKSTEP_BUILD", os.path.join(ROOT, "build")), "bin", "lockstep")
DATA = os.environ.get("LOCKSTEP_DATA", os.path.join(ROOT, "..", "shared", "data"))
NETWORK = os.path.join(DATA, "models", "eeg_shallow_op13.onnx")
CHANNELS, RATE, WINDOW, HOP = 8, 125, 500, 50
BOARDS = {"m4f": ("mps2-an386", "cortex-m4"), "m55": ("mps3-an547", "cortex-m55")}


def lockstep(*words):
    done = subprocess.run([PROGRAM, "model", *words], capture_output=True, text=True, timeout=600)
    if done.returncode:
        sys.exit(f"lockstep model {' '.join(words)}\n{done.stderr}")


def measure(folder, board, target, form, *options):
    plan, out = (os.path.join(folder, f"{target}-{form}{end}") for end in (".lsplan", ""))
    lockstep("convert", NETWORK, "-o", plan, "--preprocessing", os.path.join(folder, "way.json"), "--calibration",
             os.path.join(folder, "windows.npy"), "--target", target, *options)
    lockstep("report", plan, "-o", out)
    with open(os.path.join(out, "report.json"), encoding="utf-8") as f:
        report = json.load(f)
    return report["virtual_boards"][board]["instructions"], report["plan"]["ram_bytes"]


def main():
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        channels = [{"name": f"ch{i}", "unit": "uV"} for i in range(CHANNELS)]
        with open(os.path.join(folder, "way.json"), "w", encoding="utf-8") as f:
            json.dump({"schema": "lockstep-preprocessing", "version": 1, "model": "eeg", "inputs": [{
                "tensor": "x", "shape": [1, CHANNELS, WINDOW], "layout": "NCT",
                "stream": {"kind": "eeg", "rate_hz": RATE, "channels": channels}, "filter": None,
                "window": {"length": WINDOW, "hop": HOP}, "normalise": {"kind": "none"}}],
                "outputs": [{"tensor": "logits", "kind": "logits", "classes": ["rest", "task"]}]}, f)
        windows = np.random.default_rng(1).normal(scale=10, size=(16, CHANNELS, WINDOW))
        np.save(os.path.join(folder, "windows.npy"), windows.astype(np.float32))
        for key, (board, target) in BOARDS.items():
            whole = measure(folder, board, target, "whole")
            hops = measure(folder, board, target, "hops", "--streaming", "--lag")
            for name, unit, value, reference in zip(("instructions", "ram_bytes"), ("instructions", "bytes"), hops, whole):
                figures[f"core.{key}.hops.{name}"] = {"value": value, "unit": unit, "reference": "by whole windows",
                                                      "reference_value": reference, "ratio": value / reference}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
