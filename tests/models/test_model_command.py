"""`lockstep model` as a person runs it: every shipped model, data of every kind, refusals in one line."""
import csv
import json
import os
import subprocess
import tempfile
import unittest

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import activity

LOCKSTEP = os.environ["LOCKSTEP"]
MODELS = os.path.join(os.environ["LOCKSTEP_DATA"], "models")


def lockstep(*arguments, expect=0, input_bytes=None):
    done = subprocess.run([LOCKSTEP, "model", *map(str, arguments)], capture_output=True, input=input_bytes)
    assert done.returncode == expect, (arguments, done.returncode, done.stderr.decode())
    return done


def read(path):
    with open(path, "rb") as f:
        return f.read()


def model(nodes, inputs, outputs, constants=(), opset=13, infos=()):
    """An ONNX file's bytes; inputs and outputs are (name, shape)."""
    tensor = lambda name, shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    graph = helper.make_graph(nodes, "g", [tensor(*i) for i in inputs], [tensor(*o) for o in outputs],
                              [numpy_helper.from_array(v, k) for k, v in constants],
                              value_info=[tensor(*i) for i in infos])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    made.ir_version = 8
    return made.SerializeToString()


class Folder(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()

    def tearDown(self):
        self.folder.cleanup()

    def path(self, name, content=None):
        path = os.path.join(self.folder.name, name)
        if content is not None:
            with open(path, "wb") as f:
                f.write(content)
        return path

    def refused(self, *arguments, says=()):
        """Exit 2 with one line on standard error that holds every one of `says`."""
        text = lockstep(*arguments, expect=2).stderr.decode()
        self.assertEqual(text.count("\n"), 1, text)
        for part in says:
            self.assertIn(part, text)
        return text


class Tensors(Folder):
    def test_every_tflite_model_gives_the_reference_bytes(self):
        for name in ("ad01_int8", "kws_ref_model", "imu", "eeg"):
            plan, out = self.path(name + ".lsplan"), self.path(name + ".out")
            source = os.path.join(MODELS, name)
            lockstep("convert", source + ".tflite", "-o", plan)
            lockstep("run", plan, "--raw-input", source + ".input.i8", "--raw-output", out)
            self.assertEqual(read(out), read(source + ".output.i8"), name)

    def test_nothing_is_replaced_and_sizes_are_checked(self):
        plan = self.path("imu.lsplan")
        lockstep("convert", os.path.join(MODELS, "imu.tflite"), "-o", plan)
        self.refused("convert", os.path.join(MODELS, "imu.tflite"), "-o", plan, says=["exists"])
        odd = self.path("odd", bytes(769))
        self.refused("run", plan, "--raw-input", odd, "--raw-output", self.path("o"), says=["multiple of 768"])
        self.refused("run", plan, "--raw-input", odd, says=["--raw-output"])
        self.refused("run", plan, says=["--data"])

    def test_not_a_number_and_infinity_have_one_result(self):
        """NaN is the zero point, infinities are the ends of the range (docs/model_format.md)."""
        source = model([helper.make_node("Gemm", ["x", "w"], ["y"], transB=1)], [("x", [1, 4])], [("y", [1, 2])],
                       [("w", np.array([[1, -2, 3, 0.5], [0.25, 1, -1, 2]], np.float32))])
        calibration = self.path("c.npy")
        np.save(calibration, np.random.default_rng(1).uniform(-1, 1, (64, 4)).astype(np.float32))
        plan = self.path("p.lsplan")
        lockstep("convert", self.path("m.onnx", source), "-o", plan, "--calibration", calibration)

        def run(x):
            done = lockstep("run", plan, "--raw-input", "-", "--raw-output", "-",
                            input_bytes=np.array(x, np.float32).tobytes())
            return np.frombuffer(done.stdout, np.float32)
        nan, inf = float("nan"), float("inf")
        np.testing.assert_array_equal(run([nan, 0.5, 0.5, 0.5]), run([0, 0.5, 0.5, 0.5]))
        np.testing.assert_array_equal(run([inf, 0, -inf, 0]), run([1e30, 0, -1e30, 0]))
        self.assertTrue(np.isfinite(run([inf, -inf, nan, inf])).all())


class Refusals(Folder):
    def test_everything_unsupported_is_named_at_once_with_the_nearest_form(self):
        ones = np.ones((4, 2, 3), np.float32)
        source = model(
            [helper.make_node("LayerNormalization", ["x", "s"], ["a"], name="norm"),
             helper.make_node("Resize", ["a", "", "r"], ["b"], name="finer"),
             helper.make_node("Einsum", ["b", "b"], ["c"], name="product", equation="bct,bct->bc"),
             helper.make_node("ConvTranspose", ["x", "w"], ["d"], name="up"),
             helper.make_node("Relu", ["c"], ["y"], name="last")],
            [("x", [1, 4, 20])], [("y", [1, 4])],
            [("w", ones), ("s", np.ones(20, np.float32)), ("r", np.ones(3, np.float32))],
            infos=[("a", [1, 4, 20]), ("b", [1, 4, 20])])
        text = self.refused("convert", self.path("m.onnx", source), "-o", self.path("p.lsplan"),
                            says=["norm", "BatchNormalization", "finer", "windows of another length", "product",
                                  "MatMul or Gemm", "up"])
        self.assertNotIn("last", text)  # not to blame

    def test_damaged_files_end_in_one_line(self):
        """Truncated at many places and with flipped bits: exit 0 or 2, never a crash."""
        rng = np.random.default_rng(5)
        calibration = self.path("c.npy")
        np.save(calibration, rng.normal(size=(2, 6, 128)).astype(np.float32))
        for name in ("imu.tflite", "har_cnn_op13.onnx"):
            whole = read(os.path.join(MODELS, name))
            broken = [whole[:n] for n in rng.integers(0, len(whole), 12)]
            for _ in range(12):
                changed = bytearray(whole)
                for at in rng.integers(0, min(len(whole), 3000), 3):
                    changed[at] ^= 1 << int(rng.integers(8))
                broken.append(bytes(changed))
            for content in broken:
                self.one_answer("convert", self.path(name, content), "-o", self.path("p.lsplan"), "--force",
                                "--calibration", calibration)

    def test_damaged_plans_are_refused(self):
        plan = self.path("imu.lsplan")
        lockstep("convert", os.path.join(MODELS, "imu.tflite"), "-o", plan)
        whole = read(plan)
        rng = np.random.default_rng(6)
        raw = self.path("raw", bytes(768))
        for content in [whole[:n] for n in rng.integers(0, len(whole), 8)] + [whole + b"x"]:
            self.refused("info", self.path("cut.lsplan", content))
        for at in rng.integers(0, len(whole), 12):
            changed = bytearray(whole)
            changed[at] ^= 0x10
            self.refused("run", self.path("bad.lsplan", bytes(changed)), "--raw-input", raw, "--raw-output",
                         self.path("o"), says=["bad.lsplan"])

    def test_a_file_that_claims_gigabytes_needs_none(self):
        huge = helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0])
        huge.dims[0] = 1 << 40
        graph = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "g",
                                  [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1 << 40])],
                                  [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1 << 40])], [huge])
        source = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]).SerializeToString()
        with open(LOCKSTEP, "rb") as f:  # a sanitizer reserves terabytes for itself, and refuses such requests by itself
            limit = "" if b"__asan_init" in f.read() else "ulimit -v 1500000; "
        limited = f"{limit}exec '{LOCKSTEP}' model convert '{self.path('m.onnx', source)}' -o " \
                  f"'{self.path('p.lsplan')}'"
        done = subprocess.run(["bash", "-c", limited], capture_output=True)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertEqual(done.stderr.count(b"\n"), 1)

    def test_an_operator_from_its_description(self):
        shipped = os.path.join(os.environ["LOCKSTEP_SOURCE"], "resources", "models")
        plan = self.path("vitals.lsplan")
        lockstep("convert", os.path.join(shipped, "vitals", "vitals.json"), "-o", plan)
        ours, theirs = (json.loads(lockstep("info", p, "--json").stdout) for p in
                        (plan, os.path.join(shipped, "vitals", "vitals.lsplan")))
        for key in ("name", "inputs", "stages", "arena_bytes", "classifier"):
            self.assertEqual(ours[key], theirs[key], key)
        way = os.path.join(shipped, "movement", "preprocessing.json")
        self.refused("convert", way, "-o", self.path("w.lsplan"), says=["--preprocessing"])

    def test_bad_calibration(self):
        har, plan = os.path.join(MODELS, "har_cnn_op13.onnx"), self.path("p.lsplan")
        self.refused("convert", har, "-o", plan, says=["--calibration"])
        x = np.zeros((3, 6, 128), np.float32)
        x[1, 2, 3] = np.nan
        np.save(self.path("nan.npy"), x)
        self.refused("convert", har, "-o", plan, "--calibration", self.path("nan.npy"), says=["not a finite", "window 1"])
        np.save(self.path("shape.npy"), np.zeros((3, 6, 100), np.float32))
        self.refused("convert", har, "-o", plan, "--calibration", self.path("shape.npy"), says=["[6, 100]"])
        self.refused("convert", har, "-o", plan, "--without", "nothing", says=["nothing"])

    def one_answer(self, *arguments):
        done = subprocess.run([LOCKSTEP, "model", *arguments], capture_output=True, timeout=60)
        self.assertIn(done.returncode, (0, 2), (arguments, done.stderr))
        self.assertLessEqual(done.stderr.count(b"\n"), 1, done.stderr)


