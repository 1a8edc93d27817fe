"""Every export is read back by a tool that has nothing to do with this project: MNE, pandas, h5py,
gzip, json - and compared with the source's own numbers."""
import csv
import gzip
import json
import os
import struct
import subprocess
import sys
import tempfile
import unittest

import h5py
import numpy as np

ROOT = os.environ["LOCKSTEP_SOURCE"]
DATA = os.environ["LOCKSTEP_DATA"]
CONVERT = os.path.join(os.environ["LOCKSTEP_BUILD"], "tests", "formats_convert")
sys.path.insert(0, os.path.join(ROOT, "storage", "python"))
import lockstep  # noqa: E402

HAPT = {"rate": 50, "streams": [
    {"name": "acc", "kind": "imu", "unit": "g", "scale": 1 / 720, "columns": ["acc_x", "acc_y", "acc_z"]},
    {"name": "gyro", "kind": "imu", "unit": "rad/s", "scale": 0.0175 * np.pi / 180,
     "columns": ["gyro_x", "gyro_y", "gyro_z"]}]}


def convert(*words, ok=True, **options):
    run = subprocess.run([CONVERT, *map(str, words), *(f"{k}={v}" for k, v in options.items())],
                         capture_output=True, text=True)
    assert (run.returncode == 0) == ok, run.stderr
    return (run.stdout if ok else run.stderr)


