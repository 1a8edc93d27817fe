#!/usr/bin/env python3
"""The firmware in QEMU, driven by a second implementation of its protocol.

    test_firmware.py [CASE...]       every case when none is named
"""
import os
import struct
import subprocess
import sys
import tempfile
import time

import numpy as np

from bench import BOARDS, FIRMWARE, Board, demo_recordings

NOMINAL = [("eeg", 2, 8, 250), ("gsr", 1, 1, 32), ("imu", 1, 6, 100), ("ppg", 2, 3, 100)]


def check_stamps(d):
    """Sample i of a stream, counted from its first, has the stamp of its index."""
    for s in d.streams:
        first, origin = s.blocks[0][0], s.blocks[0][1]
        assert first == 0
        for at, time_us, _, _ in s.blocks:
            assert time_us == origin + at * 1000000 * s.rate_den // s.rate_num, s.name


def expect_rows(d, recordings, lost=None):
    """Every received sample is the recording's sample of its index."""
    for i, (s, (head, counts)) in enumerate(zip(d.streams, recordings)):
        index = s.indices()
        assert len(index) > 0, s.name
        assert np.array_equal(s.rows(), counts[index % len(counts)]), s.name
        gone = set(np.arange(index[-1] + 1)) - set(index.tolist())
        assert gone == set().union(*[range(a, a + n) for a, n in (lost or {}).get(i, [])]), (s.name, gone)


def synthetic_on_every_board():
    """Each board answers, describes the nominal set, and two epochs of all boards give the same samples."""
    reference = None
    for name in BOARDS:
        with Board(name) as board:
            d = board.device
            d.connect()
            assert d.hello["board"] == name and d.hello["boot_id"] != 0 and d.hello["reset_cause"] == 1
            assert [(s.name, s.type, s.channels, s.rate_num) for s in d.streams] == NOMINAL
            for _ in range(2):
                d.start()
                d.run_samples(200)
                ledger = d.stop()
                d.check_whole(ledger)
                check_stamps(d)
                for s, (produced, _) in zip(d.streams, ledger):
                    assert abs(produced * 250 - ledger[0][0] * s.rate_num) <= 25 * s.rate_num, (name, s.name, produced)
                rows = [s.rows()[:int(0.6 * s.rate_num)] for s in d.streams]
                reference = reference or rows
                assert all(np.array_equal(a, b) for a, b in zip(reference, rows)), name
            assert 0 < d.health["stack_high"] < d.health["stack_size"]


def injected_recordings():
    """What the board sends is the recording, sample by sample; a second START plays it from the start."""
    recordings = demo_recordings()
    for name in BOARDS:
        with Board(name) as board:
            d = board.device
            d.connect()
            board.inject(recordings)
            d.describe()
            assert [s.name for s in d.streams] == [h["stream"] for h, _ in recordings]
            for s, (head, _) in zip(d.streams, recordings):
                assert [c[0] for c in s.channel] == head["channels"].split(",")
                assert [c[1] for c in s.channel] == head["unit"].split(",")
                assert [c[2] for c in s.channel] == [np.float32(x) for x in head["scale"].split(",")]
            for _ in range(2):
                d.start()
                d.run_samples(250)
                ledger = d.stop()
                d.check_whole(ledger)
                expect_rows(d, recordings)
                check_stamps(d)
            assert d.sequences == [(d.sequences[0] + i) % 65536 for i in range(len(d.sequences))]


