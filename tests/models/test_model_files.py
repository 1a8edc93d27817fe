"""`lockstep model sign`, `verify` and `report` as a person runs them."""
import hashlib
import html.parser
import json
import os
import unittest

import numpy as np

import ed25519
from test_model_command import MODELS, Folder, activity, helper, lockstep, model, read


class Signatures(Folder):
    def setUp(self):
        super().setUp()
        self.plan, self.key = self.path("imu.lsplan"), self.path("mine")
        lockstep("convert", os.path.join(MODELS, "imu.tflite"), "-o", self.plan)
        lockstep("sign", self.plan, "--new-key", self.key)

    def test_the_signature_is_ed25519_of_the_plans_hash(self):
        signature, plan = read(self.plan + ".sig"), read(self.plan)
        self.assertEqual((len(signature), signature[:16]), (112, b"LSSIGN\0\0\1" + bytes(7)))
        public = bytes.fromhex(read(self.key + ".pub").split()[1].decode())
        self.assertEqual(signature[16:48], public)
        message = b"lockstep plan 1\0" + hashlib.sha256(plan).digest()
        self.assertTrue(ed25519.verify(public, message, signature[48:]))
        self.assertFalse(ed25519.verify(public, message[:-1] + b"!", signature[48:]))
        self.assertEqual(os.stat(self.key + ".key").st_mode & 0o777, 0o600)

    def test_yes_and_no(self):
        got = json.loads(lockstep("verify", self.plan, "--key", self.key + ".pub", "--json").stdout)
        self.assertTrue(got["valid"])
        other = self.path("other.lsplan")
        lockstep("convert", os.path.join(MODELS, "imu.tflite"), "-o", other, "--name", "other")
        lockstep("verify", other, "--key", self.key + ".pub", "--signature", self.plan + ".sig", expect=1)
        lockstep("sign", "--new-key", self.path("theirs"))
        lockstep("verify", self.plan, "--key", self.path("theirs.pub"), expect=1)
        for at in (16, 48, 80, 111):
            changed = bytearray(read(self.plan + ".sig"))
            changed[at] ^= 1
            lockstep("verify", self.plan, "--key", self.key + ".pub", "--signature",
                     self.path("changed.sig", bytes(changed)), expect=1)

    def test_refusals(self):
        self.refused("sign", "--new-key", self.key, says=["exists"])
        self.refused("sign", self.plan, "--key", self.key + ".key", says=["exists"])
        self.refused("sign", self.plan, "--key", self.key + ".pub", says=["not a key file"])
        self.refused("verify", self.plan, "--key", self.key + ".key", says=["not a key file"])
        for bad in (b"", b"x" * 112, read(self.plan + ".sig")[:111], read(self.plan + ".sig") + b"x"):
            self.refused("verify", self.plan, "--key", self.key + ".pub", "--signature", self.path("bad.sig", bad),
                         says=["not a signature"])


class Reports(Folder):
    def report(self, *arguments, expect=0):
        lockstep("report", *arguments, "-o", self.path("out"), expect=expect)
        page = read(self.path("out/report.html")).decode()
        links = []
        parser = html.parser.HTMLParser()
        parser.handle_starttag = lambda tag, attributes: links.extend(
            v for k, v in attributes if k in ("src", "href"))
        parser.feed(page)
        self.assertEqual(links, [])  # self-contained
        return json.loads(read(self.path("out/report.json"))), page

    def test_an_int8_model(self):
        figures = {"core.m4f.imu.instructions": {"value": 1000000}, "core.m4f.eeg.instructions": {"value": 2}}
        self.path("bench.json", json.dumps(figures).encode())
        got, page = self.report(os.path.join(MODELS, "imu.tflite"), "--benchmarks", self.path("bench.json"))
        self.assertTrue(got["supported"])
        self.assertEqual(got["plan"]["macs"], 778624)
        self.assertEqual(got["source_sha256"], hashlib.sha256(read(os.path.join(MODELS, "imu.tflite"))).hexdigest())
        self.assertEqual(got["plan"]["provenance"]["source_sha256"], got["source_sha256"])
        self.assertEqual(got["boards"], {"m4f": {"instructions": {"value": 1000000}}})
        self.assertIn("1000000", page)

    def test_what_to_change(self):
        source = model([helper.make_node("ConvTranspose", ["x", "x"], ["a"], name="<up>"),
                        helper.make_node("Einsum", ["a"], ["y"], name="product", equation="a->a")],
                       [("x", [1, 2, 8])], [("y", [1, 2])], infos=[("a", [1, 2, 8])])
        got, page = self.report(self.path("m.onnx", source), expect=1)
        self.assertFalse(got["supported"])
        self.assertEqual([p["node"] for p in got["problems"]], ["<up>", "product"])
        self.assertIn("&lt;up&gt;", page)

    def test_a_float_model_with_its_accuracy(self):
        x, y, who = activity.windows()
        rest, unseen = np.flatnonzero(who < 27)[::40], np.flatnonzero(who >= 27)[::4]
        np.savez(self.path("c.npz"), x=x[rest], y=y[rest], subject=who[rest])
        np.savez(self.path("t.npz"), x=x[unseen], y=y[unseen], subject=who[unseen])
        got, page = self.report(os.path.join(MODELS, "har_cnn_op13.onnx"), "--calibration", self.path("c.npz"), "--data",
                                self.path("t.npz"), "--classes", ",".join(activity.CLASSES))
        self.assertEqual(got["accuracy"]["windows"], len(unseen))
        self.assertIn("interval", got["accuracy"]["difference"])
        calibration = got["plan"]["provenance"]["calibration"]
        self.assertEqual(calibration["sha256"], hashlib.sha256(read(self.path("c.npz"))).hexdigest())
        self.assertEqual(calibration["windows"], len(rest))
        self.assertIn("WALKING_UPSTAIRS", page)


if __name__ == "__main__":
    unittest.main()
