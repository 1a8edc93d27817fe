"""The int16 operators: random layers of every kind, with odd shapes, strides, paddings and the ends of every range,
run by the core and by NumPy: the same bits. Then plans that are wrong in one place: refused, not run."""
import os
import subprocess
import sys
import tempfile

import numpy as np

from plan_maker import FLOAT32, INT8, INT16, Maker
from reference import Plan, compare

PROBE = os.environ.get("MODEL_PROBE")


class Layers:
    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.extreme = self.rng.random() < 0.4

    def pick(self, low, high):
        return int(self.rng.integers(low, high + 1))

    def one_in(self, n):
        return self.rng.random() * n < 1

    def i32(self, *values):
        return np.array(values, "<i4").tobytes()

    def clamp(self, low=-32768, high=32767):
        if not self.one_in(3):
            return low, high
        a = 0 if self.one_in(2) else self.pick(low, high)
        return a, self.pick(a, high)

    def factor(self, low, high):
        """multiplier and shift as for int8."""
        return (0 if self.one_in(20) else self.pick(1 << 30, (1 << 31) - 1)), self.pick(low, high)

    def bytes(self, n):
        if self.extreme:
            return self.rng.choice(np.array([-128, 127, 0], np.int8), n)
        return self.rng.integers(-128, 128, n).astype(np.int8)

    def window(self, h, w):
        while True:
            kh, kw = self.pick(1, 4), self.pick(1, 9)
            sh, sw = self.pick(1, 3), self.pick(1, 3)
            dh, dw = (2 if self.one_in(5) else 1 for _ in "hw")
            top, left = self.pick(0, kh - 1), self.pick(0, kw - 1)
            tall = h + top + self.pick(0, kh - 1) - (kh - 1) * dh - 1
            wide = w + left + self.pick(0, kw - 1) - (kw - 1) * dw - 1
            if tall >= 0 and wide >= 0:
                return (kh, kw, sh, sw, dh, dw, top, left), tall // sh + 1, wide // sw + 1

    def channels(self, count, taps, weights):
        # Results of the order of the range, and far beyond it on both sides; biases up to the limit.
        room = (1 << 47) - 1 - taps * (128 << 15)
        bias = np.array([self.pick(-room, room) if self.one_in(9) else self.pick(-(1 << 24), 1 << 24)
                         for _ in range(count)], "<i8")
        multiplier = [0 if self.one_in(20) else self.pick(1 << 14, 32767) for _ in range(count)]
        shift = [self.pick(8, 46) if self.one_in(8) else self.pick(20, 26) for _ in range(count)]
        return bias.tobytes() + self.i32(*multiplier) + self.i32(*shift) + self.bytes(weights).tobytes()

    def add(self, make, x):
        """One random layer behind tensor x [1, h, w, c] of int16."""
        _, h, w, c = make.tensors[x][3:7]
        t = lambda shape, kind=INT16, scale=1.0, zero=0: make.tensor(kind, shape, scale, zero)
        kind = self.pick(0, 14)
        if kind in (0, 1):
            window, oh, ow = self.window(h, w)
            oc = c * self.pick(1, 3) if kind else self.pick(1, 9)
            taps = window[0] * window[1] * (1 if kind else c)
            head = self.i32(*window, *self.clamp(), 0, 0)
            return make.operator(74 if kind else 73, [x], t((1, oh, ow, oc)), head + self.channels(oc, taps, oc * taps))
        if kind == 2:
            n, out = h * w * c, self.pick(1, 12)
            head = self.i32(*self.clamp(), 0, 0)
            return make.operator(75, [x], t((1, out)), head + self.channels(out, n, out * n))
        if kind in (3, 4):
            window, oh, ow = self.window(h, w)
            window = (*window[:4], 1, 1, *window[6:])
            oh = (h - 1 + window[6]) // window[2] + 1 if oh < 1 else oh
            params = self.i32(*window, *self.clamp(), 0, 0)
            # Every window must hold a cell; those that start in the input do.
            oh = (h - 1 + window[6]) // window[2] + 1
            ow = (w - 1 + window[7]) // window[3] + 1
            return make.operator(76 if kind == 3 else 77, [x], t((1, oh, ow, c)), params)
        if kind == 5:
            m, s = self.factor(-6, 3)
            return make.operator(78, [x], t((1, 1, 1, c)), self.i32(m, s, 0, 0))
        if kind == 6:
            other = make.operator(72, [x], t((1, h, w, c)), self.i32(*self.factor(-3, 2), *self.clamp()))
            if self.one_in(2):
                other = make.operator(78, [x], t((1, 1, 1, c)), self.i32(1 << 30, 1, 0, 0))
            params = [self.factor(-3, 0) for _ in range(3)]
            flat = (params[0][0], params[1][0], params[0][1], params[1][1], *params[2])
            return make.operator(79, [x, other], t((1, h, w, c)),
                                 self.i32(*flat, *self.clamp(), self.pick(0, 1), 0, 0, 0))
        if kind == 7:
            other = x if self.one_in(2) else make.operator(78, [x], t((1, 1, 1, c)), self.i32(1 << 30, 1, 0, 0))
            return make.operator(80, [x, other], t((1, h, w, c)), self.i32(*self.factor(-16, 0), *self.clamp()))
        if kind == 8:
            table = self.rng.integers(-32768, 32768, 513) if self.extreme else np.sort(self.rng.integers(-32768, 32768, 513))
            return make.operator(81, [x], t((1, h, w, c)), table.astype("<i2").tobytes())
        if kind == 9:
            return make.operator(82, [x], t((1, h, w, c), scale=2.0 ** -15),
                                 self.i32(self.pick(0, 32767), self.pick(0, 30) if self.one_in(3) else self.pick(0, 6),
                                          self.pick(0, 1), 0))
        if kind == 10:
            tables = np.zeros((2, 514), "<i2")
            tables[0, :513] = np.round(32767 * np.exp(-10 + np.arange(513) * 10 / 512))
            tables[1, :513] = np.round(32767 / (1 + np.arange(513) / 512))
            if self.extreme:
                tables[0, :511] = self.rng.integers(0, 32768, 511)
                tables[1] = self.rng.integers(-32768, 32768, 514)
            return make.operator(83, [x], t((1, h, w, c), scale=2.0 ** -15),
                                 self.i32(*self.factor(-6, 14 if self.extreme else 4), 0, 0) + tables.tobytes())
        if kind == 11:
            zero = self.pick(-128, 127)
            small = make.operator(72, [x], t((1, h, w, c), INT8, 1.0, zero),
                                  self.i32(*self.factor(-10, -4), *self.clamp(-128, 127)))
            if self.one_in(2):
                small = make.operator(72, [small], t((1, h, w, c), INT8, 1.0, self.pick(-128, 127)),
                                      self.i32(*self.factor(-2, 2), *self.clamp(-128, 127)))
            return make.operator(72, [small], t((1, h, w, c)), self.i32(*self.factor(0, 9), *self.clamp()))
        if kind == 12:
            before = [0, self.pick(0, 2), self.pick(0, 2), self.pick(0, 2)]
            shape = [1] + [n + b + self.pick(0, 2) for n, b in zip((h, w, c), before[1:])]
            padded = make.operator(20, [x], t(shape), self.i32(*before))
            begin = [0] + [self.pick(0, n - 1) for n in shape[1:]]
            part = [n - b for n, b in zip(shape, begin)]
            sliced = make.operator(24, [padded], t(part), self.i32(*begin))
            both = (1, shape[1], shape[2], shape[3] + c) if shape[1:3] == [h, w] else None
            if both:
                make.operator(19, [padded, x], t(both), self.i32(3, 0, 0, 0))
            return sliced
        if kind == 14:
            table = self.rng.integers(-32768, 32768, 2 * 353)
            return make.operator(84, [x], t((1, h, w, c)), table.astype("<i2").tobytes())
        axes = [0] + [int(a) for a in self.rng.permutation([1, 2, 3])]
        shape = (1, h, w, c)
        turned = make.operator(23, [x], t([shape[a] for a in axes]), self.i32(*axes))
        row = make.operator(21, [turned], t((1, h * w * c)))
        if h * w * c <= 128:
            make.operator(25, [row], t((1, 1), INT8))
        return turned

    def plan(self):
        h, w, c = self.pick(1, 6), self.pick(1, 24), self.pick(1, 7)
        make = Maker(h * w, c)
        q = make.operator(70, [0], make.tensor(INT16, (1, 1, h * w, c), float(self.rng.choice([2.0 ** -10, 0.013, 1.0]))),
                          kind=3)
        first = make.operator(21, [q], make.tensor(INT16, (1, h, w, c), make.tensors[q][7]))
        # Layers that keep the scale need it stated; 1.0 everywhere but there.
        first = make.operator(72, [first], make.tensor(INT16, (1, h, w, c)), self.i32(1 << 30, 1, -32768, 32767))
        places = [first]
        for _ in range(14):
            x = places[self.pick(0, len(places) - 1)]
            y = self.add(make, x)
            t = make.tensors[y]
            if t[1] == 4 and t[7] == 1.0 and t[4] * t[5] * t[6] < 3000:
                places.append(y)
        n = make.tensors[first][4:7]
        row = make.operator(21, [first], make.tensor(INT16, (1, n[0] * n[1] * n[2])))
        count = min(64, n[0] * n[1] * n[2])
        end = make.operator(24, [row], make.tensor(INT16, (1, count)), self.i32(0, 0, 0, 0))
        make.scores(end, count, INT16)
        return make, (h * w, c)


