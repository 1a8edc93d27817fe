"""`lockstep model convert --prune`: channels that do nothing go without a trace in the bytes that come out, the
savings are told, additions are left alone, and evaluate tells what pruning costs."""
import json
import os
import unittest

import numpy as np
import onnx
from onnx import helper

import activity
from test_model_command import MODELS, Folder, lockstep, model


def network(residual):
    """A signal of 3 channels by 40: every second channel of every layer but the last does nothing."""
    random = np.random.default_rng(5)

    def idle(w, axis=0):
        w = w.astype(np.float32)
        w[(slice(None),) * axis + (slice(0, None, 2),)] = 0
        return w

    constants = {
        "w1": idle(random.normal(size=(8, 3, 5))), "b1": idle(random.normal(size=8)),
        "wd": random.normal(size=(16, 1, 3)).astype(np.float32), "bd": idle(np.zeros(16)),
        "w2": idle(random.normal(size=(12, 16, 3))), "b2": idle(random.normal(size=12)),
        "w3": idle(random.normal(size=(120, 20)), 1), "b3": idle(random.normal(size=20)),
        "w4": random.normal(size=(20, 3)).astype(np.float32), "b4": random.normal(size=3).astype(np.float32)}
    # Nor does anyone listen to it, so that scales of weights are the same without it.
    constants["w2"].reshape(12, 8, 2, 3)[:, ::2] = 0
    constants["w3"].reshape(12, 10, 20)[::2] = 0
    constants["w4"][::2] = 0
    nodes = [helper.make_node("Conv", ["x", "w1", "b1"], ["c1"], name="first", kernel_shape=[5], pads=[2, 2]),
             helper.make_node("Relu", ["c1"], ["r1"]),
             helper.make_node("Conv", ["r1", "wd", "bd"], ["d"], name="each", kernel_shape=[3], pads=[1, 1], group=8),
             helper.make_node("MaxPool", ["d"], ["p"], kernel_shape=[4], strides=[4]),
             helper.make_node("Conv", ["p", "w2", "b2"], ["c2"], name="second", kernel_shape=[3], pads=[1, 1]),
             helper.make_node("Relu", ["c2"], ["r2"])]
    flat = "r2"
    if residual:
        constants["w5"] = random.normal(size=(12, 16, 1)).astype(np.float32)
        nodes += [helper.make_node("Conv", ["p", "w5"], ["side"], name="aside", kernel_shape=[1]),
                  helper.make_node("Add", ["r2", "side"], ["sum"], name="sum")]
        flat = "sum"
    nodes += [helper.make_node("Flatten", [flat], ["f"]),
              helper.make_node("Gemm", ["f", "w3", "b3"], ["g"], name="third"),
              helper.make_node("Relu", ["g"], ["r3"]),
              helper.make_node("Gemm", ["r3", "w4", "b4"], ["y"], name="last")]
    return model(nodes, [("x", [1, 3, 40])], [("y", [1, 3])], constants.items())


