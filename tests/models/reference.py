"""A second implementation of the plan and its int8 and int16 arithmetic, in NumPy, from the written format.

It shares no code with the core: whole tensors at a time, 64-bit integers, gathers instead of loops.
`evaluate(plan, window)` gives every operator's output; a difference from the core's names its stage.
"""
import math
import struct

import numpy as np

TYPES = {1: np.float32, 2: np.int8, 3: np.int16, 4: np.int32}
I64 = np.int64


class Plan:
    def __init__(self, blob):
        self.blob = blob
        magic, self.major, self.minor, size, self.crc, self.flags, name, self.arena = \
            struct.unpack_from("<8sHHIIIII", blob, 0)
        assert magic == b"LSPLAN\0\0" and self.major == 1 and size == len(blob)
        tables = [struct.unpack_from("<II", blob, 32 + 8 * i) for i in range(9)]
        inputs, _, _, tensors, operators, scores, _, _, _ = tables
        self.name = self.text(name)
        first = struct.unpack_from("<8I2HI2H2I", blob, inputs[0])
        self.kind, self.window, self.channels, self.input_tensor = self.text(first[0]), first[3], first[8], first[11]
        self.tensors = []
        for i in range(tensors[1]):
            kind, rank, _, d0, d1, d2, d3, scale, zero, _ = struct.unpack_from("<BBH4HfiI", blob, tensors[0] + 24 * i)
            self.tensors.append({"type": TYPES[kind], "shape": (d0, d1, d2, d3)[:rank],
                                 "scale": np.float32(scale), "zero": zero})
        self.operators = []
        for i in range(operators[1]):
            r = struct.unpack_from("<HBB4HHHIIIII", blob, operators[0] + 36 * i)
            self.operators.append({"code": r[0], "inputs": r[3:3 + r[1]], "output": r[7], "stage": self.text(r[9]),
                                   "params": blob[r[10]:r[10] + r[11]]})
        self.scores = [self.text(struct.unpack_from("<II", blob, scores[0] + 8 * i)[0]) for i in range(scores[1])]

    def text(self, at):
        return self.blob[at:self.blob.index(b"\0", at)].decode()


def divide_power_of_two(x, n):
    """x / 2**n to nearest, ties away from zero."""
    half = np.where(n > 0, I64(1) << np.maximum(n - 1, 0), 0)
    return np.sign(x) * ((np.abs(x) + half) >> n)


def rescale(x, multiplier, shift):
    """x * multiplier * 2**(shift-31), rounded twice; x int64 that fits int32, the rest broadcast."""
    multiplier, shift = np.asarray(multiplier, I64), np.asarray(shift, I64)
    x = (x << np.maximum(shift, 0)).astype(np.int32).astype(I64)
    high = np.floor_divide(x * multiplier + (1 << 30), 1 << 31)
    return divide_power_of_two(high, np.maximum(-shift, 0))


def to_int8(x, zero, low=-128, high=127):
    return np.clip(x + zero, low, high).astype(np.int8)


def ints(params, count, at=0):
    return np.frombuffer(params, "<i4", count, at).astype(I64)


def patches(x, window, out_h, out_w, fill):
    """x [h, w, c] -> [out_h, out_w, kh, kw, c]; cells outside are `fill`."""
    kh, kw, sh, sw, dh, dw, top, left = (int(v) for v in window)
    rows = np.arange(out_h)[:, None] * sh - top + np.arange(kh)[None, :] * dh
    columns = np.arange(out_w)[:, None] * sw - left + np.arange(kw)[None, :] * dw
    inside = (((rows >= 0) & (rows < x.shape[0]))[:, None, :, None]
              & ((columns >= 0) & (columns < x.shape[1]))[None, :, None, :])
    picked = x[np.clip(rows, 0, x.shape[0] - 1)[:, None, :, None], np.clip(columns, 0, x.shape[1] - 1)[None, :, None, :]]
    return np.where(inside[..., None], picked, fill), inside


