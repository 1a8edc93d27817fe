#!/usr/bin/env python3
"""Checks of the training scripts and of the files they shipped: python3 test_training.py

Needs NumPy and SciPy; the checks of the network also PyTorch, of the ONNX file also `onnx`.
"""
import json
import unittest
from pathlib import Path

import numpy as np

import imu_phone_watch
import signal_way
import vitals_reference

MODELS = Path(__file__).resolve().parents[2] / "resources" / "models"
F32 = np.float32


def load(model, name):
    file = json.loads((MODELS / model / name).read_text())
    filters = file["inputs"][0]["filter"]
    return file, np.array(filters["sos"], F32), filters["reset_period"], filters["warm_up"]


class SignalWay(unittest.TestCase):
    def test_scipy_takes_the_documented_steps(self):
        x = (np.random.default_rng(0).normal(0, 1e4, (3, 900)) + 1e5).astype(F32)
        for model, name in (("movement", "preprocessing.json"), ("vitals", "vitals.json")):
            _, sos, _, _ = load(model, name)
            np.testing.assert_array_equal(signal_way.cascade(x, sos), signal_way.cascade_fast(x, sos))

    def test_a_segment_start_changes_nothing_after_its_warm_up(self):
        """A window recomputed from its own block's first sample has the same bits as in the whole stream."""
        _, sos, k, w = load("movement", "preprocessing.json")
        x = np.random.default_rng(1).normal(0, 1, (6, 700)).astype(F32)
        whole = signal_way.filter_in_blocks(x, sos, k, w)
        first = 3 * k - w
        part = signal_way.filter_in_blocks(x[:, first:], sos, k, w, first)
        np.testing.assert_array_equal(whole[:, 3 * k:], part[:, w:])

    def test_steps_back_and_repeats_do_not_break_the_grid(self):
        grid, y = imu_phone_watch.uniform([0, 10, 10, 5, 30], np.array([[0.], [1], [3], [2], [5]]))
        np.testing.assert_allclose(grid, [0, 10, 20, 30])
        np.testing.assert_allclose(y[:, 0], [0, 2, 3.5, 5])  # 1, 3 and 2 share the stamp 10

    def test_counts_saturate(self):
        self.assertEqual(imu_phone_watch.to_counts(np.array([[99., -99, 1]]), [1 / 2048] * 3).tolist(),
                         [[32767, -32768, 2048]])


class Movement(unittest.TestCase):
    def setUp(self):
        self.file, self.sos, self.k, self.w = load("movement", "preprocessing.json")
        self.golden = np.load(MODELS / "movement/golden/golden.npz")

    def test_golden_follows_from_preprocessing_json_alone(self):
        g, entry = self.golden, self.file["inputs"][0]
        scale = [c["scale"] for c in entry["stream"]["channels"]]
        mean, std = (np.array(entry["normalise"][n], F32)[:, None] for n in ("mean", "std"))
        for i, start in enumerate(g["window_start"]):
            y = signal_way.filter_in_blocks(signal_way.to_physical(g["counts"][i], scale), self.sos,
                                            self.k, self.w, int(g["first_sample"][i]))
            y = y[:, start - g["first_sample"][i]:][:, :entry["window"]["length"]]
            np.testing.assert_array_equal(y, g["filtered"][i])
            np.testing.assert_array_equal((y - mean) / std, g["input"][i])

    def test_onnx_holds_only_what_the_converter_knows(self):
        try:
            import onnx
        except ImportError:
            self.skipTest("onnx is not installed")
        model = onnx.load(str(MODELS / "movement/movement.onnx"))
        onnx.checker.check_model(model)
        self.assertEqual(model.opset_import[0].version, 13)
        self.assertLessEqual({n.op_type for n in model.graph.node},
                             {"Conv", "Relu", "MaxPool", "GlobalAveragePool", "Flatten", "Gemm"})

    def test_onnx_weights_give_the_golden_logits(self):
        try:
            import onnx
            import torch
            from onnx import numpy_helper
            import network
        except ImportError:
            self.skipTest("onnx or torch is not installed")
        graph = onnx.load(str(MODELS / "movement/movement.onnx")).graph
        net = network.folded(network.Network(6, 5))
        net.load_state_dict({t.name: torch.from_numpy(numpy_helper.to_array(t).copy()) for t in graph.initializer})
        np.testing.assert_allclose(network.logits(net, self.golden["input"]), self.golden["logits"], atol=1e-5)


class Vitals(unittest.TestCase):
    def test_golden(self):
        file, sos, k, w = load("vitals", "vitals.json")
        g = np.load(MODELS / "vitals/golden/golden.npz")
        for i, start in enumerate(g["window_start"]):
            x = signal_way.to_physical(g["ppg_counts"][i][None], [1.0])
            y = signal_way.filter_in_blocks(x, sos, k, w, int(g["ppg_first"][i]))[0, start - g["ppg_first"][i]:][:800]
            np.testing.assert_array_equal(y, g["filtered"][i])
            eda = signal_way.to_physical(g["eda_counts"][i][None], [file["inputs"][1]["stream"]["channels"][0]["scale"]])[0]
            np.testing.assert_array_equal(vitals_reference.vitals(y, eda), g["output"][i])

    def test_known_rates(self):
        t = np.arange(800) / 100
        eda = (2 + 0.05 * np.arange(256) / 32).astype(F32)
        for bpm in (45, 60, 90, 150, 200):
            pulse = np.sin(2 * np.pi * bpm / 60 * t) + 0.4 * np.sin(4 * np.pi * bpm / 60 * t + 1)
            out = vitals_reference.vitals(1000 * pulse, eda)
            self.assertAlmostEqual(out[0], bpm, delta=1.5)
            self.assertAlmostEqual(out[3], 0.05, delta=1e-4)
        self.assertEqual(vitals_reference.vitals(0 * t, eda)[:2].tolist(), [0, 0])


if __name__ == "__main__":
    unittest.main()
