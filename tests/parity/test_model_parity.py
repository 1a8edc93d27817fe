"""`lockstep model parity`: a user's plan on real machines; what is said when one differs."""
import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import unittest

import numpy as np

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
sys.path.insert(0, os.path.join(ROOT, "embedded_target/parity"))
import parity  # noqa: E402

MODELS = os.path.join(os.environ["LOCKSTEP_DATA"], "models")


def lockstep(*arguments, expect=0):
    done = subprocess.run([os.environ["LOCKSTEP"], "model", *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == expect, (arguments, done.returncode, done.stderr)
    return done


class Matrix(unittest.TestCase):
    def test_own_plan_with_own_inputs(self):
        with tempfile.TemporaryDirectory() as folder:
            plan = os.path.join(folder, "imu.lsplan")
            lockstep("convert", os.path.join(MODELS, "imu.tflite"), "-o", plan, "--target", "cortex-m4")
            windows = os.path.join(folder, "two.npy")
            np.save(windows, np.random.default_rng(4).normal(size=(2, 128, 6)).astype(np.float32))
            got = json.loads(lockstep("parity", plan, "--input", windows, "--machine", "m4f", "--json").stdout)
            self.assertTrue(got["same"])
            self.assertEqual(got["machines"], ["host-reference", "m4f"])
            hashes = [row["hash"] for row in got["tensors"]]
            self.assertEqual(len(hashes), 18)  # nine tensors of two windows
            self.assertNotEqual(hashes[:9], hashes[9:])
            self.assertTrue(all(set(row["machines"].values()) == {"same"} for row in got["tensors"]))

            np.save(windows, np.zeros(7, np.float32))
            said = lockstep("parity", plan, "--input", windows, expect=2).stderr
            self.assertEqual(said.count("\n"), 1)
            self.assertIn("two.npy", said)
            self.assertIn("28 bytes", said)

    def test_first_layer_that_differs_is_named(self):
        same = ([("p/ 0. 0 a", "11"), ("p/ 0. 1 b", "22"), ("p/ 0. 2 c", "33")], "kernels cases 0 fast 0 wrong 0 first 0 00")
        other = ([("p/ 0. 0 a", "11"), ("p/ 0. 1 b", "23"), ("p/ 0. 2 c", "34")], same[1])
        results = {"host-reference": same, "m3": same, "m55": other, "rv32": "it did not end"}
        table, out = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out):
            status = parity.report(list(results), results, 1, table, True)
        self.assertEqual(status, 1)
        self.assertIn("m55: the first layer that differs is p/ 0. 1 b", table.getvalue())
        self.assertIn("rv32: it did not end", table.getvalue())
        self.assertNotIn("m3: the first", table.getvalue())
        got = json.loads(out.getvalue())
        self.assertEqual(got["first_difference"], {"m55": "p/ 0. 1 b"})
        self.assertEqual(got["tensors"][1]["machines"], {"host-reference": "same", "m3": "same", "m55": "23", "rv32": "failed"})


if __name__ == "__main__":
    unittest.main()
