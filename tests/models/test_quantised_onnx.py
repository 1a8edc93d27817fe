"""Quantised ONNX (QuantizeLinear, DequantizeLinear): the file's own steps come through to the plan, and
the scores are those of the file's arithmetic, computed here with NumPy."""
import json
import os
import unittest

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from reference import Plan
from test_model_command import Folder, lockstep, read


def quantised(x, scale, zero, low=-128, high=127):
    return np.clip(np.round(x / np.float32(scale)) + zero, low, high)


class Made:
    """x[1,3,32] -> Conv 5 (per channel), ReLU -> MaxPool -> depthwise Conv -> mean -> Gemm -> y[1,4]"""

    def __init__(self, unsigned):
        rng = np.random.default_rng(3)
        self.nodes, self.constants, self.unsigned = [], [], unsigned
        self.shift, self.kind = (128, np.uint8) if unsigned else (0, np.int8)
        self.steps = {"x": (0.05, -3), "a": (0.04, -128), "c": (0.03, 5), "m": (0.02, 1), "y": (0.06, 10)}
        self.w1, self.w2, self.w3 = (rng.normal(size=s) * 0.3 for s in ((8, 3, 5), (8, 1, 3), (4, 8)))
        self.layers = {}
        out = self.activation("x", "x")
        out = self.layer("Conv", out, "w1", self.w1, "x", "a0", pads=[2, 2])
        self.nodes.append(helper.make_node("Relu", ["a0"], ["a"], name="relu"))
        out = self.activation("a", "a")
        self.nodes.append(helper.make_node("MaxPool", [out], ["p"], kernel_shape=[2], strides=[2], name="pool"))
        out = self.activation("p", "a")
        out = self.layer("Conv", out, "w2", self.w2, "a", "c", pads=[1, 1], group=8)
        out = self.activation("c", "c")
        self.nodes.append(helper.make_node("GlobalAveragePool", [out], ["m"], name="mean"))
        out = self.activation("m", "m")
        self.nodes.append(helper.make_node("Flatten", [out], ["f"], name="flat"))
        self.layer("Gemm", "f", "w3", self.w3, "m", "y", transB=1)
        self.activation("y", "y", "out")

    def constant(self, name, value):
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def activation(self, name, steps, last=None):
        scale, zero = self.steps[steps]
        s = self.constant(name + "_s", np.array(scale, np.float32))
        z = self.constant(name + "_z", np.array(zero + self.shift, self.kind))
        self.nodes.append(helper.make_node("QuantizeLinear", [name, s, z], [name + "_q"], name=name + "_Q"))
        self.nodes.append(helper.make_node("DequantizeLinear", [name + "_q", s, z], [last or name + "_d"], name=name + "_D"))
        return last or name + "_d"

    def layer(self, op, source, name, w, before, output, **attributes):
        scale = (np.abs(w).reshape(len(w), -1).max(1) / 127).astype(np.float32)
        q = np.round(w / scale.reshape(-1, *[1] * (w.ndim - 1))).astype(np.int8)
        bias_scale = np.float32(self.steps[before][0]) * scale
        bias = np.arange(len(w)).astype(np.int32) * 50 - 100
        self.layers[name] = (q * scale.reshape(-1, *[1] * (w.ndim - 1)), bias * bias_scale, scale)
        for part, value, s, z in (("", q, scale, np.zeros(len(w), np.int8)),
                                  ("_b", bias, bias_scale, np.zeros(len(w), np.int32))):
            self.nodes.append(helper.make_node(
                "DequantizeLinear", [self.constant(name + part, value), self.constant(name + part + "s", s),
                                     self.constant(name + part + "z", z)], [name + part + "_d"], axis=0, name=name + part + "_D"))
        self.nodes.append(helper.make_node(op, [source, name + "_d", name + "_b_d"], [output], name=op + name, **attributes))
        return output

    def file(self):
        tensor = lambda name, shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        graph = helper.make_graph(self.nodes, "g", [tensor("x", [1, 3, 32])], [tensor("out", [1, 4])], self.constants)
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
        made.ir_version = 8
        return made.SerializeToString()

    def fake(self, name, x):
        scale, zero = self.steps[name]
        return (quantised(x, scale, zero) - zero) * np.float32(scale)

    def scores(self, x):
        conv = lambda v, w: np.stack([np.stack([(v[:, t:t + w.shape[2]] * k).sum() for t in range(
            v.shape[1] - w.shape[2] + 1)]) for k in w])
        x = self.fake("x", x)
        w, b, _ = self.layers["w1"]
        a = self.fake("a", np.maximum(conv(np.pad(x, ((0, 0), (2, 2))), w) + b[:, None], 0))
        p = a.reshape(8, 16, 2).max(2)
        w, b, _ = self.layers["w2"]
        padded = np.pad(p, ((0, 0), (1, 1)))
        c = self.fake("c", np.stack([conv(padded[i:i + 1], w[i:i + 1])[0] + b[i] for i in range(8)]))
        m = self.fake("m", c.mean(1))
        w, b, _ = self.layers["w3"]
        return self.fake("y", w @ m + b)


