"""The whole way of a model that the project has never seen, with the real programs: record people on the virtual
board, label, make a dataset, train with PyTorch, ONNX, plan, firmware with it, record somebody else: every window
of the board equals the host's."""
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
PROGRAM = os.path.join(os.environ["LOCKSTEP_BUILD"], "bin", "lockstep")
HAPT = os.path.join(os.environ["LOCKSTEP_DATA"], "imu_hapt")
BOARD = "mps2-an386"
RATE, WINDOW, HOP = 50, 96, 48
NAMES = [f"{kind}_{axis}" for kind in ("acc", "gyro") for axis in "xyz"]
UNITS = ["g"] * 3 + ["rad/s"] * 3
GROUPS = {"WALKING": "moving", "WALKING_UPSTAIRS": "moving", "WALKING_DOWNSTAIRS": "moving", "SITTING": "upright",
          "STANDING": "upright", "LAYING": "lying"}
FROM, TO = 90, 215  # seconds of each recording: lying, sitting, walking
SPEED = 10          # of what is only learned from
PEOPLE = [("exp01_user01", "one"), ("exp05_user03", "three"), ("exp09_user05", "five")]
torch.set_num_threads(1)
torch.manual_seed(3)


class Unseen(nn.Module):
    """Strided, dilated and depthwise convolutions, a skip connection and a gate: none of the shipped networks."""

    def __init__(self, classes):
        super().__init__()
        self.first = nn.Conv1d(6, 12, 7, stride=2, padding=3)
        self.norm = nn.BatchNorm1d(12)
        self.depth = nn.Conv1d(12, 12, 5, padding=4, dilation=2, groups=12)
        self.point = nn.Conv1d(12, 12, 1)
        self.gate = nn.Linear(12, 12)
        self.head = nn.Linear(12, classes)

    def forward(self, x):
        x = torch.relu(self.norm(self.first(x)))
        x = torch.relu(self.point(self.depth(x))) + x
        return self.head(x.mean(2) * torch.sigmoid(self.gate(x.mean(2))))


class WholeLoop(unittest.TestCase):
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

    def person(self, name):
        """Somebody's movements as a session, for the board's sensor."""
        with open(os.path.join(HAPT, name + ".csv"), encoding="utf-8") as f:
            lines = f.readlines()
        with open(self.path(name + ".csv"), "w", encoding="utf-8") as f:
            f.writelines(lines[:1] + lines[1 + FROM * RATE:1 + TO * RATE])
        streams = [{"name": "imu", "kind": "imu", "columns": NAMES, "unit": "counts"}]
        with open(self.path("describe.json"), "w", encoding="utf-8") as f:
            json.dump({"rate": RATE, "streams": streams}, f)
        self.lockstep("session", "import", self.path(name + ".csv"), "-o", self.path(name + ".h5"), "--format", "csv",
                      "--set", "description=" + self.path("describe.json"))
        return self.path(name + ".h5")

    def record(self, name, subject, speed, seconds, *more, firmware=""):
        out = self.path(f"sub-{subject}.h5")
        uri = f"virtual:{BOARD}?signals={self.person(name)}&speed={speed}&baud=921600" + firmware
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

    def train(self, dataset):
        with h5py.File(dataset) as f:
            x = torch.tensor(np.moveaxis(f["X"][:], 1, 2))
            y = torch.tensor(f["y"][:])
            classes = [c.decode() for c in f["classes"]["name"][:]]
            mean, std = f["normalization"]["mean"][:], f["normalization"]["std"][:]
            chosen = {k: torch.tensor(f["splits/subject"][k][:].astype(np.int64)) for k in ("train", "test")}
        x = (x - torch.tensor(mean)[:, None]) / torch.tensor(std)[:, None]
        network = Unseen(len(classes))
        optimiser = torch.optim.Adam(network.parameters(), 0.01)
        for _ in range(60):
            optimiser.zero_grad()
            nn.functional.cross_entropy(network(x[chosen["train"]]), y[chosen["train"]]).backward()
            optimiser.step()
        network.eval()
        torch.onnx.export(network, x[:1], self.path("m.onnx"), opset_version=13, input_names=["x"], output_names=["logits"])
        way = {"schema": "lockstep-preprocessing", "version": 1, "model": "unseen", "inputs": [{
            "tensor": "x", "shape": [1, 6, WINDOW], "layout": "NCT",
            "stream": {"kind": "imu", "rate_hz": RATE, "channels": [{"name": n, "unit": "counts"} for n in NAMES]},
            "filter": None, "window": {"length": WINDOW, "hop": HOP},
            "normalise": {"kind": "standardise", "mean": mean.tolist(), "std": std.tolist()}}],
            "outputs": [{"tensor": "logits", "kind": "logits", "classes": classes}]}
        with open(self.path("way.json"), "w", encoding="utf-8") as f:
            json.dump(way, f)
        with torch.no_grad():
            return float((network(x[chosen["test"]]).argmax(1) == y[chosen["test"]]).float().mean())

    def test_every_window_is_the_same(self):
        sessions = []
        for name, subject in PEOPLE:
            sessions.append(self.record(name, subject, SPEED, (TO - FROM) / SPEED))
            self.label(sessions[-1], name)
        dataset, plan, image = self.path("d.h5"), self.path("unseen.lsplan"), self.path("unseen.elf")
        self.lockstep("export", *sessions, "--format", "dataset", "-o", dataset, "--set", "stream=imu", "--set",
                      f"window={WINDOW / RATE}", "--set", f"hop={HOP / RATE}", "--set", "split=subject")
        accuracy = self.train(dataset)
        self.assertGreater(accuracy, 0.7)
        self.lockstep("model", "convert", self.path("m.onnx"), "-o", plan, "--preprocessing", self.path("way.json"),
                      "--calibration", dataset, "--target", "cortex-m4")
        judged = json.loads(self.lockstep("model", "evaluate", plan, "--data", dataset, "--float", self.path("m.onnx"),
                                          "--json"))
        self.assertGreater(judged["int8"]["accuracy"], 0.7)

        self.lockstep("firmware", "build", BOARD, "--plan", plan, "-o", image)
        self.lockstep("firmware", "build", BOARD, "--plan", plan, "-o", image, expect=2)
        session = self.record("exp11_user06", "six", 2, 20, "--model", plan, "--strict", firmware="&firmware=" + image)
        verdicts = json.loads(self.lockstep("compare", session, "--json"))
        windows = verdicts["windows"]
        self.assertTrue(verdicts["equal"])
        self.assertEqual([m["name"] for m in verdicts["models"]], ["unseen"])
        self.assertGreater(windows["same"], 2 * 20 * RATE // HOP * 0.8)
        self.assertEqual((windows["different"], windows["lost"]), (0, 0))
        print(f"{windows['same']} windows of a network that was {100 * accuracy:.0f} % right on a person it never saw: "
              "every one the same")


if __name__ == "__main__":
    unittest.main()
