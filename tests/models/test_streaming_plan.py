"""A network by hops, as a person uses it: trained on people's movements, converted with and without --streaming, run
on somebody's session and on the board. The same bits for a fraction of the multiplications."""
import json
import os
import subprocess
import unittest

import numpy as np
import torch
from torch import nn

from people import BOARD, BUILD, PEOPLE, RATE, SOURCE, People

WINDOW, HOP = 100, 10


class Layers(nn.Module):
    """Without padding: every row of a window is computed from the rows of the window alone."""

    def __init__(self, classes):
        super().__init__()
        self.first = nn.Conv1d(6, 16, 9)
        self.depth = nn.Conv1d(16, 16, 5, dilation=2, groups=16)
        self.point = nn.Conv1d(16, 16, 1)
        self.pool = nn.AvgPool1d(4, 2)
        self.last = nn.Conv1d(16, 16, 3)
        self.head = nn.Linear(16, classes)

    def forward(self, x):
        x = torch.relu(self.first(x))
        x = torch.relu(self.point(self.depth(x))) + x[:, :, 8:]
        return self.head(torch.relu(self.last(self.pool(x))).mean(2))


class Causal(nn.Module):
    """Padded before the first row: by hops it sees what was before the window."""

    def __init__(self, classes):
        super().__init__()
        self.first, self.second = nn.Conv1d(6, 16, 5), nn.Conv1d(16, 16, 5, dilation=4)
        self.head = nn.Linear(16, classes)

    def forward(self, x):
        x = torch.relu(self.first(nn.functional.pad(x, (4, 0))))
        x = torch.relu(self.second(nn.functional.pad(x, (16, 0))))
        return self.head(x.mean(2))


