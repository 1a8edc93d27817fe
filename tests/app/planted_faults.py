"""Faults planted in the firmware, and on its line, are found at exactly their stage, live and from the file.

The firmware image carries the plans and, apart from them, their ids; one byte of a plan is changed here and
the plan sealed again with its own CRC, so that the board takes it for a good one.
"""
import hashlib
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import unittest

from program import ENV, FIRMWARE, PROGRAM, SOURCE, run

sys.path.insert(0, os.path.join(SOURCE, "tests", "embedded_target"))
from bench import cobs_decode, cobs_encode, crc32c  # noqa: E402

PLAN = os.path.join(SOURCE, "resources", "models", "movement", "movement.lsplan")
BOARD = "mps2-an386"
SECONDS = "14"  # a machine at a third of its speed computes enough windows, too


class PlanBytes:
    """A plan in the terms of docs/model_format.md, to be damaged."""

    def __init__(self):
        with open(PLAN, "rb") as f:
            self.bytes = bytearray(f.read())

    def u32(self, at):
        return struct.unpack_from("<I", self.bytes, at)[0]

    def record(self, table, size, index):
        offset, count = self.u32(table), self.u32(table + 4)
        assert index < count
        return offset + size * index

    def operator(self, code):
        """(number, offset) of the first operator of a code."""
        for i in range(self.u32(68)):
            at = self.record(64, 36, i)
            if struct.unpack_from("<H", self.bytes, at)[0] == code:
                return i, at
        raise AssertionError(f"no operator {code}")

    def flip(self, at, bits):
        self.bytes[at] ^= bits

    def sealed(self):
        self.bytes[16:20] = bytes(4)
        self.bytes[16:20] = struct.pack("<I", crc32c(bytes(self.bytes)))
        return bytes(self.bytes)


def image(folder, change):
    """The board's firmware with change(image bytes) applied."""
    with open(os.path.join(FIRMWARE, BOARD + ".elf"), "rb") as f:
        elf = bytearray(f.read())
    change(elf)
    path = os.path.join(folder, "changed.elf")
    with open(path, "wb") as f:
        f.write(elf)
    return path


def swap_plan(change):
    def apply(elf):
        plan = PlanBytes()
        before = bytes(plan.bytes)
        assert elf.count(before) == 1, "the firmware holds another movement plan: build it again"
        change(plan)
        at = elf.index(before)
        elf[at:at + len(before)] = plan.sealed()
    return apply


class Proxy(threading.Thread):
    """Between board and program; touch(frame body) gives the body to pass on, or None to lose the frame."""

    def __init__(self, port, touch):
        super().__init__(daemon=True)
        self.board, self.touch = port, touch
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.start()

    def run(self):
        host, _ = self.listener.accept()
        self.listener.close()
        board = socket.create_connection(("127.0.0.1", self.board))
        threading.Thread(target=self.up, args=(host, board), daemon=True).start()
        rest = b""
        try:
            while data := board.recv(65536):
                *frames, rest = (rest + data).split(b"\0")
                host.sendall(b"".join(self.passed(f) + b"\0" for f in frames))
        except OSError:
            pass  # the program has closed its end
        host.close()

    @staticmethod
    def up(host, board):
        while data := host.recv(65536):
            board.sendall(data)
        board.close()

    def passed(self, frame):
        try:
            body = cobs_decode(frame)
        except ValueError:
            return frame
        if len(body) < 7 or crc32c(body[:-4]) != struct.unpack("<I", body[-4:])[0]:
            return frame
        touched = self.touch(body[:-4])
        if touched is None:
            return b""
        return cobs_encode(touched + struct.pack("<I", crc32c(touched)))


