"""Recordings with a known heart rate, to measure the operator "vitals" with.

Each reader gives dict(name, counts int64 [n] at 100 Hz, ends [m], intervals [m], delay):
`ends` and `intervals` in seconds are the true beat-to-beat intervals and when they
ended; `delay` is how much later the same beat leaves the band-pass.
"""
import csv

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.signal import butter, find_peaks, sosfiltfilt

RATE = 100
FILTER_DELAY_S = 0.2   # of the band-pass at pulse rates
PULSE_DELAY_S = 0.43   # from the R peak to the finger


def _uniform(time_s, values, gain):
    grid = np.arange(time_s[0], time_s[-1], 1 / RATE)
    return np.rint(CubicSpline(time_s, values)(grid) * gain).astype(np.int64)


def _beats(seconds):
    seconds = np.asarray(seconds, float)
    return dict(ends=seconds[1:], intervals=np.diff(seconds))


def neurokit(folder):
    """Finger PPG at rest, 5 min, V (0.1 mV a count here); truth: R peaks of the ECG."""
    with open(folder / "bio_neurokit/bio_resting_5min_100hz.csv", newline="") as f:
        ppg = np.array([float(r["PPG"]) for r in csv.DictReader(f)])
    peaks = np.loadtxt(folder / "bio_neurokit/reference_5min_ecg_rpeaks.csv", skiprows=1) / RATE
    return dict(name="NeuroKit, finger, rest", truth="ECG", counts=np.rint(ppg * 1e4).astype(np.int64),
                delay=PULSE_DELAY_S + FILTER_DELAY_S, **_beats(peaks))


def _offline(counts):
    """Beats by a zero-phase filter over the whole recording; for clean recordings without other truth."""
    y = sosfiltfilt(butter(2, [0.7, 3.5], btype="band", fs=RATE, output="sos"), counts - counts.mean())
    return find_peaks(y, distance=55, height=0.3 * y.std())[0] / RATE


def heartpy(folder):
    """Two finger recordings of HeartPy; the second has a timer and is clean from 60 to 128 s."""
    first = np.loadtxt(folder / "ppg_heartpy/data.csv").astype(np.int64)
    table = np.loadtxt(folder / "ppg_heartpy/data2.csv", delimiter=",", skiprows=1)
    clean = table[(table[:, 0] >= 60e3) & (table[:, 0] <= 128e3)]
    second = np.rint(np.interp(np.arange(60, 127.9, 1 / RATE), clean[:, 0] / 1e3, clean[:, 1])).astype(np.int64)
    for name, counts in (("HeartPy data", first), ("HeartPy data2, 60-128 s", second)):
        yield dict(name=name, truth="offline beats", counts=counts, delay=FILTER_DELAY_S, **_beats(_offline(counts)))


def emotibit(folder):
    """Wrist, infrared; truth: the device's own beat intervals."""
    values, stamps, beat = [], [], []
    with open(folder / "multimodal_emotibit/2025-06-27_09-56-59-929206.csv") as f:
        for line in f:
            part = line.rstrip("\n").split(",")
            if len(part) > 6 and part[3] == "PI":
                stamps.append(float(part[0]) / 1e3)
                values += [float(v) for v in part[6:] if v]
            elif len(part) > 6 and part[3] == "BI":
                beat.append((float(part[0]) / 1e3, float(part[6]) / 1e3))
    time = np.arange(len(values)) / 25
    beat = np.array(beat)
    return dict(name="EmotiBit, infrared", truth="device's beat intervals", counts=_uniform(time, values, 1),
                delay=FILTER_DELAY_S, ends=beat[:, 0] - stamps[0], intervals=beat[:, 1])


def empatica(folder):
    """Wrists of two people, 55 min of rest and stress with movement; truth: the device's IBI, where it gives one."""
    for person in ("S05", "S21"):
        values = np.loadtxt(folder / f"wrist_e4_stress/{person}/BVP.csv", skiprows=2)
        beat = np.loadtxt(folder / f"wrist_e4_stress/{person}/IBI.csv", delimiter=",", skiprows=1)
        yield dict(name=f"Empatica E4 {person}", truth="device's IBI", delay=FILTER_DELAY_S,
                   counts=_uniform(np.arange(len(values)) / 64, values, 100), ends=beat[:, 0], intervals=beat[:, 1])


def all_recordings(folder):
    return [neurokit(folder), *heartpy(folder), emotibit(folder), *empatica(folder)]
