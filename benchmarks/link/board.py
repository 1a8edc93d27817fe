"""The whole main job, measured: the virtual board streams recorded signals, `lockstep record` stores them
and compares every window. Prints one JSON object of figures; the ledger goes to standard error.

    board.py nominal | maximum | faults [--seconds N]       N: LOCKSTEP_BENCH_SECONDS or 600

nominal  the NOMINAL stream set at 115200 baud            (docs/virtual_board.md)
maximum  the MAXIMUM stream set at 921600 baud, injected through mapped memory; the board's model is the shipped
         heart-rate model made for PPG at 400 Hz
faults   NOMINAL at 230400 baud, the line flips bits, drops bytes and is cut now and then
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

import h5py
import numpy as np
from scipy.signal import butter

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
LOCKSTEP = os.path.join(ROOT, "build", "bin", "lockstep")
RECORDINGS = os.path.join(ROOT, "resources", "recordings")


def read_recording(name):
    """Header (dict) and counts [n, channels] of a recording file."""
    path = os.path.join(RECORDINGS, name + ".csv")
    header, skip = {}, 0
    with open(path, encoding="utf-8") as f:
        for line in f:
            if not line.startswith("#"):
                break
            key, value = line[1:].split(":", 1)
            header[key.strip()] = value.strip()
            skip += 1
    return header, np.loadtxt(path, delimiter=",", skiprows=skip + 1, dtype=np.int64, ndmin=2)


def write_faster(name, rate, folder):
    """The recording interpolated to `rate` Hz, as a new recording file: a faster sensor on the same skin."""
    header, counts = read_recording(name)
    old = float(header["rate_hz"])
    n = int(len(counts) * rate / old)
    at = np.arange(n) * old / rate
    fast = np.stack([np.rint(np.interp(at, np.arange(len(counts)), c)) for c in counts.T], axis=1).astype(np.int64)
    header.update(rate_hz=f"{rate:g}", samples=str(n), changes=f"interpolated to {rate:g} Hz for a load test")
    path = os.path.join(folder, name + ".csv")
    with open(path, "w", encoding="utf-8") as f:
        f.writelines(f"# {k}: {v}\n" for k, v in header.items())
        f.write(header["channels"] + "\n")
        np.savetxt(f, fast, fmt="%d", delimiter=",")
    return path


def firmware_for(rate, folder):
    """The board with a heart-rate model made for PPG at `rate` Hz: (image, plan)."""
    with open(os.path.join(ROOT, "resources", "models", "vitals", "vitals.json"), encoding="utf-8") as f:
        model = json.load(f)
    ppg = model["inputs"][0]
    times = rate // ppg["stream"]["rate_hz"]
    ppg["stream"]["rate_hz"] = rate
    ppg["shape"][2] *= times
    ppg["window"] = {k: v * times for k, v in ppg["window"].items()}
    ppg["filter"].update(design=f"Butterworth band-pass, order 2 a side, 0.5 to 4.0 Hz at {rate} Hz",
                         sos=np.float32(butter(2, [0.5, 4.0], "bandpass", fs=rate, output="sos")).tolist(),
                         reset_period=ppg["filter"]["reset_period"] * times, warm_up=ppg["filter"]["warm_up"] * times)
    model["operator"]["decimation"] *= times
    source, plan, image = (os.path.join(folder, n) for n in ("vitals.json", "vitals.lsplan", "board.elf"))
    with open(source, "w", encoding="utf-8") as f:
        json.dump(model, f)
    for command in (["model", "convert", source, "-o", plan],
                    ["firmware", "build", "mps2-an386", "--plan", plan, "-o", image]):
        subprocess.run([LOCKSTEP, *command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return image, plan


def cpu_seconds(pid):
    """User and system time of one process, without its children."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def record(uri, seconds, session, plans):
    models = [word for plan in plans for word in ("--model", plan)]
    process = subprocess.Popen([LOCKSTEP, "record", uri, "--composite", "--seconds", str(seconds), "-o", session,
                                *models], stdout=subprocess.DEVNULL)
    cpu, started = 0.0, time.monotonic()
    while process.poll() is None:
        if time.monotonic() - started < seconds:  # finalising the file is not part of recording
            try:
                cpu = cpu_seconds(process.pid)
            except (OSError, IndexError):
                pass
        time.sleep(0.2)
    return process.returncode, cpu


