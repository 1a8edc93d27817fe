"""Writes TensorFlow Lite files from Python: tables, vectors and strings of a flatbuffer, each behind what names it."""
import struct

import numpy as np

INT32, INT64, INT16, INT8 = 2, 4, 7, 9
CODES = {np.dtype("int32"): INT32, np.dtype("int64"): INT64, np.dtype("int16"): INT16, np.dtype("int8"): INT8}


class Table:
    """fields: number -> (struct code, value), or what an offset leads to."""

    def __init__(self, **fields):
        self.fields = {int(k[1:]): v for k, v in fields.items() if v is not None}


class File:
    def __init__(self):
        self.out = bytearray(b"\0\0\0\0TFL3")

    def align(self, size, ahead=0):
        self.out += bytes(-(len(self.out) + ahead) % size)

    def put(self, value):
        if isinstance(value, Table):
            return self.table(value)
        if isinstance(value, str):
            self.align(4)
            at = len(self.out)
            self.out += struct.pack("<I", len(value)) + value.encode() + b"\0"
            return at
        if isinstance(value, list):
            self.align(4)
            at = len(self.out)
            self.out += struct.pack("<I", len(value)) + bytes(4 * len(value))
            for i, v in enumerate(value):
                self.point(at + 4 + 4 * i, self.put(v))
            return at
        value = np.asarray(value)
        self.align(max(4, value.itemsize), 4)
        at = len(self.out)
        self.out += struct.pack("<I", value.size) + value.tobytes()
        return at

    def point(self, place, target):
        struct.pack_into("<I", self.out, place, target - place)

    def table(self, t):
        count = max(t.fields, default=-1) + 1
        offsets, at = [0] * count, 4
        for n, v in sorted(t.fields.items()):
            size = struct.calcsize(v[0]) if isinstance(v, tuple) else 4
            at += -at % size
            offsets[n], at = at, at + size
        virtual = struct.pack(f"<HH{count}H", 4 + 2 * count, at, *offsets)
        self.align(4, len(virtual))
        start = len(self.out) + len(virtual)
        self.out += virtual + struct.pack("<i", len(virtual)) + bytes(at - 4)
        for n, v in t.fields.items():
            if isinstance(v, tuple):
                struct.pack_into("<" + v[0], self.out, start + offsets[n], v[1])
            else:
                self.point(start + offsets[n], self.put(v))
        return start


class Model:
    def __init__(self):
        self.tensors, self.operators, self.codes, self.buffers = [], [], [], [Table()]

    def tensor(self, kind, shape, scale=None, zero=0, data=None):
        if data is not None:
            self.buffers.append(Table(f0=np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)))
        scales = None if scale is None else np.atleast_1d(np.asarray(scale, np.float32))
        quantisation = None if scales is None else Table(f2=scales, f3=np.full(len(scales), zero, np.int64))
        self.tensors.append(Table(f0=np.asarray(shape, np.int32), f1=("b", kind),
                                  f2=("I", len(self.buffers) - 1 if data is not None else 0),
                                  f3=f"t{len(self.tensors)}", f4=quantisation))
        return len(self.tensors) - 1

    def constant(self, data, scale=None):
        return self.tensor(CODES[data.dtype], data.shape, scale, 0, data)

    def operator(self, builtin, inputs, output, **options):
        if builtin not in self.codes:
            self.codes.append(builtin)
        self.operators.append(Table(f0=("I", self.codes.index(builtin)), f1=np.asarray(inputs, np.int32),
                                    f2=np.asarray([output], np.int32), f3=("B", 1), f4=Table(**options)))
        return output

    def bytes(self, first, last):
        graph = Table(f0=self.tensors, f1=np.asarray([first], np.int32), f2=np.asarray([last], np.int32), f3=self.operators)
        codes = [Table(f0=("b", min(c, 127)), f3=("i", c)) for c in self.codes]
        f = File()
        root = f.table(Table(f0=("I", 3), f1=codes, f2=[graph], f4=self.buffers))
        f.point(0, root)
        return bytes(f.out)
