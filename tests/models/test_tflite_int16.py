"""TensorFlow Lite models of 16-bit activations, 8-bit weights and 64-bit biases: random networks of every operator, their
outputs computed here from the scales of the file by TFLite's rules, in NumPy, and by the plan: the same bits."""
import math
import os
import subprocess
import tempfile

import numpy as np

import reference as ref
from tflite_maker import INT8, INT16, Model

LOCKSTEP = os.environ["LOCKSTEP"]
I64, F32 = np.int64, np.float32
ADD, AVERAGE, CONCAT, CONV, DEPTHWISE, DENSE, LOGISTIC, MAX, MUL, RELU, RELU6, RESHAPE, SOFTMAX, TANH, PAD, TRANSPOSE, \
    MEAN, SUB, QUANTIZE = 0, 1, 2, 3, 4, 9, 14, 17, 18, 19, 21, 22, 25, 28, 34, 39, 40, 41, 114
BOUNDS = {0: (None, None), 1: (0, None), 2: (-1, 1), 3: (0, 6)}


def multiplier(real):
    q, shift = math.frexp(real)
    m = int(math.floor(q * (1 << 31) + 0.5))
    if m == 1 << 31:
        m, shift = m >> 1, shift + 1
    return (0, 0) if shift < -31 else (m, shift)


def by_64_bits(acc, reals):
    """MultiplyByQuantizedMultiplier of an int64."""
    out = []
    for column, real in zip(np.moveaxis(acc.astype(object), -1, 0), reals):
        m, shift = multiplier(real)
        m = (m + (1 << 15)) >> 16 if m < 0x7FFF0000 else 0x7FFF
        out.append((column * m + (1 << (14 - shift))) >> (15 - shift))
    return np.stack(out, -1)


def by_32_bits(x, real):
    return ref.rescale(x, *multiplier(real))


def limits(scale, activation):
    low, high = BOUNDS[activation]
    step = lambda v, otherwise: otherwise if v is None else int(np.clip(np.round(F32(v) / F32(scale)), -32768, 32767))
    return step(low, -32768), step(high, 32767)


def sixteen(x, scale=1.0, activation=0):
    return np.clip(x, *limits(scale, activation)).astype(np.int16)


def rounded(v):
    return np.sign(v) * np.floor(np.abs(v) + F32(0.5))


def table(first, step, function):
    """LUTPopulate in float32: 513 entries, each moved by half of a straight line's error in the middle."""
    inverse = F32(65536) / (F32(2) / F32(65535) * F32(32767) - F32(2) / F32(65535) * F32(-32768))
    i = np.arange(513, dtype=F32)
    value = function(first + i * step).astype(F32)
    half = function(first + i[:512] * step + step / F32(2)).astype(F32)
    here = rounded(value * inverse)
    middle = rounded((value[1:] * inverse + here[:512]) / F32(2))
    here[:512] -= rounded((middle - rounded(half * inverse)) / F32(2))
    return np.clip(here, -32768, 32767).astype(I64)


TENTH, UNIT = F32(10) / F32(65535), F32(1) / F32(65535)
EXPONENTIAL = table(TENTH * F32(-65535), (TENTH * F32(0) - TENTH * F32(-65535)) / F32(512),
                    lambda v: np.exp(v.astype(np.float64)).astype(F32))
RECIPROCAL = table(UNIT * F32(0), UNIT * F32(65535) / F32(512), lambda v: F32(1) / (F32(1) + v))