class PlantedFaults(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="lockstep-planted-")
        self.session = os.path.join(self.folder, "session.h5")

    def tearDown(self):
        shutil.rmtree(self.folder)

    def record(self, uri):
        done = run("record", uri, "--composite", "--strict", "--seconds", SECONDS, "--model", PLAN, "-o", self.session)
        self.assertEqual(done.returncode, 1, done.stderr)  # --strict: something was found

    def compare(self):
        done = run("compare", self.session, "--json")
        self.assertEqual(done.returncode, 1, done.stderr)
        windows = json.loads(done.stdout)["list"]
        self.assertGreater(len(windows), 10)
        return windows

    def expect_every_window(self, difference, stage, stage_name):
        decided = [w for w in self.compare() if w["verdict"] != "outside"]
        self.assertGreater(len(decided), 10)
        found = {(w["verdict"], w["difference"], w["stage"], w["stage_name"]) for w in decided}
        self.assertEqual(found, {("different", difference, stage, stage_name)})

    def record_changed(self, change):
        self.record(f"virtual:{BOARD}?firmware=" + image(self.folder, change))

    def test_weight(self):
        def change(plan):
            self.number, at = plan.operator(10)  # conv2d: its weights come last
            plan.flip(plan.u32(at + 20) + plan.u32(at + 24) // 8 * 7, 0x40)
        self.record_changed(swap_plan(change))
        self.expect_every_window("arithmetic", self.number + 2, "/body/body.0/Conv")

    def test_filter_coefficient(self):
        # b0 of the first section, by some per cent.
        self.record_changed(swap_plan(lambda plan: plan.flip(plan.record(48, 20, 0) + 2, 0x10)))
        self.expect_every_window("arithmetic", 1, "imu.filtered")

    def test_quantisation_parameter(self):
        def change(plan):
            self.number, at = plan.operator(2)
            tensor = plan.record(56, 24, struct.unpack_from("<H", plan.bytes, at + 12)[0])
            plan.flip(tensor + 12 + 2, 0x10)  # of the scale, by some per cent
        self.record_changed(swap_plan(change))
        self.expect_every_window("arithmetic", self.number + 2, "quantise")

    def test_plan_id(self):
        def change(elf):
            with open(PLAN, "rb") as f:
                at = elf.index(hashlib.sha256(f.read()).digest())
            elf[at + 3] ^= 1
        self.record_changed(change)
        self.expect_every_window("plan", -1, "")

    def test_line(self):
        """One prediction dropped: lost. One sample changed: found in the windows that read it, at stage 0."""
        done = {}

        def touch(body):
            if body[0] == 0x11 and "prediction" not in done:  # of the first model the board predicts with
                plan, window = body[5:13], struct.unpack_from("<I", body, 13)[0]
                if plan == plan_id and window >= 6:
                    done["prediction"] = window
                    return None
            if body[0] == 0x10 and "sample" not in done:
                stream, _, _, count = struct.unpack_from("<BBBH", body, 3)
                first = struct.unpack_from("<I", body, 8)[0]
                if stream == 2 and first >= 400:
                    done["sample"] = first
                    body = bytearray(body)
                    body[-count * 12] ^= 0x40  # x of its first sample
                    return bytes(body)
            return body

        with open(PLAN, "rb") as f:
            plan_id = hashlib.sha256(f.read()).digest()[:8]
        board = subprocess.Popen([PROGRAM, "firmware", "run", BOARD, "--tcp", "0"], env=ENV, text=True,
                                 stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            port = int(board.stdout.readline().rsplit(":", 1)[1])
            self.record(f"tcp:127.0.0.1:{Proxy(port, touch).port}")
        finally:
            board.terminate()
            board.wait()
            board.stdout.close()
        self.assertEqual(set(done), {"prediction", "sample"})
        windows = self.compare()
        lost = [w for w in windows if w["verdict"] == "lost"]
        self.assertEqual([w["window"] for w in lost], [done["prediction"]])
        self.assertIn("prediction", lost[0]["reason"])
        different = [w for w in windows if w["verdict"] == "different"]
        self.assertTrue(different)
        self.assertEqual({(w["difference"], w["stage"]) for w in different}, {("samples", 0)})
        reading = {w["window"] for w in windows if w["window"] * 25 <= done["sample"] < w["window"] * 25 + 100}
        self.assertTrue({w["window"] for w in different} & reading)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v"])
