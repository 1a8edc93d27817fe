"""./dev bench storage: recordings that cannot be lost, and how quickly they are read. Every part of the recorder
and the reader runs in a program of its own (storage_bench, lockstep); h5py and MNE are the references, on the
same signals in the same run. Prints one JSON object of figures; progress goes to standard error.

LOCKSTEP_BENCH_KILLS  how often a recording is killed (100)
LOCKSTEP_BENCH_HOURS  length of the long session (24)
LOCKSTEP_BENCH_FAULTS  how many crashes and power cuts (0: a crash at every write, 300 cuts)"""
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import h5py
import numpy as np

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
BENCH = os.path.join(ROOT, "build", "benchmarks", "storage_bench")
LOCKSTEP = os.path.join(ROOT, "build", "bin", "lockstep")
KILLS = int(os.environ.get("LOCKSTEP_BENCH_KILLS", "100"))
FAULTS = int(os.environ.get("LOCKSTEP_BENCH_FAULTS", "0"))
HOURS = float(os.environ.get("LOCKSTEP_BENCH_HOURS", "24"))
sys.path[:0] = [os.path.join(ROOT, "storage", "python"), os.path.join(ROOT, "tests", "storage")]

FIGURES = {}


def figure(key, value, unit, reference=None, ratio=None):
    FIGURES["storage." + key] = {"value": value, "unit": unit, "reference": reference,
                                 "ratio": None if ratio is None or ratio[1] == 0 else ratio[0] / ratio[1]}


def say(text):
    print(f"storage: {text}", file=sys.stderr, flush=True)


def bench(*words):
    run = subprocess.run([BENCH, *map(str, words)], check=True, stdout=subprocess.PIPE, text=True)
    found = json.loads(run.stdout)
    assert found.get("dropped", 0) == 0, found
    return found


def cpu(work):
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def median_cpu(work, times):
    return float(np.median([cpu(work)[0] for _ in range(times)]))


# --- SIGKILL ---

STREAMS = ("eeg", 8, 1), ("gsr", 1, 0), ("imu", 6, 0), ("ppg", 3, 1)


def telling(rows, channels, wide):
    v = np.arange(rows, dtype=np.int64)[:, None] * 8191 + np.arange(channels) * 131
    return (v & 0x7FFFFF) - 0x400000 if wide else (v & 0x7FFF) - 0x4000


def kill_once(folder, rng):
    path = os.path.join(folder, "s.h5")
    with open(os.path.join(folder, "fed"), "w+") as fed:
        process = subprocess.Popen([BENCH, "feed", path], stdout=fed)
        time.sleep(0.4 + 1.6 * rng.random())
        killed = time.clock_gettime(time.CLOCK_MONOTONIC)
        process.send_signal(signal.SIGKILL)
        process.wait()
        fed.seek(0)
        lines = [line.split() for line in fed if line.endswith("\n")]
    due = [line for line in lines if float(line[0]) < killed - 0.1]
    want = [int(v) for v in due[-1][1:]] if due else [0] * 6
    if not due and not os.path.exists(path + ".journal"):
        return True, 0, 0, 0, 0  # killed before there was anything
    done = subprocess.run([LOCKSTEP, "session", "repair", path], capture_output=True, text=True)
    if done.returncode:
        say(done.stderr.strip())
        return False, 0, 0, 0, 0
    lost, wrong = 0, 0
    with h5py.File(path, "r") as file:
        for (name, channels, wide), rows in zip(STREAMS, want):
            data = file[f"acquisition/{name}/data"][()] if name in file["acquisition"] else np.zeros((0, channels))
            lost += max(0, rows - len(data)) * channels
            wrong += int((data != telling(len(data), channels, wide)).sum())
        labels = max(0, want[4] - len(file["intervals/history"]))
        stored = sum(len(g["device/table"]) for g in file["predictions"].values())
        predictions = max(0, want[5] - stored)
    return True, lost, labels, predictions, wrong


REFERENCE_WRITER = """
import h5py, numpy, sys, time
f = h5py.File(sys.argv[1], "w", libver="latest")
d = f.create_dataset("x", (0, 8), "i4", maxshape=(None, 8), chunks=(250, 8))
t0 = flushed = time.monotonic()
rows = 0
while True:
    due = int((time.monotonic() - t0) * 250)
    if due > rows:
        d.resize(due, 0)
        d[rows:due] = rows
        rows = due
        print(time.clock_gettime(time.CLOCK_MONOTONIC), rows, flush=True)
    if time.monotonic() - flushed > 1:
        f.flush()
        flushed = time.monotonic()
    time.sleep(0.01)
"""


