"""Reader of the sit-stand-walk-turn-sit set (Matey-Sanz et al., Data in Brief 2023, 109809).

The files hold m/s^2 and rad/s with UNIX millisecond stamps that are batched,
repeated and now and then step back, at 102 to 104.5 Hz.  The product's stream
is exactly 100 Hz of 16 bit counts, so that is what a recording becomes here.
"""
import csv
from pathlib import Path

import numpy as np

CLASSES = ["SEATED", "STANDING_UP", "WALKING", "TURNING", "SITTING_DOWN"]
CHANNELS = ["acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z"]
UNITS = ["g", "g", "g", "deg/s", "deg/s", "deg/s"]
SCALE = [1 / 2048] * 3 + [2000 / 32768] * 3  # +-16 g and +-2000 deg/s; both exact in float32
RATE_HZ = 100
STANDARD_GRAVITY = 9.80665


def uniform(time_ms, values, rate_hz=RATE_HZ):
    """Irregular stamps [n] and values [n, C] -> (grid_ms [m], values on the grid [m, C]).

    A stamp that steps back is held at the largest so far; samples that then share
    a stamp are averaged; straight lines join what is left.
    """
    held = np.maximum.accumulate(np.asarray(time_ms, float))
    stamps, group, count = np.unique(held, return_inverse=True, return_counts=True)
    step = 1000 / rate_hz
    grid = stamps[0] + step * np.arange(int((stamps[-1] - stamps[0]) // step) + 1)
    columns = [np.interp(grid, stamps, np.bincount(group, v) / count) for v in np.asarray(values, float).T]
    return grid, np.stack(columns, axis=1)


def to_counts(values, scale):
    """Physical values [n, C] -> int16 [n, C]: nearest count (ties to even), saturated."""
    return np.clip(np.rint(values / np.asarray(scale)), -32768, 32767).astype(np.int16)


def read(path):
    """One file -> (counts int16 [6, n] at 100 Hz, class number per sample int [n])."""
    with open(path, newline="") as f:
        rows = list(csv.DictReader(f))
    time_ms = np.array([float(r["timestamp"]) for r in rows])
    acc = np.array([[float(r[a + "_acc"]) for a in "xyz"] for r in rows]) / STANDARD_GRAVITY
    gyro = np.degrees([[float(r[a + "_gyro"]) for a in "xyz"] for r in rows])
    grid, values = uniform(time_ms, np.hstack([acc, gyro]))
    label = np.array([CLASSES.index(r["label"]) for r in rows])
    last = np.searchsorted(np.maximum.accumulate(time_ms), grid, side="right") - 1
    return to_counts(values, SCALE).T.copy(), label[last]


def recordings(folder, device="sw"):
    """All files of one device, sorted: list of dict(file, subject, counts, label)."""
    out = []
    for path in sorted(Path(folder).glob(f"s*_{device}.csv")):
        counts, label = read(path)
        out.append(dict(file=path.name, subject=path.name[:3], counts=counts, label=label))
    if not out:
        raise SystemExit(f"{folder}: no s*_{device}.csv here; give the folder imu_phone_watch with --data")
    return out
