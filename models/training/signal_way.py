"""The signal way every model shares: integer counts -> physical units -> biquads -> windows.

The C++ core computes the same numbers bit for bit, on the desktop and on the
microcontroller, so everything here is float32, in a fixed order, without fused
operations: NumPy rounds after each `*`, `+` and `-`, and so does the core.

State must not outlive a gap.  A filter is therefore started afresh at points
that follow from the sample counter alone.  Output samples belong to blocks of
K = `reset_period` samples, [m*K, (m+1)*K); the output of block m comes from a
filter that had a zero state at sample

    start(m) = max(first sample since the last gap, m*K - W)

with W = `warm_up`.  Up to the next block's start one filter runs; during the W
samples before it, two run side by side.  So the output is seamless, and each
output sample depends on at most K + W input samples.  The first W samples after
a segment's start are "warming": a window that holds one of them is not used.
"""
import numpy as np
from scipy.signal import sosfilt

F32 = np.float32


def to_physical(counts, scale, offset=None):
    """counts [C, n] integer -> float32 [C, n]: counts * scale (+ offset), one rounding each.

    `scale`, `offset`: one number per channel, physical unit per count / physical unit.
    Counts of up to 24 bits are exact in float32.
    """
    x = counts.astype(F32) * np.asarray(scale, F32)[:, None]
    return x if offset is None else x + np.asarray(offset, F32)[:, None]


def cascade(x, sos):
    """Biquads in direct form II transposed from a zero state; x float32 [C, n] -> float32 [C, n].

    Per sample and section, each operation rounded to float32:
        y  = b0*x + s1
        s1 = (b1*x - a1*y) + s2
        s2 = b2*x - a2*y
    `sos`: float32 [sections, 6], rows b0 b1 b2 a0 a1 a2 with a0 == 1.
    """
    sos = np.asarray(sos, F32)
    assert np.all(sos[:, 3] == 1)
    y = np.array(x, F32)
    for b0, b1, b2, _, a1, a2 in sos:
        s1 = np.zeros(len(y), F32)
        s2 = np.zeros(len(y), F32)
        for n in range(y.shape[1]):
            u = y[:, n].copy()
            v = b0 * u + s1
            s1 = (b1 * u - a1 * v) + s2
            s2 = b2 * u - a2 * v
            y[:, n] = v
    return y


def cascade_fast(x, sos):
    """`cascade` by SciPy, which takes the same steps in the same order; the tests hold both equal."""
    return sosfilt(np.asarray(sos, F32), np.asarray(x, F32), axis=1)


def filter_in_blocks(x, sos, reset_period, warm_up, first=0, run=cascade_fast):
    """Filter one gap-free segment with the resets described above.

    x float32 [C, n], whose column 0 is sample number `first` of its stream.
    Returns float32 [C, n]; the first `warm_up` columns are warming.
    """
    assert reset_period >= warm_up
    out = np.empty_like(x, dtype=F32)
    end = first + x.shape[1]
    for block in range(first // reset_period, (end - 1) // reset_period + 1):
        lo, hi = max(first, block * reset_period), min(end, (block + 1) * reset_period)
        start = max(first, block * reset_period - warm_up)
        y = run(x[:, start - first:hi - first], sos)
        out[:, lo - first:hi - first] = y[:, lo - start:]
    return out


def window_starts(n, window, hop, warm_up):
    """Starts k*hop of the windows of a stream of n samples that hold no warming sample."""
    starts = np.arange(0, n - window + 1, hop)
    return starts[starts >= warm_up]


def impulse_warm_up(sos, threshold):
    """Samples after which the impulse response stays below threshold * its largest value,
    and after which the tail's absolute sum (what a step of 1 can leave) does."""
    n = 1 << 14
    x = np.zeros(n)
    x[0] = 1
    h = np.abs(sosfilt(np.asarray(sos, F32).astype(float), x))
    relative = int(np.nonzero(h >= threshold * h.max())[0][-1]) + 1
    tail = h[::-1].cumsum()[::-1]
    return relative, int(np.nonzero(tail >= threshold)[0][-1]) + 1
