"""convert --activations: int16 where int8 loses too much. Real networks on real windows: what is chosen, what it
costs, and every tensor of such plans against NumPy, bit for bit."""
import glob
import json
import os
import subprocess
import tempfile
import unittest

import mne
import numpy as np

import activity
from reference import Plan, compare

LOCKSTEP, PROBE = os.environ["LOCKSTEP"], os.environ["MODEL_PROBE"]
MODELS = os.path.join(os.environ["LOCKSTEP_DATA"], "models")
HAR = os.path.join(MODELS, "har_cnn_op13.onnx")


def lockstep(*words, code=0):
    done = subprocess.run([LOCKSTEP, "model", *map(str, words)], capture_output=True, text=True, timeout=300)
    assert done.returncode == code, (words, done.returncode, done.stdout, done.stderr)
    return done


def mental_work():
    """Windows of 4 s at 125 Hz, x float32 [n, 8, 500], y 1 = serial subtraction, person; each recording in units of its
    own standard deviation."""
    x, y, who = [], [], []
    for path in sorted(glob.glob(os.path.join(os.environ["LOCKSTEP_DATA"], "eeg_mental_arithmetic", "S*.edf"))):
        name = os.path.basename(path)
        d = mne.io.read_raw_edf(path, preload=True, verbose="error").get_data()
        d = ((d[:, 0::2] + d[:, 1::2]) / 2)[:, -60 * 125:]
        d = (d - d.mean(1, keepdims=True)) / d.std()
        for k in range(0, d.shape[1] - 500 + 1, 250):
            x.append(d[:, k:k + 500])
            y.append(int("arithmetic" in name))
            who.append(int(name[1:3]))
    return np.array(x, np.float32), np.array(y), np.array(who)