class Quantised(Folder):
    def test_int8_and_uint8_keep_their_steps_and_need_no_calibration(self):
        for unsigned in (False, True):
            made = Made(unsigned)
            plan = self.path(f"p{unsigned}.lsplan")
            lockstep("convert", self.path("m.onnx", made.file()), "-o", plan)
            stages = Plan(read(plan))
            steps = {round(float(t["scale"]), 6): int(t["zero"]) for t in stages.tensors if t["type"] == np.int8}
            for scale, zero in made.steps.values():
                self.assertEqual(steps[round(scale, 6)], zero)
            x = np.random.default_rng(4).normal(size=(60, 3, 32)).astype(np.float32) * 1.5
            np.save(self.path("x.npy"), x)
            got = np.array(json.loads(lockstep("run", plan, "--data", self.path("x.npy"), "--json").stdout)["scores"])
            off = np.abs(got - np.array([made.scores(v) for v in x])) / made.steps["y"][0]
            self.assertLess(off.max(), 2.01)  # steps: roundings meet in three layers
            self.assertLess((off > 0.01).mean(), 0.2)
            # Not a damaged one: other weights give other scores.
            self.assertGreater(np.ptp(got, axis=0).max(), 5 * made.steps["y"][0])

    def test_a_part_without_steps_is_named(self):
        made = Made(False)
        made.nodes = [n for n in made.nodes if not n.name.startswith("m_")]
        for n in made.nodes:
            n.input[:] = ["m" if i == "m_d" else i for i in n.input]
        self.refused("convert", self.path("m.onnx", made.file()), "-o", self.path("p.lsplan"),
                     says=["no scale of m", "--calibration"])

    def test_the_class_instead_of_scores(self):
        w = np.random.default_rng(1).normal(size=(5, 9)).astype(np.float32)
        x = np.random.default_rng(2).normal(size=(80, 9)).astype(np.float32)
        np.save(self.path("x.npy"), x)
        tensor = helper.make_tensor_value_info
        for keep in (0, 1):
            graph = helper.make_graph(
                [helper.make_node("Gemm", ["x", "w"], ["s"], transB=1, name="g"),
                 helper.make_node("ArgMax", ["s"], ["y"], axis=1, keepdims=keep, name="best")], "g",
                [tensor("x", TensorProto.FLOAT, [1, 9])], [tensor("y", TensorProto.INT64, [1, 1][:1 + keep])],
                [numpy_helper.from_array(w, "w")])
            made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
            made.ir_version = 8
            plan = self.path(f"a{keep}.lsplan")
            lockstep("convert", self.path("m.onnx", made.SerializeToString()), "-o", plan, "--calibration", self.path("x.npy"))
            got = np.array(json.loads(lockstep("run", plan, "--data", self.path("x.npy"), "--json").stdout)["scores"])
            self.assertGreater((got[:, 0] == (x @ w.T).argmax(1)).mean(), 0.95)
            self.assertEqual(set(got[:, 0]) - set(range(5)), set())


if __name__ == "__main__":
    unittest.main()
