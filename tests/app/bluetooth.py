"""Boards over Bluetooth: the real program on a private message bus, on which a service speaks as BlueZ does and
carries the firmware in QEMU in packets of a BLE link."""
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import h5py

from bluetooth_service import ADDRESS
from program import ENV, PROGRAM, assert_one_line, run

LOST, RECONNECTED = 2, 3  # of events/link, docs/file_format.md
HERE = os.path.dirname(os.path.abspath(__file__))


class Bluetooth(unittest.TestCase):
    def setUp(self):
        self.bus = subprocess.Popen(["dbus-daemon", "--session", "--nofork", "--print-address=1"],
                                    stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(self.end, self.bus)
        ENV["DBUS_SYSTEM_BUS_ADDRESS"] = self.bus.stdout.readline().strip()
        self.addCleanup(ENV.pop, "DBUS_SYSTEM_BUS_ADDRESS")

    @staticmethod
    def end(process):
        process.terminate()
        process.wait(20)
        process.stdout.close()

    def service(self, port=1, *options):
        process = subprocess.Popen([sys.executable, os.path.join(HERE, "bluetooth_service.py"), str(port), *options],
                                   env=ENV, stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.end, process)
        self.assertEqual(process.stdout.readline(), "ready\n")
        return process

    def board(self):
        process = subprocess.Popen([PROGRAM, "firmware", "run", "mps2-an386", "--tcp", "0"], env=ENV,
                                   stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.end, process)
        return int(re.search(r"(\d+)\s*$", process.stdout.readline()).group(1))

    def refused(self, uri, status, *words):
        done = run("info", uri)
        assert_one_line(self, done, status)
        for word in words:
            self.assertIn(word, done.stderr)

    def test_a_recording_over_the_air(self):
        self.service(self.board(), "--known", "0")
        with tempfile.TemporaryDirectory() as folder:
            session = os.path.join(folder, "air.h5")
            done = run("record", "ble:" + ADDRESS.lower(), "-o", session, "--composite", "--seconds", "10", "--json")
            self.assertEqual(done.returncode, 0, done.stderr)
            report = json.loads(done.stdout)
            self.assertTrue(report["whole"])
            self.assertGreater(report["windows"]["same"], 5)
            for stream in report["streams"].values():
                self.assertGreater(stream["received"], 0)
                self.assertEqual(stream["lost"], 0)
            self.assertEqual(run("session", "verify", session).returncode, 0)

    def test_out_of_reach_for_a_moment(self):
        service = self.service(self.board())
        with tempfile.TemporaryDirectory() as folder:
            session = os.path.join(folder, "walk.h5")
            recording = subprocess.Popen([PROGRAM, "record", "ble:" + ADDRESS, "-o", session, "--composite", "--seconds",
                                          "14", "--json"], env=ENV, stdout=subprocess.PIPE, text=True)
            time.sleep(7)
            service.send_signal(signal.SIGUSR1)
            report = json.loads(recording.communicate(timeout=60)[0])
            self.assertEqual(report["windows"]["different"], 0)
            verified = run("session", "verify", session)
            self.assertEqual(verified.returncode, 0, verified.stderr)
            with h5py.File(session) as f:
                kinds = list(f["events/link"]["kind"][:])
            self.assertIn(LOST, kinds)
            self.assertIn(RECONNECTED, kinds)

    def test_what_is_in_reach(self):
        self.service(1, "--known", "0")
        found = json.loads(run("devices", "--json").stdout)["devices"]
        self.assertIn({"uri": "ble:" + ADDRESS, "text": "Band"}, found)

    def test_what_can_be_wrong(self):
        self.refused("ble:12:34", 2, "ble:AA:BB:CC:DD:EE:FF")
        self.refused("ble:" + ADDRESS, 3, "bluez")
        self.service(1, "--powered", "0")
        self.refused("ble:" + ADDRESS, 3, "power on")

    def test_out_of_reach(self):
        self.service()
        self.refused("ble:00:00:00:00:00:01", 3, "in reach")

    def test_another_kind_of_device(self):
        self.service(1, "--uart", "0")
        self.refused("ble:" + ADDRESS, 3, "Nordic UART")

    def test_no_message_bus(self):
        ENV["DBUS_SYSTEM_BUS_ADDRESS"] = "unix:path=/nonexistent"
        self.refused("ble:" + ADDRESS, 3, "message bus")


if __name__ == "__main__":
    unittest.main()
