#!/usr/bin/env python3
"""Cut the demo signals out of two public recordings and write them as the counts a board would send.

    make_recordings.py --data DIR [--out DIR]

DIR holds `eeg_openbci/` and `multimodal_emotibit/`.  Writes eeg.csv, gsr.csv,
imu.csv, ppg.csv and labels.csv.  What was changed, and why these two, is in
ATTRIBUTION.md.  The output depends on the input alone.
"""
import argparse
import csv
import hashlib
from pathlib import Path

import numpy as np
from scipy.interpolate import CubicSpline

SECONDS = 72             # what both recordings have in full
EEG_START_S = 3.0        # the electrodes settle until then
EMOTIBIT_START_MS = 21500
EEG_FILE = "eeg_openbci/OpenBCI_GUI-v6-blinks-jawClench-alpha.txt"
EMOTIBIT_FILE = "multimodal_emotibit/2025-06-27_09-56-59-929206.csv"
MOVING_DPS = 20          # rotation that counts as a movement of the hand

OPENBCI = dict(device="OpenBCI Cyton, 8 channels, gain 24, 250 Hz", licence="MIT",
               source="https://github.com/OpenBCI/OpenBCI_GUI commit 41610b98e6ac")
EMOTIBIT = dict(device="EmotiBit", licence="MIT",
                source="https://github.com/EmotiBit/ofxEmotiBit commit 45ba6ac860cf, tests/EmotiBitDataParser")

# stream: rate [Hz], type, (channel, unit, unit per count)...
EEG_UV = 4.5 / 24 / (2 ** 23 - 1) * 1e6
STREAMS = {
    "eeg": (250, "int24", [(f"EXG{i}", "uV", EEG_UV) for i in range(1, 9)]),
    "gsr": (32, "int16", [("EDA", "uS", 0.001)]),
    "imu": (100, "int16", [(f"acc_{a}", "g", 1 / 2048) for a in "xyz"] +
                          [(f"gyro_{a}", "deg/s", 2000 / 32768) for a in "xyz"]),
    "ppg": (100, "int24", [(c, "count", 1.0) for c in ("red", "infrared", "green")]),
}
EMOTIBIT_TAGS = {"gsr": ["EA"], "imu": ["AX", "AY", "AZ", "GX", "GY", "GZ"], "ppg": ["PR", "PI", "PG"]}


def read_openbci(path):
    """(uV float [n, 8] at 250 Hz, lost samples told by the 8 bit sample index)."""
    with open(path, newline="") as f:
        rows = csv.reader((line for line in f if not line.startswith("%")), skipinitialspace=True)
        head = next(rows)
        table = np.array([row[:9] for row in rows], float)
    assert head[0] == "Sample Index" and head[8] == "EXG Channel 7"
    lost = int(((np.diff(table[:, 0]) - 1) % 256).sum())
    return table[:, 1:], lost


def read_emotibit(path, tag):
    """One channel of the log: (time of each sample in ms, values).

    A line carries the stamp of its last sample and one to seven samples.  The
    sample clock is the straight line through the stamps (least squares).
    """
    stamps, counts, values = [], [], []
    with open(path) as f:
        for line in f:
            part = line.rstrip("\n").split(",")
            if len(part) > 6 and part[3] == tag:
                data = [float(v) for v in part[6:] if v]
                values += data
                stamps.append(float(part[0]))
                counts.append(len(values) - 1)
    step, first = np.polyfit(counts, stamps, 1)
    return first + step * np.arange(len(values)), np.array(values)


def resample(time_ms, values, rate):
    """Cubic spline onto `rate` from EMOTIBIT_START_MS on, SECONDS long."""
    grid = EMOTIBIT_START_MS + 1000 / rate * np.arange(SECONDS * rate)
    assert time_ms[0] <= grid[0] and grid[-1] <= time_ms[-1]
    return CubicSpline(time_ms, values)(grid)


def to_counts(values, scales, sample_type):
    """Physical [n, C] -> nearest integer counts [n, C]; refuses what does not fit the type."""
    counts = np.rint(values / np.array(scales)).astype(int)
    limit = 2 ** (int(sample_type[3:]) - 1)
    assert counts.min() >= -limit and counts.max() < limit
    return counts


