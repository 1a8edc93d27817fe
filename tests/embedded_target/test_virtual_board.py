#!/usr/bin/env python3
"""The virtual board as a user meets it: a program, a serial line, recorded signals, a bad line.

    test_virtual_board.py TOOL [CASE...]
"""
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from bench import FIRMWARE, SOURCE, Device, demo_recordings
from test_firmware import expect_rows

TOOL = sys.argv[1] if len(sys.argv) > 1 else ""
RECORDINGS = ",".join(str(SOURCE / "resources/recordings" / f"{n}.csv") for n in ("eeg", "gsr", "imu", "ppg"))


def tool_command(*arguments):
    return [TOOL, *map(str, arguments)]


class Running:
    """The tool as a child process."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen(tool_command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        text=True, env={**os.environ, "LOCKSTEP_FIRMWARE_DIR": str(FIRMWARE)})
        line = self.process.stdout.readline()
        if not line.startswith("ready "):
            raise RuntimeError(self.process.communicate()[1])
        self.path = line.split()[1]

    def open(self):
        self.fd = os.open(self.path, os.O_RDWR | os.O_NOCTTY)
        return Device(self.fd)

    def emulator(self):
        """Process id of the emulator."""
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                pid, name, _, parent = stat.read_text().split()[:4]
            except OSError:
                continue
            if int(parent) == self.process.pid and "qemu" in name:
                return int(pid)
        return None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.words = self.process.communicate(timeout=10)[1]
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def nominal_at_115200():
    """The nominal set through 115200 baud: nothing lost, every sample right, twice."""
    recordings = demo_recordings()
    with Running("mps2-an386", "--signals", RECORDINGS, "--baud", 115200) as board:
        d = board.open()
        d.connect()
        assert [s.name for s in d.streams] == [h["stream"] for h, _ in recordings]
        for _ in range(2):
            d.start()
            d.run_samples(1000)
            d.check_whole(d.stop())
            expect_rows(d, recordings)
        assert d.port.damaged == 0
    assert board.process.returncode == 0, board.words


def maximum_at_921600():
    """The maximum set, through mapped memory: 37 kB/s at 921600 baud."""
    with tempfile.TemporaryDirectory() as folder:
        files, recordings = [], []
        for (head, counts), rate in zip(demo_recordings(), (1000, 32, 400, 400)):
            source = SOURCE / "resources/recordings" / f"{head['stream']}.csv"
            text = source.read_text().replace(f"# rate_hz: {head['rate_hz']}\n", f"# rate_hz: {rate}\n")
            files.append(os.path.join(folder, head["stream"] + ".csv"))
            Path(files[-1]).write_text(text)
            recordings.append(({**head, "rate_hz": str(rate)}, counts))
        with Running("mps2-an386", "--signals", ",".join(files), "--baud", 921600) as board:
            d = board.open()
            d.connect()
            assert [s.rate_num for s in d.streams] == [1000, 32, 400, 400]
            d.start()
            d.run_samples(4000)
            d.check_whole(d.stop())
            expect_rows(d, recordings)


def pace():
    """At 28800 baud the nominal set does not fit: the line carries its rate, and the board counts what it dropped."""
    with Running("mps2-an386", "--baud", 28800) as board:
        d = board.open()
        d.connect()
        d.start()
        began = time.monotonic()
        d.run(7)
        seconds = time.monotonic() - began
        payload = sum(len(s.rows()) * s.channels * {1: 2, 2: 3}[s.type] for s in d.streams)
        assert 0.5 * 2880 * seconds < payload < 1.05 * 2880 * seconds + 500, payload
        ledger = d.stop()
        assert ledger[0][1] > 0
        for s, (produced, dropped) in zip(d.streams, ledger):
            assert len(s.indices()) + dropped == produced, (s.name, len(s.indices()), ledger)


def bad_line():
    """Wrong bits and vanished bytes: frames go missing, no wrong sample ever comes."""
    recordings = demo_recordings()
    with Running("mps2-an386", "--signals", RECORDINGS, "--flip", 3e-4, "--drop", 3e-4) as board:
        d = board.open()
        while True:  # descriptions get lost as well
            d.streams = []
            try:
                d.connect()
            except (TimeoutError, AssertionError):
                continue
            if len(d.streams) == 4:
                break
        d.start()
        d.run_samples(1500)
        ledger = d.stop()
        assert d.port.damaged > 5
        for s, (head, counts), (produced, dropped) in zip(d.streams, recordings, ledger):
            index = s.indices()
            assert dropped == 0 and np.array_equal(s.rows(), counts[index % len(counts)]), s.name
            assert len(index) <= produced and (np.diff(index) > 0).all(), s.name


def cut_line():
    """The cable pulled each second and put back: the same name, another terminal, the board goes on."""
    with tempfile.TemporaryDirectory() as folder:
        link = os.path.join(folder, "port")
        with Running("mps2-an386", "--pty-link", link, "--cut", 1) as board:
            assert board.path == link
            boots, plugged = set(), 0
            end = time.monotonic() + 30
            while plugged < 3 and time.monotonic() < end:
                fd = None
                try:
                    d = board.open()
                    fd = board.fd
                    d.command(0x80, b"LKST\x01\x00" + bytes(8), timeout=0.8)
                    boots.add(d.hello["boot_id"])
                    plugged += 1
                    while True:
                        d.pump()
                except (OSError, EOFError, TimeoutError):
                    time.sleep(0.05)
                if fd is not None:
                    os.close(fd)
            assert plugged == 3 and len(boots) == 1 and boots != {0}, (plugged, boots)
        assert not os.path.lexists(link)


def nobody_listens():
    """What a board says while no program has the port open is not kept for the next one."""
    with Running("mps2-an386") as board:
        d = board.open()
        d.connect()
        d.start()
        os.close(board.fd)
        time.sleep(1.5)
        later = board.open()
        later.connect(nonce=5)
        assert later.hello["running"] and later.hello["epoch"] == d.epoch
        later.epoch = d.epoch
        later.run(0.3)
        first = min(b[0] for s in later.streams for b in s.blocks if s.name == "eeg")
        assert first > 250, first
        assert later.stop()[0][0] > 375


def tcp():
    with Running("mps2-an386", "--tcp", 0) as board:
        host, port = board.path.split(":")
        for _ in range(2):
            s = socket.create_connection((host, int(port)))
            d = Device(s.fileno())
            d.connect()
            assert len(d.streams) == 4
            s.close()


def no_orphans():
    """However the program ends, the emulator ends with it."""
    for how in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL):
        board = Running("mps2-an386")
        emulator = board.emulator()
        assert emulator and alive(emulator)
        board.process.send_signal(how)
        board.process.communicate(timeout=10)
        end = time.monotonic() + 5
        while alive(emulator) and time.monotonic() < end:
            time.sleep(0.02)
        assert not alive(emulator), how


def clear_errors():
    """One line that says what, where and what to do; 2 for wrong use, 3 for a system that lacks something."""
    def run(*arguments, **env):
        p = subprocess.run(tool_command(*arguments), capture_output=True, text=True, timeout=30,
                           env={**os.environ, "LOCKSTEP_FIRMWARE_DIR": str(FIRMWARE), **env})
        lines = p.stderr.strip().splitlines()
        assert len(lines) == 1, p.stderr
        return p.returncode, lines[0]

    code, words = run("nosuch")
    assert code == 2 and "nosuch" in words and "mps2-an386" in words
    with tempfile.TemporaryDirectory() as folder:
        tool = shutil.copy(TOOL, folder)
        p = subprocess.run([tool, "mps2-an386"], capture_output=True, text=True, timeout=30,
                           env={**os.environ, "LOCKSTEP_FIRMWARE_DIR": folder})
        assert p.returncode == 3 and "mps2-an386.elf" in p.stderr and "./dev firmware" in p.stderr
        code, words = run("mps2-an386", PATH=folder)
        assert code == 3 and "apt install qemu-system-arm" in words
        bad = Path(folder, "bad.csv")
        code, words = run("mps2-an386", "--signals", bad)
        assert code == 2 and "bad.csv" in words
        good = (SOURCE / "resources/recordings/gsr.csv").read_text()
        for text in ("", "a,b\n1,2\n", good.replace("int16", "int99"), good.replace("rate_hz: 32", "rate_hz: 0"),
                     good + "x\n", good + "1,2\n", good + "40000\n", good.replace("scale: 0.001", "scale: nan")):
            bad.write_text(text)
            code, words = run("mps2-an386", "--signals", bad)
            assert code == 2 and "bad.csv" in words and "line" in words, words


CASES = [nominal_at_115200, maximum_at_921600, pace, bad_line, cut_line, nobody_listens, tcp, no_orphans, clear_errors]

if __name__ == "__main__":
    wanted = sys.argv[2:] or [c.__name__ for c in CASES]
    failed = []
    for case in CASES:
        if case.__name__ in wanted:
            began = time.monotonic()
            try:
                case()
                print(f"ok    {case.__name__}  {time.monotonic() - began:.1f} s", flush=True)
            except Exception as error:
                import traceback
                traceback.print_exc()
                failed.append(case.__name__)
                print(f"FAIL  {case.__name__}: {error!r}", flush=True)
    sys.exit(1 if failed else 0)
