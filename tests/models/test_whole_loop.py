"""The whole way of a model that the project has never seen, with the real programs: record people on the virtual
board, label, make a dataset, train with PyTorch, ONNX, plan, firmware with it, record somebody else: every window
of the board equals the host's."""
import json
import unittest

import torch
from torch import nn

from people import BOARD, FROM, PEOPLE, RATE, SPEED, TO, People

WINDOW, HOP = 96, 48


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


class WholeLoop(People):
    def test_every_window_is_the_same(self):
        sessions = []
        for name, subject in PEOPLE:
            sessions.append(self.record(name, subject, SPEED, (TO - FROM) / SPEED))
            self.label(sessions[-1], name)
        dataset, plan, image = self.path("d.h5"), self.path("unseen.lsplan"), self.path("unseen.elf")
        self.lockstep("export", *sessions, "--format", "dataset", "-o", dataset, "--set", "stream=imu", "--set",
                      f"window={WINDOW / RATE}", "--set", f"hop={HOP / RATE}", "--set", "split=subject")
        accuracy = self.train(Unseen, dataset, "unseen", HOP)
        self.assertGreater(accuracy, 0.7)
        self.lockstep("model", "convert", self.path("unseen.onnx"), "-o", plan, "--preprocessing", self.path("way.json"),
                      "--calibration", dataset, "--target", "cortex-m4")
        judged = json.loads(self.lockstep("model", "evaluate", plan, "--data", dataset, "--float", self.path("unseen.onnx"),
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
