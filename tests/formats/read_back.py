"""Every export is read back by a tool that has nothing to do with this project: MNE, pandas, h5py,
gzip, json - and compared with the source's own numbers."""
import csv
import gzip
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
import unittest
import uuid

import h5py
import numpy as np

ROOT = os.environ["LOCKSTEP_SOURCE"]
DATA = os.environ["LOCKSTEP_DATA"]
XDF_DUMP = os.path.join(os.environ["LOCKSTEP_BUILD"], "tests", "formats_xdf_dump")
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

    def test_edf_keeps_small_units_invalid_values_and_channels(self):
        import mne
        # An EEG amplifier that speaks volts, with an electrode that fell off for a while; its header has 8
        # characters for a limit of 0.0001875. Two streams have a channel of one name.
        t = np.arange(1000) / 100
        wave = 1.5e-4 * np.sin(2 * np.pi * 3 * t)
        source = self.out("volts.csv")
        with open(source, "w") as file:
            file.write("a,b,x\n")
            for i, v in enumerate(wave):
                file.write(f"{v:.9g},{'nan' if 200 <= i < 250 else format(-v, '.9g')},{i}\n")
        with open(source + ".json", "w") as file:
            json.dump({"rate": 100, "streams": [
                {"name": "eeg", "kind": "eeg", "unit": "V", "columns": ["a", "b"]},
                {"name": "aux", "kind": "other", "unit": "V", "columns": ["a"]},
                {"name": "count", "kind": "other", "columns": ["x"]}]}, file)
        labels = self.out("volts_labels.csv")
        with open(labels, "w") as file:
            file.write("start_s,stop_s,class\n1,2," + "a long name µµµµµµµµµµµµµµµµµµµµµµµµ\n")
        convert("import", source, self.out("volts.h5"), labels=labels)
        for form, steps in (("edf", 2 ** 16), ("bdf", 2 ** 24)):
            notes = convert("export", form, self.out("volts." + form), self.out("volts.h5"))
            self.assertIn("50 samples hold no number", notes)
            self.assertIn("40 bytes", notes)
            read = mne.io.read_raw_edf if form == "edf" else mne.io.read_raw_bdf
            raw = read(self.out("volts." + form), verbose="error")
            self.assertEqual(raw.ch_names, ["eeg a", "b", "aux a", "x"])
            data = raw.get_data()
            np.testing.assert_allclose(data[0], wave, atol=4e-4 / steps)
            np.testing.assert_allclose(data[1, 250:], -wave[250:], atol=4e-4 / steps)
            np.testing.assert_allclose(data[1, 200:250], -wave[199], atol=4e-4 / steps)
            np.testing.assert_array_equal(data[3], np.arange(1000))
            found = {a["description"]: (a["onset"], a["duration"]) for a in raw.annotations}
            self.assertEqual(found["BAD_nan eeg"], (2.0, 0.5))
            self.assertTrue(any(name.startswith("a long name µµµ") for name in found))

    def test_label_of_a_channel(self):
        import mne
        with open(self.out("chan.csv"), "w") as file:
            file.write("label,Fz,Cz\n" + "".join(f"{'x' if 100 <= i < 200 else ''},{i},{i}\n" for i in range(500)))
        convert("import", self.out("chan.csv"), self.out("chan.h5"), rate=100)
        convert("export", "edf", self.out("chan.edf"), self.out("chan.h5"))
        self.assertEqual(mne.read_annotations(self.out("chan.edf")).onset.tolist(), [1.0])

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

    def test_own_and_foreign_tables_come_back(self):
        convert("export", "csv", self.out("back.csv"), self.hapt[0])
        convert("import", self.out("back_acc.csv"), self.out("back.h5"))
        with lockstep.open_session(self.out("back.h5")) as session:
            stream, = session.streams.values()
            self.assertEqual((stream.rate, stream.channels, stream.units), (50, ["acc_x", "acc_y", "acc_z"], ["g"] * 3))
            np.testing.assert_allclose(stream.values(), self.table[:, :3] / 720, rtol=1e-6)
        # Rows taken out are a gap of exactly their width.
        with open(self.out("back_acc.csv")) as file:
            lines = file.readlines()
        with open(self.out("holes.csv"), "w") as file:
            file.writelines(lines[:102] + lines[105:])
        convert("import", self.out("holes.csv"), self.out("holes.h5"))
        with lockstep.open_session(self.out("holes.h5")) as session:
            stream, = session.streams.values()
            self.assertEqual([(int(g["row"]), int(g["missing"])) for g in stream.gaps], [(100, 3)])
            np.testing.assert_allclose(stream.times(99, 102), [1.98, 2.06, 2.08], atol=1e-6)
        # A spreadsheet of the continent: semicolons, decimal commas, a row of units.
        with open(self.out("komma.csv"), "w") as file:
            file.write("time;EMG;force\nms;mV;N\n" + "".join(f"{i * 10};{i},5;{i}\n" for i in range(300)))
        convert("import", self.out("komma.csv"), self.out("komma.h5"))
        with lockstep.open_session(self.out("komma.h5")) as session:
            stream, = session.streams.values()
            self.assertEqual((stream.rate, stream.units), (100, ["mV", "N"]))
            np.testing.assert_allclose(stream.values()[:, 0], np.arange(300) + 0.5)

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
        # The same recording, imported twice, is a leak whatever it is called.
        copy = self.out("exp01_again.h5")
        with open(self.out("hapt.json")) as file:
            self.assertTrue(json.load(file))
        convert("import", f"{DATA}/imu_hapt/exp01_user01.csv", copy, description=self.out("hapt.json"), subject="U99",
                labels=f"{DATA}/imu_hapt/labels.csv")
        self.assertIn("same samples", convert("export", "dataset", self.out("no.h5"), *self.hapt, copy, stream="acc", ok=False))
        self.assertIn("shards", convert("export", "edf", self.out("no.edf"), self.hapt[0], shard=1, shards=2, ok=False))
        self.assertFalse(os.path.exists(self.out("no.h5")))

    def test_dataset_keeps_the_order_of_named_classes(self):
        convert("export", "dataset", self.out("order.h5"), *self.hapt, stream="acc", classes="WALKING,LAYING,no such,SITTING")
        with h5py.File(self.out("order.h5")) as file:
            self.assertEqual([c.decode() for c in file["classes/name"][()]], ["WALKING", "LAYING", "no such", "SITTING"])
            self.assertEqual(set(file["y"][()]), {0, 1, 3})

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
        self.follows_bids(root)
        with gzip.open(beh + ".tsv.gz", "rt") as file:
            values = np.loadtxt(file)
        np.testing.assert_allclose(values, self.table[:, :3] / 720, rtol=1e-6)
        with open(beh + ".json") as file:
            side = json.load(file)
        self.assertEqual((side["SamplingFrequency"], side["Columns"][0]), (50, "acc_x"))

    def follows_bids(self, root):
        """The rules of BIDS 1.8 for EEG, behaviour and physio, as the specification states them."""
        name = re.compile(r"(sub-[a-zA-Z0-9]+)_task-[a-zA-Z0-9]+(_acq-[a-zA-Z0-9]+)?_run-[0-9]+"
                          r"(_recording-[a-zA-Z0-9]+)?_(eeg|events|channels|physio)\.(bdf|tsv|tsv\.gz|json)")
        with open(f"{root}/participants.tsv") as file:
            people = [row["participant_id"] for row in csv.DictReader(file, delimiter="\t")]
        self.assertEqual(people, sorted(d for d in os.listdir(root) if d.startswith("sub-")))
        with open(f"{root}/dataset_description.json") as file:
            description = json.load(file)
        self.assertTrue(description["Name"] and description["BIDSVersion"])
        tagged = False
        for folder, _, files in os.walk(root):
            for file_name in files:
                path = os.path.join(folder, file_name)
                parts = os.path.relpath(path, root).split(os.sep)
                if len(parts) == 1:
                    continue
                if file_name.endswith("_scans.tsv"):
                    with open(path) as file:
                        for row in csv.DictReader(file, delimiter="\t"):
                            self.assertTrue(os.path.exists(os.path.join(folder, row["filename"])))
                    continue
                matched = name.fullmatch(file_name)
                self.assertTrue(matched, file_name)
                self.assertEqual(matched[1], parts[0])
                self.assertIn(parts[1], ("eeg", "beh"))
                kind, ending = matched[4], matched[5]
                if (kind, ending) == ("eeg", "json"):
                    with open(path) as file:
                        side = json.load(file)
                    for key in ("TaskName", "EEGReference", "SamplingFrequency", "PowerLineFrequency", "SoftwareFilters"):
                        self.assertIn(key, side)
                    self.assertEqual(re.sub("[^a-zA-Z0-9]", "", side["TaskName"]),
                                     re.search("_task-([^_]+)", file_name)[1])
                    with open(path.replace("_eeg.json", "_channels.tsv")) as file:
                        rows = list(csv.DictReader(file, delimiter="\t"))
                    self.assertEqual(len({r["name"] for r in rows}), len(rows))
                    self.assertEqual(side["EEGChannelCount"], sum(r["type"] == "EEG" for r in rows))
                    self.assertTrue({r["type"] for r in rows} <= {"EEG", "EOG", "ECG", "EMG", "TRIG", "RESP", "TEMP", "GSR", "MISC"})
                if (kind, ending) == ("physio", "json"):
                    with open(path) as file:
                        side = json.load(file)
                    with gzip.open(path.replace(".json", ".tsv.gz"), "rt") as file:
                        self.assertEqual(len(file.readline().split("\t")), len(side["Columns"]))
                    self.assertGreater(side["SamplingFrequency"], 0)
                    self.assertIsInstance(side["StartTime"], (int, float))
                if kind == "events" and ending == "tsv":
                    with open(path) as file:
                        rows = list(csv.DictReader(file, delimiter="\t"))
                    onsets = [float(r["onset"]) for r in rows]
                    self.assertEqual(onsets, sorted(onsets))
                    self.assertTrue(all(float(r["duration"]) >= 0 and r["trial_type"] for r in rows))
                    tagged = tagged or any("HED" in r for r in rows)
        self.assertEqual(tagged, "HEDVersion" in description)

    def test_bids_of_everything(self):
        root = self.out("bids_all")
        psg = self.out("psg.h5")
        convert("import", f"{DATA}/formats/short_psg.edf", psg, subject="B-01", task="sleep lab")
        e4 = self.out("e4_bids.h5")
        convert("import", f"{DATA}/wrist_e4_stress/S05", e4, labels=f"{DATA}/wrist_e4_stress/labels.csv")
        self.assertIn("sub-B01x2", convert("export", "bids", root, self.eeg, psg, e4, self.hapt[1]))
        self.follows_bids(root)
        # Two people whose names differ in what a label cannot hold stay two people.
        self.assertTrue(os.path.exists(f"{root}/sub-B01/eeg") and os.path.exists(f"{root}/sub-B01x2/eeg"))
        with open(f"{root}/sub-B01x2/eeg/sub-B01x2_task-sleeplab_run-1_channels.tsv") as file:
            self.assertEqual([r["type"] for r in csv.DictReader(file, delimiter="\t")], ["EEG", "EEG", "EOG"])

    def test_xdf(self):
        path = self.out("hapt.xdf")
        convert("export", "xdf", path, self.hapt[0])
        # A reader written from the format's specification.
        with open(path, "rb") as file:
            data = file.read()
        self.assertEqual(data[:4], b"XDF:")
        at, values, markers, ends = 4, [], [], []

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
                if stream == 4:
                    ends.append(struct.unpack_from("<dd", data, i + 1))
            at += size
        values = np.concatenate(values)
        np.testing.assert_allclose(values["v"], self.table[:, :3] / 720, rtol=1e-6)
        np.testing.assert_allclose(np.diff(values["t"]), 0.02, atol=1e-3)
        self.assertEqual(markers[0], "STANDING")
        self.assertEqual(ends[0][0], 4.98)
        self.assertAlmostEqual(ends[0][1], 19.66)
        convert("import", path, self.out("from_xdf.h5"))
        with lockstep.open_session(self.out("from_xdf.h5")) as session:
            np.testing.assert_allclose(session["acc"].values(), self.table[:, :3] / 720, rtol=1e-6)
            with lockstep.open_session(self.hapt[0]) as original:
                for a, b in zip(session.labels, original.labels):
                    self.assertEqual(a["class"], b["class"])
                    np.testing.assert_allclose([a["start"], a["stop"]], [b["start"], b["stop"]], atol=1e-9)
        # Libraries that people load XDF with.
        subprocess.run([XDF_DUMP, path, self.out("hapt.json.xdf")], check=True, capture_output=True)
        with open(self.out("hapt.json.xdf")) as file:
            found = json.load(file)
        acc = found["streams"][0]
        self.assertEqual((acc["name"], acc["rate"], acc["labels"]), ("acc", 50, ["acc_x", "acc_y", "acc_z"]))
        np.testing.assert_allclose(np.array(acc["values"]).T, self.table[:, :3] / 720, rtol=1e-6)
        np.testing.assert_allclose(np.diff(acc["times"]), 0.02, atol=1e-3)
        with lockstep.open_session(self.hapt[0]) as session:
            self.assertEqual([(name, round(time, 6)) for name, time, _ in found["events"]],
                             [(l["class"], round(l["start"], 6)) for l in session.labels])
        try:
            import pyxdf
        except ImportError:
            return
        streams, _ = pyxdf.load_xdf(path)
        self.assertEqual(streams[0]["info"]["nominal_srate"], ["50"])
        np.testing.assert_allclose(streams[0]["time_series"], self.table[:, :3] / 720, rtol=1e-6)

    def test_nwb_and_mat(self):
        convert("export", "nwb", self.out("hapt.nwb"), self.hapt[0])
        with h5py.File(self.out("hapt.nwb")) as file:
            # What the NWB 2 schema asks of a file, a TimeSeries and a table of intervals; readers that check
            # types (pynwb) take texts of variable length only.
            for name in ("identifier", "session_description", "session_start_time", "timestamps_reference_time"):
                self.assertEqual(h5py.check_string_dtype(file[name].dtype).length, None)
                self.assertEqual(file[name].shape, ())
            self.assertEqual(file["file_create_date"].shape, (1,))
            for group in ("acquisition", "analysis", "processing", "general", "stimulus/presentation",
                          "stimulus/templates"):
                self.assertIsInstance(file[group], h5py.Group)
            typed = {"/": "NWBFile", "acquisition/acc": "TimeSeries", "acquisition/gyro": "TimeSeries",
                     "general/subject": "Subject", "intervals/labels": "TimeIntervals",
                     "intervals/labels/id": "ElementIdentifiers", "intervals/labels/start_time": "VectorData"}
            identifiers = set()
            for path, kind in typed.items():
                self.assertEqual(file[path].attrs["neurodata_type"], kind)
                self.assertIsInstance(file[path].attrs["namespace"], str)
                identifiers.add(str(uuid.UUID(file[path].attrs["object_id"])))
            self.assertEqual(len(identifiers), len(typed))
            self.assertRegex(file.attrs["nwb_version"], r"^2\.\d+\.\d+$")
            table = file["intervals/labels"]
            self.assertEqual(list(table.attrs["colnames"][:3]), ["start_time", "stop_time", "label"])
            for column in table.attrs["colnames"]:
                self.assertEqual(table[column].shape, table["id"].shape)
            series = file["acquisition/acc"]
            self.assertEqual(series["data"].attrs["unit"], "g")
            self.assertEqual((series["timestamps"].attrs["interval"], series["timestamps"].attrs["unit"]),
                             (1, "seconds"))
            np.testing.assert_allclose(np.diff(series["timestamps"][()]), 0.02, atol=1e-3)
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
            self.assertEqual(file["label_class"].attrs["MATLAB_class"], b"char")
            self.assertEqual(file["acc_time"].shape, (len(self.table), 1))
        # A session without labels: MATLAB keeps an empty array's size as its content.
        convert("import", f"{DATA}/ppg_heartpy/data.csv", self.out("ppg.h5"), rate=100)
        convert("export", "mat", self.out("ppg.mat"), self.out("ppg.h5"))
        with h5py.File(self.out("ppg.mat")) as file:
            for name in ("label_start", "label_class"):
                self.assertEqual(file[name].attrs["MATLAB_empty"], 1)
                self.assertEqual(file[name][()].tolist(), [0, 0])

    def test_deidentified(self):
        said = convert("export", "bids", self.out("hidden"), self.hapt[1], deidentify=1)
        self.assertIn("removed: subject names", said)
        names = " ".join(os.path.join(d, f) for d, _, files in os.walk(self.out("hidden")) for f in files)
        self.assertIn("sub-P001", names)
        self.assertNotIn("U03", names)

    def test_nothing_names_a_person(self):
        # A name as subject, file name, note of a label; a start date; the session's own number.
        labels = self.out("named.csv")
        with open(labels, "w") as file:
            file.write("start_s,stop_s,class,channel\n1,2,blink,Meierhofer left\n")
        source = self.out("named.txt")
        with open(f"{DATA}/eeg_openbci/OpenBCI_GUI-v6-blinks-jawClench-alpha.txt") as original, open(source, "w") as file:
            file.writelines(line for _, line in zip(range(1500), original))
        people = []
        for name in ("Meierhofer", "Meierhofer2"):
            people.append(self.out(name + ".h5"))
            convert("import", source, people[-1], labels=labels, subject=name, task="blinks")
        with lockstep.open_session(people[0]) as session:
            secrets = [b"Meierhofer", session.identifier.encode(), b"2019-05-15", b"15.05.19", b"15-MAY-2019",
                       os.path.basename(self.work).encode()]
        for form in ("edf", "bdf", "csv", "bids", "xdf", "nwb", "mat", "dataset"):
            more = {"split": "none", "background": "rest"} if form == "dataset" else {}
            for sessions in ([people[0]], people):
                if form == "dataset" and len(sessions) == 2:
                    continue  # the same samples twice
                out = self.out(f"unnamed_{form}_{len(sessions)}")
                convert("export", form, out, *sessions, deidentify=1, **more)
                made = [f for f in os.listdir(self.work) if f.startswith(os.path.basename(out))]
                self.assertTrue(made)
                for top in made:
                    files = [os.path.join(d, f) for d, _, fs in os.walk(self.out(top)) for f in fs] or [self.out(top)]
                    for path in files:
                        with open(path, "rb") as file:
                            data = file.read()
                        if path.endswith(".gz"):
                            data = gzip.decompress(data)
                        data += data.replace(b"\0", b"") + path[len(self.work):].encode()  # UTF-16 too
                        for secret in secrets:
                            self.assertNotIn(secret, data, path)

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
            self.assertAlmostEqual(raw.annotations.onset[0], 4.98, places=6)
            self.assertEqual(session.labels[0]["class"], "STANDING")
            table = session.labels_to_pandas()
            self.assertEqual((table["class"][0], table["start"][0]), ("STANDING", 4.98))
        with lockstep.open_session(self.eeg) as session:
            raw = session["eeg"].to_mne()
            self.assertAlmostEqual(raw.get_data()[0, 0], 61379.36e-6, places=7)
            self.assertEqual(raw.info["meas_date"].timestamp(), 1557936053.329)
            self.assertEqual(raw.annotations.onset[0], session.labels[0]["start"])

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