def run(folder, blob, windows):
    plan, data, out = (os.path.join(folder, n) for n in ("p.lsplan", "x.f32", "out"))
    open(plan, "wb").write(blob)
    np.concatenate([w.reshape(-1) for w in windows]).astype("<f4").tofile(data)
    done = subprocess.run([PROBE, "stages", plan, data, out], capture_output=True, text=True)
    return done, (open(out, "rb").read() if done.returncode == 0 else b"")


def random_layers(folder, seeds):
    seen = {}
    for seed in seeds:
        layers = Layers(seed)
        make, shape = layers.plan()
        blob = make.blob()
        scale = make.tensors[1][7]
        windows = [layers.rng.normal(0, scale * s, shape).astype(np.float32) for s in (100, 8000, 40000)]
        odd = np.array([np.nan, np.inf, -np.inf, 1e30, -1e30, 0.5 * scale, -0.5 * scale, 1.5 * scale], np.float32)
        windows[0].reshape(-1)[:8] = odd[:windows[0].size]
        windows.append(layers.rng.choice(np.array([-32768, 32767], np.float32) * scale, shape))
        done, raw = run(folder, blob, windows)
        assert done.returncode == 0, (seed, done.stderr)
        plan = Plan(blob)
        for window in windows:
            try:
                raw = compare(plan, window, raw)
            except AssertionError as e:
                raise SystemExit(f"seed {seed}: {e}")
        assert raw == b""
        for op in plan.operators:
            seen[op["code"]] = seen.get(op["code"], 0) + 1
    missing = set(range(70, 85)) - set(seen)
    assert not missing, missing
    print(f"{sum(seen.values())} layers, {len(windows)} windows each: equal;", dict(sorted(seen.items())))