class Image(nn.Module):
    """As networks for EEG often are: the channels are the rows of an image [1, 1, channels, time]."""

    def __init__(self, classes):
        super().__init__()
        self.temporal = nn.Conv2d(1, 4, (1, 15), padding=(0, 7))
        self.spatial = nn.Conv2d(4, 8, (6, 1), groups=4)
        self.pool = nn.AvgPool2d((1, 5), (1, 5))
        self.head = nn.Linear(8 * (WINDOW // 5), classes)

    def forward(self, x):
        return self.head(self.pool(torch.relu(self.spatial(self.temporal(x)))).flatten(1))


class Around(nn.Module):
    """Padded at both ends: no row is done before the window is."""

    def __init__(self, classes):
        super().__init__()
        self.first, self.head = nn.Conv1d(6, 8, 5, padding=2), nn.Linear(8, classes)

    def forward(self, x):
        return self.head(torch.relu(self.first(x)).mean(2))


class Streaming(People):
    def dataset(self):
        """Windows of three people, labelled as the study did."""
        sessions = []
        for name, subject in PEOPLE:
            sessions.append(self.person(name, subject))
            self.label(sessions[-1], name)
        self.lockstep("export", *sessions, "--format", "dataset", "-o", self.path("d.h5"), "--set", "stream=imu", "--set",
                      f"window={WINDOW / RATE}", "--set", "hop=1", "--set", "split=subject")
        return self.path("d.h5")

    def convert(self, name, plan, *more, expect=0):
        out = self.lockstep("model", "convert", self.path(name + ".onnx"), "-o", self.path(plan), "--preprocessing",
                            self.path("way.json"), "--calibration", self.path("d.h5"), "--json", *more, expect=expect)
        return json.loads(out) if out else None

    def run_on(self, plan, data):
        return json.loads(self.lockstep("model", "run", self.path(plan), "--data", data, "--json"))

    def test_the_same_bits_for_a_fraction_of_the_work(self):
        dataset, session = self.dataset(), self.person("exp11_user06", "six")
        self.train(Layers, dataset, "layers", HOP)
        self.convert("layers", "whole.lsplan", "--target", "cortex-m4")
        report = self.convert("layers", "hops.lsplan", "--target", "cortex-m4", "--streaming")
        streaming = report["streaming"]
        self.assertEqual(streaming["same_scores"], report["calibration_windows"])
        self.assertEqual((streaming["windows"], streaming["whole_windows"]), (WINDOW // HOP, []))
        self.assertLess(streaming["macs_after"], streaming["macs_before"] / 5)
        for data in (session, dataset):
            whole, hops = self.run_on("whole.lsplan", data), self.run_on("hops.lsplan", data)
            self.assertGreater(hops["windows"], 30)
            self.assertEqual(whole["scores"], hops["scores"])
            self.assertEqual(whole["labels"], hops["labels"])
        size = {n: os.path.getsize(self.path(n + ".lsplan")) for n in ("whole", "hops")}
        arena = {n: json.loads(self.lockstep("model", "info", self.path(n + ".lsplan"), "--json"))["arena_bytes"]
                 for n in size}
        self.assertLess(arena["hops"], arena["whole"])
        self.lockstep("model", "parity", self.path("hops.lsplan"), *[w for m in ("host-reference", "m4f", "m55")
                                                                      for w in ("--machine", m)])

        self.as_source(np.random.default_rng(1).normal(size=(3, WINDOW, 6)).astype(np.float32))

        image = self.path("hops.elf")
        self.lockstep("firmware", "build", BOARD, "--plan", self.path("hops.lsplan"), "-o", image)
        out = self.path("board.h5")
        self.lockstep("record", f"virtual:{BOARD}?signals={session}&speed=3&baud=921600&firmware={image}", "-o", out,
                      "--seconds", 12, "--model", self.path("hops.lsplan"), "--strict")
        verdicts = json.loads(self.lockstep("compare", out, "--json"))
        windows = verdicts["windows"]
        self.assertTrue(verdicts["equal"])
        self.assertGreater(windows["same"], 3 * 12 * RATE // HOP * 0.7)
        self.assertEqual((windows["different"], windows["lost"]), (0, 0))
        self.assertEqual(self.run_on("whole.lsplan", out)["scores"], self.run_on("hops.lsplan", out)["scores"])

    def as_source(self, windows):
        """The plan as C++: hop after hop, everything forgotten before each window."""
        self.lockstep("model", "source", self.path("hops.lsplan"), "-o", self.folder, "--name", "hops")
        with open(self.path("main.cpp"), "w", encoding="utf-8") as f:
            f.write("""#include <cstdio>
                #include "hops.h"
                using namespace lockstep::hops;
                int main(int, char** argv) {
                    const int hops = std::atoi(argv[1]);
                    for (int i = 0; fread(input(), kInputBytes, 1, stdin) == 1; ++i) {
                        if (i % hops == 0) forget();
                        run();
                        if (i % hops == hops - 1) fwrite(output(), kOutputBytes, 1, stdout);
                    }
                }""".replace("<cstdio>", "<cstdio>\n#include <cstdlib>"))
        libraries = [os.path.join(BUILD, n) for n in ("models/core/liblockstep_core.a", "dsp/base/liblockstep_base.a")]
        subprocess.run(["g++", "-std=c++17", "-O1", "-ffp-contract=off", "-w", "-I", SOURCE, self.path("main.cpp"),
                        self.path("hops.cpp"), *libraries, "-o", self.path("program")], check=True, stderr=subprocess.DEVNULL)
        got = subprocess.run([self.path("program"), str(WINDOW // HOP)], input=windows.tobytes(), capture_output=True,
                             check=True).stdout
        windows.tofile(self.path("x"))
        self.lockstep("model", "run", self.path("hops.lsplan"), "--raw-input", self.path("x"), "--raw-output", self.path("y"))
        with open(self.path("y"), "rb") as f:
            self.assertEqual(got, f.read())

    def test_padding_before_the_window_becomes_history(self):
        dataset = self.dataset()
        self.train(Causal, dataset, "causal", HOP)
        report = self.convert("causal", "causal.lsplan", "--streaming")
        self.assertEqual(report["streaming"]["same_scores"], report["calibration_windows"])  # each from a fresh start
        self.assertEqual(len(report["streaming"]["history_for_padding"]), 2)
        self.assertGreater(report["streaming"]["windows"], WINDOW // HOP)

    def test_what_cannot_go_by_hops_says_why_or_waits(self):
        dataset = self.dataset()
        self.train(Around, dataset, "around", HOP)
        error = self.complaint("around", "--streaming")
        self.assertIn("padded after the last row", error)
        self.assertIn("--lag", error)
        streaming = self.convert("around", "around.lsplan", "--streaming", "--lag")["streaming"]
        self.assertEqual((streaming["lag"], streaming["whole_windows"]), (2, []))
        self.assertLess(streaming["macs_after"], streaming["macs_before"] / 8)
        self.train(Around, dataset, "around", 30)
        self.assertIn("no multiple of the hop", self.complaint("around", "--streaming"))

    def test_an_image_of_channels_and_time(self):
        dataset = self.dataset()
        self.train(Image, dataset, "image", HOP, as_image=True)
        self.convert("image", "whole.lsplan")
        judged = json.loads(self.lockstep("model", "evaluate", self.path("whole.lsplan"), "--data", dataset, "--float",
                                          self.path("image.onnx"), "--json"))
        for kind in ("int8", "float"):  # a wrong order of channels and time would guess
            self.assertGreater(judged[kind]["accuracy"], 0.9, kind)
        streaming = self.convert("image", "hops.lsplan", "--streaming", "--lag")["streaming"]
        self.assertEqual(streaming["lag"], 10)  # 7 rows of padding, in whole steps of the pool
        self.assertLess(streaming["macs_after"], streaming["macs_before"] / 4)

    def complaint(self, name, *more):
        error = self.lockstep_error("model", "convert", self.path(name + ".onnx"), "-o", self.path("x.lsplan"),
                                    "--preprocessing", self.path("way.json"), "--calibration", self.path("d.h5"), *more)
        self.assertFalse(os.path.exists(self.path("x.lsplan")))
        self.assertEqual(len(error.strip().splitlines()), 1, error)
        return error


if __name__ == "__main__":
    unittest.main()
