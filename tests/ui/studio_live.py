"""lockstep-studio as a person uses it, on its own display: record, label by keys and mouse, undo, stop; the file is
read by h5py. The GUI's thread stands still for 5 s meanwhile, and the device is taken away at the end."""
import ctypes
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

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from display import BUILD, SOURCE, Display, Studio, small_disks  # noqa: E402

LOCKSTEP = os.path.join(BUILD, "bin", "lockstep")
PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 17, 0x4206, 0x4207
WALL = 0x40000000


def freeze(thread, seconds):
    """Stops this one thread; its neighbours in the process go on."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]

    def call(request):
        if libc.ptrace(request, thread, None, None) != 0:
            raise OSError(ctypes.get_errno(), "ptrace")
    call(PTRACE_SEIZE)
    call(PTRACE_INTERRUPT)
    os.waitpid(thread, WALL)
    with open(f"/proc/{thread}/task/{thread}/stat", encoding="ascii") as f:
        stopped = f.read().rsplit(")", 1)[1].split()[0] == "t"
    time.sleep(seconds)
    call(PTRACE_DETACH)
    return stopped


def descendants(parent):
    """(pid, name) of what a process started, and what that started."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid=,comm="], stdout=subprocess.PIPE, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in listed.splitlines()]
    found = [(int(pid), name) for pid, ppid, name in rows if int(ppid) == parent]
    return found + [deeper for pid, _ in found for deeper in descendants(pid)]


def injected(name):
    with open(os.path.join(SOURCE, "resources", "recordings", name + ".csv"), encoding="utf-8") as f:
        lines = [line for line in f if not line.startswith("#")]
    return np.array([[int(v) for v in line.split(",")] for line in lines[1:]], dtype=np.int64)


class StudioLive(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.display = Display()

    @classmethod
    def tearDownClass(cls):
        cls.display.close()

    def journal(self, studio):
        return sum(os.path.getsize(f) for f in studio.files(".journal"))

    def start(self, studio):
        studio.shown()
        # Space does nothing before a device streams.
        def recording():
            if not studio.files(".journal"):
                studio.key("space")
                time.sleep(1)
            return self.journal(studio) > 30000
        studio.wait(recording, "recording")

    def test_record_label_freeze_stop(self):
        studio = Studio(self.display, "virtual:mps2-an386", size="1400x900")
        self.addCleanup(studio.remove)
        self.start(studio)
        studio.key("bracketright", "bracketright")  # 30 s across: a slow machine must not sweep over what is labelled
        studio.key("3")
        time.sleep(1.5)
        studio.key("3")  # a range
        studio.key("shift+2")  # a point
        # By mouse: over the first seconds, left of the label that is there.
        studio.do("mousemove", "--window", studio.window, 125, 300, "mousedown", 1, "sleep", 0.1, "mousemove",
                  "--window", studio.window, 145, 300, "sleep", 0.1, "mousemove", "--window", studio.window, 165, 300,
                  "sleep", 0.1, "mouseup", 1)
        studio.key("5")  # names what the mouse made
        studio.key("Escape")
        before = self.journal(studio)
        self.assertTrue(freeze(studio.process.pid, 5))
        self.assertGreater(self.journal(studio), before)  # it went on without its window
        studio.key("8", "8")
        studio.key("ctrl+z")
        studio.key("space")
        path = studio.wait(lambda: [f for f in studio.files(".h5") if not studio.files(".journal")],
                           "finished file")[0]
        self.assertEqual(studio.end(), 0, studio.words())
        self.assertEqual(subprocess.run([LOCKSTEP, "session", "verify", path], check=False).returncode, 0)
        self.assertEqual(subprocess.run([LOCKSTEP, "compare", path], check=False).returncode, 0)
        with h5py.File(path) as f:
            for name in ("eeg", "gsr", "imu", "ppg"):
                stored = f["acquisition"][name]["data"][:].astype(np.int64)
                np.testing.assert_array_equal(stored, injected(name)[:len(stored)], name)
            self.assertGreater(len(f["acquisition/eeg/data"]), 250 * 6)
        listed = subprocess.run([LOCKSTEP, "label", "list", path], stdout=subprocess.PIPE, text=True, check=True)
        labels = [line.split()[1:4] for line in listed.stdout.splitlines()]
        kinds = sorted(label[2] for label in labels)
        self.assertEqual(kinds, ["blink", "jaw_clench", "rest"], listed.stdout)
        for start, stop, kind in labels:
            length = float(stop) - float(start)
            if kind == "blink":
                self.assertEqual(length, 0)
            else:
                self.assertGreater(length, 0.2, kind)

    def test_device_vanishes_while_recording(self):
        studio = Studio(self.display, "virtual:mps2-an386", size="1280x800")
        self.addCleanup(studio.remove)
        self.start(studio)
        boards = [pid for pid, name in descendants(studio.process.pid) if "qemu" in name]
        self.assertEqual(len(boards), 1)
        os.kill(boards[0], signal.SIGKILL)
        time.sleep(2)
        studio.key("2", "2")  # labels still go in
        self.assertEqual(studio.end(), 0, studio.words())  # closing ends the recording
        self.assertEqual(studio.files(".journal"), [])
        with h5py.File(studio.files(".h5")[0]) as f:
            stored = f["acquisition/eeg/data"][:].astype(np.int64)
        np.testing.assert_array_equal(stored, injected("eeg")[:len(stored)])
        self.assertGreater(len(stored), 100)

    def test_a_full_disk_ends_the_recording_with_everything_in_it(self):
        if not small_disks():
            self.skipTest("this user cannot mount a small file system")
        studio = Studio(self.display, "virtual:mps2-an386?speed=8&baud=921600", size="1280x800", disk=9 << 20)
        self.addCleanup(studio.remove)
        self.start(studio)
        studio.key("3")  # opens a label that nobody closes
        path = studio.wait(lambda: [f for f in studio.files(".h5") if not studio.files(".journal")],
                           "end of the recording by itself", 90)[0]
        with tempfile.TemporaryDirectory() as elsewhere:
            copy = shutil.copy(path, elsewhere)
            self.assertEqual(subprocess.run([LOCKSTEP, "session", "verify", copy], check=False).returncode, 0)
            with h5py.File(copy) as f:
                stored = f["acquisition/eeg/data"][:].astype(np.int64)
            listed = subprocess.run([LOCKSTEP, "label", "list", copy], stdout=subprocess.PIPE, text=True, check=True)
        self.assertEqual([line.split()[3] for line in listed.stdout.splitlines()], ["jaw_clench"], listed.stdout)
        whole = injected("eeg")
        np.testing.assert_array_equal(stored, np.resize(whole, stored.shape))  # the sensor repeats its recording
        self.assertGreater(len(stored), 250 * 20)
        self.assertEqual(studio.end(), 0, studio.words())


if __name__ == "__main__":
    unittest.main(verbosity=2)
