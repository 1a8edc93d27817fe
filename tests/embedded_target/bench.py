"""A second implementation of the protocol, and QEMU to try it on.

Written from docs/protocol.md and devices/wire/injection.h alone, so that it
checks the C++ one instead of repeating it.
"""
import os
import select
import socket
import struct
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

SOURCE = Path(os.environ.get("LOCKSTEP_SOURCE", Path(__file__).resolve().parents[2]))
FIRMWARE = Path(os.environ.get("LOCKSTEP_FIRMWARE_DIR", SOURCE / "build" / "firmware"))
BOARDS = ["mps2-an386", "mps2-an385", "mps2-an500", "mps2-an505", "mps3-an547"]
SAMPLE_BYTES = {1: 2, 2: 3, 3: 4, 4: 4}

_TABLE = []
for _i in range(256):
    _c = _i
    for _ in range(8):
        _c = _c >> 1 ^ (0x82F63B78 if _c & 1 else 0)
    _TABLE.append(_c)


def crc32c(data):
    c = 0xFFFFFFFF
    for b in data:
        c = c >> 8 ^ _TABLE[(c ^ b) & 255]
    return c ^ 0xFFFFFFFF


def cobs_encode(data):
    out = bytearray()
    groups = data.split(b"\0")
    for k, group in enumerate(groups):
        while len(group) >= 254:
            out += b"\xff" + group[:254]
            group = group[254:]
            if not group and k == len(groups) - 1:
                return bytes(out)
        out += bytes([len(group) + 1]) + group
    return bytes(out)


def cobs_decode(data):
    out, i = bytearray(), 0
    while i < len(data):
        code = data[i]
        if code == 0 or i + code > len(data):
            raise ValueError("cobs")
        out += data[i + 1:i + code]
        i += code
        if code != 255 and i < len(data):
            out.append(0)
    return bytes(out)


def text(s):
    return bytes([len(s)]) + s.encode()


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def get(self, fmt):
        values = struct.unpack_from("<" + fmt, self.data, self.at)
        self.at += struct.calcsize("<" + fmt)
        return values if len(values) > 1 else values[0]

    def text(self):
        n = self.get("B")
        self.at += n
        return self.data[self.at - n:self.at].decode()

    def rest(self):
        return self.data[self.at:]


def unpack(sample_type, data, channels):
    if sample_type == 1:
        flat = np.frombuffer(data, "<i2").astype(np.int32)
    elif sample_type == 2:
        b = np.frombuffer(data, np.uint8).reshape(-1, 3).astype(np.int32)
        flat = b[:, 0] | b[:, 1] << 8 | b[:, 2] << 16
        flat = flat - ((flat & 0x800000) << 1)
    else:
        flat = np.frombuffer(data, "<i4").astype(np.int32)
    return flat.reshape(-1, channels)


def pack(sample_type, counts):
    flat = np.ascontiguousarray(counts, "<i4").reshape(-1)
    n = SAMPLE_BYTES[sample_type]
    return flat.view(np.uint8).reshape(-1, 4)[:, :n].tobytes()


class FramePort:
    """Frames over a socket or file descriptor."""

    def __init__(self, fd):
        self.fd, self.sequence, self.buffer, self.damaged = fd, 0, b"", 0

    def send_bytes(self, data):
        while data:
            select.select([], [self.fd], [])
            data = data[os.write(self.fd, data):]

    def send(self, kind, payload=b""):
        body = struct.pack("<BH", kind, self.sequence & 0xFFFF) + payload
        self.sequence += 1
        self.send_bytes(cobs_encode(body + struct.pack("<I", crc32c(body))) + b"\0")

    def receive(self, timeout):
        """(type, sequence, payload) frames that came within `timeout` seconds."""
        if not select.select([self.fd], [], [], timeout)[0]:
            return []
        data = os.read(self.fd, 65536)
        if not data:
            raise EOFError("the board closed the line")
        *lines, self.buffer = (self.buffer + data).split(b"\0")
        frames = []
        for line in filter(None, lines):
            try:
                body = cobs_decode(line)
                assert len(body) >= 7 and crc32c(body[:-4]) == struct.unpack("<I", body[-4:])[0]
            except (ValueError, AssertionError):
                self.damaged += 1
                continue
            frames.append((body[0], body[1] | body[2] << 8, body[3:-4]))
        return frames