class Activity(Folder):
    """The activity network, calibrated on some people and judged on others."""

    @classmethod
    def setUpClass(cls):
        cls.x, cls.y, cls.who = activity.windows()
        cls.source = os.path.join(MODELS, "har_cnn_op13.onnx")

    def calibrated(self, *options):
        rest = np.flatnonzero(self.who < 27)
        chosen = np.random.default_rng(1).choice(rest, 300, replace=False)
        np.savez(self.path("calibration.npz"), x=self.x[chosen], y=self.y[chosen], subject=self.who[chosen])
        unseen = self.who >= 27
        np.savez(self.path("unseen.npz"), x=self.x[unseen], y=self.y[unseen], subject=self.who[unseen])
        plan = self.path("activity.lsplan")
        lockstep("convert", self.source, "-o", plan, "--force", "--calibration", self.path("calibration.npz"),
                 "--classes", ",".join(activity.CLASSES), *options)
        return plan

    def test_int8_loses_at_most_a_point_on_unseen_people(self):
        plan = self.calibrated()
        done = lockstep("evaluate", plan, "--data", self.path("unseen.npz"), "--float", self.source,
                        "--max-loss", 1, "--json")
        got = json.loads(done.stdout)
        self.assertEqual(got["people"], 4)
        self.assertGreater(got["windows"], 1400)
        self.assertGreater(got["float"]["accuracy"], 0.9)
        low, high = got["difference"]["interval"]
        self.assertTrue(low <= got["difference"]["accuracy"] <= high)
        self.assertNotIn("also_in_calibration", got)
        self.check_against_numpy(plan, got)

    def check_against_numpy(self, plan, got):
        """The figures again, from the scores that `run` writes."""
        rows = json.loads(lockstep("run", plan, "--data", self.path("unseen.npz"), "--json").stdout)
        scores, labels = np.array(rows["scores"]), np.array(rows["labels"])
        decided = scores.argmax(1)
        self.assertAlmostEqual(got["int8"]["accuracy"], (decided == labels).mean(), places=5)
        confusion = np.zeros((6, 6), int)
        np.add.at(confusion, (labels, decided), 1)
        self.assertEqual(got["int8"]["confusion"], confusion.tolist())
        recall = confusion.diagonal() / confusion.sum(1)
        self.assertAlmostEqual(got["int8"]["balanced_accuracy"], recall.mean(), places=5)
        f1 = 2 * confusion.diagonal() / (confusion.sum(0) + confusion.sum(1))
        self.assertAlmostEqual(got["int8"]["f1"], f1.mean(), places=5)
        p = np.exp(scores - scores.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        brier = ((p - np.eye(6)[labels]) ** 2).sum(1).mean()
        self.assertAlmostEqual(got["int8"]["calibration"]["brier"], brier, places=4)
        sure, right = p.max(1), decided == labels
        bins = np.minimum((sure * 10).astype(int), 9)
        error = sum(abs(sure[bins == b].mean() - right[bins == b].mean()) * (bins == b).mean()
                    for b in range(10) if (bins == b).any())
        self.assertAlmostEqual(got["int8"]["calibration"]["error"], error, places=4)

    def test_a_limit_that_is_not_kept_is_exit_1(self):
        plan = self.calibrated("--method", "percentile", "--clip", 0.3)  # far too much
        lockstep("evaluate", plan, "--data", self.path("unseen.npz"), "--float", self.source, "--max-loss", 1, expect=1)

    def test_people_of_the_calibration_are_named(self):
        plan = self.calibrated("--method", "mse", "--bias-correction")
        got = json.loads(lockstep("evaluate", plan, "--data", self.path("calibration.npz"), "--json").stdout)
        self.assertEqual(len(got["also_in_calibration"]), 17)

    def test_rewrites_are_listed_and_can_be_left_out(self):
        names = [r["name"] for r in json.loads(lockstep("convert", "--list-rewrites", "--json").stdout)["rewrites"]]
        self.assertIn("fold-affine", names)
        self.calibrated()
        done = lockstep("convert", self.source, "-o", self.path("a.lsplan"), "--calibration",
                        self.path("calibration.npz"), "--json")
        self.assertEqual({r["name"] for r in json.loads(done.stdout)["rewrites"]},
                         {"fold-affine", "fuse-activation", "bypass-moves"})
        done = lockstep("convert", self.source, "-o", self.path("b.lsplan"), "--calibration",
                        self.path("calibration.npz"), "--json", "--without", "fold-affine", "--without", "fuse-activation")
        self.assertEqual({r["name"] for r in json.loads(done.stdout)["rewrites"]}, {"bypass-moves"})
        stages = lambda p: [s["name"] for s in json.loads(lockstep("info", self.path(p), "--json").stdout)["stages"]]
        self.assertIn("/Relu", stages("b.lsplan"))
        self.assertNotIn("/Relu", stages("a.lsplan"))


class Sessions(Folder):
    """A recording of one person, from import to a plan that was calibrated and judged on it."""

    def test_session_and_dataset(self):
        way = {"schema": "lockstep-preprocessing", "version": 1, "model": "activity",
               "inputs": [{"tensor": "x", "shape": [1, 6, 128], "layout": "NCT",
                           "stream": {"kind": "imu", "rate_hz": 50, "channels": [
                               {"name": f"{k}_{a}", "unit": "counts"} for k in ("acc", "gyro") for a in "xyz"]},
                           "filter": None, "window": {"length": 128, "hop": 64}, "normalise": {"kind": "standardise", "mean": [0.0] * 6, "std": (1 / activity.SCALE).tolist()}}],
               "outputs": [{"tensor": "logits", "kind": "logits", "classes": activity.CLASSES}]}
        self.path("way.json", json.dumps(way).encode())
        streams = [{"name": "imu", "kind": "imu", "columns": [c["name"] for c in way["inputs"][0]["stream"]["channels"]],
                    "unit": "counts"}]
        self.path("exp01_user01.csv", read(os.path.join(activity.FOLDER, "exp01_user01.csv")))
        self.path("describe.json", json.dumps({"rate": 50, "streams": streams}).encode())
        session, plan = self.path("s.h5"), self.path("p.lsplan")
        self.product("session", "import", self.path("exp01_user01.csv"), "-o", session, "--format", "csv", "--set",
                     "description=" + self.path("describe.json"), "--set",
                     "labels=" + os.path.join(activity.FOLDER, "labels.csv"))
        source = os.path.join(MODELS, "har_cnn_op13.onnx")
        lockstep("convert", source, "-o", plan, "--preprocessing", self.path("way.json"), "--calibration", session)
        got = json.loads(lockstep("evaluate", plan, "--data", session, "--float", source, "--max-loss", 3,
                                  "--json").stdout)
        self.assertGreater(got["windows"], 150)
        self.assertGreater(got["int8"]["accuracy"], 0.85)
        rows = read_csv(lockstep("run", plan, "--data", session).stdout)
        # Every window of the counts, cut by NumPy, gives the scores of the session's windows.
        counts = np.loadtxt(self.path("exp01_user01.csv"), delimiter=",", skiprows=1, dtype=np.int32)
        starts = range(0, len(counts) - 128 + 1, 64)
        x = np.array([counts[s:s + 128] for s in starts], np.float32)
        self.assertEqual(len(rows), len(x))
        direct = lockstep("run", plan, "--raw-input", "-", "--raw-output", "-", input_bytes=x.tobytes()).stdout
        np.testing.assert_array_equal(np.array([[float(r[c]) for c in activity.CLASSES] for r in rows], np.float32),
                                      np.frombuffer(direct, np.float32).reshape(-1, 6))
        # The training dataset of the same session: the same windows and labels.
        dataset = self.path("d.h5")
        self.product("export", session, "--format", "dataset", "-o", dataset, "--set", "stream=imu", "--set",
                     "window=2.56", "--set", "hop=1.28", "--set", "split=none", "--set", "normalize=none", "--set",
                     "classes=" + ",".join(activity.CLASSES))
        again = json.loads(lockstep("evaluate", plan, "--data", dataset, "--json").stdout)
        self.assertEqual(again["int8"]["confusion"], got["int8"]["confusion"])
        lockstep("convert", source, "-o", self.path("q.lsplan"), "--preprocessing", self.path("way.json"),
                 "--calibration", dataset)
        unlabelled = self.path("unlabelled.h5")
        self.product("session", "import", self.path("exp01_user01.csv"), "-o", unlabelled, "--format", "csv", "--set",
                     "description=" + self.path("describe.json"))
        done = lockstep("evaluate", plan, "--data", unlabelled, expect=2)
        self.assertIn("no window of the session is covered by a label; label it", done.stderr.decode())
        self.judge_smoothed(way, source, session, dataset, got, rows)

    def judge_smoothed(self, way, source, session, dataset, alone, rows):
        """The same network with a mean over five windows: a session tells what the board decides."""
        way["outputs"][0]["post"] = [{"kind": "moving_average", "windows": 5}]
        self.path("smooth.json", json.dumps(way).encode())
        plan = self.path("smooth.lsplan")
        lockstep("convert", source, "-o", plan, "--preprocessing", self.path("smooth.json"), "--calibration", session)
        smoothed = read_csv(lockstep("run", plan, "--data", session).stdout)
        scores = np.array([[float(r[c]) for c in activity.CLASSES] for r in rows])
        expected = np.array([scores[i:i + 5].mean(0) for i in range(len(scores) - 4)])
        np.testing.assert_allclose([[float(r[c]) for c in activity.CLASSES] for r in smoothed], expected, atol=1e-4)
        self.assertEqual([r["label"] for r in smoothed], [r["label"] for r in rows[4:]])
        judged = json.loads(lockstep("evaluate", plan, "--data", session, "--json").stdout)
        self.assertEqual(judged["int8"], alone["int8"])  # each window by itself
        labelled = [r for r in smoothed if r["label"] in activity.CLASSES]
        right = sum(r["label"] == r["decision"] for r in labelled)
        self.assertAlmostEqual(judged["decided"]["accuracy"], right / len(labelled), places=5)
        # A dataset's windows may come from anywhere: nothing to smooth over.
        done = lockstep("evaluate", plan, "--data", dataset, "--json")
        self.assertNotIn("decided", json.loads(done.stdout))
        self.assertIn("before smoothing", done.stderr.decode())

    def product(self, *arguments):
        done = subprocess.run([LOCKSTEP, *arguments], capture_output=True)
        self.assertEqual(done.returncode, 0, done.stderr.decode())


def read_csv(text):
    return list(csv.DictReader(text.decode().splitlines()))


if __name__ == "__main__":
    unittest.main()