def layer(params, head, channels):
    bias, multiplier, shift = (ints(params, channels, head + 4 * channels * k) for k in range(3))
    return bias, multiplier, shift, np.frombuffer(params, np.int8, -1, head + 12 * channels).astype(I64)


def conv2d(op, x, xt, yt):
    p, (_, oh, ow, oc) = op["params"], yt["shape"]
    bias, m, s, w = layer(p, 48, oc)
    window = ints(p, 10)
    cells, _ = patches(x[0].astype(I64), window[:8], oh, ow, xt["zero"])
    taps = int(window[0] * window[1]) * x.shape[3]
    acc = cells.reshape(oh * ow, taps) @ w[:oc * taps].reshape(oc, taps).T + bias
    return to_int8(rescale(acc, m, s), yt["zero"], window[8], window[9]).reshape(yt["shape"])


def depthwise(op, x, xt, yt):
    p, (_, oh, ow, oc) = op["params"], yt["shape"]
    bias, m, s, w = layer(p, 48, oc)
    window = ints(p, 10)
    kh, kw = int(window[0]), int(window[1])
    cells, _ = patches(x[0].astype(I64), window[:8], oh, ow, xt["zero"])
    cells = np.repeat(cells, oc // x.shape[3], axis=-1)
    acc = (cells * w[:kh * kw * oc].reshape(kh, kw, oc)).sum(axis=(2, 3)) + bias
    return to_int8(rescale(acc, m, s), yt["zero"], window[8], window[9]).reshape(yt["shape"])


def fully_connected(op, x, xt, yt):
    out = int(np.prod(yt["shape"]))
    bias, m, s, w = layer(op["params"], 16, out)
    low, high = ints(op["params"], 2)
    acc = w[:out * x.size].reshape(out, x.size) @ x.reshape(-1).astype(I64) + bias
    return to_int8(rescale(acc, m, s), yt["zero"], low, high).reshape(yt["shape"])


def max_pool(op, x, xt, yt):
    p = ints(op["params"], 10)
    cells, _ = patches(x[0].astype(I64), p[:8], yt["shape"][1], yt["shape"][2], -128)
    return np.clip(cells.max(axis=(2, 3)), p[8], p[9]).astype(np.int8).reshape(yt["shape"])


def away(total, count):
    """total / count to nearest, ties away from zero."""
    return np.sign(total) * ((np.abs(total) + count // 2) // count)


def average_pool(op, x, xt, yt):
    p = ints(op["params"], 10)
    cells, inside = patches(x[0].astype(I64), p[:8], yt["shape"][1], yt["shape"][2], 0)
    count = np.broadcast_to(inside[..., None], cells.shape).sum(axis=(2, 3))
    return np.clip(away(cells.sum(axis=(2, 3)), count), p[8], p[9]).astype(np.int8).reshape(yt["shape"])


def mean(op, x, xt, yt):
    m, s = ints(op["params"], 2)
    total = (x[0].astype(I64) - xt["zero"]).sum(axis=(0, 1))
    return to_int8(away(rescale(total, m, s), x.shape[1] * x.shape[2]), yt["zero"]).reshape(yt["shape"])


def softmax(op, x, xt, yt):
    """Not bit for bit: the exact function, to be compared within one step."""
    real = x.astype(np.float64) * float(xt["scale"])
    e = np.exp(real - real.max(axis=-1, keepdims=True))
    return to_int8(np.round(e / e.sum(axis=-1, keepdims=True) * 256).astype(I64), -128)


def add(op, inputs, tensors, yt):
    m1, m2, s1, s2, mo, so, low, high, subtract = ints(op["params"], 9)
    a, b = ((x.astype(I64) - t["zero"]) * (1 << 20) for x, t in zip(inputs, tensors))
    a, b = rescale(a, m1, s1), rescale(b.reshape(b.shape if b.size == a.size else -1), m2, s2)
    return to_int8(rescale(a - b if subtract else a + b, mo, so), yt["zero"], low, high)


def mul(op, inputs, tensors, yt):
    m, s, low, high = ints(op["params"], 4)
    a, b = (x.astype(I64) - t["zero"] for x, t in zip(inputs, tensors))
    return to_int8(rescale(a * b.reshape(b.shape if b.size == a.size else -1), m, s), yt["zero"], low, high)


def four(x):
    return x.reshape(tuple(x.shape) + (1,) * (4 - x.ndim))


def quantise(op, x, xt, yt):
    v = x.astype(np.float32) / yt["scale"]
    q = np.sign(v) * np.floor(np.abs(v.astype(np.float64)) + 0.5)
    return to_int8(q.astype(I64), yt["zero"])


def normalise(op, x, xt, yt):
    p = np.frombuffer(op["params"], "<f4")
    c = x.shape[-1]
    return (x - p[:c]) / p[c:2 * c]


TANH = np.minimum(np.round(np.tanh(np.arange(257) / 32) * 32768), 32767).astype(I64)


def tanh15(v):
    """Q3.12 -> Q0.15, the table of every 1/32 with a line between."""
    size = np.abs(v)
    i = size >> 7
    step = np.append(np.diff(TANH), 0)[i]
    return np.where(v < 0, -1, 1) * (TANH[i] + ((step * (size & 127) + 64) >> 7))


def sigmoid15(v):
    return np.clip((32769 + tanh15(np.sign(v) * (np.abs(v) >> 1))) >> 1, -32768, 32767)


def recurrent(op, x, xt, yt):
    """models/core/ops/recurrent.h, gate by gate in whole rows."""
    p, gates = op["params"], {26: 3, 27: 4}[op["code"]]
    hidden, reverse, last_only, reset_first = (int(v) for v in ints(p, 4))
    rows, inputs = gates * hidden, x.shape[-1]
    bias_x, bias_h, mx, sx, mh, sh = ints(p, 6 * rows, 16).reshape(6, rows)
    weights = np.frombuffer(p, np.int8, rows * (inputs + hidden), 16 + 24 * rows).astype(I64)
    wx, wh = weights[:rows * inputs].reshape(rows, inputs), weights[rows * inputs:].reshape(rows, hidden)
    to16 = lambda v: np.clip(v, -32768, 32767)
    steps = x.reshape(-1, inputs).astype(I64)
    h, narrow, cell = np.zeros(hidden, I64), np.zeros(hidden, I64), np.zeros(hidden, I64)
    out = np.zeros((len(steps), hidden), np.int8)
    for t in range(len(steps))[::-1 if reverse else 1]:
        a = to16(rescale(bias_x + wx @ steps[t], mx, sx)).reshape(gates, hidden)
        b = to16(rescale(bias_h + wh @ narrow, mh, sh)).reshape(gates, hidden)
        both = to16(a + b)
        if gates == 3:
            z, reset = sigmoid15(both[0]), sigmoid15(both[1])
            inner = divide_power_of_two(reset * b[2], np.array(15))
            if reset_first:
                left = divide_power_of_two(divide_power_of_two(reset * h, np.array(15)), np.array(8))
                new = slice(2 * hidden, 3 * hidden)
                inner = to16(rescale(bias_h[new] + wh[new] @ np.clip(left, -128, 127), mh[new], sh[new]))
            fresh = tanh15(to16(a[2] + inner))
            h = to16(fresh + divide_power_of_two(z * (h - fresh), np.array(15)))
        else:
            i, o, f, g = sigmoid15(both[0]), sigmoid15(both[1]), sigmoid15(both[2]), tanh15(both[3])
            cell = to16(divide_power_of_two(f * cell, np.array(15)) + divide_power_of_two(i * g, np.array(19)))
            h = to16(divide_power_of_two(o * tanh15(to16(cell * 2)), np.array(15)))
        narrow = np.clip(divide_power_of_two(h, np.array(8)), -128, 127)
        out[t] = narrow
        last = t
    return (out[last] if last_only else out).reshape(yt["shape"])


def rescale_wide(acc, multiplier, shift):
    """acc * multiplier / 2**shift, halves up; exact in Python's own integers."""
    shift = np.broadcast_to(np.asarray(shift, object), acc.shape)
    return (acc.astype(object) * np.asarray(multiplier, object) + (1 << (shift - 1))) >> shift


def to_int16(x, low=-32768, high=32767):
    return np.clip(x, int(low), int(high)).astype(np.int16)


def wide_layer(params, head, channels):
    bias = np.frombuffer(params, "<i8", channels, head)
    multiplier, shift = (ints(params, channels, head + (8 + 4 * k) * channels) for k in range(2))
    return bias, multiplier, shift, np.frombuffer(params, np.int8, -1, head + 16 * channels).astype(I64)


def conv2d16(op, x, xt, yt):
    p, (_, oh, ow, oc) = op["params"], yt["shape"]
    bias, m, s, w = wide_layer(p, 48, oc)
    window = ints(p, 10)
    taps = int(window[0] * window[1]) * x.shape[3]
    cells, _ = patches(x[0].astype(I64), window[:8], oh, ow, 0)
    acc = cells.reshape(oh * ow, taps) @ w[:oc * taps].reshape(oc, taps).T + bias
    return to_int16(rescale_wide(acc, m, s), window[8], window[9]).reshape(yt["shape"])


def depthwise16(op, x, xt, yt):
    p, (_, oh, ow, oc) = op["params"], yt["shape"]
    bias, m, s, w = wide_layer(p, 48, oc)
    window = ints(p, 10)
    kh, kw = int(window[0]), int(window[1])
    cells, _ = patches(x[0].astype(I64), window[:8], oh, ow, 0)
    cells = np.repeat(cells, oc // x.shape[3], axis=-1)
    acc = (cells * w[:kh * kw * oc].reshape(kh, kw, oc)).sum(axis=(2, 3)) + bias
    return to_int16(rescale_wide(acc, m, s), window[8], window[9]).reshape(yt["shape"])


def fully_connected16(op, x, xt, yt):
    out = int(np.prod(yt["shape"]))
    bias, m, s, w = wide_layer(op["params"], 16, out)
    acc = w[:out * x.size].reshape(out, x.size) @ x.reshape(-1).astype(I64) + bias
    return to_int16(rescale_wide(acc, m, s), *ints(op["params"], 2)).reshape(yt["shape"])


def max_pool16(op, x, xt, yt):
    p = ints(op["params"], 10)
    cells, _ = patches(x[0].astype(I64), p[:8], yt["shape"][1], yt["shape"][2], -32768)
    return to_int16(cells.max(axis=(2, 3)), p[8], p[9]).reshape(yt["shape"])


def average_pool16(op, x, xt, yt):
    p = ints(op["params"], 10)
    cells, inside = patches(x[0].astype(I64), p[:8], yt["shape"][1], yt["shape"][2], 0)
    count = np.broadcast_to(inside[..., None], cells.shape).sum(axis=(2, 3))
    return to_int16(away(cells.sum(axis=(2, 3)), count), p[8], p[9]).reshape(yt["shape"])


def mean16(op, x, xt, yt):
    m, s = ints(op["params"], 2)
    total = x[0].astype(I64).sum(axis=(0, 1))
    return to_int16(away(rescale(total, m, s), x.shape[1] * x.shape[2])).reshape(yt["shape"])


def add16(op, inputs, tensors, yt):
    m1, m2, s1, s2, mo, so, low, high, subtract = ints(op["params"], 9)
    a, b = (x.astype(I64) << 15 for x in inputs)
    a, b = rescale(a, m1, s1), rescale(b.reshape(b.shape if b.size == a.size else -1), m2, s2)
    return to_int16(rescale(a - b if subtract else a + b, mo, so), low, high)


def mul16(op, inputs, tensors, yt):
    m, s, low, high = ints(op["params"], 4)
    a, b = (x.astype(I64) for x in inputs)
    return to_int16(rescale(a * b.reshape(b.shape if b.size == a.size else -1), m, s), low, high)


def requantise(op, x, xt, yt):
    m, s, low, high = ints(op["params"], 4)
    y = rescale(x.astype(I64) - xt["zero"], m, s) + yt["zero"]
    return np.clip(y, low, high).astype(yt["type"]).reshape(yt["shape"])


def on_curve(table, q):
    """512 steps of 128 with a line between."""
    at, part = np.divmod(q + 32768, 128)
    return table[at] + ((np.diff(table)[at] * part + 64) >> 7)


def curve(op, x, xt, yt):
    table = np.frombuffer(op["params"], "<i2", 513).astype(I64)
    return on_curve(table, x.astype(I64)).astype(np.int16).reshape(yt["shape"])


def octaves(op, x, xt, yt):
    """Lines of one step below 64, then 32 in each octave."""
    rows = np.frombuffer(op["params"], "<i2", 2 * 353).astype(I64).reshape(2, 353)
    ends = np.concatenate([np.arange(64)] + [np.arange(32, 64) << k for k in range(1, 10)] + [[32768]])
    size = np.abs(x.astype(I64))
    i = np.searchsorted(ends, size, "right") - 1
    n = np.minimum(i + 1, 352)
    width = np.maximum(ends[n] - ends[i], 1)
    row = (x < 0).astype(int)
    y = rows[row, i] + ((rows[row, n] - rows[row, i]) * (size - ends[i]) + width // 2) // width
    return y.astype(np.int16).reshape(yt["shape"])


# sigmoid(i / 24) * 65536 as TFLite tabulates it: to nearest, but for these entries, which are one larger.
SIGMOID = np.minimum(np.round(65536 / (1 + np.exp(-np.arange(256) / 24))), 65535).astype(I64)
SIGMOID[:255][[4, 8, 12, 14, 15, 16, 17, 19, 20, 21, 22, 25, 27, 28, 29, 30, 31, 33, 34, 35, 37, 39, 40, 41, 43, 44, 45,
               46, 49, 50, 54, 62, 63, 64, 66, 82, 86, 93, 100, 103, 112, 116, 135]] += 1
SIGMOID[255] = 65535


def sigmoid16(op, x, xt, yt):
    multiplier, shift, tanh = (int(v) for v in ints(op["params"], 3))
    v = (x.astype(I64) * multiplier + (1 << shift >> 1)) >> shift
    bits = 8 if tanh else 9
    at, part = np.divmod(np.abs(v), 1 << bits)
    line = (SIGMOID[np.minimum(at, 254)] << bits) + part * np.diff(SIGMOID)[np.minimum(at, 254)]
    y = np.where(at >= 255, 0xFFFF << 8 if tanh else 0x7FFF << 10, line)
    if tanh:
        y = np.where(v >= 0, y - (1 << 23) + 128, (1 << 23) - y + 127) >> 8
    else:
        y = np.where(v >= 0, y + 512, (1 << 25) - y + 511) >> 10
    return y.astype(np.int16).reshape(yt["shape"])


def softmax16(op, x, xt, yt):
    p = op["params"]
    m, s = ints(p, 2)
    exponential = np.frombuffer(p, "<i2", 513, 16).astype(I64)
    reciprocal = np.frombuffer(p, "<i2", 513, 16 + 2 * 514).astype(I64)
    rows = x.reshape(-1, x.shape[-1]).astype(I64)
    out = []
    for row in rows:
        e = on_curve(exponential, np.clip(rescale(row - row.max(), m, s) + 32767, -32768, 32767))
        total = int(e.sum())
        bits = total.bit_length()  # total = 1.x * 2**(bits - 1)
        one = ((total << (31 - bits)) + (1 << 13)) >> 14
        scale = int(on_curve(reciprocal, np.array([min(max(one - 98304, -32768), 32767)]))[0])
        out.append(np.clip((e * scale + (1 << (bits - 2))) >> (bits - 1), 0, 32767))
    return np.array(out).astype(np.int16).reshape(yt["shape"])


def quantise16(op, x, xt, yt):
    with np.errstate(invalid="ignore", over="ignore"):
        v = np.nan_to_num((x.astype(np.float32) / yt["scale"]).astype(np.float64), nan=0, posinf=1e9, neginf=-1e9)
    return to_int16(np.sign(v) * np.floor(np.abs(np.clip(v, -1e9, 1e9)) + 0.5))


WIDE = {70: quantise16, 72: requantise, 73: conv2d16, 74: depthwise16, 75: fully_connected16, 76: max_pool16,
        77: average_pool16, 78: mean16, 81: curve, 82: sigmoid16, 83: softmax16, 84: octaves}


def run_operator(plan, op, values):
    inputs = [values[i] for i in op["inputs"]]
    tensors = [plan.tensors[i] for i in op["inputs"]]
    yt, p = plan.tensors[op["output"]], op["params"]
    x, xt = inputs[0], tensors[0]
    single = {1: normalise, 2: quantise, 10: conv2d, 11: depthwise, 12: fully_connected, 13: max_pool,
              14: average_pool, 15: mean, 16: softmax, 26: recurrent, 27: recurrent}
    code = op["code"]
    if code in single:
        return single[code](op, x, xt, yt)
    if code in WIDE:
        return WIDE[code](op, x, xt, yt)
    if code == 79:
        return add16(op, inputs, tensors, yt)
    if code == 80:
        return mul16(op, inputs, tensors, yt)
    if code in (3, 71):
        return (x.astype(np.float32) - np.float32(xt["zero"])) * xt["scale"]
    if code == 17:
        return add(op, inputs, tensors, yt)
    if code == 18:
        return mul(op, inputs, tensors, yt)
    if code == 19:
        return np.concatenate([four(v) for v in inputs], axis=int(ints(p, 1)[0])).reshape(yt["shape"])
    if code == 20:
        before = ints(p, 4)
        amounts = [(int(b), int(o - i - b)) for b, o, i in zip(before, yt["shape"], x.shape)]
        return np.pad(x, amounts, constant_values=xt["zero"])
    if code == 21:
        return x.reshape(yt["shape"])
    if code == 22:
        return np.frombuffer(p, np.int8)[x.astype(I64) + 128].reshape(yt["shape"])
    if code == 23:
        return four(x).transpose([int(a) for a in ints(p, 4)]).reshape(yt["shape"])
    if code == 25:
        return np.array(x.reshape(-1).argmax(), np.int8).reshape(yt["shape"])
    if code == 24:
        return four(x)[tuple(slice(int(b), int(b) + n) for b, n in zip(ints(p, 4), four(np.empty(yt["shape"])).shape))] \
            .reshape(yt["shape"])
    raise ValueError(f"operator {code}")


def evaluate(plan, window):
    """window float32 [time, channels] -> list of (stage name, operator number, output)."""
    values = {plan.input_tensor: window.astype(np.float32).reshape(1, 1, plan.window, plan.channels)}
    stages = []
    for op in plan.operators:
        y = run_operator(plan, op, values)
        yt = plan.tensors[op["output"]]
        assert y.dtype == yt["type"] and tuple(y.shape) == tuple(yt["shape"]), (op["stage"], y.dtype, y.shape)
        values[op["output"]] = y
        stages.append((op["stage"], op["code"], y))
    return stages


def split_stages(plan, raw):
    """The core's bytes of one window -> outputs in the order of the operators, and what is left."""
    out = []
    for op in plan.operators:
        t = plan.tensors[op["output"]]
        n = math.prod(t["shape"]) * np.dtype(t["type"]).itemsize
        out.append(np.frombuffer(raw[:n], t["type"]).reshape(t["shape"]))
        raw = raw[n:]
    return out, raw


def compare(plan, window, raw):
    """Asserts that the core's stages are the reference's; returns what is left of `raw`."""
    got, rest = split_stages(plan, raw)
    values = {plan.input_tensor: window.astype(np.float32).reshape(1, 1, plan.window, plan.channels)}
    for op, core in zip(plan.operators, got):
        y = run_operator(plan, op, values)
        if op["code"] == 16:
            assert np.abs(core.astype(int) - y.astype(int)).max() <= 1, op["stage"]
        else:
            assert core.tobytes() == np.ascontiguousarray(y).tobytes(), \
                f'stage "{op["stage"]}", operator {op["code"]}: {np.sum(core != y)} of {core.size} differ'
        values[op["output"]] = core  # so that a difference shows at its own stage only
    return rest