def one_layer(code, params, x=(1, 2, 4, 3), y=(1, 2, 4, 3), x_kind=INT16, y_kind=INT16, x_zero=0, y_zero=0, inputs=1,
              y_scale=1.0):
    make = Maker(x[1] * x[2], x[3])
    scores = 70
    if x_kind == FLOAT32:
        first = 0
    else:
        q = make.operator(70 if x_kind == INT16 else 2, [0],
                          make.tensor(x_kind, (1, 1, x[1] * x[2], x[3]), 1.0, x_zero), kind=3)
        first = make.operator(21, [q], make.tensor(x_kind, x, 1.0, x_zero))
    out = make.operator(code, [first] * inputs, make.tensor(y_kind, y, y_scale, y_zero), params)
    n = int(np.prod(y))
    if y_kind != FLOAT32:
        out = make.operator(21, [out], make.tensor(y_kind, (1, n), y_scale, y_zero))
        make.scores(out, n, y_kind)
    else:
        make.count = n
        make.operators[-1] = (*make.operators[-1][:5], 5)
    return make.blob()


def refusals(folder):
    i32 = lambda *v: np.array(v, "<i4").tobytes()
    i64 = lambda *v: np.array(v, "<i8").tobytes()
    window, wide = (1, 1, 1, 1, 1, 1, 0, 0), (-32768, 32767)

    def conv(bias=0, m=16384, s=20, w=127, clamp=wide, layout=0, n=3):
        return i32(*window, *clamp, layout, 0) + i64(*[bias] * n) + i32(*[m] * n) + i32(*[s] * n) + bytes([w & 255] * n * 3)

    def dense(bias=0, m=16384, s=20, clamp=wide, layout=0):
        return i32(*clamp, layout, 0) + i64(bias, bias) + i32(m, m, s, s) + bytes(48)

    tables = np.zeros((2, 514), "<i2")
    tables[:, 400:] = 100
    soft = lambda m=1 << 30, s=0, t=tables: i32(m, s, 0, 0) + t.tobytes()
    negative, empty = tables.copy(), tables.copy()
    negative[0, 3] = -1
    empty[0, 511:] = 1
    room = (1 << 47) - 1 - 9 * 0 - 3 * (127 << 15)
    out2 = (1, 2)
    cases = {
        "conv": (73, conv()), "conv, bias at the limit": (73, conv(room)), "conv, lowest bias": (73, conv(-room)),
        "dense": (75, dense(), {"y": out2}), "softmax": (83, soft()), "curve": (81, bytes(1026)), "octaves": (84, bytes(1412)),
        "sigmoid": (82, i32(32767, 30, 1, 0)), "mean": (78, i32(1 << 30, 12, 0, 0), {"y": (1, 1, 1, 3)}),
        "add": (79, i32(1 << 30, 1 << 30, 0, 0, 1 << 30, 0, *wide, 0, 0, 0, 0), {"inputs": 2}),
        "mul": (80, i32(1 << 30, 0, *wide), {"inputs": 2}),
        "requantise": (72, i32(1 << 30, 1, *wide)), "quantise": (70, b"", {"x_kind": FLOAT32, "x": (1, 1, 4, 3), "y": (1, 1, 4, 3)}),
        "to int8": (72, i32(1 << 30, 1, -128, 127), {"y_kind": INT8, "y_zero": 3}),
        "average": (77, i32(*window, *wide, 0, 0)),
    }
    bad = {
        "a bias that overflows": (73, conv(room + 1)), "a lowest bias that overflows": (73, conv(-room - 1)),
        "int64's lowest bias": (73, conv(-(1 << 63))),
        "a multiplier of 16 bits": (73, conv(m=32768)), "a negative multiplier": (73, conv(m=-1)),
        "a shift of 7": (73, conv(s=7)), "a shift of 47": (73, conv(s=47)), "weights in pairs": (73, conv(layout=1)),
        "a clamp beyond int16": (73, conv(clamp=(-32769, 32767))), "a clamp upside down": (73, conv(clamp=(1, 0))),
        "a weight too few": (73, conv()[:-1]), "no params": (73, b""), "a zero point": (73, conv(), {"y_zero": 1}),
        "int8 in": (73, conv(), {"x_kind": INT8}), "int8 out": (73, conv(), {"y_kind": INT8}),
        "depthwise that does not divide": (74, conv(), {"y": (1, 2, 4, 4)}),
        "depthwise overflow": (74, conv(bias=1 << 47)),
        "a kernel of no cell": (73, i32(0, *window[1:]) + conv()[32:][4:]),
        "dense overflow": (75, dense(bias=1 << 47), {"y": out2}), "dense in pairs": (75, dense(layout=1), {"y": out2}),
        "dense too short": (75, dense()[:-1], {"y": out2}), "dense shift": (75, dense(s=0), {"y": out2}),
        "a mean that overflows": (78, i32(1 << 30, 13, 0, 0), {"y": (1, 1, 1, 3)}),
        "a mean of another size": (78, i32(1 << 30, 0, 0, 0), {"y": (1, 1, 1, 2)}),
        "an addition that grows": (79, i32(1 << 30, 1 << 30, 1, 0, 1 << 30, 0, *wide, 0, 0, 0, 0), {"inputs": 2}),
        "a sum that grows": (79, i32(1 << 30, 1 << 30, 0, 0, 1 << 30, 1, *wide, 0, 0, 0, 0), {"inputs": 2}),
        "one input": (79, i32(1 << 30, 1 << 30, 0, 0, 1 << 30, 0, *wide, 0, 0, 0, 0)),
        "a product that grows": (80, i32(1 << 30, 1, *wide), {"inputs": 2}),
        "half a curve": (81, bytes(1024)), "octaves too short": (84, bytes(1411)), "a curve of another size": (81, bytes(1026), {"y": (1, 2, 4, 2)}),
        "a sigmoid's shift": (82, i32(1, 31, 0, 0)), "a sigmoid's multiplier": (82, i32(32768, 0, 0, 0)),
        "a third function": (82, i32(1, 0, 2, 0)),
        "an exponential below 0": (83, soft(t=negative)), "a sum that could be 1": (83, soft(t=empty)),
        "a softmax that overflows": (83, soft(s=15)), "a softmax without tables": (83, soft()[:-2]),
        "requantise to float": (72, i32(1 << 30, 1, *wide), {"y_kind": FLOAT32, "y": (1, 24)}),
        "int8 with int16's bounds": (72, i32(1 << 30, 1, *wide), {"y_kind": INT8}),
        "a factor of 2^31": (72, i32(1 << 30, 31, *wide)),
        "quantise without scale": (70, b"", {"x_kind": FLOAT32, "x": (1, 1, 4, 3), "y": (1, 1, 4, 3), "y_scale": 0.0}),
        "quantise with a zero point": (70, b"", {"x_kind": FLOAT32, "x": (1, 1, 4, 3), "y": (1, 1, 4, 3), "y_zero": 1}),
        "a pool of another scale": (77, i32(*window, *wide, 0, 0), {"y_scale": 2.0}),
        "a pool beyond the input": (76, i32(1, 1, 9, 9, 1, 1, 0, 0, *wide, 0, 0)),
        "an average of too many cells": (77, i32(1024, 1024, 1, 1, 1, 1, 0, 0, *wide, 0, 0)),
        "int8's operator on int16": (10, conv()), "int8's pool on int16": (13, i32(*window, -128, 127, 0, 0)),
        "int8's table on int16": (22, bytes(256)),
    }
    for name, case in cases.items():
        blob = one_layer(case[0], case[1], **(case[2] if len(case) > 2 else {}))
        plan = Plan(blob)
        x = [np.zeros((plan.window, plan.channels), np.float32)]
        done, raw = run(folder, blob, x)
        assert done.returncode == 0, (name, done.stderr)
        compare(plan, x[0], raw)
    for name, case in bad.items():
        blob = one_layer(case[0], case[1], **(case[2] if len(case) > 2 else {}))
        done, _ = run(folder, blob, [np.zeros((1, 24), np.float32)])
        assert done.returncode == 2 and len(done.stderr.splitlines()) == 1, (name, done.returncode, done.stderr)
    print(len(cases), "plans accepted,", len(bad), "wrong ones refused")


def main():
    if len(sys.argv) == 3 and sys.argv[1] == "--corpus":  # plans for the fuzzer to start from
        for seed in range(20):
            open(os.path.join(sys.argv[2], f"int16_{seed}.lsplan"), "wb").write(Layers(seed).plan()[0].blob())
        return
    with tempfile.TemporaryDirectory() as folder:
        refusals(folder)
        random_layers(folder, range(40))


if __name__ == "__main__":
    main()
