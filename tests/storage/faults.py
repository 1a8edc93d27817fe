"""What disks do to a recording: a full one, a crash at every write, a power cut that loses what was not synced.
The recorder is the real one; fault_shim.so, preloaded, is the disk. `./dev bench storage.faults` runs the long
forms, test_faults.py the short ones."""
import json
import os
import random
import subprocess
import sys
import tempfile

import h5py
import numpy as np

BUILD = os.environ.get("LOCKSTEP_BUILD") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../build")
FEEDER = os.path.join(BUILD, "tests", "storage_feeder")
REPAIRER = os.path.join(BUILD, "tests", "storage_repairer")
SHIM = os.path.join(BUILD, "tests", "storage_fault_shim.so")
BENCH = os.path.join(BUILD, "benchmarks", "storage_bench")
NAMES = ["eeg", "imu", "ppg", "temperature"]
BLOCK, PREDICTION, EDIT = 2, 4, 10
PAGE = 4096


def faulty(folder, **faults):
    """The environment of a program whose disk, at `folder`, has these faults."""
    return {**os.environ, "LD_PRELOAD": SHIM, "FAULT_FOLDER": folder,
            **{"FAULT_" + name.upper(): str(value) for name, value in faults.items()}}


def feed(folder, env=None, seconds=2, pace=0):
    """Records synthetic events into folder/s.h5: exit status, what was handed over with its time, error lines."""
    words = [FEEDER, os.path.join(folder, "s.h5"), str(seconds)] + (["--pace", str(pace)] if pace else [])
    with tempfile.TemporaryFile("w+") as fed:
        done = subprocess.run(words, env=env, stdout=fed, stderr=subprocess.PIPE, text=True)
        fed.seek(0)
        lines = [line.split(" ", 1) for line in fed if line.endswith("\n")]
    return done.returncode, [(float(at), json.loads(event)) for at, event in lines], done.stderr


def repair(folder, env=None):
    return subprocess.run([REPAIRER, os.path.join(folder, "s.h5")], env=env, capture_output=True, text=True)


def compare(path, fed, until=float("inf")):
    """Wrong values, and how many samples, labels and predictions handed over before `until` are missing."""
    blocks = {(e["stream"], e["segment"], e["first"]): (at, e) for at, e in fed if e["kind"] == BLOCK}
    wrong = lost = 0
    with h5py.File(path, "r") as file:
        for index, name in enumerate(NAMES):
            group = file["acquisition"][name] if name in file["acquisition"] else None
            stored = set()
            if group is not None:
                data = group["data"][()]
                data = data.view(np.int32) if data.dtype == np.float32 else data
                for row in group["blocks"][()]:
                    key = (index, int(row["segment"]), int(row["first"]))
                    rows = data[row["row"]:row["row"] + row["count"]].ravel()
                    if key not in blocks or rows.tolist() != blocks[key][1]["counts"]:
                        wrong += 1
                    stored.add(key)
            lost += sum(len(e["counts"]) for key, (at, e) in blocks.items()
                        if key[0] == index and key not in stored and at < until)
        revisions = set(file["intervals/history"]["revision"].tolist())
        labels = sum(e["revision"] not in revisions for at, e in fed if e["kind"] == EDIT and at < until)
        windows = {(origin, int(r["segment"]), int(r["window"])) for model in file["predictions"].values()
                   for origin, group in ((1, "device"), (2, "host")) if group in model
                   for r in model[group]["table"][()]}
        predictions = sum((e["origin"], e["segment"], e["window"]) not in windows
                          for at, e in fed if e["kind"] == PREDICTION and at < until)
    return wrong, lost, labels, predictions


# --- a crash at the n-th write ---

def count_operations(seconds=2, pace=0):
    with tempfile.TemporaryDirectory() as folder, tempfile.NamedTemporaryFile() as count:
        status, _, said = feed(folder, faulty(folder, count=count.name), seconds, pace)
        assert status == 0, said
        return int(count.read())


def crash_at(n, seconds=2, pace=0):
    """(opened, wrong, lost samples, labels, predictions) of a recorder that died in its n-th operation; lost
    counts what was handed over more than a second before."""
    with tempfile.TemporaryDirectory() as folder:
        status, fed, said = feed(folder, faulty(folder, crash=n), seconds, pace)
        assert status in (0, 99), said
        ended = fed[-1][0] if fed else 0
        if not os.listdir(folder):
            return True, 0, sum(at < ended - 1 for at, _ in fed), 0, 0
        done = repair(folder)
        if done.returncode != 0:
            # A journal that was just begun holds nothing yet, and says so.
            return not fed and done.returncode == 3, 0, 0, 0, 0
        return (True, *compare(os.path.join(folder, "s.h5"), fed, ended - 1))


