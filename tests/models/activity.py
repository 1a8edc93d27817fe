"""The activity task of the shared recordings: labelled windows of imu_hapt, person by person."""
import csv
import os

import numpy as np

FOLDER = os.path.join(os.environ["LOCKSTEP_DATA"], "imu_hapt")
CLASSES = ["WALKING", "WALKING_UPSTAIRS", "WALKING_DOWNSTAIRS", "SITTING", "STANDING", "LAYING"]
RATE, WINDOW, STEP = 50, 128, 64
# Counts -> g and rad/s.
SCALE = np.array([1 / 720] * 3 + [0.0175 * np.pi / 180] * 3)


def windows():
    """x float32 [n, 6, 128] (channels, time), y int64 [n], person int [n]."""
    x, y, who = [], [], []
    recordings = {}
    with open(os.path.join(FOLDER, "labels.csv")) as f:
        rows = list(csv.DictReader(f))
    for row in rows:
        if row["label"] not in CLASSES:
            continue
        name = row["file"]
        if name not in recordings:
            recordings[name] = np.loadtxt(os.path.join(FOLDER, name), delimiter=",", skiprows=1, dtype=np.int32)
        first, last = (int(round(float(row[k]) * RATE)) for k in ("start_s", "end_s"))
        for start in range(first, last - WINDOW + 1, STEP):
            x.append((recordings[name][start:start + WINDOW] * SCALE).T)
            y.append(CLASSES.index(row["label"]))
            who.append(int(row["subject"]))
    return np.array(x, np.float32), np.array(y), np.array(who)