class Pruning(Folder):
    def converted(self, source, name, *options, expect=0):
        np.save(self.path("windows.npy"), np.random.default_rng(3).normal(size=(60, 3, 40)).astype(np.float32))
        done = lockstep("convert", source, "-o", self.path(name), "--calibration", self.path("windows.npy"), "--json",
                        *options, expect=expect)
        return json.loads(done.stdout)

    def scores(self, name):
        return json.loads(lockstep("run", self.path(name), "--data", self.path("windows.npy"), "--json").stdout)["scores"]

    def test_what_does_nothing_goes_and_the_scores_stay(self):
        source = self.path("n.onnx", network(False))
        self.converted(source, "whole.lsplan")
        said = self.converted(source, "half.lsplan", "--prune", 0.5)
        self.assertEqual(self.scores("half.lsplan"), self.scores("whole.lsplan"))
        layers = {layer["node"]: layer for layer in said["pruning"]["layers"]}
        self.assertEqual([(layers[n]["channels"], layers[n]["kept"]) for n in ("first", "second", "third")],
                         [(8, 4), (12, 8), (20, 12)])  # whole fours
        self.assertEqual(layers["last"]["kept"], 3)
        self.assertIn("output", layers["last"]["why_not"])
        before = 40 * 8 * 15 + 40 * 16 * 3 + 10 * 12 * 48 + 120 * 20 + 60
        after = 40 * 4 * 15 + 40 * 8 * 3 + 10 * 8 * 24 + 80 * 12 + 36
        self.assertEqual((said["pruning"]["macs_before"], said["pruning"]["macs_after"]), (before, after))
        self.assertEqual(said["macs"], after)
        self.assertLess(os.path.getsize(self.path("half.lsplan")), os.path.getsize(self.path("whole.lsplan")) - 1000)

    def test_an_addition_leaves_its_layers_alone(self):
        said = self.converted(self.path("r.onnx", network(True)), "r.lsplan", "--prune", 0.5)
        layers = {layer["node"]: layer for layer in said["pruning"]["layers"]}
        for name in ("second", "aside"):
            self.assertEqual(layers[name]["kept"], 12)
            self.assertIn('add "sum"', layers[name]["why_not"])
        self.assertEqual((layers["first"]["kept"], layers["third"]["kept"]), (4, 12))

    def test_a_quantised_source_is_refused(self):
        self.refused("convert", os.path.join(MODELS, "imu.tflite"), "-o", self.path("q.lsplan"), "--prune", 0.3,
                     says=["real weights", "imu.tflite"])

    def test_evaluate_tells_the_price_on_unseen_people(self):
        x, y, who = activity.windows()
        source = os.path.join(MODELS, "har_cnn_op13.onnx")
        for part, of in (("calibration", who < 10), ("unseen", who >= 27)):
            np.savez(self.path(part + ".npz"), x=x[of][:600], y=y[of][:600], subject=who[of][:600])
        macs, accuracy = [], []
        for fraction in (0, 0.25, 0.9):
            plan = self.path(f"{fraction}.lsplan")
            said = json.loads(lockstep("convert", source, "-o", plan, "--calibration", self.path("calibration.npz"),
                                       "--classes", ",".join(activity.CLASSES), "--prune", fraction, "--json").stdout)
            got = json.loads(lockstep("evaluate", plan, "--data", self.path("unseen.npz"), "--float", source,
                                      "--json").stdout)
            macs.append(said["macs"])
            accuracy.append(got["int8"]["accuracy"])
            self.assertAlmostEqual(got["difference"]["accuracy"], got["int8"]["accuracy"] - got["float"]["accuracy"],
                                   places=5)
        self.assertLess(macs[1], 0.8 * macs[0])
        self.assertLess(macs[2], 0.2 * macs[0])
        self.assertLess(accuracy[2], accuracy[0])  # the price shows
        print("activity:", macs, accuracy)

    def test_the_other_float_models_can_be_pruned(self):
        for name in ("eeg_shallow_op13", "eegmlp_op13"):
            source = os.path.join(MODELS, name + ".onnx")
            info = [d.dim_value for d in onnx.load(source).graph.input[0].type.tensor_type.shape.dim]
            windows = np.random.default_rng(2).normal(size=[20] + [d or 1 for d in info[1:]]).astype(np.float32)
            np.save(self.path("w.npy"), windows)
            said = json.loads(lockstep("convert", source, "-o", self.path(name + ".lsplan"), "--calibration",
                                       self.path("w.npy"), "--prune", 0.5, "--json").stdout)
            self.assertLess(said["pruning"]["macs_after"], 0.7 * said["pruning"]["macs_before"], said)
            scores = json.loads(lockstep("run", self.path(name + ".lsplan"), "--data", self.path("w.npy"),
                                         "--json").stdout)["scores"]
            self.assertEqual(len(scores), 20)


if __name__ == "__main__":
    unittest.main()