def crash_in_repair(n):
    """The repair itself dies in its n-th operation; the next one must find everything. None: it ended before."""
    with tempfile.TemporaryDirectory() as folder:
        operations = count_in_folder(folder)
        status, fed, said = feed(folder, faulty(folder, crash=operations // 2), 1)
        if status != 99:
            return None
        first = repair(folder, faulty(folder, crash=n))
        ended = first.returncode == 0
        done = repair(folder)
        if done.returncode:
            return False, 0, 0, 0, 0, ended
        whole = compare(os.path.join(folder, "s.h5"), fed, -1)
        return (True, *whole, ended)


def count_in_folder(folder):
    with tempfile.NamedTemporaryFile() as count:
        status, _, said = feed(folder, faulty(folder, count=count.name), 1)
        assert status == 0, said
        operations = int(count.read())
    for name in os.listdir(folder):
        os.remove(os.path.join(folder, name))
    return operations


# --- the disk is full from the n-th operation on ---

def full_at(n, seconds=2):
    """What was reserved can still be written: nothing that was handed over may be missing."""
    with tempfile.TemporaryDirectory() as folder:
        status, fed, said = feed(folder, faulty(folder, full=n), seconds)
        left = os.listdir(folder)
        if not left:
            return status, True, 0, 0, 0, 0, said
        done = repair(folder)
        if done.returncode:
            return status, False, 0, 0, 0, 0, said + done.stderr
        return (status, True, *compare(os.path.join(folder, "s.h5"), fed), said)


def on_small_disk(run, size="20m"):
    """run(folder) on a file system of its own; None where this user cannot mount one."""
    script = ("import sys; sys.path.insert(0, %r); import faults; faults.%s(*%r)" % (
        os.path.dirname(os.path.abspath(__file__)), run[0], run[1:]))
    with tempfile.TemporaryDirectory() as folder:
        words = ["unshare", "-rm", "sh", "-c",
                 f'mount -t tmpfs -o size={size} tmpfs "{folder}" && cd "{folder}" && exec "$0" -c "$1"',
                 sys.executable, script]
        if subprocess.run(words[:4] + [f'mount -t tmpfs -o size=1m tmpfs "{folder}"'],
                          capture_output=True).returncode:
            return None
        done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True,
                              env={**os.environ, "LOCKSTEP_BUILD": os.path.abspath(BUILD)})
        return json.loads(done.stdout)


def fill_here(room, on=False):
    """In a small file system: others have left `room` bytes, and stay; record until the recorder says that it is
    full. on: nobody listens, until nothing can be written any more, and the recorder is killed. Then the next
    start: `opened` where it was recorded, or `elsewhere` after a sentence that says what to do."""
    disk = os.statvfs(".")
    with open("others", "wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(4096, disk.f_bavail * disk.f_frsize - room))
    done = subprocess.run([BENCH, "fill", os.path.abspath("s.h5")] + ["on"] * on, capture_output=True, text=True)
    said = json.loads(done.stdout) if done.stdout else {}
    mended = repair(".")
    path, told = "s.h5", mended.stderr
    with tempfile.TemporaryDirectory() as other_disk:
        if mended.returncode:
            mended = subprocess.run([REPAIRER, os.path.abspath("s.h5"), other_disk], capture_output=True, text=True)
            path = os.path.join(other_disk, "s.h5")
        lost = wrong = 0
        if mended.returncode == 0:
            with h5py.File(path, "r") as file:
                data = file["acquisition/eeg/data"][()]
                rows = np.arange(len(data), dtype=np.int64)[:, None] * 8191 + np.arange(8) * 131
                wrong = int((data != ((rows & 0x7FFFFF) - 0x400000)).sum())
                lost = max(0, said.get("rows", 0) - len(data))
    print(json.dumps({"status": done.returncode, "opened": mended.returncode == 0 and path == "s.h5",
                      "elsewhere": mended.returncode == 0 and path != "s.h5", "rows": said.get("rows", 0),
                      "error_s": said.get("error_s"), "lost": lost, "wrong": wrong, "told": told.strip(),
                      "said": done.stderr + mended.stderr}))


def fill_h5py_here(room):
    """The same disk and the same pace, by h5py: when its caller knows, and which rows can be read after it ended."""
    program = """
import h5py, numpy as np, os, sys, time
f = h5py.File("r.h5", "w")
d = f.create_dataset("x", (0, 8), "i4", maxshape=(None, 8), chunks=True, compression="gzip")
n, space, shrank, flushed = 0, 0, time.monotonic(), time.monotonic()
try:
    while True:
        d.resize(n + 500, 0)
        rows = np.arange(n, n + 500)[:, None] * 8191 + np.arange(8) * 131
        d[n:n + 500] = (rows & 0x7FFFFF) - 0x400000
        n += 500
        left = os.statvfs(".").f_bavail
        if left < space:
            shrank = time.monotonic()
        space = left
        if time.monotonic() - flushed > 1:
            flushed = time.monotonic()
            f.flush()
        time.sleep(0.001)
except OSError:
    print(n, time.monotonic() - shrank, flush=True)
"""
    disk = os.statvfs(".")
    with open("others", "wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(4096, disk.f_bavail * disk.f_frsize - room))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    rows, after = done.stdout.split()
    stored = 0
    try:
        with h5py.File("r.h5", "r") as file:
            stored = int((file["x"][:, 0] != 0).sum())
    except OSError:
        pass
    print(json.dumps({"rows": int(rows), "error_s": float(after), "lost": max(0, int(rows) - stored),
                      "status": done.returncode}))


# --- a power cut ---

class File:
    def __init__(self):
        self.safe, self.pending, self.syncing = bytearray(), [], 0

    @staticmethod
    def apply(content, at, data):
        if len(content) < at + len(data):
            content.extend(bytes(at + len(data) - len(content)))
        content[at:at + len(data)] = data

    def synced(self):
        for at, data in self.pending[:self.syncing]:
            if data is None:
                del self.safe[at:]
                self.safe.extend(bytes(max(0, at - len(self.safe))))
            else:
                self.apply(self.safe, at, data)
        self.pending, self.syncing = self.pending[self.syncing:], 0

    def after_cut(self, rng):
        """What the disk has: all that was synced, and of each page written since then any earlier state."""
        content, stale = bytearray(self.safe), set()
        for at, data in self.pending:
            if data is None:
                if rng.random() < 0.5:
                    del content[at:]
                continue
            for page in range(at // PAGE, (at + len(data) - 1) // PAGE + 1):
                if page in stale or rng.random() < 0.4:
                    stale.add(page)
                    continue
                low, high = max(at, page * PAGE), min(at + len(data), (page + 1) * PAGE)
                self.apply(content, low, data[low - at:high - at])
        return content


def read_log(path):
    with open(path, "rb") as log:
        while line := log.readline():
            kind, at, first, second, offset, size = line.decode().rstrip("\n").split("\t")
            size = int(size)
            yield kind, float(at), first, second, int(offset), log.read(size) if kind == "W" else size


def disk_after(operations, folder, target, rng):
    """Writes to `target` what a power cut after these operations leaves of `folder`."""
    now, safe_names, names, naming = {}, {}, [], 0

    def rename(table, kind, a, b, file):
        if kind == "C":
            table[a] = file
        elif kind == "U":
            table.pop(a, None)
        elif a in table:
            table[b] = table.pop(a)

    for kind, _, a, b, offset, data in operations:
        if kind in "CUR":
            file = File() if kind == "C" else now.get(a)
            rename(now, kind, a, b, file)
            names.append((kind, a, b, file))
        elif kind == "W":
            now[a].pending.append((offset, data))
        elif kind == "T":
            now[a].pending.append((offset, None))
        elif kind == "s":
            if a == folder:
                naming = len(names)
            elif a in now:
                now[a].syncing = len(now[a].pending)
        elif kind == "S":
            if a == folder:
                for entry in names[:naming]:
                    rename(safe_names, *entry)
                names, naming = names[naming:], 0
            elif a in now:
                now[a].synced()
    for entry in names[:rng.randint(0, len(names))]:
        rename(safe_names, *entry)
    for name, file in safe_names.items():
        with open(os.path.join(target, os.path.relpath(name, folder)), "wb") as out:
            out.write(file.after_cut(rng))


def last_sync(operations):
    """When the last sync that came to its end began."""
    began = done = float("-inf")
    for kind, at, *_ in operations:
        if kind == "s":
            began = at
        elif kind == "S":
            done = began
    return done


def power_cuts(cuts, seconds=4, pace=4, seed=5, timed=True):
    """One recording in about real time, cut at so many instants: (opened, wrong, lost samples, labels,
    predictions); lost counts what was handed over more than a second before the cut or, not timed (how long
    a sync takes is the disk's), more than a second before a sync that ended."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder, tempfile.NamedTemporaryFile() as log:
        status, fed, said = feed(folder, faulty(folder, log=log.name), seconds, pace)
        assert status == 0, said
        operations = list(read_log(log.name))
        for _ in range(cuts):
            n = rng.randint(1, len(operations))
            at = operations[n - 1][1] if timed else last_sync(operations[:n])
            with tempfile.TemporaryDirectory() as after:
                disk_after(operations[:n], folder, after, rng)
                before = [(t, e) for t, e in fed if t < at - 1]
                if not os.listdir(after):
                    yield not before, 0, 0, 0, 0
                    continue
                done = repair(after)
                if done.returncode:
                    print(f"cut after operation {n}: {sorted(os.listdir(after))}: {done.stderr}", file=sys.stderr)
                    yield not before, 0, 0, 0, 0
                    continue
                yield (True, *compare(os.path.join(after, "s.h5"), fed, at - 1))