def kill_reference(folder, rng):
    path = os.path.join(folder, "r.h5")
    with open(os.path.join(folder, "fed"), "w+") as fed:
        process = subprocess.Popen([sys.executable, "-c", REFERENCE_WRITER, path], stdout=fed)
        time.sleep(2.5 + 2 * rng.random())
        process.send_signal(signal.SIGKILL)
        process.wait()
        fed.seek(0)
        handed = int([line for line in fed if line.endswith("\n")][-1].split()[1])
    try:
        with h5py.File(path, "r") as file:
            return (handed - int((file["x"][:, 0] != 0).sum())) * 8
    except OSError:
        return handed * 8


def kills():
    rng = random.Random(11)
    opened = lost = labels = predictions = wrong = 0
    for i in range(KILLS):
        with tempfile.TemporaryDirectory() as folder:
            ok, *counts = kill_once(folder, rng)
        opened += ok
        lost, labels, predictions, wrong = (a + b for a, b in zip((lost, labels, predictions, wrong), counts))
        if i % 10 == 9:
            say(f"{i + 1} of {KILLS} kills, {opened} opened, {lost} samples lost")
    reference = []
    for _ in range(max(2, KILLS // 20)):
        with tempfile.TemporaryDirectory() as folder:
            reference.append(kill_reference(folder, rng))
    name = f"h5py, flushed each second: {float(np.mean(reference)):.0f} samples lost a kill"
    figure("kill.runs", KILLS, "kills")
    figure("kill.opened", opened, "sessions")
    figure("kill.samples_lost", lost, "samples", name, (lost / KILLS, float(np.mean(reference))))
    figure("kill.labels_lost", labels, "labels")
    figure("kill.predictions_lost", predictions, "predictions")
    figure("kill.wrong_values", wrong, "samples")


# --- crashes, power cuts, full disks (tests/storage/faults.py) ---

def fault_figures(name, results, unit):
    opened = sum(r[0] for r in results)
    figure(name + ".runs", len(results), unit)
    figure(name + ".opened", opened, "sessions")
    for at, what in enumerate(("wrong_values", "samples_lost", "labels_lost", "predictions_lost"), 1):
        figure(f"{name}.{what}", sum(r[at] for r in results),
               "blocks" if at == 1 else "handed over more than a second before")


def fault_campaign():
    import faults
    last = faults.count_operations()
    every = max(1, last // FAULTS) if FAULTS else 1
    say(f"a crash at every {every}. of {last} writes")
    fault_figures("crash", [faults.crash_at(n) for n in range(1, last + 1, every)], "crashes")
    cuts = FAULTS or 300
    say(f"{cuts} power cuts")
    fault_figures("powercut", [r for seed in range(3) for r in faults.power_cuts(-(-cuts // 3), seed=seed)], "cuts")
    say("a full disk, at each chunk of a file system of 20 MB")
    # A minute of 8 channels takes 360 kB of journal and 180 kB of file.
    rooms = range(9_000_000, 20_000_000, 540_000 if not FAULTS else 3_000_000)
    results = [faults.on_small_disk(("fill_here", room)) for room in rooms]
    unheeded = [faults.on_small_disk(("fill_here", room, True)) for room in rooms]
    reference = [faults.on_small_disk(("fill_h5py_here", room)) for room in list(rooms)[::7]]
    if None in results:
        say("this user cannot mount a file system of 20 MB: no figures for a full disk")
        return
    figure("full.runs", len(results), "file systems of 20 MB")
    figure("full.opened", sum(r["opened"] for r in results), "sessions")
    figure("full.rows_accepted", sum(r["rows"] for r in results), "rows")
    figure("full.rows_lost", sum(r["lost"] for r in results + unheeded), "rows",
           f"h5py, gzip, flushed each second: {sum(r['lost'] for r in reference)} of "
           f"{sum(r['rows'] for r in reference)} rows in {len(reference)} runs",
           (sum(r["lost"] for r in results + unheeded), sum(r["lost"] for r in reference)))
    figure("full.wrong_values", sum(r["wrong"] for r in results + unheeded), "samples")
    worst = max(r["error_s"] for r in results)
    figure("full.error_s", worst, "s, until the caller knows", "h5py, gzip, flushed each second",
           (worst, max(r["error_s"] for r in reference)))
    # The recorder goes on until nothing more can be written, and is killed.
    figure("full.unheeded_runs", len(unheeded), "file systems of 20 MB")
    figure("full.unheeded_opened", sum(r["opened"] for r in unheeded), "sessions")
    figure("full.unheeded_opened_elsewhere", sum(r["elsewhere"] for r in unheeded), "sessions, by repair -o")


# --- writing ---

def reference_append(folder, channels, rate, seconds, blocks_a_second=28, **filters):
    """CPU seconds and the longest append of h5py with a compressed dataset, written by the caller."""
    rng = np.random.default_rng(1)
    rows = max(1, rate // blocks_a_second)
    block = rng.normal(0, 550, (rows, channels)).astype("i4")
    path = os.path.join(folder, "append.h5")
    longest = 0
    start = time.process_time()
    with h5py.File(path, "w") as f:
        d = f.create_dataset("x", (0, channels), "i4", maxshape=(None, channels), **filters)
        n, flushed = 0, 0
        while n < rate * seconds:
            t = time.perf_counter()
            d.resize(n + rows, 0)
            d[n:n + rows] = block
            if (n + rows) // rate > flushed:
                flushed = (n + rows) // rate
                f.flush()
            longest = max(longest, time.perf_counter() - t)
            n += rows
    used = time.process_time() - start
    os.remove(path)
    return used, longest


def writing(folder):
    say("writer: one hour of 8 channels at 250 Hz, then in real time")
    fast = bench("record", os.path.join(folder, "hour.h5"), 8, 250, 3600, 0)
    paced = bench("record", os.path.join(folder, "paced.h5"), 8, 250, 65, 1)
    # The counted minute packs as many chunks of every channel as each minute of the hour does; the hour ends once.
    hour = paced["writer_cpu_s"] / paced["counted_s"] * 3600 + fast["finish_cpu_s"]
    used, _ = reference_append(folder, 8, 250, 600, chunks=True, compression="gzip")
    figure("cpu.nominal_s_per_hour", hour, "CPU s", "h5py, default chunks and gzip, flushed each second", (hour, used * 6))
    say("writer: 32 channels at 16 kHz in real time")
    wide = bench("record", os.path.join(folder, "wide.h5"), 32, 16000, 35, 1)
    used, longest = reference_append(folder, 32, 16000, 4, chunks=(16000, 32), compression="gzip", compression_opts=1)
    percent = 100 * wide["writer_cpu_s"] / wide["counted_s"]
    figure("cpu.wide_percent", percent, "% of a core", "h5py gzip 1 in the caller", (percent, 100 * used / 4))
    def worst(key):
        return max(wide[key], paced[key])
    # Wall time counts what the scheduler does to any thread: the control, beside it, has no recorder.
    figure("stall.longest_ms", worst("longest_append_ms"), "ms", "h5py gzip 1 in the caller",
           (worst("longest_append_ms"), longest * 1e3))
    # The same rhythm without a recorder, in the same runs; and the longest call in which the thread itself waited.
    for name in ("control", "blocked"):
        figure(f"stall.{name}_ms", worst(f"longest_{name}_ms"), "ms", "h5py gzip 1 in the caller",
               (worst(f"longest_{name}_ms"), longest * 1e3))

    with h5py.File(os.path.join(folder, "hour.h5"), "r") as f:
        d = f["acquisition/eeg/data"]
        values = d[()]  # stock h5py reads it
        bits = d.id.get_storage_size() * 8 / d.size
    path = os.path.join(folder, "plain.h5")
    with h5py.File(path, "w") as f:
        d = f.create_dataset("x", data=values, chunks=(15000, 1), shuffle=True, compression="gzip", compression_opts=4)
        plain = d.id.get_storage_size() * 8 / d.size
    figure("size.a_bits_per_sample", bits, "bits", "h5py shuffle and gzip 4, a minute of one channel a chunk", (bits, plain))
    figure("size.a_file_bits_per_sample", os.path.getsize(os.path.join(folder, "hour.h5")) * 8 / values.size, "bits",
           "BDF: 24 bits", (os.path.getsize(os.path.join(folder, "hour.h5")) * 8 / values.size, 24))


# --- a day ---

def day(folder):
    import mne
    path = os.path.join(folder, "day.h5")
    say(f"a session of {HOURS:g} h")
    made = bench("record", path, 8, 250, HOURS * 3600, 0)
    own = bench("read", path)
    say("the equal EDF")
    edf = os.path.join(folder, "day.edf")
    subprocess.run([LOCKSTEP, "export", path, "--format", "edf", "-o", edf], check=True, stderr=subprocess.DEVNULL)
    say("h5py and MNE")
    dataset = "acquisition/eeg/data"

    def h5_open():
        with h5py.File(path, "r") as f:
            return f[dataset].shape

    def overview(values):
        rows = len(values) // 2000 * 2000
        columns = values[:rows].reshape(2000, -1, values.shape[1])
        return columns.min(1), columns.max(1)

    def h5_overview():
        with h5py.File(path, "r") as f:
            return overview(f[dataset][()])

    def mne_open():
        return mne.io.read_raw_edf(edf, preload=False, verbose="error")

    raw = mne_open()
    rate = int(raw.info["sfreq"])
    rng = random.Random(3)
    with h5py.File(path, "r") as f:
        def h5_seek():
            at = rng.randrange(len(f[dataset]) - 10 * rate)
            return f[dataset][at:at + 10 * rate]
        h5_seek_s = median_cpu(h5_seek, 50)

    def mne_seek():
        at = rng.randrange(raw.n_times - 10 * rate)
        return raw[:, at:at + 10 * rate][0]

    h5_first = median_cpu(h5_open, 9) + cpu(h5_overview)[0]
    mne_first = median_cpu(mne_open, 3) + cpu(lambda: overview(raw.get_data().T))[0]
    mne_seek_s = median_cpu(mne_seek, 20)
    first = own["open_ms"] + own["overview_ms"]
    figure("day.open_and_overview_ms", first, "CPU ms", "MNE on the equal EDF", (first, mne_first * 1e3))
    figure("day.open_and_overview_vs_h5py", first, "CPU ms", "h5py without the pyramid", (first, h5_first * 1e3))
    figure("day.open_ms", own["open_ms"], "CPU ms", "MNE on the equal EDF", (own["open_ms"], median_cpu(mne_open, 3) * 1e3))
    start = time.perf_counter()
    mne_open()
    mne_wall = time.perf_counter() - start
    figure("day.open_foreign_ms", own["open_foreign_ms"], "ms, with the child process that looks first",
           "MNE on the equal EDF, without one", (own["open_foreign_ms"], mne_wall * 1e3))
    figure("day.random_10s_ms", own["seek_ms"], "CPU ms", "MNE on the equal EDF", (own["seek_ms"], mne_seek_s * 1e3))
    figure("day.random_10s_vs_h5py", own["seek_ms"], "CPU ms", "h5py on the same file", (own["seek_ms"], h5_seek_s * 1e3))
    figure("day.finalise_s", made["finish_s"], "s", "h5py reading all samples once", (made["finish_s"], cpu(h5_overview)[0]))
    os.remove(edf)
    return path


# --- training ---

def training(folder, session):
    from lockstep import open_dataset
    path = os.path.join(folder, "train.h5")
    hop = max(0.5, HOURS * 3600 / 16384)
    say("a training dataset")
    subprocess.run([LOCKSTEP, "export", session, "--format", "dataset", "-o", path, "--set", "window=2", "--set",
                    f"hop={hop:.3f}", "--set", "split=none", "--set", "background=none", "--set", "normalize=none"],
                   check=True, stderr=subprocess.DEVNULL)
    data = open_dataset(path)
    windows = len(data)
    assert data.shape[1:] == (500, 8), data.shape
    np.asarray(data.X).sum()  # into the page cache, as for the reference
    rng = np.random.default_rng(5)
    batch = 64

    scattered = [rng.permutation(windows)[:batch] for _ in range(400)]
    blocks = [slice(at * batch, (at + 1) * batch) for at in rng.permutation(windows // batch)] * 3
    out = np.empty((batch, *data.shape[1:]), np.float32)
    used, _ = cpu(lambda: [data.read(rows, out) for rows in scattered])
    random_rate = sum(map(len, scattered)) / used
    used, _ = cpu(lambda: [data.read(rows, out) for rows in blocks])
    block_rate = len(blocks) * batch / used
    reference = os.path.join(folder, "reference.h5")
    with h5py.File(reference, "w") as f:
        f.create_dataset("X", data=np.asarray(data.X[:2048]), compression="gzip")
    with h5py.File(reference, "r") as f:
        picks = rng.integers(0, min(2048, windows), 100)
        used, _ = cpu(lambda: [f["X"][int(i)] for i in picks])
    name = "h5py default chunks and gzip"
    figure("train.random_windows_per_cpu_s", random_rate, "windows/CPU s", name, (random_rate, len(picks) / used))
    figure("train.block_windows_per_cpu_s", block_rate, "windows/CPU s", name, (block_rate, len(picks) / used))
    figure("train.windows", windows, "windows of 500 x 8 float32")


def main():
    folder = tempfile.mkdtemp(prefix="lockstep_bench_")
    try:
        for part in sys.argv[1:] or ("kill", "faults", "write", "day"):
            if part == "kill":
                kills()
            elif part == "faults":
                fault_campaign()
            elif part == "write":
                writing(folder)
            else:
                training(folder, day(folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        json.dump(FIGURES, sys.stdout)


if __name__ == "__main__":
    main()
