"""The operator "vitals": heart rate from 8 s of band-passed PPG, level and slope of 8 s of EDA.

Nothing is trained.  The C++ operator is written from this file and equals it bit
for bit, so everything is float32, each `+ - * /` rounded once, no fused
operations, no libm, and every sum runs from 0 upwards in index order.

Input   ppg  float32 [800]  band-passed counts, 100 Hz (0.5 to 4 Hz)
        eda  float32 [256]  uS, 32 Hz
Output  float32 [4]         heart rate [bpm], its quality [0..1], EDA level [uS], EDA slope [uS/s]
        Heart rate and quality are 0 when the window holds no rhythm.

How the heart rate comes about, and why:
 1. Similarity of the window with itself, shifted by 0.28 to 1.52 s, at 25 Hz:
    says the beat's period even when each beat has two humps, but averages
    badly when the heart slows and speeds up within the window.
 2. Maxima of the 100 Hz window that keep 0.6 periods apart, and the mean of the
    intervals within 35 % of the period: exact to the beat, but would count
    second humps without step 1.
Measured against either step alone in resources/models/vitals/PROVENANCE.md.
"""
import numpy as np

F32 = np.float32

PPG_WINDOW = 800        # samples at 100 Hz
DECIMATION = 4          # the band ends at 4 Hz, so every 4th sample is enough for step 1
LAG_MIN, LAG_MAX = 7, 38      # 25 Hz samples: 214 to 39.5 bpm
FIRST_PEAK = F32(0.75)  # the first peak this close to the highest is the period; a later one, two periods
GAP = F32(0.6)          # of the period between two beats, at least
LOW, HIGH = F32(0.65), F32(1.35)  # of the period: intervals outside are missed or extra beats
EDA_WINDOW = 256        # samples at 32 Hz
EDA_RATE = F32(32)
EDA_MIDDLE = F32(127.5)
EDA_SQUARES = F32(1398080)    # sum of (i - 127.5)^2 for i = 0..255, exact


def running_sum(x):
    """s[0] = 0, s[i+1] = s[i] + x[i]: float32 [n] -> float32 [n+1]."""
    return np.add.accumulate(np.concatenate([np.zeros(1, F32), x]), dtype=F32)


def similarity(d):
    """float32 [200] -> float32 [34]: r of the lags 6..39.

    E[i]  = running sum of d[i]*d[i]
    c     = sum over i = 0..199-lag of d[i]*d[i+lag]
    e     = E[200-lag] + (E[200] - E[lag])
    r     = (c + c) / e     (0 when e is not > 0)
    """
    n = len(d)
    energy = running_sum(d * d)
    r = np.zeros(LAG_MAX - LAG_MIN + 3, F32)
    for k in range(len(r)):
        lag = LAG_MIN - 1 + k
        c = running_sum(d[:n - lag] * d[lag:])[-1]
        e = energy[n - lag] + (energy[n] - energy[lag])
        if e > 0:
            r[k] = (c + c) / e
    return r


def period(ppg):
    """(period in 100 Hz samples, quality), float32 both; (0, 0) without a rhythm.

    A peak k has r[k] > r[k-1], r[k] >= r[k+1] and r[k] > 0.  The first peak with
    r[k] >= 0.75 * (highest peak) is taken and refined by a parabola:
    period = 4 * (lag + (0.5 * (a - c)) / ((a - b) + (c - b)))  with a b c = r[k-1] r[k] r[k+1].
    """
    r = similarity(ppg[::DECIMATION])
    peaks = [k for k in range(1, len(r) - 1) if r[k] > r[k - 1] and r[k] >= r[k + 1] and r[k] > 0]
    if not peaks:
        return F32(0), F32(0)
    highest = max(r[k] for k in peaks)
    k = next(k for k in peaks if r[k] >= FIRST_PEAK * highest)
    a, b, c = r[k - 1], r[k], r[k + 1]
    shift = (F32(0.5) * (a - c)) / ((a - b) + (c - b))
    return F32(DECIMATION) * (F32(LAG_MIN - 1 + k) + shift), b


def beats(ppg, beat_period):
    """Sample numbers of the beats (int list): positive maxima, the higher of two that are too close.

    A maximum i (1..798) has ppg[i] > 0, ppg[i] > ppg[i-1] and ppg[i] >= ppg[i+1].
    If float32(i - last) < 0.6 * period it replaces the last beat when it is higher,
    else it is dropped; otherwise it is a new beat.
    """
    gap = GAP * beat_period
    found = []
    for i in range(1, len(ppg) - 1):
        if ppg[i] > 0 and ppg[i] > ppg[i - 1] and ppg[i] >= ppg[i + 1]:
            if found and F32(i - found[-1]) < gap:
                if ppg[i] > ppg[found[-1]]:
                    found[-1] = i
            else:
                found.append(i)
    return found


def heart_rate(ppg):
    """(bpm, quality), float32 both.

    Intervals with 0.65 * period < interval < 1.35 * period (as float32) count:
    n of them, `total` samples long (integers): bpm = float32(6000 * n) / float32(total).
    Without one: bpm = 6000 / period.
    """
    beat_period, quality = period(ppg)
    if not beat_period > 0:
        return F32(0), F32(0)
    low, high = LOW * beat_period, HIGH * beat_period
    intervals = [int(v) for v in np.diff(beats(ppg, beat_period)) if low < F32(v) < high]
    if not intervals:
        return F32(6000) / beat_period, quality
    return F32(6000 * len(intervals)) / F32(sum(intervals)), quality


def skin(eda):
    """(level [uS], slope [uS/s]), float32 both.

    level = (sum of eda[i]) / 256
    slope = ((sum of (float32(i) - 127.5) * (eda[i] - level)) / 1398080) * 32     (least squares)
    """
    level = running_sum(eda)[-1] / F32(EDA_WINDOW)
    lever = np.arange(EDA_WINDOW).astype(F32) - EDA_MIDDLE
    return level, (running_sum(lever * (eda - level))[-1] / EDA_SQUARES) * EDA_RATE


def vitals(ppg, eda):
    """float32 [800], float32 [256] -> float32 [4]."""
    ppg, eda = np.asarray(ppg, F32), np.asarray(eda, F32)
    assert ppg.shape == (PPG_WINDOW,) and eda.shape == (EDA_WINDOW,)
    return np.array([*heart_rate(ppg), *skin(eda)], F32)