class ReadBack(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.work = cls.folder.name
        description = os.path.join(cls.work, "hapt.json")
        with open(description, "w") as file:
            json.dump(HAPT, file)
        cls.hapt = []
        for exp, user in ((1, 1), (5, 3), (9, 5), (11, 6), (13, 7)):
            name = f"exp{exp:02}_user{user:02}"
            session = os.path.join(cls.work, name + ".h5")
            convert("import", f"{DATA}/imu_hapt/{name}.csv", session, description=description,
                    labels=f"{DATA}/imu_hapt/labels.csv", subject=f"U{user:02}", task="activities")
            cls.hapt.append(session)
        cls.eeg = os.path.join(cls.work, "eeg.h5")
        convert("import", f"{DATA}/eeg_openbci/OpenBCI_GUI-v6-blinks-jawClench-alpha.txt", cls.eeg,
                labels=f"{DATA}/eeg_openbci/labels.csv", subject="B01", task="blinks")
        cls.table = np.loadtxt(f"{DATA}/imu_hapt/exp01_user01.csv", delimiter=",", skiprows=1)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def out(self, name):
        return os.path.join(self.work, name)

    def test_edf_and_bdf_in_mne(self):
        import mne
        source = f"{DATA}/eeg_mental_arithmetic/S02_rest.edf"
        session = self.out("rest.h5")
        convert("import", source, session)
        original = mne.io.read_raw_edf(source, verbose="error").get_data()
        for form in ("edf", "bdf"):
            convert("export", form, self.out("rest." + form), session)
            read = mne.io.read_raw_edf if form == "edf" else mne.io.read_raw_bdf
            raw = read(self.out("rest." + form), verbose="error")
            self.assertEqual(raw.info["sfreq"], 250)
            np.testing.assert_allclose(raw.get_data()[:, :original.shape[1]], original, rtol=1e-4, atol=2e-8)

    def test_annotations_in_mne(self):
        import mne
        convert("export", "edf", self.out("hapt.edf"), self.hapt[0])
        raw = mne.io.read_raw_edf(self.out("hapt.edf"), verbose="error")
        np.testing.assert_allclose(raw.get_data()[0, :len(self.table)], self.table[:, 0] / 720, atol=1e-5)
        first = [a for a in raw.annotations if a["description"] == "STANDING"][0]
        self.assertAlmostEqual(first["onset"], 4.98, places=3)
        self.assertAlmostEqual(first["duration"], 19.66, places=3)

    def test_different_rates_become_different_files(self):
        session = self.out("e4.h5")
        convert("import", f"{DATA}/wrist_e4_stress/S05", session, subject="S05")
        files = convert("export", "bdf", self.out("e4.bdf"), session).splitlines()
        self.assertEqual(len([f for f in files if f.endswith(".bdf")]), 4)  # 64, 32, 4 and 1 Hz
        import mne
        raw = mne.io.read_raw_bdf(self.out("e4_bvp.bdf"), verbose="error")
        self.assertEqual(raw.info["sfreq"], 64)

    def test_csv_in_pandas(self):
        import pandas
        convert("export", "csv", self.out("hapt.csv"), self.hapt[0])
        frame = pandas.read_csv(self.out("hapt_acc.csv"), header=[0, 1])
        self.assertEqual(frame.columns[3], ("acc_x", "g"))
        np.testing.assert_allclose(frame["acc_x"].to_numpy()[:, 0], self.table[:, 0] / 720, rtol=1e-6)
        labels = pandas.read_csv(self.out("hapt_labels.csv"))
        self.assertEqual(labels["class"][0], "STANDING")

    def test_dataset(self):
        path = self.out("train.h5")
        options = dict(stream="acc", window=2.56, hop=1.28, val=0.2, test=0.2)
        notes = convert("export", "dataset", path, *self.hapt, **options)
        self.assertIn("train", notes)
        with h5py.File(path) as file:
            self.assertTrue(file["X"].chunks is None)
            x, y = file["X"][()], file["y"][()]
            subjects = file["subject"][()]
            split = {k: v[()] for k, v in file["splits/subject"].items()}
            sessions, row0 = file["session"][()], file["row0"][()]
            mean, std = file["normalization/mean"][()], file["normalization/std"][()]
            classes = [c.decode() for c in file["classes/name"][()]]
            start = file["t_start"][()]
        self.assertEqual(sorted(np.concatenate(list(split.values()))), list(range(len(x))))
        parts = {k: set(subjects[v]) for k, v in split.items()}
        self.assertFalse(parts["train"] & parts["val"] or parts["train"] & parts["test"] or parts["val"] & parts["test"])
        self.assertTrue(all(parts.values()))
        train = x[split["train"]].reshape(-1, 3).astype(np.float64)
        np.testing.assert_allclose(mean, train.mean(0), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(std, train.std(0), rtol=1e-5)
        mine = np.flatnonzero(sessions == sessions[0])
        with open(f"{DATA}/imu_hapt/labels.csv") as file:
            truth = [r for r in csv.DictReader(file) if r["file"] == "exp01_user01.csv"]
        for i in mine[::7]:
            rows = self.table[int(row0[i]):int(row0[i]) + 128, :3] / 720
            np.testing.assert_allclose(x[i], rows, rtol=1e-6, atol=1e-7)
            cover = {}
            for r in truth:
                overlap = min(start[i] + 2.56, float(r["end_s"])) - max(start[i], float(r["start_s"]))
                if overlap > 0:
                    cover[r["label"]] = cover.get(r["label"], 0) + overlap
            self.assertEqual(classes[y[i]], max(cover, key=cover.get))
            self.assertGreaterEqual(max(cover.values()), 0.6 * 2.56 - 1e-6)
        # The same command gives the same bytes; so do shards that are merged.
        again = self.out("again/train.h5")
        os.mkdir(self.out("again"))
        convert("export", "dataset", again, *self.hapt, **options)
        with open(path, "rb") as a, open(again, "rb") as b:
            self.assertEqual(a.read(), b.read())
        os.remove(again)
        for k in (1, 2, 3):
            convert("export", "dataset", again, *self.hapt, shard=k, shards=3, **options)
        convert("export", "dataset", again, *self.hapt, parts=3, **options)
        with open(path, "rb") as a, open(again, "rb") as b:
            self.assertEqual(a.read(), b.read())

    def test_dataset_refuses(self):
        self.assertIn("too few", convert("export", "dataset", self.out("no.h5"), self.hapt[0], stream="acc", ok=False))
        self.assertIn("twice", convert("export", "dataset", self.out("no.h5"), self.hapt[0], self.hapt[0], ok=False))
        self.assertIn("gap", convert("export", "dataset", self.out("no.h5"), self.hapt[0], split="time", gap=0.5, ok=False))
        self.assertFalse(os.path.exists(self.out("no.h5")))

    def test_dataset_split_by_time(self):
        convert("export", "dataset", self.out("time.h5"), self.hapt[0], split="time", stream="gyro", hop=0.5)
        with h5py.File(self.out("time.h5")) as file:
            start, stop = file["t_start"][()], file["t_stop"][()]
            part = np.empty(len(start), int)
            for i, name in enumerate(("train", "val", "test")):
                part[file["splits/time"][name][()]] = i
        order = np.argsort(start)
        for a, b in zip(order, order[1:]):
            if part[a] != part[b]:
                self.assertGreaterEqual(start[b] - stop[a], 2.0 - 1e-6)

    def test_bids(self):
        import mne
        root = self.out("bids")
        convert("export", "bids", root, self.eeg, self.hapt[0])
        with open(f"{root}/dataset_description.json") as file:
            self.assertEqual(json.load(file)["BIDSVersion"], "1.8.0")
        stem = f"{root}/sub-B01/eeg/sub-B01_task-blinks_run-1"
        raw = mne.io.read_raw_bdf(stem + "_eeg.bdf", verbose="error")
        self.assertEqual(len(raw.ch_names), 8)
        with open(stem + "_channels.tsv") as file:
            self.assertEqual(len(file.readlines()), 9)
        beh = f"{root}/sub-U01/beh/sub-U01_task-activities_run-1_recording-acc_physio"
        with gzip.open(beh + ".tsv.gz", "rt") as file:
            values = np.loadtxt(file)
        np.testing.assert_allclose(values, self.table[:, :3] / 720, rtol=1e-6)
        with open(beh + ".json") as file:
            side = json.load(file)
        self.assertEqual((side["SamplingFrequency"], side["Columns"][0]), (50, "acc_x"))

    def test_xdf(self):
        path = self.out("hapt.xdf")
        convert("export", "xdf", path, self.hapt[0])
        # A reader written from the format's specification.
        with open(path, "rb") as file:
            data = file.read()
        self.assertEqual(data[:4], b"XDF:")
        at, values, markers = 4, [], []

        def length(i):
            width = data[i]
            return int.from_bytes(data[i + 1:i + 1 + width], "little"), i + 1 + width
        while at < len(data):
            size, at = length(at)
            tag, = struct.unpack_from("<H", data, at)
            if tag == 3:
                stream, = struct.unpack_from("<I", data, at + 2)
                count, i = length(at + 6)
                if stream == 1:
                    values.append(np.frombuffer(data, np.dtype([("b", "u1"), ("t", "<f8"), ("v", "<f4", 3)]), count, i))
                if stream == 3:
                    n, j = length(i + 9)
                    markers.append(data[j:j + n].decode())
            at += size
        values = np.concatenate(values)
        np.testing.assert_allclose(values["v"], self.table[:, :3] / 720, rtol=1e-6)
        np.testing.assert_allclose(np.diff(values["t"]), 0.02, atol=1e-3)
        self.assertEqual(markers[0], "STANDING")
        convert("import", path, self.out("from_xdf.h5"))
        with lockstep.open_session(self.out("from_xdf.h5")) as session:
            np.testing.assert_allclose(session["acc"].values(), self.table[:, :3] / 720, rtol=1e-6)

    def test_nwb_and_mat(self):
        convert("export", "nwb", self.out("hapt.nwb"), self.hapt[0])
        with h5py.File(self.out("hapt.nwb")) as file:
            self.assertEqual(file.attrs["neurodata_type"], b"NWBFile")
            series = file["acquisition/acc"]
            np.testing.assert_allclose(series["data"][()], self.table[:, :3] / 720, rtol=1e-6)
            self.assertEqual(series["timestamps"].shape, (len(self.table),))
            self.assertEqual(file["intervals/labels/label"][0], b"STANDING")
        convert("export", "mat", self.out("hapt.mat"), self.hapt[0])
        with open(self.out("hapt.mat"), "rb") as file:
            head = file.read(128)
        self.assertEqual(head[124:], b"\x00\x02IM")
        with h5py.File(self.out("hapt.mat")) as file:
            np.testing.assert_allclose(file["acc_data"][()], self.table[:, :3] / 720, rtol=1e-6)
            self.assertEqual("".join(chr(c) for c in file["label_class"][:8, 0]), "STANDING")

    def test_deidentified(self):
        said = convert("export", "bids", self.out("hidden"), self.hapt[1], deidentify=1)
        self.assertIn("removed: subject names", said)
        names = " ".join(os.path.join(d, f) for d, _, files in os.walk(self.out("hidden")) for f in files)
        self.assertIn("sub-P001", names)
        self.assertNotIn("U03", names)

    def test_python_session(self):
        import mne  # noqa: F401
        with lockstep.open_session(self.hapt[0]) as session:
            self.assertEqual(session.subject, "U01")
            time, values = session["acc"].read(10, 20)
            self.assertEqual(len(time), 500)
            np.testing.assert_allclose(values, self.table[500:1000, :3] / 720, rtol=1e-6)
            frame = session["gyro"].to_pandas(0, 1)
            self.assertEqual(frame.shape, (50, 3))
            raw = session["acc"].to_mne()
            self.assertEqual(raw.annotations.description[0], "STANDING")
            self.assertEqual(session.labels[0]["class"], "STANDING")
        with lockstep.open_session(self.eeg) as session:
            raw = session["eeg"].to_mne()
            self.assertAlmostEqual(raw.get_data()[0, 0], 61379.36e-6, places=7)

    def test_python_dataset(self):
        import torch
        torch.set_num_threads(1)
        convert("export", "dataset", self.out("torch.h5"), *self.hapt, stream="acc")
        data = lockstep.open_dataset(self.out("torch.h5"))
        train = data.part("train")
        x, y = next(iter(torch.utils.data.DataLoader(train, batch_size=16)))
        self.assertEqual(tuple(x.shape), (16, 100, 3))
        self.assertEqual(y.tolist(), data.y[train.rows[:16]].tolist())
        every, _ = train[:]
        np.testing.assert_allclose(every.reshape(-1, 3).mean(0), 0, atol=1e-3)
        with h5py.File(self.out("torch.h5")) as file:
            np.testing.assert_array_equal(data.X[5], file["X"][5])


if __name__ == "__main__":
    unittest.main(verbosity=2)