def report(session, folder):
    subprocess.run([LOCKSTEP, "session", "report", session, "-o", folder], check=False, stdout=subprocess.DEVNULL)
    with open(os.path.join(folder, "report.json"), encoding="utf-8") as f:
        return json.load(f)


def wrong_samples(session, signals):
    """Stored counts that differ from the injected file at their own sample counter, by h5py and NumPy alone."""
    wrong = 0
    with h5py.File(session) as f:
        for name, path in signals.items():
            truth = np.loadtxt(path, delimiter=",", comments="#", skiprows=0, dtype=str)[1:].astype(np.int64)
            truth = truth.reshape(len(truth), -1)
            group = f["acquisition"][name]
            data = group["data"][...]
            blocks = group["blocks"][...]
            for i, b in enumerate(blocks):
                row = int(b["row"])
                end = int(blocks[i + 1]["row"]) if i + 1 < len(blocks) else len(data)
                index = (int(b["first"]) + np.arange(end - row)) % len(truth)
                wrong += int((data[row:end].reshape(end - row, -1) != truth[index]).sum())
    return wrong


def late_samples(session):
    """Samples that the board handed over after their due time: the emulator or its line was behind for a while."""
    with h5py.File(session) as f:
        health = f["events"]["health"]["late_samples"][...]
    return int(health.max()) if len(health) else 0


def figure(value, unit, reference=None, ratio=None):
    return {"value": value, "unit": unit, "reference": reference, "ratio": ratio}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", choices=["nominal", "maximum", "faults"])
    parser.add_argument("--seconds", type=float, default=float(os.environ.get("LOCKSTEP_BENCH_SECONDS", 600)))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        signals = {n: os.path.join(RECORDINGS, n + ".csv") for n in ("eeg", "gsr", "imu", "ppg")}
        uri, plans = "virtual:mps2-an386?baud=115200", []
        if args.set == "maximum":
            for name, rate in (("eeg", 1000), ("imu", 400), ("ppg", 400)):
                signals[name] = write_faster(name, rate, folder)
            image, plan = firmware_for(400, folder)
            plans = [plan]
            uri = f"virtual:mps2-an386?baud=921600&firmware={image}&signals=" + ",".join(signals.values())
        elif args.set == "faults":
            uri = "virtual:mps2-an386?baud=230400&flip=1e-6&drop=1e-6&cut-every=20"
        session = os.path.join(folder, "session.h5")
        status, cpu = record(uri, args.seconds, session, plans)
        result = report(session, folder)
        wrong = wrong_samples(session, signals)
        late = late_samples(session)
    json.dump(result, sys.stderr, indent=1)
    print(file=sys.stderr)
    streams, windows = result["streams"].values(), result["windows"]
    sent = sum(s["sent"] for s in streams)
    received = sum(s["received"] for s in streams)
    lost = sum(s["lost"] for s in streams)
    expected = windows["expected"]
    prefix = f"link.{args.set}."
    figures = {
        prefix + "seconds": figure(result["seconds"], "s", "seconds asked for", result["seconds"] / args.seconds),
        prefix + "record_failures": figure(int(status != 0), "runs"),
        prefix + "samples_sent": figure(sent, "samples"),
        prefix + "samples_lost": figure(lost, "samples"),
        prefix + "samples_unaccounted": figure(sent - received - lost, "samples"),
        prefix + "samples_late": figure(late, "samples", "samples sent", late / sent if sent else 0.0),
        prefix + "values_wrong": figure(wrong, "values"),
        prefix + "windows_expected": figure(expected, "windows"),
        prefix + "windows_different": figure(windows["different"], "windows"),
        prefix + "windows_lost": figure(windows["lost"], "windows"),
        prefix + "windows_outside": figure(windows["outside"], "windows"),
        prefix + "windows_same": figure(windows["same"], "windows", "windows expected",
                                        windows["same"] / expected if expected else 0.0),
        prefix + "record_cpu": figure(100 * cpu / args.seconds, "% of a core", "one core", cpu / args.seconds),
    }
    json.dump(figures, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
