"""SIGKILL at random instants: everything handed over more than a second before is in the repaired session.

LOCKSTEP_KILLS sets how often (default 10); the aim of 100 ms is printed as a figure."""
import json
import os
import random
import signal
import subprocess
import tempfile
import time
import unittest

import h5py
import numpy as np

BUILD = os.environ["LOCKSTEP_BUILD"]
FEEDER = os.path.join(BUILD, "tests", "storage_feeder")
REPAIRER = os.path.join(BUILD, "tests", "storage_repairer")
KILLS = int(os.environ.get("LOCKSTEP_KILLS", "10"))
NAMES = ["eeg", "imu", "ppg", "temperature"]


class Kill(unittest.TestCase):
    def test_kill(self):
        rng = random.Random(7)
        worst = 0.0
        for _ in range(KILLS):
            with tempfile.TemporaryDirectory() as folder:
                path = os.path.join(folder, "s.h5")
                with open(os.path.join(folder, "fed"), "w+") as fed:
                    process = subprocess.Popen([FEEDER, path, "60", "--pace", "1"], stdout=fed)
                    time.sleep(0.5 + 1.5 * rng.random())
                    killed = time.clock_gettime(time.CLOCK_MONOTONIC)
                    process.send_signal(signal.SIGKILL)
                    process.wait()
                    fed.seek(0)
                    lines = [line for line in fed if line.endswith("\n")]
                done = subprocess.run([REPAIRER, path], capture_output=True, text=True)
                # 1: the tail of a cut-short segment has no end to check against; anything else is wrong.
                self.assertEqual(done.returncode, 0, done.stderr)
                with h5py.File(path, "r") as file:
                    self.assertEqual(file.attrs["state"].decode(), "recovered")
                    stored = int(file.attrs["events"])
                    for index, name in enumerate(NAMES):
                        if name not in file["acquisition"]:
                            continue
                        data = file["acquisition"][name]["data"][:]
                        if data.dtype == np.float32:
                            data = data.view(np.int32)
                        want = [c for line in lines[:stored] for e in (json.loads(line.split(" ", 1)[1]),)
                                if e["kind"] == 2 and e["stream"] == index for c in e["counts"]]
                        np.testing.assert_array_equal(data.ravel()[:len(want)], want)
                if stored < len(lines):
                    worst = max(worst, killed - float(lines[stored].split(" ", 1)[0]))
        print(f"oldest event lost: {worst * 1000:.0f} ms before the kill, over {KILLS} kills")
        self.assertLess(worst, 1.0)


if __name__ == "__main__":
    unittest.main()
