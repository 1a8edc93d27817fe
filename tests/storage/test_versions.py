"""Formats of session files: older ones are read and upgraded on a copy, newer ones refused politely; each segment
names what recorded it. golden/session_format_1.h5 was recorded and continued by the last program that wrote format 1
(docs/file_format.md, "Versions")."""
import hashlib
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

import h5py
import numpy as np

SOURCE = os.environ["LOCKSTEP_SOURCE"]
PROGRAM = os.path.join(os.environ["LOCKSTEP_BUILD"], "bin", "lockstep")
GOLDEN = os.path.join(SOURCE, "tests", "storage", "golden", "session_format_1.h5")
sys.path.insert(0, os.path.join(SOURCE, "storage", "python"))


def run(*words):
    return subprocess.run([PROGRAM, *words], capture_output=True, text=True, timeout=120,
                          env={**os.environ, "LOCKSTEP_RESOURCES": os.path.join(SOURCE, "resources")})


def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def contents(path):
    """Every dataset of a session but its provenance."""
    found = {}
    with h5py.File(path, "r") as file:
        def visit(name, item):
            if isinstance(item, h5py.Dataset) and not name.startswith("provenance/"):
                found[name] = item[()]
        file.visititems(visit)
    return found


def crc32c(data):
    c = 0xFFFFFFFF
    for byte in data:
        c ^= byte
        for _ in range(8):
            c = c >> 1 ^ (0x82F63B78 if c & 1 else 0)
    return c ^ 0xFFFFFFFF


