"""Every recording of the shared data set becomes a session that holds what an independent reader (MNE, pandas, numpy,
the format's specification) finds in the file: every sample, the rates, the labels. A file that is neither a recording
nor named below as something else fails the test."""
import concurrent.futures
import csv
import glob
import hashlib
import io
import os
import struct
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as xml

import mne
import numpy as np
import pandas

DATA = os.path.abspath(os.environ["LOCKSTEP_DATA"])
CONVERT = os.path.join(os.environ["LOCKSTEP_BUILD"], "tests", "formats_convert")
sys.path.insert(0, os.path.join(os.environ["LOCKSTEP_SOURCE"], "storage", "python"))
import lockstep  # noqa: E402

NOT_RECORDINGS = {
    "README.md", "SHA256SUMS", "eeg_mental_arithmetic/PHYSIONET_README.txt", "eeg_mental_arithmetic/subject-info.csv",
    "imu_hapt/HAPT_README.txt", "imu_hapt/labels.csv", "imu_phone_watch/executions_info.csv",
    "imu_phone_watch/subjects_info.csv", "eeg_openbci/labels.csv", "bio_neurokit/reference_5min_ecg_rpeaks.csv",
    "bio_neurokit/reference_5min_ppg_peaks.csv", "bio_neurokit/reference_eventrelated_scr.csv",
    "wrist_e4_stress/E4_info.txt", "wrist_e4_stress/LICENSE_MIT.txt", "wrist_e4_stress/labels.csv"}
# What a file does not say itself.
OPTIONS = {"imu_hapt/*.csv": {"rate": 50}, "bio_neurokit/bio_*.csv": {"rate": 100}, "ppg_heartpy/data.csv": {"rate": 100},
           "eeg_eye_state/*.arff": {"rate": 128, "kind": "eeg"}}


def recordings():
    """(path below DATA, name of the check) of each: a folder of an E4 is one."""
    kinds = {".edf": "edf", ".bdf": "edf", ".xdf": "xdf", ".arff": "table", ".csv": "table", ".txt": "openbci"}
    for folder, _, files in sorted(os.walk(DATA)):
        below = os.path.relpath(folder, DATA)
        if below.split(os.sep)[0] == "models":
            continue
        if "EDA.csv" in files:
            yield below, "e4"
            continue
        for name in sorted(files):
            path = os.path.normpath(os.path.join(below, name))
            if path not in NOT_RECORDINGS:
                yield path, "emotibit" if below == "multimodal_emotibit" else kinds[os.path.splitext(name)[1]]


def options_of(path):
    for pattern, options in OPTIONS.items():
        if glob.fnmatch.fnmatch(path, pattern):
            return options
    return {}


def digest(values, kind):
    return hashlib.sha256(np.ascontiguousarray(values, kind)).hexdigest()


def pandas_table(path):
    """The rows of a CSV or ARFF file."""
    with open(path) as file:
        text = file.read()
    if path.endswith(".arff"):
        head, text = text.split("@DATA", 1) if "@DATA" in text else text.split("@data", 1)
        names = [line.split()[1] for line in head.splitlines() if line.lower().startswith("@attribute")]
        return pandas.read_csv(io.StringIO(text.strip()), names=names)
    named = not text[0].isdigit()
    return pandas.read_csv(io.StringIO(text), header=0 if named else None)


def xdf_streams(path):
    """{id: (header, values or texts)} as XDF 1.0 is specified."""
    with open(path, "rb") as file:
        data = file.read()
    types = {"float32": "<f4", "double64": "<f8", "int8": "i1", "int16": "<i2", "int32": "<i4", "int64": "<i8"}

    def length(at):
        return int.from_bytes(data[at + 1:at + 1 + data[at]], "little"), at + 1 + data[at]
    found, at = {}, 4
    while at < len(data):
        size, at = length(at)
        tag, = struct.unpack_from("<H", data, at)
        stream = struct.unpack_from("<I", data, at + 2)[0] if tag in (2, 3) else 0
        if tag == 2:
            head = xml.fromstring(data[at + 6:at + size].decode())
            found[stream] = ({name: head.findtext(name) for name in ("name", "channel_count", "nominal_srate",
                                                                     "channel_format")}, [])
        if tag == 3:
            head, values = found[stream]
            count, i = length(at + 6)
            channels = int(head["channel_count"])
            for _ in range(count):
                i += 1 + data[i]
                if head["channel_format"] == "string":
                    for _ in range(channels):
                        n, i = length(i)
                        values.append(data[i:i + n].decode())
                        i += n
                else:
                    kind = np.dtype(types[head["channel_format"]])
                    values.append(np.frombuffer(data, kind, channels, i))
                    i += channels * kind.itemsize
        at += size
    return found


