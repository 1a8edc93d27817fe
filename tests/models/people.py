"""People whose movements are known (../shared/data, imu_hapt), through the real programs: as sessions, recorded on
the virtual board, labelled, and a network trained on their windows."""
import csv
import json
import os
import shutil
import subprocess
import tempfile
import unittest

import h5py
import numpy as np
import torch
from torch import nn

SOURCE = os.environ["LOCKSTEP_SOURCE"]
BUILD = os.environ["LOCKSTEP_BUILD"]
PROGRAM = os.path.join(BUILD, "bin", "lockstep")
HAPT = os.path.join(os.environ["LOCKSTEP_DATA"], "imu_hapt")
BOARD = "mps2-an386"
RATE = 50
NAMES = [f"{kind}_{axis}" for kind in ("acc", "gyro") for axis in "xyz"]
UNITS = ["g"] * 3 + ["rad/s"] * 3
GROUPS = {"WALKING": "moving", "WALKING_UPSTAIRS": "moving", "WALKING_DOWNSTAIRS": "moving", "SITTING": "upright",
          "STANDING": "upright", "LAYING": "lying"}
FROM, TO = 90, 215  # seconds of each recording: lying, sitting, walking
SPEED = 10          # of what is only learned from
PEOPLE = [("exp01_user01", "one"), ("exp05_user03", "three"), ("exp09_user05", "five")]
torch.set_num_threads(1)
torch.manual_seed(3)


class People(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="lockstep-loop-")

    def tearDown(self):
        shutil.rmtree(self.folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    def lockstep(self, *arguments, expect=0):
        done = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True, timeout=280)
        self.assertEqual(done.returncode, expect, (arguments, done.stderr))
        return done.stdout

    def lockstep_error(self, *arguments):
        done = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True, timeout=280)
        self.assertEqual(done.returncode, 2, (arguments, done.stderr))
        return done.stderr

    def person(self, name, subject):
        """Somebody's movements as a session, for the board's sensor."""
        with open(os.path.join(HAPT, name + ".csv"), encoding="utf-8") as f:
            lines = f.readlines()
        with open(self.path(name + ".csv"), "w", encoding="utf-8") as f:
            f.writelines(lines[:1] + lines[1 + FROM * RATE:1 + TO * RATE])
        streams = [{"name": "imu", "kind": "imu", "columns": NAMES, "unit": "counts"}]
        with open(self.path("describe.json"), "w", encoding="utf-8") as f:
            json.dump({"rate": RATE, "streams": streams}, f)
        self.lockstep("session", "import", self.path(name + ".csv"), "-o", self.path(name + ".h5"), "--format", "csv",
                      "--subject", subject, "--set", "description=" + self.path("describe.json"))
        return self.path(name + ".h5")

    def record(self, name, subject, speed, seconds, *more, firmware=""):
        out = self.path(f"sub-{subject}.h5")
        uri = f"virtual:{BOARD}?signals={self.person(name, subject)}&speed={speed}&baud=921600" + firmware
        self.lockstep("record", uri, "-o", out, "--seconds", seconds, "--subject", subject, *more)
        return out

    def label(self, session, name):
        """The labels of the study, grouped; the last one by hand."""
        with open(os.path.join(HAPT, "labels.csv"), encoding="utf-8") as f:
            rows = [r for r in csv.DictReader(f) if r["file"] == name + ".csv" and r["label"] in GROUPS]
        rows = [(float(r["start_s"]) - FROM, float(r["end_s"]) - FROM, GROUPS[r["label"]]) for r in rows]
        rows = [r for r in rows if 0 <= r[0] and r[1] < TO - FROM - 1]
        with open(self.path("labels.csv"), "w", encoding="utf-8") as f:
            f.write("start_s,stop_s,class,stream,channel\n")
            f.writelines(f"{a},{b},{c},imu,\n" for a, b, c in rows[:-1])
        self.lockstep("label", "import", session, self.path("labels.csv"))
        start, stop, group = rows[-1]
        self.lockstep("label", "add", session, "--start", start, "--stop", stop, "--class", group, "--stream", "imu")

    def train(self, network_of, dataset, name, hop, as_image=False):
        """network_of(classes) trained on the subjects' windows: NAME.onnx and way.json; accuracy on the person left out."""
        with h5py.File(dataset) as f:
            x = torch.tensor(np.moveaxis(f["X"][:], 1, 2))
            y = torch.tensor(f["y"][:])
            classes = [c.decode() for c in f["classes"]["name"][:]]
            mean, std = f["normalization"]["mean"][:], f["normalization"]["std"][:]
            chosen = {k: torch.tensor(f["splits/subject"][k][:].astype(np.int64)) for k in ("train", "test")}
        x = (x - torch.tensor(mean)[:, None]) / torch.tensor(std)[:, None]
        length = x.shape[2]
        if as_image:
            x = x[:, None]
        network = network_of(len(classes))
        optimiser = torch.optim.Adam(network.parameters(), 0.01)
        for _ in range(60):
            optimiser.zero_grad()
            nn.functional.cross_entropy(network(x[chosen["train"]]), y[chosen["train"]]).backward()
            optimiser.step()
        network.eval()
        torch.onnx.export(network, x[:1], self.path(name + ".onnx"), opset_version=13, input_names=["x"], output_names=["logits"])
        way = {"schema": "lockstep-preprocessing", "version": 1, "model": name, "inputs": [{
            "tensor": "x", "shape": list(x[:1].shape), "layout": "NCT",
            "stream": {"kind": "imu", "rate_hz": RATE, "channels": [{"name": n, "unit": "counts"} for n in NAMES]},
            "filter": None, "window": {"length": length, "hop": hop},
            "normalise": {"kind": "standardise", "mean": mean.tolist(), "std": std.tolist()}}],
            "outputs": [{"tensor": "logits", "kind": "logits", "classes": classes}]}
        with open(self.path("way.json"), "w", encoding="utf-8") as f:
            json.dump(way, f)
        with torch.no_grad():
            return float((network(x[chosen["test"]]).argmax(1) == y[chosen["test"]]).float().mean())