class Versions(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self.temporary.cleanup)
        self.new = os.path.join(self.temporary.name, "new.h5")
        self.copy = os.path.join(self.temporary.name, "old.h5")
        shutil.copy(GOLDEN, self.copy)

    def info(self, path):
        done = run("session", "info", path, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def recordings(self, steps):
        return [s for s in steps if s["program"].startswith("record")]

    def test_the_old_format_is_read(self):
        with h5py.File(GOLDEN, "r") as file:
            self.assertEqual(file.attrs["format_version"], 1)
        self.assertEqual(run("session", "verify", GOLDEN).returncode, 0)
        info = self.info(GOLDEN)
        self.assertEqual(info["format_version"], 1)
        self.assertEqual([s["step"] for s in info["segments"]], [0, 0, 1, 1])
        self.assertEqual([s["program"] for s in info["steps"]], ["record", "record --continue"])

    def test_an_upgrade_on_a_copy(self):
        before = digest(self.copy)
        done = run("session", "upgrade", self.copy, "-o", self.new)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(digest(self.copy), before)
        self.assertEqual(run("session", "verify", self.new).returncode, 0)
        old, new = contents(self.copy), contents(self.new)
        self.assertEqual(set(old), set(new))
        for name, values in old.items():
            self.assertEqual(np.asarray(values).dtype, np.asarray(new[name]).dtype, name)
            self.assertEqual(np.asarray(values).tobytes(), np.asarray(new[name]).tobytes(), name)
        with h5py.File(self.copy, "r") as a, h5py.File(self.new, "r") as b:
            self.assertEqual(b.attrs["format_version"], 2)
            for name in set(a.attrs) - {"format_version"}:
                self.assertEqual(a.attrs[name], b.attrs[name], name)
            self.assertEqual([int(g.attrs["step"]) for g in b["segments"].values()], [0, 0, 1, 1])
            steps = b["provenance/steps"][()]
            self.assertEqual([p.decode() for p in steps["program"]], ["record", "record --continue", "session upgrade"])
            for step in steps[:2]:
                self.assertEqual(step["version"], a.attrs["software"])
                self.assertEqual(step["git_commit"], a.attrs["git_commit"])
                self.assertEqual(json.loads(step["params_json"])["settings"], {"uri0": "replay:s.h5?speed=4"})
            self.assertEqual(json.loads(steps[0]["params_json"])["identifier"], a.attrs["identifier"].decode())

    def test_an_upgrade_overwrites_nothing(self):
        done = run("session", "upgrade", self.copy, "-o", self.copy)
        self.assertEqual((done.returncode, len(done.stderr.splitlines())), (2, 1), done.stderr)
        self.assertIn("nothing is ever overwritten", done.stderr)
        self.assertEqual(run("session", "upgrade", self.copy, "-o", self.new).returncode, 0)
        again = run("session", "upgrade", self.new, "-o", os.path.join(self.temporary.name, "third.h5"))
        self.assertEqual(again.returncode, 2)
        self.assertIn("already", again.stderr)
        self.assertEqual(sorted(os.listdir(self.temporary.name)), ["new.h5", "old.h5"])

    def test_labels_of_an_old_session_are_edited_where_they_are(self):
        done = run("label", "add", self.copy, "--class", "stand", "--start", "0.1", "--stop", "0.15")
        self.assertEqual(done.returncode, 0, done.stderr)
        with h5py.File(self.copy, "r") as file:
            self.assertEqual(file.attrs["format_version"], 1)
            self.assertEqual(file["intervals/history"][-1]["new_class"], b"stand")
        self.assertEqual(run("session", "verify", self.copy).returncode, 0)

    def test_segments_of_a_continued_session_name_what_recorded_them(self):
        for time in (2, 3):  # the third and the fourth recording
            done = run("record", f"replay:{GOLDEN}?speed=4", "--seconds", "0.5", "--continue", self.copy)
            self.assertEqual(done.returncode, 0, done.stderr)
            info = self.info(self.copy)
            self.assertEqual(info["format_version"], 2)
            steps = self.recordings(info["steps"])
            self.assertEqual([s["program"] for s in steps], ["record"] + ["record --continue"] * time)
            used = [s["step"] for s in info["segments"]]
            self.assertEqual(used, sorted(used))
            self.assertEqual(set(used), set(range(time + 1)))
            for step in steps:
                self.assertIn("uri0", step["params"]["settings"])
                self.assertRegex(step["version"], r"^lockstep \d")
                self.assertRegex(step["git_commit"], r"^[0-9a-f]{7,40}")
            self.assertEqual(len({s["params"]["identifier"] for s in steps}), time + 1)
            for segment in info["segments"]:
                self.assertEqual((segment["firmware"], segment["build_id"]), ("0.1.0", "00112233aabbccdd"))
                self.assertEqual(segment["models"][0]["plan_id"], "aa" * 32)
        self.assertEqual(run("session", "verify", self.copy).returncode, 0)

    def test_newer_ones_are_refused(self):
        with h5py.File(self.copy, "r+") as file:
            file.attrs["format_version"] = np.uint32(3)
        for words in (("info",), ("verify",), ("upgrade", "-o", self.new)):
            done = run("session", words[0], self.copy, *words[1:])
            self.assertEqual((done.returncode, len(done.stderr.splitlines())), (2, 1), done.stderr)
            self.assertIn("format 3", done.stderr)
            self.assertIn("use a newer lockstep", done.stderr)
        head = b"LKSTJRNL" + struct.pack("<I", 2)
        with open(self.new + ".journal", "wb") as file:
            file.write(head + struct.pack("<I", crc32c(head)))
        done = run("session", "repair", self.new)
        self.assertEqual((done.returncode, len(done.stderr.splitlines())), (2, 1), done.stderr)
        self.assertIn("use a newer lockstep", done.stderr)
        self.assertTrue(os.path.exists(self.new + ".journal"))

    def test_the_package_reads_both(self):
        import lockstep
        self.assertEqual(run("session", "upgrade", self.copy, "-o", self.new).returncode, 0)
        with lockstep.open_session(self.copy) as old, lockstep.open_session(self.new) as new:
            self.assertEqual(list(old.streams), list(new.streams))
            self.assertEqual(len(old.streams["eeg"]), len(new.streams["eeg"]))


if __name__ == "__main__":
    unittest.main()