class Precision(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        x, y, who = activity.windows()
        chosen = np.random.default_rng(1).choice(np.flatnonzero(who < 27), 200, replace=False)
        np.savez(cls.path("calibration.npz"), x=x[chosen], y=y[chosen], subject=who[chosen])
        unseen = np.flatnonzero(who >= 27)[::3]
        np.savez(cls.path("unseen.npz"), x=x[unseen], y=y[unseen], subject=who[unseen])
        cls.windows = [np.ascontiguousarray(w.T) for w in x[unseen[:8]]]

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @classmethod
    def path(cls, name):
        return os.path.join(cls.folder.name, name)

    def converted(self, *options):
        plan = self.path("p.lsplan")
        said = lockstep("convert", HAR, "-o", plan, "--force", "--calibration", self.path("calibration.npz"), "--classes",
                        ",".join(activity.CLASSES), "--json", *options)
        return Plan(open(plan, "rb").read()), json.loads(said.stdout), said.stderr

    def same_as_numpy(self, plan):
        np.concatenate([w.reshape(-1) for w in self.windows]).tofile(self.path("x"))
        subprocess.run([PROBE, "stages", self.path("p.lsplan"), self.path("x"), self.path("out")], check=True)
        raw = open(self.path("out"), "rb").read()
        for w in self.windows:
            raw = compare(plan, w, raw)
        self.assertEqual(raw, b"")

    def largest_error(self):
        said = lockstep("evaluate", self.path("p.lsplan"), "--data", self.path("unseen.npz"), "--float", HAR, "--json")
        return json.loads(said.stdout)["difference"]["largest_score_error"]

    def test_int16_everywhere(self):
        plan, said, text = self.converted("--activations", "int16")
        codes = {op["code"] for op in plan.operators}
        self.assertTrue({70, 71, 73, 74, 75, 76, 78} <= codes, codes)
        self.assertFalse({2, 3, 10, 12, 13, 15, 72} & codes, codes)
        self.same_as_numpy(plan)
        p = said["precision"]
        self.assertTrue(all(layer["activations"] == "int16" for layer in p["layers"]))
        self.assertEqual(p["macs"], p["int16_macs"])
        self.assertEqual(p["score_error"], p["int16_score_error"])
        self.assertLess(4 * p["score_error"], p["int8_score_error"])  # 16 bits help
        wide = self.largest_error()
        self.converted()
        self.assertLess(3 * wide, self.largest_error())  # on other people, too
        print("activity, error of the scores:", p["int8_score_error"], "int8,", p["score_error"], "int16")

    def test_mixed_takes_what_the_limit_needs(self):
        plan, said, text = self.converted("--activations", "mixed")
        p = said["precision"]
        self.assertEqual(p["limit"], 0.01)
        self.assertLessEqual(p["score_error"], 0.01)
        self.assertGreater(p["int8_score_error"], 0.015)
        self.assertLess(p["int16_macs"], 0.5 * p["macs"])
        chosen = [layer for layer in p["layers"] if layer["activations"] == "int16"]
        self.assertTrue(0 < len(chosen) < len(p["layers"]))
        for layer in chosen:
            self.assertGreater(layer["score_error_without"], 0.01, layer)  # none of them is for nothing
            self.assertGreater(layer["sqnr_db"], layer["int8_sqnr_db"])
            self.assertIn(f'int16 "{layer["layer"]}" (chosen)', text)
        codes = [op["code"] for op in plan.operators]
        self.assertTrue({70, 72, 73, 10} <= set(codes), codes)
        self.same_as_numpy(plan)
        # A looser limit needs nothing, a count is kept.
        self.assertEqual(self.converted("--activations", "mixed", "--score-error", 0.1)[1]["precision"]["int16_macs"], 0)
        few = self.converted("--activations", "mixed", "--int16-layers", 1)[1]["precision"]
        self.assertEqual(sum(layer["activations"] == "int16" for layer in few["layers"]), 1)

    def test_layers_by_name(self):
        plan, said, text = self.converted("--int16", "input", "--int16", "/Sub", "--int16", "/c1/Conv")
        layers = {layer["layer"]: layer for layer in said["precision"]["layers"]}
        self.assertEqual([n for n, l in layers.items() if l["activations"] == "int16"], ["input", "/Sub", "/c1/Conv"])
        self.assertEqual({l.get("why") for l in layers.values()}, {"named", None})
        self.assertLess(said["precision"]["score_error"], said["precision"]["int8_score_error"])
        self.same_as_numpy(plan)

    def test_refusals(self):
        cal = ("--calibration", self.path("calibration.npz"))
        out = ("-o", self.path("no.lsplan"))
        for words, said in (((HAR, *out, *cal, "--int16", "nosuch"), ["nosuch", "/c1/Conv", "input"]),
                            ((HAR, *out, "--activations", "mixed"), ["calibration"]),
                            ((os.path.join(MODELS, "imu.tflite"), *out, "--activations", "int16"), ["float network"])):
            done = lockstep("convert", *words, code=2)
            self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
            for word in said:
                self.assertIn(word, done.stderr)
        self.assertFalse(os.path.exists(self.path("no.lsplan")))

    def test_int8_loses_and_mixed_recovers(self):
        """The EEG network squares, averages and takes logarithms: int8 keeps little of small powers."""
        x, y, who = mental_work()
        source = os.path.join(MODELS, "eeg_shallow_op13.onnx")
        chosen = np.random.default_rng(0).choice(np.flatnonzero(who < 8), 150, replace=False)
        np.savez(self.path("cal.npz"), x=x[chosen], y=y[chosen], subject=who[chosen])
        unseen = np.flatnonzero(who >= 8)[::2]
        np.savez(self.path("un.npz"), x=x[unseen], y=y[unseen], subject=who[unseen])
        same, accuracy, said = {}, {}, {}
        for name, options in (("int8", []), ("mixed", ["--activations", "mixed", "--score-error", "0.05"])):
            plan = self.path(name + ".lsplan")
            said[name] = json.loads(lockstep("convert", source, "-o", plan, "--calibration", self.path("cal.npz"),
                                             "--classes", "rest,work", "--json", *options).stdout)
            got = json.loads(lockstep("evaluate", plan, "--data", self.path("un.npz"), "--float", source, "--json").stdout)
            same[name] = got["difference"]["same_decision"] / got["windows"]
            accuracy[name], accuracy["float"] = got["int8"]["accuracy"], got["float"]["accuracy"]
        p = said["mixed"]["precision"]
        layers = [layer["layer"] for layer in p["layers"] if layer["activations"] == "int16"]
        info = [json.loads(lockstep("info", self.path(n + ".lsplan"), "--json").stdout)["activations"] for n in said]
        self.assertEqual(info, ["int8", "int8 and int16"])
        print("mental work:", accuracy, "same decisions:", same, "error of the scores:", p["int8_score_error"],
              p["score_error"], layers, "arena:", p["int8_arena_bytes"], p["arena_bytes"])
        self.assertLess(same["int8"], 0.95)
        self.assertGreater(same["mixed"], 0.98)
        self.assertGreater(accuracy["mixed"], accuracy["float"] - 0.01)
        self.assertGreater(p["int8_score_error"], 0.3)
        self.assertLessEqual(p["score_error"], 0.05)
        # It needs the square and the logarithm only, no convolution, and no byte of memory.
        self.assertEqual(set(layers), {"/Mul", "/Log"})
        self.assertEqual((p["int16_macs"], p["arena_bytes"]), (0, p["int8_arena_bytes"]))


if __name__ == "__main__":
    unittest.main()
