"""A session read by h5py and NumPy alone equals what was fed to the recorder; hostile files are refused."""
import json
import os
import subprocess
import tempfile
import unittest

import h5py
import numpy as np

BUILD = os.environ["LOCKSTEP_BUILD"]
FEEDER = os.path.join(BUILD, "tests", "storage_feeder")
REPAIRER = os.path.join(BUILD, "tests", "storage_repairer")
NAMES = ["eeg", "imu", "ppg", "temperature"]
BLOCK, GAP, PREDICTION, VERDICT, EDIT = 2, 3, 4, 9, 10


class Session(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.path = os.path.join(cls.folder.name, "s.h5")
        out = subprocess.run([FEEDER, cls.path, "12"], check=True, capture_output=True, text=True).stdout
        cls.fed = [json.loads(line.split(" ", 1)[1]) for line in out.splitlines()]
        for order, event in enumerate(cls.fed):
            event["order"] = order
        cls.file = h5py.File(cls.path, "r")

    @classmethod
    def tearDownClass(cls):
        cls.file.close()
        cls.folder.cleanup()

    def of(self, kind, **want):
        return [e for e in self.fed if e["kind"] == kind and all(e[k] == v for k, v in want.items())]

    def same(self, table, events, *names):
        self.assertEqual(len(table), len(events))
        for name in ("order",) + names:
            self.assertEqual(table[name].tolist(), [e[name] for e in events], name)

    def test_samples_blocks_and_gaps(self):
        for index, name in enumerate(NAMES):
            group = self.file["acquisition"][name]
            blocks, gaps = self.of(BLOCK, stream=index), self.of(GAP, stream=index)
            channels = len(group["channels"])
            want = np.concatenate([np.array(b["counts"], np.int32).reshape(-1, channels) for b in blocks])
            data = group["data"][:]
            if data.dtype == np.float32:
                want = want.view(np.float32)
            self.assertEqual(data.dtype, {"imu": np.int16, "temperature": np.float32}.get(name, np.int32))
            np.testing.assert_array_equal(data, want)
            self.same(group["blocks"][:], blocks, "segment", "first", "count", "device_us", "host_ns", "sequence", "flags")
            np.testing.assert_array_equal(group["blocks"]["row"], np.cumsum([0] + [b["count"] for b in blocks])[:-1])
            self.assertGreater(len(gaps), 0)
            self.same(group["gaps"][:], gaps, "segment", "first", "missing", "cause")
            runs = group["runs"][:]
            self.assertEqual(runs["count"].sum(), len(data))
            for level, overview in group["overview"].items():
                n = int(level)
                bins = [data[i:i + n] for i in range(0, len(data), n)]
                np.testing.assert_array_equal(overview[:, :, 0], [b.min(axis=0) for b in bins])
                np.testing.assert_array_equal(overview[:, :, 1], [b.max(axis=0) for b in bins])

    def test_predictions_and_verdicts(self):
        for origin, name in ((1, "device"), (2, "host")):
            group = self.file["predictions/movement"][name]
            events = self.of(PREDICTION, origin=origin)
            self.same(group["table"][:], events, "window", "segment", "input_hash")
            np.testing.assert_array_equal(group["scores"][:], [e["scores"] for e in events])
            np.testing.assert_array_equal(group["first"][:], [e["first"] for e in events])
        np.testing.assert_array_equal(self.file["predictions/movement/host/stages"][:],
                                      [e["stages"] for e in self.of(PREDICTION, origin=2)])
        verdicts = self.file["comparison/verdicts"][:]
        self.same(verdicts, self.of(VERDICT), "window", "verdict")
        self.assertEqual([r.decode() for r in verdicts["reason"]], [e["reason"] for e in self.of(VERDICT)])

    def test_labels(self):
        history = self.file["intervals/history"][:]
        edits = self.of(EDIT)
        self.same(history, edits, "revision", "operation", "old_id", "new_id", "new_start")
        for name in ("author", "old_class", "new_class", "new_note"):
            self.assertEqual([v.decode() for v in history[name]], [e[name] for e in edits])
        current = {}
        for e in edits:
            if e["operation"] == 3:
                del current[e["old_id"]]
            else:
                current[e["new_id"]] = e["new_class"]
        labels = self.file["intervals/labels"][:]
        self.assertEqual({int(r["id"]): r["class"].decode() for r in labels}, current)
        self.assertEqual([c.decode() for c in self.file["intervals/classes"]["name"]], ["walk", "sit"])

    def test_attributes(self):
        attributes = self.file.attrs
        self.assertEqual(attributes["format"].decode(), "lockstep-session")
        self.assertEqual(attributes["state"].decode(), "final")
        self.assertEqual(attributes["composite"], 1)
        self.assertEqual(attributes["session_start_time"].decode(), "2026-09-21T14:13:20.123456Z")
        self.assertEqual(self.file["general/subject"].attrs["id"].decode(), "S01")
        self.assertEqual(self.file["general/devices/0"].attrs["board"].decode(), "mps2-an386")
        self.assertEqual(json.loads(self.file["segments/00000/device_json"][()])["streams"][0]["name"], "eeg")
        self.assertEqual(self.file["models/0/plan"][:].tolist(), [1, 2, 3, 4, 5])
        self.assertEqual(self.file["provenance/steps"][0]["program"].decode(), "record")
        self.assertEqual(attributes["events"], len(self.fed))
        for dataset in ("eeg", "imu", "ppg", "temperature"):
            d = self.file["acquisition"][dataset]["data"]
            self.assertEqual((d.compression, d.shuffle, d.chunks[1]), ("gzip", True, 1))

    def test_mne(self):
        import mne
        group = self.file["acquisition/eeg"]
        channels = group["channels"][:]
        volts = (group["data"][:] * channels["scale"] + channels["offset"]).T * 1e-6
        names = [n.decode() for n in channels["name"]]
        info = mne.create_info(names, float(group.attrs["rate_nominal"]), "eeg")
        raw = mne.io.RawArray(volts, info, verbose="error")
        self.assertEqual(raw.n_times, len(group["data"]))
        self.assertEqual(raw.ch_names, names)

    def refused(self, word, change):
        """A copy of the session with one thing changed is refused by name."""
        import shutil
        path = os.path.join(self.folder.name, "hostile.h5")
        shutil.copy(self.path, path)
        with h5py.File(path, "r+") as file:
            change(file)
        done = subprocess.run([REPAIRER, path], capture_output=True, text=True, timeout=20)
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn(word, done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1)

    def test_hostile_files(self):
        def external_link(f):
            f["general/other"] = h5py.ExternalLink("/etc/passwd", "/")

        def soft_link(f):
            f["general/other"] = h5py.SoftLink("/acquisition")

        def cycle(f):
            f["general/again"] = f["/general"]

        def external_storage(f):
            f.create_dataset("general/x", (10,), "u1", external=[("/etc/passwd", 0, 10)])

        def virtual(f):
            layout = h5py.VirtualLayout((4,), "u1")
            layout[:] = h5py.VirtualSource("/tmp/other.h5", "x", (4,))
            f.create_virtual_dataset("general/x", layout)

        def huge(f):
            f.create_dataset("general/x", (1 << 45,), "u1", chunks=(1024,))

        def variable(f):
            f.create_dataset("general/x", data="text", dtype=h5py.string_dtype())

        def newer(f):
            f.attrs["format_version"] = np.uint32(99)

        def no_format(f):
            f.attrs["format"] = np.bytes_("other")

        def rate(f):
            f["acquisition/eeg"].attrs["rate_num"] = np.uint32(0)

        def no_columns(f):
            del f["acquisition/eeg/runs"]
            f["acquisition/eeg/runs"] = np.zeros(3)

        for word, change in (("external link", external_link), ("link", soft_link), ("cycle", cycle),
                             ("external storage", external_storage), ("virtual", virtual), ("more than the file", huge),
                             ("variable-length", variable), ("newer lockstep", newer), ("not a Lockstep session", no_format),
                             ("rate", rate), ("", no_columns)):
            with self.subTest(change=change.__name__):
                self.refused(word, change)


if __name__ == "__main__":
    unittest.main()