class EveryRecording(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.found = list(recordings())

        def convert(index):
            path, _ = cls.found[index]
            words = [f"{key}={value}" for key, value in options_of(path).items()]
            run = subprocess.run([CONVERT, "import", os.path.join(DATA, path), cls.session(index), *words],
                                 capture_output=True, text=True)
            return run.stderr.strip() if run.returncode else None
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            cls.errors = list(pool.map(convert, range(len(cls.found))))

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @classmethod
    def session(cls, index):
        return os.path.join(cls.folder.name, f"{index}.h5")

    def test_all_of_them(self):
        kinds = {}
        for index, (path, kind) in enumerate(self.found):
            kinds[kind] = kinds.get(kind, 0) + 1
            with self.subTest(path):
                self.assertIsNone(self.errors[index])
                with lockstep.open_session(self.session(index)) as session:
                    getattr(self, "check_" + kind)(os.path.join(DATA, path), session, options_of(path))
        self.assertEqual(kinds, {"edf": 40, "xdf": 2, "openbci": 1, "e4": 20, "emotibit": 1, "table": 83})

    def same(self, stream, expected):
        """Every value of a stream, as float32 computes it: adding an offset of 0 makes 0 of -0."""
        self.assertEqual(stream.counts.shape, expected.shape)
        self.assertEqual(digest(stream.values(), "<f4"), digest(expected + 0.0, "<f4"))

    def check_edf(self, path, session, _):
        read = mne.io.read_raw_bdf if path.endswith(".bdf") else mne.io.read_raw_edf
        for stream in session.streams.values():
            # Only channels of one rate at a time, or MNE resamples.
            raw = read(path, include=stream.channels, verbose="error")
            self.assertEqual(raw.ch_names, stream.channels)
            self.assertAlmostEqual(raw.info["sfreq"], stream.rate)
            factors = [{"uV": 1e-6, "µV": 1e-6, "mV": 1e-3}.get(unit, 1) for unit in stream.units]
            physical = raw.get_data().T / factors
            scale, offset = stream.scale.astype(float), stream.offset.astype(float)
            digits = np.round((physical - offset) / scale)
            self.assertEqual(digest(digits, "<i4"), digest(stream.counts[()], "<i4"))
            self.assertEqual(len(stream.gaps), 0)
        marks = mne.read_annotations(path)
        labels = session.labels
        self.assertEqual([l["class"] for l in labels], [d.strip() for d in marks.description])
        np.testing.assert_allclose([l["start"] for l in labels], marks.onset, atol=1e-6)
        np.testing.assert_allclose([l["stop"] - l["start"] for l in labels], marks.duration, atol=1e-6)

    def check_e4(self, path, session, _):
        names = {"EDA.csv": "eda", "BVP.csv": "bvp", "ACC.csv": "acc", "TEMP.csv": "temp", "HR.csv": "hr"}
        present = {name: stream for name, stream in names.items() if os.path.exists(os.path.join(path, name))}
        self.assertEqual(set(session.streams), set(present.values()))
        starts = {}
        for name, stream in present.items():
            table = pandas.read_csv(os.path.join(path, name), header=None).to_numpy(float)
            starts[stream] = table[0, 0]
            self.assertEqual(session[stream].rate, table[1, 0])
            self.same(session[stream], table[2:] / (64 if stream == "acc" else 1))
        for stream, start in starts.items():
            self.assertAlmostEqual(session[stream].times(0, 1)[0], start - min(starts.values()), 3)
        marks = pandas.read_csv(os.path.join(path, "tags.csv"), header=None)[0].to_numpy()
        marks = marks[marks >= min(starts.values())] - min(starts.values())
        np.testing.assert_allclose(sorted(l["start"] for l in session.labels if l["class"] == "tag"), sorted(marks),
                                   atol=1e-3)
        beats = pandas.read_csv(os.path.join(path, "IBI.csv"), header=None, skiprows=1)
        self.assertEqual(sum(l["class"] == "beat" for l in session.labels), len(beats))

    def check_emotibit(self, path, session, _):
        packets = {}
        with open(path) as file:
            for row in csv.reader(file):
                if len(row) > 6:
                    packets.setdefault(row[3], []).extend(row[6:])
        tags = {"ppg": ["PI", "PR", "PG"], "eda": ["EA"], "edl": ["EL"], "acc": ["AX", "AY", "AZ"],
                "gyro": ["GX", "GY", "GZ"], "mag": ["MX", "MY", "MZ"], "temp1": ["T1"], "thermopile": ["TH"]}
        rates = {"eda": 15, "edl": 15, "temp1": 7.5, "thermopile": 7.5}
        self.assertEqual(set(session.streams), set(tags))
        for name, columns in tags.items():
            self.same(session[name], np.array([packets[c] for c in columns], float).T)
            self.assertEqual(session[name].rate, rates.get(name, 25))
        labels = [l["class"] for l in session.labels]
        self.assertEqual(labels.count("beat"), len(packets["BI"]))
        self.assertEqual(labels.count("heart rate"), len(packets["HR"]))

    def check_openbci(self, path, session, _):
        table = pandas.read_csv(path, comment="%", skipinitialspace=True)
        self.same(session["eeg"], table.filter(like="EXG").to_numpy())
        self.same(session["acc"], table.filter(like="Accel").to_numpy())
        self.assertEqual((session["eeg"].rate, session["acc"].rate), (250, 250))

    def check_xdf(self, path, session, _):
        texts = 0
        for head, values in xdf_streams(path).values():
            if head["channel_format"] == "string":
                texts += len(values)
                continue
            self.same(session[head["name"]], np.array(values))
            self.assertEqual(session[head["name"]].rate, float(head["nominal_srate"]))
        self.assertEqual(len(session.labels), texts)

    def check_table(self, path, session, options):
        table = pandas_table(path)
        stream, = session.streams.values()
        times = next((c for c in ("timestamp", "timer") if c in table), None)
        label = next((c for c in ("label", "eyeDetection") if c in table), None)
        self.same(stream, table.drop(columns=[c for c in (times, label) if c]).to_numpy(float))
        if times:
            seconds = (table[times] - table[times][0]).to_numpy() / 1000
            self.assertAlmostEqual(stream.rate, (len(table) - 1) / seconds[-1], 2)
            # Phones send in batches: a sample's own stamp may be late, the session's times are even.
            self.assertLess(np.abs(stream.times() - seconds).max(), 0.2)
        else:
            self.assertEqual(stream.rate, options["rate"])
        if label:
            runs = table[label].ne(table[label].shift()).sum()
            self.assertEqual(len(session.labels), runs)


if __name__ == "__main__":
    unittest.main()
