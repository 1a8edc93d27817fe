"""Stages between a stream's window and a model: held to SciPy's values, and to the bit to their written order."""
import copy
import json
import os
import struct
import subprocess
import tempfile
import unittest

import h5py
import numpy as np
import torch
from scipy import signal
from torch import nn

from reference import Plan, split_stages

PROBE = os.environ["MODEL_PROBE"]
F32 = np.float32


def way(kind, rate, channels, window, **more):
    names = [{"name": f"c{i}", "unit": "uV"} for i in range(channels)]
    return {"tensor": "x", "shape": [1], "layout": "NTC", "stream": {"kind": kind, "rate_hz": rate, "channels": names},
            "window": {"length": window, "hop": window // 2}, "normalise": {"kind": "none"}, **more}


def whole(*inputs):
    for extra in inputs[1:]:
        extra["role"] = "secondary"
        extra["window"].pop("hop", None)
    return {"schema": "lockstep-preprocessing", "version": 1, "model": "m", "inputs": list(inputs),
            "outputs": [{"tensor": "y", "kind": "logits", "classes": ["a", "b"]}]}


class Features(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.random = np.random.default_rng(5)

    def path(self, name):
        return os.path.join(self.folder, name)

    def read(self, name):
        with open(self.path(name), "rb") as f:
            return f.read()

    def convert(self, description, network, shape, calibration=None, refused=False):
        with open(self.path("way.json"), "w") as f:
            json.dump(description, f)
        torch.onnx.export(network, torch.zeros(1, *shape), self.path("m.onnx"), opset_version=13)
        if calibration is None:
            np.save(self.path("c.npy"), self.random.normal(0, 3, (20, *shape)).astype(F32))
            calibration = self.path("c.npy")
        done = subprocess.run([PROBE, "convert", self.path("m.onnx"), self.path("way.json"), calibration,
                               self.path("m.lsplan")], capture_output=True, text=True)
        if refused:
            self.assertEqual(done.returncode, 2, done.stdout)
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
            return done.stderr
        self.assertEqual(done.returncode, 0, done.stderr)
        return Plan(self.read("m.lsplan"))

    def stages(self, plan, window):
        np.ascontiguousarray(window, F32).tofile(self.path("w.f32"))
        subprocess.run([PROBE, "stages", self.path("m.lsplan"), self.path("w.f32"), self.path("s")], check=True)
        values = split_stages(plan, self.read("s"))[0]
        return {op["stage"]: v for op, v in zip(plan.operators, values)}

    def test_band_power_is_welch(self):
        bands = [[1, 4], [4, 8], [8, 13], [13, 30], [0, 125.1]]
        feature = {"kind": "band_power", "segment": 250, "step": 125, "bands_hz": bands}
        plan = self.convert(whole(way("eeg", 250, 2, 750, features=[feature])), nn.Linear(10, 2), (10,))
        x = self.random.normal(0, 20, (750, 2)).astype(F32) + np.float32([1000, -5])
        x[:, 0] += 30 * np.sin(2 * np.pi * 10 * np.arange(750) / 250)
        got = self.stages(plan, x)["eeg.band_power"].reshape(2, 5)
        f, p = signal.welch(x.astype(float), 250, "hann", 250, 125, detrend="constant", axis=0)
        wanted = [[p[(f >= lo) & (f < hi), c].sum() for lo, hi in bands] for c in range(2)]
        np.testing.assert_allclose(got, wanted, rtol=2e-4)

        # The same numbers, operation by operation in float32.
        n, turn = 250, 2 * np.pi * np.arange(250) / 250
        taper, cosine, sine = (F32(v) for v in (0.5 - 0.5 * np.cos(turn), np.cos(turn), np.sin(turn)))
        scale = F32(2 / (n * (taper.astype(float) ** 2).sum() * 5))
        k = np.arange(4, 8)
        band = F32(0)
        for start in range(0, 501, 125):
            mean = F32(0)
            for v in x[start:start + n, 1]:
                mean = mean + v
            s = (x[start:start + n, 1] - mean / F32(n)) * taper
            re, im = np.zeros(4, F32), np.zeros(4, F32)
            for i in range(n):
                re, im = re + s[i] * cosine[i * k % n], im + s[i] * sine[i * k % n]
            power = F32(0)
            for v in re * re + im * im:
                power = power + v
            band = band + power
        self.assertEqual(got[1, 1].tobytes(), (band * scale).tobytes())

    def test_relative_band_power_and_its_logarithm(self):
        feature = {"kind": "band_power", "bands_hz": [[1, 10], [10, 40]], "taper": "none", "relative": True, "log": True}
        plan = self.convert(whole(way("eeg", 100, 1, 200, features=[feature])), nn.Linear(2, 2), (2,))
        x = self.random.normal(0, 1, (200, 1))
        f, p = signal.periodogram(x[:, 0], 100, detrend="constant")
        power = np.array([p[(f >= 1) & (f < 10)].sum(), p[(f >= 10) & (f < 40)].sum()])
        got = self.stages(plan, x)["eeg.band_power"].reshape(-1)
        np.testing.assert_allclose(got, np.log(power / power.sum()), rtol=1e-4, atol=1e-4)
        silent = self.stages(plan, np.zeros((200, 1)))["eeg.band_power"]
        np.testing.assert_allclose(silent, np.log(1e-30), rtol=1e-6)

    def test_resampling_is_the_endless_streams(self):
        for up, down, rate, n in ((1, 2, 250, 300), (2, 5, 250, 400), (8, 5, 100, 300), (3, 1, 32, 100)):
            front = way("imu", rate, 3, n, resample={"up": up, "down": down})
            half = 10 * max(up, down)
            m = ((n - 1) * up - 2 * half) // down + 1
            network = nn.Sequential(nn.Conv1d(3, 2, 3), nn.AdaptiveAvgPool1d(1), nn.Flatten())
            front["layout"] = "NCT"
            plan = self.convert(whole(front), network, (3, m))
            x = self.random.normal(0, 1, (n, 3)).astype(F32)
            got = self.stages(plan, x)["imu.resampled"].reshape(m, 3)
            # SciPy's filter of resample_poly() is the same; its outputs within the window's edges, too.
            spread = np.zeros(((n - 1) * up + 1, 3))
            spread[::up] = x
            taps = signal.firwin(2 * half + 1, 1 / max(up, down), window=("kaiser", 5.0)) * up
            valid = np.stack([np.convolve(spread[:, c], taps, "valid")[::down] for c in range(3)], 1)
            np.testing.assert_allclose(got, valid[:m], atol=2e-6)
            if half % down == 0:
                poly = signal.resample_poly(x.astype(float), up, down, axis=0)[half // down:][:m]
                np.testing.assert_allclose(got[:len(poly)], poly, atol=2e-5)

    def test_heart_rate(self):
        feature = {"kind": "heart_rate"}
        plan = self.convert(whole(way("ppg", 100, 1, 800, features=[feature])), nn.Linear(2, 2), (2,))
        t = np.arange(800) / 100
        for bpm in (48, 72, 130):
            beat = np.sin(2 * np.pi * bpm / 60 * t) + 0.3 * np.sin(4 * np.pi * bpm / 60 * t + 1)
            rate, quality = self.stages(plan, beat + self.random.normal(0, 0.02, 800))["ppg.heart_rate"].reshape(-1)
            self.assertAlmostEqual(rate, bpm, delta=1.0)
            self.assertGreater(quality, 0.9)
        np.testing.assert_array_equal(self.stages(plan, np.zeros(800))["ppg.heart_rate"].reshape(-1), [0, 0])

    def test_skin_conductance(self):
        feature = {"kind": "skin_conductance", "threshold": 0.1}
        plan = self.convert(whole(way("eda", 32, 1, 32 * 20, features=[feature])), nn.Linear(4, 2), (4,))
        t = np.arange(640) / 32
        x = 5 + 0.005 * t
        rises = {3: 0.4, 8: 0.2, 15: 0.04}  # the last one is too small
        for at, size in rises.items():
            x = x + size * np.where(t > at, (t - at) * np.exp(1 - (t - at)), 0)
        level, slope, per_minute, rise = self.stages(plan, x)["eda.skin_conductance"].reshape(-1)
        self.assertAlmostEqual(level, x.mean(), delta=1e-3)
        self.assertAlmostEqual(slope, np.polyfit(t, x, 1)[0], delta=1e-4)
        self.assertAlmostEqual(per_minute, 2 * 3, delta=1e-5)
        self.assertAlmostEqual(rise, 0.32, delta=0.06)

    def test_features_of_two_streams_in_one_row(self):
        first = way("ppg", 100, 1, 800, features=[{"kind": "heart_rate"}])
        second = way("eda", 32, 1, 256, features=[{"kind": "skin_conductance"},
                                                   {"kind": "band_power", "bands_hz": [[0, 1]]}])
        second["normalise"] = {"kind": "standardise", "mean": [0.0] * 5, "std": [1.0] * 5}
        plan = self.convert(whole(first, second), nn.Linear(7, 2), (7,))
        self.assertEqual([op["code"] for op in plan.operators][:6], [44, 45, 42, 19, 1, 19])
        self.assertEqual(plan.tensors[plan.operators[5]["output"]]["shape"], (1, 7))
        # A dataset has windows of one stream.
        with h5py.File(self.path("d.h5"), "w") as f:
            f["X"], f["y"] = np.zeros((4, 800, 1), F32), np.zeros(4, np.int64)
        text = self.convert(whole(first, second), nn.Linear(7, 2), (7,), self.path("d.h5"), refused=True)
        self.assertIn("NumPy rows of the features", text)

    def test_windows_of_a_dataset_pass_the_features_before_calibration(self):
        feature = {"kind": "band_power", "bands_hz": [[4, 8], [8, 13]], "log": True}
        front = way("eeg", 100, 2, 200, features=[feature], resample={"up": 1, "down": 1, "taps": [0.5, 0.5]})
        front["normalise"] = {"kind": "standardise", "mean": [1.0] * 4, "std": [2.0] * 4}
        x = (self.random.normal(0, 10, (30, 200, 2))).astype(F32)
        with h5py.File(self.path("d.h5"), "w") as f:
            f["X"], f["y"] = x, np.zeros(30, np.int64)
        plan = self.convert(whole(front), nn.Linear(4, 2), (4,), self.path("d.h5"))
        rows = []
        for window in x:
            rows.append(self.stages(plan, window)["normalise"].reshape(-1))
        quantised = plan.tensors[next(op for op in plan.operators if op["code"] == 2)["output"]]
        low, high = min(0, np.min(rows)), max(0, np.max(rows))
        self.assertAlmostEqual(float(quantised["scale"]), (high - low) / 255, delta=1e-6)

    def test_a_notch_is_part_of_the_filter(self):
        front = way("eeg", 250, 1, 250, filter={"form": "df2t", "arithmetic": "float32", "notch": [{"hz": 50, "q": 30},
                    {"hz": 100}], "reset_period": 1000, "warm_up": 500})
        front["layout"] = "NCT"
        network = nn.Sequential(nn.Conv1d(1, 2, 3), nn.AdaptiveAvgPool1d(1), nn.Flatten())
        plan = self.convert(whole(front), network, (1, 250))
        at, count = struct.unpack_from("<II", plan.blob, 48)
        got = np.frombuffer(plan.blob, F32, 5 * count, at).reshape(count, 5)
        for section, (hz, q) in zip(got, ((50, 30), (100, 30))):
            b, a = signal.iirnotch(hz, q, 250)
            np.testing.assert_allclose(section, [*b, *a[1:]], rtol=1e-6, atol=1e-7)

    def test_smoothing_and_majority_stand_behind_the_scores(self):
        description = whole(way("eeg", 100, 1, 100, features=[{"kind": "band_power", "bands_hz": [[1, 4]]}]))
        post = [{"kind": "exponential", "windows": 3, "share": 0.25}, {"kind": "majority", "windows": 5}]
        description["outputs"][0]["post"] = post
        plan = self.convert(description, nn.Linear(1, 2), (1,))
        self.assertEqual([op["stage"] for op in plan.operators[-3:]], ["scores", "exponential", "majority"])
        smooth, majority = plan.operators[-2:]
        self.assertEqual(struct.unpack("<I", smooth["params"][:4]) + struct.unpack("<I", majority["params"][:4]), (3, 5))
        np.testing.assert_array_equal(np.frombuffer(smooth["params"], F32, 3, 16), F32([1, 0.75, 0.5625]))
        # From a file every window stands alone.
        got = self.stages(plan, self.random.normal(0, 1, (100, 1)))
        np.testing.assert_array_equal(got["exponential"].reshape(-1), got["scores"].reshape(-1))
        self.assertEqual(sorted(got["majority"].reshape(-1)), [0, 1])
        for place, bad in (("0/kind", {"kind": "median", "windows": 3}), ("0/windows", {"kind": "majority"}),
                           ("0/windows", {"kind": "majority", "windows": 65}),
                           ("0/share", {"kind": "exponential", "windows": 3, "share": 1})):
            description["outputs"][0]["post"] = [bad]
            text = self.convert(description, nn.Linear(1, 2), (1,), refused=True)
            self.assertIn("way.json: /outputs/0/post/" + place, text)

    def test_what_cannot_be_is_said_with_its_place(self):
        good = whole(way("eeg", 250, 2, 250, features=[{"kind": "band_power", "bands_hz": [[1, 4]]}]))
        faults = [
            ("features/0/kind", lambda i: i["features"][0].update(kind="entropy")),
            ("features/0/bands_hz/0", lambda i: i["features"][0].update(bands_hz=[[4, 1]])),
            ("features/0/bands_hz/0: holds no frequency", lambda i: i["features"][0].update(bands_hz=[[1.1, 1.2]])),
            ("features/0/bands_hz/0", lambda i: i["features"][0].update(bands_hz=[[100, 200]])),
            ("features/0/bands_hz", lambda i: i["features"][0].update(bands_hz=[])),
            ("features/0/segment", lambda i: i["features"][0].update(segment=251)),
            ("features/0/step", lambda i: i["features"][0].update(step=0)),
            ("features/0/taper", lambda i: i["features"][0].update(taper="hamming")),
            ("features/0/log", lambda i: i["features"][0].update(log=1)),
            ("features/0: takes one channel", lambda i: i.update(features=[{"kind": "heart_rate"}])),
            ("features: not a list", lambda i: i.update(features=[])),
            ("resample/up", lambda i: i.update(resample={"up": 0, "down": 1})),
            ("resample/down", lambda i: i.update(resample={"up": 1, "down": 257})),
            ("resample/taps", lambda i: i.update(resample={"up": 1, "down": 2, "taps": []})),
            ("resample: the window is shorter", lambda i: i.update(resample={"up": 1, "down": 20})),
            ("filter/notch/0/hz", lambda i: i.update(filter={"form": "df2t", "arithmetic": "float32",
                                                             "notch": [{"hz": 125}], "reset_period": 9, "warm_up": 1})),
            ("normalise/mean", lambda i: i.update(normalise={"kind": "standardise", "mean": [0], "std": [1]})),
            # A slip of the pen would make another model in silence.
            ("filters: no such field", lambda i: i.update(filters=None)),
            ("window/stride: no such field", lambda i: i["window"].update(stride=5)),
            ("features/0/overlap: no such field", lambda i: i["features"][0].update(overlap=5)),
            ("stream/channels/0/units: no such field", lambda i: i["stream"]["channels"][0].update(units="uV")),
        ]
        for place, damage in faults:
            bad = copy.deepcopy(good)
            damage(bad["inputs"][0])
            self.assertIn("way.json: /inputs/0/" + place, self.convert(bad, nn.Linear(2, 2), (2,), refused=True))
        text = self.convert(good, nn.Linear(3, 2), (3,), refused=True)
        self.assertIn("the model takes [1, 3], the stream gives [1, 2] (features)", text)
        good["inputs"][0]["_why"] = "my own note"
        misplaced = dict(good, post=[{"kind": "moving_average", "windows": 5}])
        self.assertIn("way.json: /post: no such field", self.convert(misplaced, nn.Linear(2, 2), (2,), refused=True))
        one = copy.deepcopy(good["inputs"][0])
        del one["features"]
        self.assertIn("/inputs/1/features", self.convert(whole(good["inputs"][0], one), nn.Linear(2, 2), (2,),
                                                         refused=True))


if __name__ == "__main__":
    unittest.main()
