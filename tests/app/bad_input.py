"""Bad input through the real program: wrong ports, other protocols, garbage, disks and files that refuse. Each
ends in one clear line and the right exit status, loses nothing and overwrites nothing."""
import os
import pty
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
import time
import tty
import unittest

import h5py

from program import ENV, PROGRAM, SOURCE, assert_one_line, run

sys.path.insert(0, os.path.join(SOURCE, "tests", "embedded_target"))
from bench import cobs_encode, crc32c  # noqa: E402

NMEA = b"$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47\r\n"
CYTON = bytes([0xA0, 7]) + bytes(range(30)) + bytes([0xC0])
MOVEMENT = os.path.join(SOURCE, "resources", "models", "movement", "movement.lsplan")


def frame(kind, payload):
    body = bytes([kind, 0, 0]) + payload
    return cobs_encode(body + crc32c(body).to_bytes(4, "little")) + b"\0"


class Talker:
    """A pseudo terminal on which something else talks."""

    def __init__(self, speak, period=0.02):
        self.master, slave = pty.openpty()
        tty.setraw(slave)
        self.port, self.slave = os.ttyname(slave), slave
        os.set_blocking(self.master, False)
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.run, args=(speak, period), daemon=True)
        self.thread.start()

    def run(self, speak, period):
        while not self.stop.wait(period):
            try:
                os.read(self.master, 65536)
            except OSError:
                pass
            try:
                os.write(self.master, speak)
            except OSError:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()
        os.close(self.master)
        os.close(self.slave)


class BadInput(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="lockstep-bad-")
        self.session = os.path.join(self.folder, "x.h5")

    def tearDown(self):
        os.chmod(self.folder, stat.S_IRWXU)
        shutil.rmtree(self.folder)

    def record(self, uri, *more):
        return run("record", uri, "-o", self.session, "--seconds", "3", *more)

    def nothing_left(self):
        self.assertEqual(os.listdir(self.folder), [])

    def refused(self, done, status, *words):
        assert_one_line(self, done, status)
        for word in words:
            self.assertIn(word, done.stderr)
        self.nothing_left()

    def test_wrong_ports(self):
        self.refused(self.record("serial:/dev/not-there"), 3, "/dev/not-there")
        self.refused(self.record("serial:" + __file__), 2, __file__)
        self.refused(self.record("tcp:127.0.0.1:1"), 3, "127.0.0.1:1")
        self.refused(self.record("virtual:no-such-board"), 2, "mps2-an386")
        self.refused(self.record("serial:/dev/null?bawd=9"), 2, "bawd", "baud")

    def test_other_protocols_on_the_line(self):
        for name, speak in (("nmea", NMEA), ("cyton", CYTON * 5), ("garbage", os.urandom(4096)), ("zeros", bytes(500))):
            with self.subTest(name), Talker(speak) as line:
                self.refused(self.record("serial:" + line.port), 3, line.port)

    def test_a_flood(self):
        with Talker(os.urandom(60000), period=0.001) as line:
            self.refused(self.record("serial:" + line.port), 3, line.port)

    def test_silence(self):
        with Talker(b"") as line:
            self.refused(self.record("serial:" + line.port), 3, line.port)

    def test_a_newer_protocol(self):
        hello = b"LKST" + bytes([9, 0]) + bytes(8) + bytes(8) + b"\x03new" + b"\x039.0" + bytes([0, 0]) + bytes(20)
        with Talker(frame(0x01, hello)) as line:
            self.refused(self.record("serial:" + line.port), 3, line.port, "protocol")

    def test_a_second_program_on_the_port(self):
        with Talker(b"") as line:
            first = subprocess.Popen([PROGRAM, "info", "serial:" + line.port], env=ENV, stdout=subprocess.DEVNULL,
                                     stderr=subprocess.DEVNULL)
            time.sleep(0.7)
            second = self.record("serial:" + line.port)
            first.kill()
            first.wait()
            self.refused(second, 3, line.port, "another program")

    def test_existing_file(self):
        with open(self.session, "w", encoding="utf-8") as f:
            f.write("precious")
        assert_one_line(self, self.record("virtual:mps2-an386"), 2)
        with open(self.session, encoding="utf-8") as f:
            self.assertEqual(f.read(), "precious")

    def test_a_folder_that_is_not_there(self):
        self.session = os.path.join(self.folder, "no", "x.h5")
        self.refused(self.record("virtual:mps2-an386"), 3, self.session)

    def test_read_only_folder(self):
        # The superuser may write everywhere but in a file system without room for files.
        self.session = "/proc/x.h5"
        self.refused(self.record("virtual:mps2-an386"), 3, "/proc")

    def test_full_disk(self):
        self.session = "/dev/full/x.h5"
        done = self.record("virtual:mps2-an386")
        self.assertIn(done.returncode, (2, 3), done.stderr)
        self.nothing_left()

    def test_a_model_that_does_not_fit(self):
        done = self.record("virtual:mps2-an386?signals=" + os.path.join(SOURCE, "resources/recordings/gsr.csv"), "--model",
                           MOVEMENT)
        self.refused(done, 2, "imu")
        broken = os.path.join(self.folder, "broken.lsplan")
        with open(broken, "wb") as f:
            f.write(b"LSPLAN\0\0" + bytes(100))
        done = self.record("virtual:mps2-an386", "--model", broken)
        os.remove(broken)
        self.refused(done, 2, "broken.lsplan")

    def test_a_port_that_vanishes(self):
        """The recording says so, goes on waiting for the board, and its file is good."""
        child = subprocess.Popen([PROGRAM, "firmware", "run", "mps2-an386"], env=ENV, text=True, stdout=subprocess.PIPE,
                                 stderr=subprocess.DEVNULL)
        port = child.stdout.readline().split()[1]
        recorder = subprocess.Popen([PROGRAM, "record", "serial:" + port, "-o", self.session, "--seconds", "8"], env=ENV,
                                    stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 30
        while not os.path.exists(self.session + ".journal") or os.path.getsize(self.session + ".journal") < 20000:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.1)
        child.kill()
        child.wait()
        child.stdout.close()
        words = recorder.communicate(timeout=60)[1]
        self.assertEqual(recorder.returncode, 3, words)
        self.assertIn("not whole", words)
        self.assertEqual(words.count("lost; waiting"), 1, words)
        self.assertEqual(run("session", "verify", self.session).returncode, 0)
        with h5py.File(self.session) as f:
            self.assertGreater(len(f["acquisition"]["eeg"]["data"]), 100)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v"])