def write(path, name, counts, about):
    """The recording as text: `# key: value` lines, a row of channel names, rows of integer counts."""
    rate, sample_type, channels = STREAMS[name]
    head = {"schema": "lockstep-recording", "version": 1, "stream": name, "kind": name, "rate_hz": rate,
            "sample_type": sample_type, "samples": len(counts),
            "channels": ",".join(c for c, _, _ in channels), "unit": ",".join(u for _, u, _ in channels),
            "scale": ",".join(repr(float(s)) for _, _, s in channels),
            "offset": ",".join("0.0" for _ in channels), **about}
    with open(path, "w", newline="\n") as f:
        f.writelines(f"# {key}: {value}\n" for key, value in head.items())
        f.write(head["channels"] + "\n")
        f.writelines(",".join(map(str, row)) + "\n" for row in counts.tolist())


def eeg_labels(path):
    """The set's labels, moved to the excerpt: (start, stop, class) rows.

    `blink_train_6` becomes blink_train: the number of blinks is not a class.
    """
    with open(path, newline="") as f:
        for r in csv.DictReader(f):
            start, stop = float(r["start_s"]) - EEG_START_S, float(r["end_s"]) - EEG_START_S
            if start >= 0 and stop <= SECONDS:
                yield start, stop, {"blink_train_6": "blink_train"}.get(r["label"], r["label"])


def moving(gyro_dps, rate):
    """Stretches in which the hand turns faster than MOVING_DPS, joined over pauses below 1 s: (start, stop)."""
    fast = np.nonzero(np.linalg.norm(gyro_dps, axis=1) > MOVING_DPS)[0] / rate
    cut = np.nonzero(np.diff(fast) > 1.0)[0]
    starts, stops = np.r_[fast[:1], fast[cut + 1]], np.r_[fast[cut], fast[-1:]]
    return [(a, b) for a, b in zip(starts, stops) if b - a >= 0.3]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with eeg_openbci/ and multimodal_emotibit/")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    args = parser.parse_args()
    sha = lambda name: hashlib.sha256((args.data / name).read_bytes()).hexdigest()

    uv, lost = read_openbci(args.data / EEG_FILE)
    assert lost == 0
    rate, kind, channels = STREAMS["eeg"]
    first = int(EEG_START_S * rate)
    excerpt = uv[first:first + SECONDS * rate]
    assert len(excerpt) == SECONDS * rate
    write(args.out / "eeg.csv", "eeg", to_counts(excerpt, [s for _, _, s in channels], kind),
          {**OPENBCI, "source_sha256": sha(EEG_FILE), "changes": f"from {EEG_START_S} s on; uV back to counts"})

    for name, tags in EMOTIBIT_TAGS.items():
        rate, kind, channels = STREAMS[name]
        clocked = [read_emotibit(args.data / EMOTIBIT_FILE, tag) for tag in tags]
        true_rate = 1000 / np.diff(clocked[0][0]).mean()
        values = np.stack([resample(*c, rate) for c in clocked], axis=1)
        write(args.out / f"{name}.csv", name, to_counts(values, [s for _, _, s in channels], kind),
              {**EMOTIBIT, "source_sha256": sha(EMOTIBIT_FILE),
               "changes": f"from stamp {EMOTIBIT_START_MS} ms on; {true_rate:.3f} Hz to {rate} Hz by cubic spline"})
        if name == "imu":
            hand = [(a, b, "hand_movement") for a, b in moving(values[:, 3:], rate)]

    rows = [(a, b, c, "eeg") for a, b, c in eeg_labels(args.data / "eeg_openbci/labels.csv")]
    rows += [(a, b, c, "imu") for a, b, c in hand]
    with open(args.out / "labels.csv", "w", newline="\n") as f:
        f.write("start_s,stop_s,class,stream,channel\n")
        f.writelines(f"{a:.2f},{b:.2f},{c},{s},\n" for a, b, c, s in sorted(rows))


if __name__ == "__main__":
    main()