def injected_loop_and_end():
    """A short recording starts over in the middle of a block; without looping the streams just end."""
    recordings = [(head, counts[:int(head["rate_hz"]) // 2 + 3]) for head, counts in demo_recordings()]
    with Board("mps2-an386") as board:
        d = board.device
        d.connect()
        board.inject(recordings)
        d.describe()
        d.start()
        d.run_samples(400)
        d.check_whole(d.stop())
        expect_rows(d, recordings)
    with Board("mps2-an386") as board:
        d = board.device
        d.connect()
        board.inject(recordings, loop=False)
        d.describe()
        d.start()
        d.run(4)
        ledger = d.stop()
        assert [p for p, _ in ledger] == [len(c) for _, c in recordings]
        d.check_whole(ledger)


def injected_gaps():
    """Lost samples: the counter goes on, the next frame carries the flag, the ledger counts them."""
    recordings = demo_recordings()
    gaps = {0: [(101, 7), (300, 1)], 1: [(10, 3)], 2: [(0, 5), (50, 100)]}
    with Board("mps2-an386") as board:
        d = board.device
        d.connect()
        board.inject(recordings, gaps=gaps)
        d.describe()
        d.start()
        d.run_samples(600)
        ledger = d.stop()
        expect_rows(d, recordings, gaps)
        check = [(s.indices()[-1] + 1, sum(n for _, n in gaps.get(i, []))) for i, s in enumerate(d.streams)]
        assert ledger == check, (ledger, check)
        for i, s in enumerate(d.streams):
            after = {a + n for a, n in gaps.get(i, [])}
            assert {b[0] for b in s.blocks if b[2]} == after, s.name


def speed():
    """Four times as fast: same samples, stamps in signal time."""
    recordings = [(h, c) for h, c in demo_recordings() if h["stream"] in ("gsr", "ppg")]
    with Board("mps2-an386") as board:
        d = board.device
        d.connect()
        board.inject(recordings, speed=4)
        d.describe()
        d.start()
        d.run_samples(600, stream=1)
        d.check_whole(d.stop())
        expect_rows(d, recordings)
        s = d.streams[1]
        assert all(t == s.blocks[0][1] + at * 10000 for at, t, _, _ in s.blocks)


def many_streams():
    """Ten streams, one of 40 channels (two pages of description), 32-bit and float types."""
    rng = np.random.default_rng(1)
    recordings = []
    for i in range(10):
        n = 40 if i == 3 else 2
        kind = ["int16", "int24", "int32", "float32"][i % 4]
        limit = {"int16": 2**15, "int24": 2**23}.get(kind, 2**31)
        head = dict(stream=f"s{i}", kind="test", rate_hz="20", sample_type=kind,
                    channels=",".join(f"c{c}" for c in range(n)), unit=",".join(["V"] * n),
                    scale=",".join(["0.5"] * n), offset=",".join(["1"] * n))
        recordings.append((head, rng.integers(-limit, limit, (50, n)).astype(np.int32)))
    with Board("mps2-an386") as board:
        d = board.device
        d.connect()
        board.inject(recordings)
        for i in range(10):
            assert d.command(0x86, struct.pack("<BH", i, 0))[0] == 0
        assert d.streams[-7].channels == 40 and len(d.streams[-7].channel) == 24
        d.streams = d.streams[-10:]
        d.start()
        d.run_samples(60)
        d.check_whole(d.stop())
        expect_rows(d, recordings)


def new_table_ends_the_run():
    recordings = demo_recordings()
    with Board("mps2-an386") as board:
        d = board.device
        d.connect()
        board.inject(recordings)
        d.describe()
        d.start()
        d.run(0.5)
        hellos = d.hellos
        d.injector.recordings = recordings[1:3]
        d.injector.run = None
        d.injector.send_table()
        d.run(2)
        assert d.hellos == hellos + 1 and d.hello["streams"] == 2 and not d.hello["running"], (d.hellos - hellos, d.hello)
        d.injector.port.send(0xC6)  # reset: back to the synthetic signals
        d.injector = None
        d.run(0.5)
        assert d.hello["streams"] == 4


def ping_and_configure():
    with Board("mps2-an386") as board:
        d = board.device
        d.connect()
        last = 0
        for _ in range(50):
            t1 = time.monotonic_ns()
            code, detail = d.command(0x84, struct.pack("<Q", t1))
            same, received, sent = struct.unpack("<QQQ", detail)
            assert code == 0 and same == t1 and last <= received <= sent
            assert sent - received <= (time.monotonic_ns() - t1) // 1000 + 1
            last = sent
        # stream, enabled, rate, batch
        code, detail = d.command(0x83, struct.pack("<BBIIH", 0, 1, 500, 1, 0))
        assert code == 0 and struct.unpack("<BBIIH", detail) == (0, 1, 500, 1, 20)
        assert d.command(0x83, struct.pack("<BBIIH", 0, 1, 100000, 1, 0))[0] == 2
        assert d.command(0x83, struct.pack("<BBIIH", 9, 1, 0, 1, 0))[0] == 7
        assert d.command(0x83, struct.pack("<BBIIH", 1, 0, 0, 1, 0))[0] == 0
        d.describe()
        assert d.streams[0].rate_num == 500 and d.streams[0].batch == 20 and not d.streams[1].enabled
        d.start()
        assert d.command(0x83, struct.pack("<BBIIH", 0, 1, 250, 1, 0))[0] == 8  # busy
        d.run_samples(400)
        ledger = d.stop()
        assert ledger[1] == (0, 0)
        d.check_whole(ledger)


def repeated_commands():
    """The same tag twice: the same answer, done once."""
    with Board("mps2-an386") as board:
        d = board.device
        d.connect()
        first = d.command(0x81, tag=77)
        time.sleep(0.05)
        assert d.command(0x81, tag=77) == first
        assert d.command(0x81, tag=78)[1][0] == first[1][0] + 1
        d.epoch = first[1][0] + 1
        stop = d.command(0x82, tag=79)
        assert stop[0] == 0 and d.command(0x82, tag=79) == stop
        assert d.command(0x9F)[0] == 5  # unsupported, but answered
        assert d.command(0x89, struct.pack("<I", 5) + b"\x04blue", tag=80)[0] == 0
        assert d.command(0x89, struct.pack("<I", 5) + b"\x04blue", tag=80)[0] == 0
        assert len(d.markers) == 1 and d.markers[0][1:] == (5, "blue")
        # A new host program counts from 1 again and must not meet old answers.
        d.connect(nonce=99)
        assert d.command(0x81, tag=77)[1][0] == first[1][0] + 2


def other_versions():
    with Board("mps2-an386") as board:
        d = board.device
        hello = lambda major, minor: d.command(0x80, b"LKST" + struct.pack("<BBQ", major, minor, 7) + b"later")
        assert hello(1, 9)[0] == 0
        assert hello(2, 0)[0] == 5 and d.hello["major"] == 1


def garbage():
    """Noise on both lines: counted, and the next command is answered."""
    rng = np.random.default_rng(2)
    recordings = demo_recordings()
    with Board("mps2-an386") as board:
        d = board.device
        d.connect()
        d.port.send_bytes(rng.integers(0, 256, 20000, np.uint8).tobytes() + b"\0")
        d.port.send_bytes(b"\x07" * 5000 + b"\0")
        board.uart1.sendall(rng.integers(0, 256, 3000, np.uint8).tobytes() + b"\0")
        d.connect()
        board.inject(recordings)
        d.describe()
        d.start()
        d.run_samples(100)
        d.port.send_bytes(rng.integers(0, 256, 5000, np.uint8).tobytes() + b"\0")
        d.run_samples(500)
        d.check_whole(d.stop())
        expect_rows(d, recordings)
        d.run(1.1)
        assert d.health["bad_frames"] > 10


def reset():
    """A board that was reset says so: another boot id once asked, another cause, epochs from 0."""
    with Board("mps2-an386") as board:
        d = board.device
        d.connect()
        d.start()
        d.run(0.3)
        boot = d.hello["boot_id"]
        hellos = d.hellos
        board.reset()
        end = time.monotonic() + 5
        while d.hellos == hellos and time.monotonic() < end:
            d.pump()
        assert d.hello["boot_id"] == 0 and d.hello["epoch"] == 0 and not d.hello["running"]
        assert d.hello["reset_cause"] == 4
        d.epoch = None
        d.connect()
        assert d.hello["boot_id"] not in (0, boot)
        d.start()
        d.run(0.5)
        d.check_whole(d.stop())


def starved_watchdog():
    """A main loop that no longer feeds the watchdog: the board resets itself and tells why."""
    with tempfile.TemporaryDirectory(prefix="lockstep-test-") as folder:
        elf = os.path.join(folder, "starved.elf")
        with open(elf, "wb") as f:
            f.write(returning_at_once(FIRMWARE / "mps2-an386.elf", "lockstep::board::feed_watchdog()"))
        with Board("mps2-an386", elf) as board:
            d = board.device
            d.connect()
            assert d.hello["reset_cause"] == 1
            d.start()
            hellos, end = d.hellos, time.monotonic() + 30
            while d.hellos == hellos and time.monotonic() < end:
                d.pump()
            assert d.hello["boot_id"] == 0 and not d.hello["running"]
            assert d.hello["reset_cause"] == 3
            d.epoch = None
            d.connect()


def returning_at_once(image, function):
    """The image with a function's first instruction made `bx lr`."""
    symbols = subprocess.run(["arm-none-eabi-nm", "-C", str(image)], check=True, capture_output=True, text=True).stdout
    address = next(int(line.split()[0], 16) & ~1 for line in symbols.splitlines() if line.endswith(" T " + function))
    data = bytearray(image.read_bytes())
    headers, = struct.unpack_from("<I", data, 28)
    size, count = struct.unpack_from("<HH", data, 42)
    for i in range(count):
        kind, offset, start, _, length = struct.unpack_from("<5I", data, headers + i * size)
        if kind == 1 and start <= address < start + length:
            data[offset + address - start:offset + address - start + 2] = b"\x70\x47"
            return data
    raise AssertionError(f"{function} is in no segment")


def reader_that_stops():
    """A host that reads nothing for a while: what does not fit the queue is counted, flagged, and the rest whole."""
    with Board("mps2-an386") as board:
        d = board.device
        d.connect()
        assert d.command(0x83, struct.pack("<BBIIH", 0, 1, 1000, 1, 0))[0] == 0
        d.describe()
        d.start()
        d.run(0.3)
        time.sleep(4)  # 24 kB/s into a queue of 32 kB
        d.run(1)
        ledger = d.stop()
        assert ledger[0][1] > 0
        for s, (produced, dropped) in zip(d.streams, ledger):
            index = s.indices()
            assert len(index) + dropped == produced and len(set(index.tolist())) == len(index), s.name
            jumps = {b[0] for a, b in zip(s.blocks, s.blocks[1:]) if b[0] != a[0] + len(a[3])}
            assert {b[0] for b in s.blocks if b[2]} == jumps, s.name


CASES = [synthetic_on_every_board, injected_recordings, injected_loop_and_end, injected_gaps, speed, many_streams,
         new_table_ends_the_run, ping_and_configure, repeated_commands, other_versions, garbage, reset,
         starved_watchdog, reader_that_stops]

if __name__ == "__main__":
    wanted = sys.argv[1:] or [c.__name__ for c in CASES]
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