class Stream:
    """A stream as the device described it, and what came of it."""

    def __init__(self, r):
        self.index, self.name, self.kind = r.get("B"), r.text(), r.text()
        self.type, self.channels, self.rate_num, self.rate_den, self.batch, self.enabled, first, page = \
            r.get("BHIIHBHH")
        assert first == 0
        self.channel = [(r.text(), r.text()) + r.get("ff") for _ in range(page)]
        self.clear()

    def clear(self):
        self.blocks = []  # (first, time_us, discontinuity, counts [n, channels])

    def rows(self):
        return np.concatenate([b[3] for b in self.blocks]) if self.blocks else np.zeros((0, self.channels), int)

    def indices(self):
        parts = [np.arange(b[0], b[0] + len(b[3])) for b in self.blocks]
        return np.concatenate(parts) if parts else np.zeros(0, int)


class Device:
    """The host's side of the link."""

    def __init__(self, fd):
        self.port = FramePort(fd)
        self.tag, self.acks, self.hello, self.streams, self.models = 0, {}, None, [], []
        self.predictions, self.health, self.markers, self.heartbeats, self.hellos = [], None, [], 0, 0
        self.epoch, self.stale, self.sequences = None, 0, []
        self.injector = None  # served while waiting

    def pump(self, timeout=0.005):
        if self.injector:
            self.injector.serve()
        for kind, sequence, payload in self.port.receive(timeout):
            self.sequences.append(sequence)
            self.on_frame(kind, Reader(payload))

    def on_frame(self, kind, r):
        if kind == 0x01:
            self.hellos += 1
            magic, major, minor, boot = r.get("4sBBQ")
            assert magic == b"LKST"
            r.at += 8
            self.hello = dict(major=major, minor=minor, boot_id=boot, board=r.text(), firmware=r.text())
            keys = "streams models max_payload device_us reset_cause running epoch cost_kind".split()
            self.hello.update(zip(keys, r.get("BBHQBBBB")))
        elif kind == 0x02:
            self.streams.append(Stream(r))
        elif kind == 0x03:
            model, plan_id, name, inputs = r.get("B"), r.data[1:33], None, None
            r.at = 33
            name, inputs = r.text(), r.get("B")
            bound = [r.get("B") for _ in range(inputs)]
            active, stages = r.get("BB")
            self.models.append(dict(index=model, plan_id=plan_id, name=name, streams=bound, active=active, stages=stages))
        elif kind == 0x10:
            stream, flags, epoch, count, first, time_us = r.get("BBBHIQ")
            if epoch != self.epoch:
                self.stale += 1
                return
            s = self.streams[stream]
            counts = unpack(s.type, r.rest(), s.channels)
            assert len(counts) == count
            s.blocks.append((first, time_us, flags & 1, counts))
        elif kind == 0x11:
            model, epoch, plan, window, time_us, inputs = r.get("BB8sIQB")
            first = [r.get("I") for _ in range(inputs)]
            input_hash, output_hash, cost_kind, cost, n = r.get("IIBIB")
            scores = [r.get("f") for _ in range(n)]
            if epoch == self.epoch:
                self.predictions.append(dict(model=model, plan=plan, window=window, first=first, input_hash=input_hash,
                                             output_hash=output_hash, cost_kind=cost_kind, cost=cost, scores=scores))
        elif kind == 0x12:
            keys = "uptime_us tx_high rx_high stack_size stack_high bad_frames late skipped streams".split()
            self.health = dict(zip(keys, r.get("QHHIIIIIB")))
            self.health["stream"] = [r.get("II") for _ in range(self.health["streams"])]
        elif kind == 0x13:
            self.markers.append(r.get("QI") + (r.text(),))
        elif kind == 0x14:
            self.heartbeats += 1
        elif kind == 0x20:
            command, tag, code = r.get("BHB")
            self.acks.setdefault((command, tag), []).append((code, r.rest()))

    def command(self, kind, payload=b"", timeout=5.0, tag=None):
        """(code, detail) of the ack; repeats the command like a host does."""
        if tag is None:
            self.tag += 1
            tag = self.tag
        deadline = time.monotonic() + timeout
        before = len(self.acks.get((kind, tag), []))
        while time.monotonic() < deadline:
            self.port.send(kind, struct.pack("<H", tag) + payload)
            again = time.monotonic() + 1.0
            while time.monotonic() < min(again, deadline):
                self.pump()
                if len(self.acks.get((kind, tag), [])) > before:
                    return self.acks[kind, tag][-1]
        raise TimeoutError(f"no ack of {kind:#x}")

    def connect(self, nonce=0x1122334455667788):
        assert self.command(0x80, b"LKST" + struct.pack("<BBQ", 1, 0, nonce))[0] == 0
        self.describe()

    def describe(self):
        self.streams, self.models = [], []
        for i in range(self.hello["streams"]):
            assert self.command(0x86, struct.pack("<BH", i, 0))[0] == 0
        for i in range(self.hello["models"]):
            assert self.command(0x87, struct.pack("<BH", i, 0))[0] == 0

    def start(self):
        for s in self.streams:
            s.clear()
        self.predictions = []
        self.epoch = (self.hello["epoch"] + 1) % 256 if self.epoch is None else (self.epoch + 1) % 256
        code, detail = self.command(0x81)
        assert code == 0 and detail[0] == self.epoch, (code, detail)
        return struct.unpack("<Q", detail[1:9])[0]

    def run(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.pump()

    def run_samples(self, samples, stream=0, timeout=30):
        """Until so many samples of a stream came."""
        end = time.monotonic() + timeout
        while not self.streams[stream].blocks or self.streams[stream].blocks[-1][0] < samples:
            assert time.monotonic() < end, "the samples do not come"
            self.pump()

    def stop(self):
        """[(produced, dropped)] per stream."""
        code, detail = self.command(0x82, timeout=30)
        assert code == 0 and detail[0] == self.epoch
        return [struct.unpack_from("<II", detail, 2 + 8 * i) for i in range(detail[1])]

    def check_whole(self, ledger):
        """Every produced sample came, in order, once."""
        for s, (produced, dropped) in zip(self.streams, ledger):
            assert dropped == 0, (s.name, produced, dropped)
            assert np.array_equal(s.indices(), np.arange(produced)), (s.name, produced, len(s.indices()))


def read_recording(path):
    """({key: value}, counts [n, channels]) of a lockstep-recording."""
    head, skip = {}, 0
    with open(path) as f:
        for line in f:
            skip += 1
            if not line.startswith("#"):
                break
            key, value = line[1:].split(":", 1)
            head[key.strip()] = value.strip()
    return head, np.loadtxt(path, np.int32, delimiter=",", skiprows=skip, ndmin=2)


def demo_recordings(names=("eeg", "gsr", "imu", "ppg")):
    return [read_recording(SOURCE / "resources/recordings" / f"{n}.csv") for n in names]


class Injector:
    """Feeds recordings through the injection port; loops over them."""

    def __init__(self, fd, recordings, speed=1.0, gaps=None, loop=True):
        self.port, self.recordings, self.speed, self.loop = FramePort(fd), recordings, speed, loop
        self.gaps = gaps or {}  # stream: [(first, count)], in order
        self.run, self.sent, self.tables, self.table_due = None, [], 0, 0
        self.limit = [0] * len(recordings)

    def send_table(self):
        self.tables += 1
        self.table_due = time.monotonic() + 2
        self.port.send(0xC0, struct.pack("<BI", len(self.recordings), round(self.speed * 1000)))
        for i, (head, counts) in enumerate(self.recordings):
            names, units = head["channels"].split(","), head["unit"].split(",")
            scale, offset = head["scale"].split(","), head["offset"].split(",")
            sample_type = {"int16": 1, "int24": 2, "int32": 3, "float32": 4}[head["sample_type"]]
            for first in range(0, len(names), 24):
                page = range(first, min(first + 24, len(names)))
                payload = struct.pack("<IB", 0, i) + text(head["stream"]) + text(head["kind"])
                payload += struct.pack("<BHIIHBHH", sample_type, len(names), int(head["rate_hz"]), 1, 1, 1, first, len(page))
                for c in page:
                    payload += text(names[c]) + text(units[c]) + struct.pack("<ff", float(scale[c]), float(offset[c]))
                self.port.send(0xC1, payload)
        self.port.send(0xC2)

    def serve(self):
        for kind, _, payload in self.port.receive(0):
            r = Reader(payload)
            if kind == 0xC8:
                code, run, self.epoch, self.running = r.get("BBBB")
                if code == 6:
                    # Several may have waited; those from before the table mean nothing any more.
                    if self.run is not None or time.monotonic() > self.table_due:
                        self.run = None
                        self.send_table()
                else:
                    assert code == 0, code
                    self.run, self.sent, self.limit = run, [0] * len(self.recordings), [0] * len(self.recordings)
                    self.ended = set()
                    self.left = [list(self.gaps.get(i, [])) for i in range(len(self.recordings))]
            elif kind == 0xC9:
                run, n = r.get("BB")
                if run == self.run:
                    self.limit = [r.get("I") for _ in range(n)]
        if self.run is None:
            return
        for _ in range(8):
            if not any([self.feed(i) for i in range(len(self.recordings))]):
                break

    def feed(self, i):
        head, counts = self.recordings[i]
        at, left = self.sent[i], self.left[i]
        if left and left[0][0] == at:
            self.port.send(0xC4, struct.pack("<BBII", self.run, i, at, left[0][1]))
            self.sent[i] += left.pop(0)[1]
            return True
        sample_type = {"int16": 1, "int24": 2, "int32": 3, "float32": 4}[head["sample_type"]]
        fit = 1000 // (SAMPLE_BYTES[sample_type] * counts.shape[1])
        n = min(self.limit[i] - at, 20, fit, *([left[0][0] - at] if left else []))
        if not self.loop:
            n = min(n, len(counts) - at)
            if at == len(counts) and i not in self.ended:
                self.port.send(0xC5, struct.pack("<BBI", self.run, i, at))
                self.ended.add(i)
        if n <= 0:
            return False
        rows = counts[np.arange(at, at + n) % len(counts)]
        self.port.send(0xC3, struct.pack("<BBIH", self.run, i, at, n) + pack(sample_type, rows))
        self.sent[i] += n
        return True


class Board:
    """QEMU with one firmware image."""

    def __init__(self, name, elf=None):
        self.dir = tempfile.TemporaryDirectory(prefix="lockstep-test-")
        elf = elf or FIRMWARE / f"{name}.elf"
        path = lambda n: os.path.join(self.dir.name, n)
        command = ["qemu-system-arm", "-M", name, "-nodefaults", "-display", "none", "-monitor", "none",
                   "-qmp", f"unix:{path('q')},server=on,wait=off"]
        for n in ("u0", "u1"):
            command += ["-chardev", f"socket,id={n},path={path(n)},server=on,wait=off", "-serial", f"chardev:{n}"]
        self.process = subprocess.Popen(command + ["-kernel", str(elf)], stderr=subprocess.PIPE)
        self.uart0, self.uart1 = self.open(path("u0")), self.open(path("u1"))
        self.qmp_path = path("q")
        self.device = Device(self.uart0.fileno())

    def open(self, path):
        for _ in range(500):
            if self.process.poll() is not None:
                raise RuntimeError(self.process.stderr.read().decode())
            try:
                s = socket.socket(socket.AF_UNIX)
                s.connect(path)
                return s
            except OSError:
                time.sleep(0.01)
        raise TimeoutError(path)

    def inject(self, recordings, **options):
        """Feeds recordings; returns when the device has said hello with them."""
        self.device.injector = Injector(self.uart1.fileno(), recordings, **options)
        end, hellos = time.monotonic() + 20, self.device.hellos
        while self.device.injector.run is None or self.device.hellos == hellos:
            assert time.monotonic() < end, "the device did not take the table"
            self.device.pump()
        return self.device.injector

    def reset(self):
        s = self.open(self.qmp_path)
        f = s.makefile("rw")
        f.readline()
        for command in ("qmp_capabilities", "system_reset"):
            f.write(f'{{"execute": "{command}"}}\n')
            f.flush()
            f.readline()
        s.close()

    def close(self):
        self.process.kill()
        self.process.communicate()
        self.uart0.close()
        self.uart1.close()
        self.dir.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