class Network:
    """One tensor after another: the file, and beside each the values for the given inputs."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.model, self.scale, self.value = Model(), {}, {}
        self.used = set()

    def pick(self, low, high):
        return int(self.rng.integers(low, high + 1))

    def a_scale(self, magnitude=1.0):
        return float(F32(magnitude * self.rng.uniform(0.5, 2) / 32768))

    def tensor(self, value, scale):
        t = self.model.tensor(INT16 if value.dtype == np.int16 else INT8, value.shape[1:], scale)
        self.scale[t], self.value[t] = scale, value
        return t

    def operator(self, builtin, inputs, value, scale, extra=(), **options):
        out = self.tensor(value, scale)
        self.used.add(builtin)
        return self.model.operator(builtin, [*inputs, *extra], out, **options)

    def input(self, count):
        shape = (count, 1, self.pick(1, 5), self.pick(6, 20), self.pick(1, 6))
        values = self.rng.integers(-32768, 32768, shape).astype(np.int16)
        values[0] = self.rng.choice(np.array([-32768, 32767], np.int16), shape[1:])
        values[1:3] = (values[1:3] / 64).astype(np.int16)
        return self.tensor(values, self.a_scale())

    def windowed(self, x, kernel, stride, same):
        h, w = x.shape[2:4]
        size = [(-(-n // s), max(0, (-(-n // s) - 1) * s + k - n) // 2) if same else ((n - k) // s + 1, 0)
                for n, k, s in zip((h, w), kernel, stride)]
        window = (*kernel, *stride, 1, 1, size[0][1], size[1][1])
        return window, size[0][0], size[1][0]

    def weights(self, shape, axis):
        w = self.rng.integers(-127, 128, shape).astype(np.int8)
        if self.rng.random() < 0.2:
            w = self.rng.choice(np.array([-127, 127], np.int8), shape)
        scales = self.rng.uniform(0.2, 3, shape[axis]).astype(F32) / F32(127)
        return w, scales

    def out_scale(self, acc, reals):
        """A scale that the results fill, or leave by far."""
        largest = float(np.abs(acc.astype(np.float64) * reals).max()) + 1e-9
        return float(F32(largest / 32767 * self.rng.choice([0.3, 1.0, 1.0, 9.0])))

    def layer(self, t, builtin):
        x, s, n = self.value[t], self.scale[t], len(self.value[t])
        activation = self.pick(0, 3) if self.rng.random() < 0.5 else 0
        if builtin in (CONV, DEPTHWISE):
            h, w, c = x.shape[2:]
            kernel, stride = (self.pick(1, min(h, 3)), self.pick(1, min(w, 7))), (self.pick(1, 2), self.pick(1, 3))
            same = bool(self.pick(0, 1))
            window, oh, ow = self.windowed(x, kernel, stride, same)
            oc = self.pick(1, 8) if builtin == CONV else c * self.pick(1, 2)
            weights, scales = self.weights((oc, *kernel, c) if builtin == CONV else (1, *kernel, oc),
                                           0 if builtin == CONV else 3)
            bias = self.rng.integers(-(1 << 20), 1 << 20, oc).astype(I64) << self.pick(0, 9)
            rows = []
            for one in x:
                cells, _ = ref.patches(one[0].astype(I64), window, oh, ow, 0)
                if builtin == CONV:
                    rows.append(np.einsum("hwabc,oabc->hwo", cells, weights.astype(I64)))
                else:
                    rows.append((np.repeat(cells, oc // c, -1) * weights[0].astype(I64)).sum((2, 3)))
            acc = np.stack(rows)[:, None] + bias
            reals = np.float64(F32(s)) * scales.astype(np.float64)
            scale = self.out_scale(acc, reals)
            y = sixteen(by_64_bits(acc, reals / np.float64(F32(scale))), scale, activation)
            extra = [self.model.constant(weights, scales), self.model.constant(bias)]
            options = dict(f0=("b", 0 if same else 1), f1=("i", stride[1]), f2=("i", stride[0]))
            options["f3" if builtin == CONV else "f4"] = ("b", activation)
            if builtin == DEPTHWISE:
                options["f3"] = ("i", oc // c)
            return self.operator(builtin, [t], y, scale, extra, **options)
        if builtin == DENSE:
            flat, out = x.reshape(n, -1), self.pick(2, 9)
            row = self.operator(RESHAPE, [t], flat[:, None], s)
            weights, scales = self.weights((out, flat.shape[1]), 0)
            one = bool(self.pick(0, 1))
            scales = scales[:1] if one else scales
            bias = self.rng.integers(-(1 << 20), 1 << 20, out).astype(I64)
            acc = flat.astype(I64) @ weights.T.astype(I64) + bias
            reals = np.full(out, np.float64(F32(s) * scales[0])) if one else np.float64(F32(s)) * scales.astype(np.float64)
            scale = self.out_scale(acc, reals)
            y = sixteen(by_64_bits(acc, reals / np.float64(F32(scale))), scale, activation)
            extra = [self.model.constant(weights, scales)] + ([self.model.constant(bias)])
            return self.operator(DENSE, [row], y[:, None], scale, extra, f0=("b", activation))
        if builtin in (MAX, AVERAGE):
            h, w = x.shape[2:4]
            kernel, stride = (self.pick(1, min(h, 3)), self.pick(1, min(w, 5))), (self.pick(1, 2), self.pick(1, 3))
            same = bool(self.pick(0, 1))
            window, oh, ow = self.windowed(x, kernel, stride, same)
            rows = []
            for one in x:
                cells, inside = ref.patches(one[0].astype(I64), window, oh, ow, -32768 if builtin == MAX else 0)
                count = np.broadcast_to(inside[..., None], cells.shape).sum((2, 3))
                rows.append(cells.max((2, 3)) if builtin == MAX else ref.away(cells.sum((2, 3)), count))
            y = sixteen(np.stack(rows)[:, None], s, activation)
            return self.operator(builtin, [t], y, s, f0=("b", 0 if same else 1), f1=("i", stride[1]), f2=("i", stride[0]),
                                 f3=("i", kernel[1]), f4=("i", kernel[0]), f5=("b", activation))
        if builtin in (ADD, SUB, MUL):
            other = self.layer(t, RELU)
            a, b, so = x.astype(I64), self.value[other].astype(I64), self.scale[other]
            if builtin == MUL:
                scale = self.a_scale(32768.0 * s * so * 20000)
                y = by_32_bits(a * b, np.float64(F32(s)) * np.float64(F32(so)) / np.float64(F32(scale)))
                return self.operator(MUL, [t, other], sixteen(y, scale, activation), scale, f0=("b", activation))
            twice = 2 * np.float64(max(F32(s), F32(so)))
            scale = float(F32(max(s, so) * self.rng.uniform(0.7, 2.5)))
            a = by_32_bits(a << 15, np.float64(F32(s)) / twice)
            b = by_32_bits(b << 15, np.float64(F32(so)) / twice)
            y = by_32_bits(a + b if builtin == ADD else a - b, twice / ((1 << 15) * np.float64(F32(scale))))
            return self.operator(builtin, [t, other], sixteen(y, scale, activation), scale, f0=("b", activation),
                                 f1=("b", 0))
        if builtin in (RELU, RELU6):
            scale = float(F32(s * self.rng.uniform(0.4, 3)))
            y = by_32_bits(x.astype(I64), np.float64(F32(s) / F32(scale)))
            return self.operator(builtin, [t], sixteen(y, scale, 1 if builtin == RELU else 3), scale)
        if builtin == QUANTIZE:
            small_scale, zero = float(F32(s * 200)), self.pick(-100, 100)
            small = by_32_bits(x.astype(I64), np.float64(F32(s)) / np.float64(F32(small_scale))) + zero
            small = np.clip(small, -128, 127).astype(np.int8)
            m = self.model.tensor(INT8, small.shape[1:], small_scale, zero)
            self.model.operator(QUANTIZE, [t], m)
            y = by_32_bits(small.astype(I64) - zero, np.float64(F32(small_scale)) / np.float64(F32(s)))
            return self.operator(QUANTIZE, [m], sixteen(y), s)
        if builtin in (LOGISTIC, TANH):
            if self.rng.random() < 0.3:  # a power of two that needs no rounding
                exact = 1 / 4096
                y = sixteen(by_32_bits(x.astype(I64), np.float64(F32(s)) / exact))
                t = self.operator(QUANTIZE, [t], y, exact)
                x, s = y, exact
            m, shift = 3, 0
            if s != 1 / 4096:
                real = np.float64(F32(s)) * 4096 * 3
                while real <= 32767 / 2 and shift < 30:
                    real, shift = real * 2, shift + 1
                m = int(real)
            op = {"params": np.array([m, shift, builtin == TANH, 0], "<i4").tobytes()}
            return self.operator(builtin, [t], ref.sigmoid16(op, x, None, {"shape": x.shape}), 1 / 32768)
        if builtin == SOFTMAX:
            beta = float(F32(self.rng.uniform(0.3, 2)))
            m, shift = multiplier(np.float64(F32(s)) * np.float64(F32(beta)) / (10.0 / 65535.0))
            tables = np.zeros((2, 514), "<i2")
            tables[0, :513], tables[1, :513] = EXPONENTIAL, RECIPROCAL
            op = {"params": np.array([m, shift, 0, 0], "<i4").tobytes() + tables.tobytes()}
            y = ref.softmax16(op, x, None, {"shape": x.shape})
            return self.operator(SOFTMAX, [t], y, 1 / 32768, f0=("f", beta))
        if builtin == MEAN:
            scale = float(F32(s * self.rng.uniform(0.2, 1.3)))
            total = by_32_bits(x.astype(I64).sum((2, 3), keepdims=True), np.float64(F32(s)) / np.float64(F32(scale)))
            axes = self.model.constant(np.array([1, 2], np.int32))
            return self.operator(MEAN, [t], sixteen(ref.away(total, x.shape[2] * x.shape[3])), scale, [axes], f0=("b", 1))
        if builtin == PAD:
            amounts = np.array([[0, 0]] + [[self.pick(0, 2), self.pick(0, 2)] for _ in range(3)], np.int32)
            y = np.pad(x, [(0, 0), *[tuple(a) for a in amounts]])
            return self.operator(PAD, [t], y, s, [self.model.constant(amounts)])
        if builtin == TRANSPOSE:
            axes = np.array([0, *self.rng.permutation([1, 2, 3])], np.int32)
            y = np.ascontiguousarray(x.transpose([0, *(axes + 1)]))
            return self.operator(TRANSPOSE, [t], y, s, [self.model.constant(axes)])
        assert builtin == CONCAT
        other = self.layer(t, MAX) if x.shape[2:4] == (1, 1) else t
        if self.value[other].shape[:4] != x.shape[:4]:
            other = t
        y = np.concatenate([x, self.value[other]], -1)
        return self.operator(CONCAT, [t, other], y, s, f0=("i", 3), f1=("b", 0))


def main():
    kinds = [ADD, AVERAGE, CONCAT, CONV, DEPTHWISE, LOGISTIC, MAX, MUL, RELU, RELU6, TANH, PAD, TRANSPOSE, MEAN, SUB,
             QUANTIZE, CONV, DEPTHWISE]
    used, outputs = set(), 0
    with tempfile.TemporaryDirectory() as folder:
        path = lambda n: os.path.join(folder, n)
        run = lambda *words: subprocess.run([LOCKSTEP, "model", *words], capture_output=True, text=True)

        def converted(blob):
            open(path("m.tflite"), "wb").write(blob)
            return run("convert", path("m.tflite"), "-o", path("m.lsplan"), "--force")

        for seed in range(40):
            net = Network(seed)
            first = t = net.input(6)
            for builtin in net.rng.choice(kinds, net.pick(2, 5)):
                if net.value[t].size < 60000:
                    t = net.layer(t, int(builtin))
            t = net.layer(t, DENSE)
            if seed % 2 and net.scale[t] < 1:
                t = net.layer(t, SOFTMAX)
            done = converted(net.model.bytes(first, t))
            assert done.returncode == 0, (seed, done.stderr)
            net.value[first].tofile(path("x"))
            done = run("run", path("m.lsplan"), "--raw-input", path("x"), "--raw-output", path(f"y{seed}"))
            assert done.returncode == 0, (seed, done.stderr)
            got = np.fromfile(path(f"y{seed}"), "<i2")
            wanted = net.value[t].reshape(-1)
            assert got.tobytes() == wanted.tobytes(), \
                (seed, [int(c) for c in net.used], got.size, wanted.size, np.flatnonzero(got != wanted)[:5])
            used |= net.used
            outputs += wanted.size
        missing = {*kinds, DENSE, SOFTMAX, RESHAPE} - used
        assert not missing, missing

        # What has another arithmetic is refused, in one line.
        def small(builtin, out=1 / 32768, scale=0.01, bias=np.int64, **options):
            m = Model()
            x, y = m.tensor(INT16, (1, 1, 4, 4), scale), m.tensor(INT16, (1, 1, 4, 4), out)
            extra = []
            if builtin == DENSE:
                y = m.tensor(INT16, (1, 16), out)
                extra = [m.constant(np.ones((16, 16), np.int8), 0.1), m.constant(np.zeros(16, bias))]
            m.operator(builtin, [x, x] if builtin in (ADD, SUB) else [x, *extra], y, **options)
            return m.bytes(x, y)

        assert converted(small(LOGISTIC)).returncode == 0
        assert converted(small(DENSE, 1.0)).returncode == 0
        mixed = Model()
        a, b = mixed.tensor(INT16, (1, 1, 4, 4), 0.01), mixed.tensor(INT8, (1, 1, 4, 4), 0.01)
        mixed.operator(RELU, [a], b)
        zero = Model()
        z = zero.tensor(INT16, (1, 1, 4, 4), 0.01, 3)
        zero.operator(RELU, [z], z)
        for blob, said in ((small(LOGISTIC, 0.001), "1/32768"), (small(SOFTMAX, 0.5), "1/32768"),
                           (small(ADD, 0.25, 0.25), "powers of two"), (small(98, 0.1), "int16"),
                           (small(DENSE, 1.0, bias=np.int32), "64 bits"), (mixed.bytes(a, b), "mixes int8 and int16"),
                           (zero.bytes(z, z), "zero point"), (small(DENSE, 1e-9), "scale is too small")):
            done = converted(blob)
            assert done.returncode == 2 and said in done.stderr and len(done.stderr.splitlines()) == 1, (said, done.stderr)
    print(outputs, "outputs of 40 networks: equal")


if __name__ == "__main__":
    main()
