"""Writes a plan from Python, from docs/model_format.md: any operators, any numbers, right or wrong."""
import struct

FLOAT32, INT8, INT16 = 1, 2, 3
SIZES = {FLOAT32: 4, INT8: 1, INT16: 2}


def crc32c(data):
    if not TABLE:
        for i in range(256):
            for _ in range(8):
                i = i >> 1 ^ (0x82F63B78 if i & 1 else 0)
            TABLE.append(i)
    crc = 0xFFFFFFFF
    for b in data:
        crc = TABLE[(crc ^ b) & 255] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


TABLE = []


def aligned(data):
    return data + bytes(-len(data) % 16)


class Maker:
    """One input, float32 [1, 1, window, channels], tensor 0. Nothing shares a byte of the arena."""

    def __init__(self, window, channels):
        self.strings, self.tensors, self.operators, self.arena = b"\0", [], [], 0
        self.window, self.channels = window, channels
        self.tensor(FLOAT32, (1, 1, window, channels))

    def text(self, value):
        at = len(self.strings)
        self.strings += value.encode() + b"\0"
        return at

    def tensor(self, kind, shape, scale=1.0, zero=0):
        dims = tuple(shape) + (1,) * (4 - len(shape))
        self.tensors.append((kind, len(shape), 0, *dims, scale, zero, self.arena))
        size = SIZES[kind]
        for d in dims:
            size *= d
        self.arena += size + -size % 16
        return len(self.tensors) - 1

    def operator(self, code, inputs, output, params=b"", stage=None, kind=4):
        self.operators.append((code, list(inputs), output, params, stage or f"{len(self.operators)}:{code}", kind))
        return output

    def scores(self, source, count, kind):
        """Ends with `count` scores: the dequantised row `source`."""
        self.operator(71 if kind == INT16 else 3, [source], self.tensor(FLOAT32, (1, count)), stage="scores", kind=5)
        self.count = count

    def blob(self):
        stages = [self.text(op[4]) for op in self.operators]
        raw, samples, x = self.text("raw"), self.text("raw.samples"), self.text("x")
        strings = aligned(self.strings)
        strings = strings[:-1] + b"\0"
        out = bytearray(104)
        tables = {}

        def table(name, data, count):
            out.extend(bytes(-len(out) % 16))
            tables[name] = (len(out), count)
            out.extend(data)

        table("strings", strings, len(strings))
        base = tables["strings"][0]
        table("inputs", struct.pack("<8I2HI2H2I", base + raw, 100, 1, self.window, self.window, 0, 0, 0, self.channels, 0,
                                    0, 0, 0, base + samples, base), 1)
        table("channels", struct.pack("<II", base + x, base) * self.channels, self.channels)
        table("sections", b"", 0)
        table("tensors", b"".join(struct.pack("<BBH4HfiI", *t) for t in self.tensors), len(self.tensors))
        table("scores", struct.pack("<II", base + x, base) * self.count, self.count)
        data, at = b"", []
        for op in self.operators:
            at.append(len(data))
            data = aligned(data + op[3])
        table("data", data, len(data))
        records = b""
        for i, (code, inputs, output, params, _, kind) in enumerate(self.operators):
            four = (inputs + [0] * 4)[:4]
            records += struct.pack("<HBB4HHHIIIII", code, len(inputs), kind, *four, output, 0, base + stages[i],
                                   tables["data"][0] + at[i], len(params), 0, 0)
        table("operators", records, len(self.operators))
        table("provenance", b"", 0)
        names = ("inputs", "channels", "sections", "tensors", "operators", "scores", "strings", "data", "provenance")
        head = struct.pack("<8sHHIIIII", b"LSPLAN\0\0", 1, 0, len(out), 0, 0, base + x, self.arena)
        out[:104] = head + b"".join(struct.pack("<II", *tables[n]) for n in names)
        out[16:20] = struct.pack("<I", crc32c(out))
        return bytes(out)
