"""The main job through the real programs: record from the virtual board, report, compare, and the faults that
must be found. An independent reader (h5py) holds the stored counts against the injected files."""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import h5py
import numpy as np

from program import ENV, PROGRAM, RECORDINGS, assert_one_line, run


def injected(name):
    with open(os.path.join(RECORDINGS, name + ".csv"), encoding="utf-8") as f:
        lines = [line for line in f if not line.startswith("#")]
    return np.array([[int(v) for v in line.split(",")] for line in lines[1:]], dtype=np.int64)


def emulator_of(pid):
    """The QEMU among a process's descendants."""
    for child in subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout.split():
        with open(f"/proc/{child}/comm", encoding="utf-8") as f:
            if f.read().startswith("qemu"):
                return int(child)
        if found := emulator_of(int(child)):
            return found
    return None


class EndToEnd(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="lockstep-app-")
        cls.session = os.path.join(cls.folder, "session.h5")
        cls.recorded = run("record", "virtual:mps2-an386", "--composite", "--seconds", "20", "--label-script",
                           os.path.join(RECORDINGS, "labels.csv"), "-o", cls.session, "--json")

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def copy(self, name):
        path = os.path.join(self.folder, name)
        shutil.copy(self.session, path)
        return path

    def test_recording_is_whole(self):
        self.assertEqual(self.recorded.returncode, 0, self.recorded.stderr)
        self.assertTrue(json.loads(self.recorded.stdout)["whole"], self.recorded.stderr)
        out = os.path.join(self.folder, "report")
        report = run("session", "report", self.session, "-o", out)
        self.assertEqual(report.returncode, 0, report.stderr)
        with open(os.path.join(out, "report.json"), encoding="utf-8") as f:
            data = json.load(f)
        self.assertEqual(set(data), {"seconds", "session", "whole", "streams", "windows", "labels", "clock", "composite"})
        self.assertTrue(data["composite"])
        w = data["windows"]
        self.assertEqual(w["expected"], w["same"] + w["different"] + w["lost"] + w["outside"])
        self.assertEqual((w["different"], w["lost"]), (0, 0))
        self.assertGreater(data["labels"], 0)

    def test_injected_file_is_stored(self):
        with h5py.File(self.session) as f:
            for name in ("eeg", "gsr", "imu", "ppg"):
                stored = f["acquisition"][name]["data"][:].astype(np.int64)
                self.assertGreater(len(stored), 100, name)
                np.testing.assert_array_equal(stored, injected(name)[:len(stored)], name)

    def test_compare_from_the_file_alone(self):
        done = run("compare", self.session, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        data = json.loads(done.stdout)
        self.assertEqual(len(data["list"]), data["windows"]["expected"])
        self.assertGreater(data["host_recorded"]["compared"], 0)

    def test_one_changed_sample_is_found(self):
        path = self.copy("changed.h5")
        with h5py.File(path, "r+") as f:
            data = f["acquisition"]["imu"]["data"]
            data[700, 0] = data[700, 0] + 200
        self.assertEqual(run("session", "verify", path).returncode, 1)
        done = run("compare", path, "--json")
        self.assertEqual(done.returncode, 1, done.stderr)
        different = [w for w in json.loads(done.stdout)["list"] if w["verdict"] == "different"]
        self.assertTrue(different)
        for window in different:
            self.assertEqual(window["model"], "movement")
            self.assertEqual((window["difference"], window["stage"]), ("samples", 0), window)

    def test_replay_gives_one_verdict(self):
        """A whole session through the board again: the same; one with a changed sample: not."""
        path = os.path.join(self.folder, "short.h5")
        self.assertEqual(run("record", "virtual:mps2-an386", "--composite", "--seconds", "7", "-o", path).returncode, 0)
        done = run("replay", path, "--to", "virtual:mps2-an386", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        data = json.loads(done.stdout)
        self.assertEqual((data["same"], data["complete"], data["wrong_samples"]), (True, True, 0))
        again = data["recorded_predictions"]
        self.assertGreater(again["compared"], 10)
        self.assertEqual(again["equal"], again["compared"])

        with h5py.File(path, "r+") as f:
            imu = f["acquisition"]["imu"]["data"]
            imu[300, 0] = imu[300, 0] + 2000
        done = run("replay", path, "--to", "virtual:mps2-an386", "--json")
        self.assertEqual(done.returncode, 1, done.stderr)
        data = json.loads(done.stdout)
        self.assertFalse(data["same"])
        self.assertTrue(data["complete"])
        self.assertGreater(data["recorded_predictions"]["different"], 0)
        self.assertEqual(data["windows"]["different"], 0)

    def test_refusals(self):
        assert_one_line(self, run("record", "virtual:mps2-an386", "-o", self.session), 2)
        assert_one_line(self, run("record", "nothing:here", "-o", os.path.join(self.folder, "x.h5")), 2)
        assert_one_line(self, run("record", "serial:/dev/not-there", "-o", os.path.join(self.folder, "x.h5")), 3)
        assert_one_line(self, run("compare", os.path.join(RECORDINGS, "eeg.csv")), 2)
        self.assertFalse(os.path.exists(os.path.join(self.folder, "x.h5")))
        self.assertEqual(run("record").returncode, 2)
        self.assertEqual(run("--help").returncode, 0)

    def cut(self, name, number):
        path = os.path.join(self.folder, name)
        child = subprocess.Popen([PROGRAM, "record", "virtual:mps2-an386", "-o", path], env=ENV,
                                 stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 40
        while not os.path.exists(path + ".journal") or os.path.getsize(path + ".journal") < 40000:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.1)
        child.send_signal(number)
        return path, child, child.communicate(timeout=30)[1]

    def test_a_frozen_emulator_loses_nothing(self):
        """A busy computer may stop the virtual board for seconds; its recorded sensors wait, as none on skin could."""
        path = os.path.join(self.folder, "frozen.h5")
        recorder = subprocess.Popen([PROGRAM, "record", "virtual:mps2-an386?baud=115200", "--composite", "--strict",
                                     "--seconds", "14", "-o", path], env=ENV, stderr=subprocess.PIPE, text=True)
        time.sleep(5)
        board = emulator_of(recorder.pid)
        os.kill(board, signal.SIGSTOP)
        time.sleep(4)
        os.kill(board, signal.SIGCONT)
        _, words = recorder.communicate(timeout=60)
        self.assertEqual(recorder.returncode, 0, words)

    def test_interrupt_ends_it_whole(self):
        path, child, words = self.cut("interrupted.h5", signal.SIGINT)
        self.assertEqual(child.returncode, 0, words)
        self.assertEqual(run("session", "verify", path).returncode, 0)
        self.assertFalse(os.path.exists(path + ".journal"))

    def test_kill_and_repair(self):
        path, child, _ = self.cut("killed.h5", signal.SIGKILL)
        self.assertEqual(child.returncode, -signal.SIGKILL)
        self.assertFalse(os.path.exists(path))
        done = run("session", "repair", path)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(run("session", "verify", path).returncode, 0)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v"])
