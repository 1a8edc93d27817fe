"""A reader of sessions and journals written from docs/file_format.md alone, by means of h5py and NumPy: what it finds
is what was fed to the recorder and what the program says. Where this reader needs to know more, the document lacks it."""
import csv
import json
import os
import struct
import subprocess
import tempfile
import time
import unittest

import h5py
import numpy as np

BUILD = os.environ["LOCKSTEP_BUILD"]
FEEDER = os.path.join(BUILD, "tests", "storage_feeder")
LOCKSTEP = os.path.join(BUILD, "bin", "lockstep")

TABLE = []
for n in range(256):
    for _ in range(8):
        n = n >> 1 ^ (0x82F63B78 if n & 1 else 0)
    TABLE.append(n)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in bytes(data):
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


class Fields:
    """Fields of a journal's payload."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, kinds):
        values = struct.unpack_from("<" + kinds, self.data, self.at)
        self.at += struct.calcsize("<" + kinds)
        return values

    def one(self, kind):
        return self.take(kind)[0]

    def bytes(self, n):
        self.at += n
        return self.data[self.at - n:self.at]

    def text(self):
        return self.bytes(self.one("I")).decode()

    def texts(self, n):
        return [self.text() for _ in range(n)]

    def list(self, element):
        return [element() for _ in range(self.one("I"))]

    def numbers(self, kind):
        return self.list(lambda: self.one(kind))

    def stream(self):
        found = dict(zip(("name", "kind"), self.texts(2)))
        found.update(zip(("sample_type", "rate_num", "rate_den", "batch", "enabled"), self.take("BIIHB")))
        found["channels"] = self.list(lambda: (*self.texts(2), *self.take("ff")))
        return found

    def label(self):
        names = ("id", "start", "stop", "stream", "channel", "class", "source", "confidence", "note")
        return dict(zip(names, (*self.take("Qddii"), *self.texts(2), self.one("d"), self.text())))

    def label_class(self):
        return (*self.texts(2), self.one("B"), self.text())

    def options(self):
        self.text()
        found = {"identifier": self.text()}
        found["start_utc_ns"], found["start_host_ns"] = self.take("qq")
        found.update(zip(("software", "git_commit", "subject", "task"), self.texts(4)))
        found["composite"], found["mains_hz"] = self.take("Bd")
        found["settings"] = dict(self.list(lambda: tuple(self.texts(2))))
        found["models"] = [(name, plan) for name, plan, _ in
                           self.list(lambda: (*self.texts(2), self.bytes(self.one("I"))))]
        found["classes"] = self.list(self.label_class)
        return found

    def event(self):
        kind = self.one("B")
        found = {"kind": kind}

        def add(names, values):
            found.update(zip(names.split(), values))
        if kind == 0:
            add("segment device epoch host_ns", self.take("iiBq"))
            add("reason uri board firmware build_id", self.texts(5))
            found["boot_id"] = self.one("Q")
            self.texts(2)
            self.one("B")
            found["info"] = self.list(self.stream)
            self.list(lambda: (*self.texts(2), self.numbers("i"), self.one("B")))
            found["streams"] = self.numbers("i")
        elif kind == 1:
            add("segment host_ns reason counted", (*self.take("iq"), self.text(), self.one("B")))
            found["sent"] = self.list(lambda: self.take("II"))
        elif kind == 2:
            add("stream segment first device_us host_ns sequence flags count channels", self.take("iiQQqHBIH"))
            width, n = self.take("BI")
            raw = self.bytes(width * n)
            found["counts"] = [int.from_bytes(raw[i:i + width], "little", signed=True) for i in range(0, len(raw), width)]
        elif kind == 3:
            add("stream segment first missing cause host_ns", self.take("iiQQBq"))
        elif kind == 4:
            add("origin segment model plan_id window", (*self.take("Bii"), self.text(), self.one("I")))
            found["first"] = self.numbers("Q")
            add("input_hash output_hash", self.take("II"))
            found["scores"] = self.numbers("f")
            add("cost_kind cost device_us host_ns", self.take("BIQq"))
            found["stages"] = self.numbers("I")
        elif kind == 5:
            self.take("iiqQQq")
        elif kind == 6:
            self.take("iqQHHIIIII")
            for _ in range(self.one("B")):
                self.take("II")
        elif kind == 7:
            add("device link count host_ns text", (*self.take("iBQq"), self.text()))
        elif kind == 8:
            add("device device_us host_ns code text", (*self.take("iQqI"), self.text()))
        elif kind == 9:
            add("segment model window verdict difference stage reason", (*self.take("iiIBBi"), self.text()))
        elif kind == 10:
            found["operation"] = self.one("B")
            old, new = self.label(), self.label()
            add("old_id old_class new_id new_class new_start new_note", (old["id"], old["class"], new["id"], new["class"],
                                                                         new["start"], new["note"]))
            add("author reason utc_ns revision", (*self.texts(2), *self.take("qQ")))
        else:
            raise AssertionError(f"event {kind}")
        return found


def read_journal(path):
    """(kind, fields) of every whole record, the torn end left out."""
    with open(path, "rb") as file:
        data = file.read()
    assert data[:8] == b"LKSTJRNL"
    version, check = struct.unpack_from("<II", data, 8)
    assert (version, check) == (1, crc32c(data[:12]))
    at, expected = 16, 0
    while at + 17 <= len(data):
        mark, size, index, kind = struct.unpack_from("<IIQB", data, at)
        end = at + 17 + size
        if mark != 0x524B534C or end + 4 > len(data):
            break
        assert struct.unpack_from("<I", data, end)[0] == crc32c(data[at + 4:end])
        assert index == expected
        expected += 1
        fields = Fields(data[at + 17:end])
        found = {1: fields.options, 2: fields.event, 3: fields.label_class, 4: lambda: None}[kind]()
        assert fields.at == size, "fields that the document does not name"
        yield kind, found
        at = end + 4


class Stranger(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.path = cls.at("s.h5")
        out = subprocess.run([FEEDER, cls.path, "12"], check=True, capture_output=True, text=True).stdout
        cls.fed = [json.loads(line.split(" ", 1)[1]) for line in out.splitlines()]
        cls.file = h5py.File(cls.path, "r")
        cls.streams = {int(g.attrs["index"]): g for g in cls.file["acquisition"].values()}

    @classmethod
    def tearDownClass(cls):
        cls.file.close()
        cls.folder.cleanup()

    @classmethod
    def at(cls, name):
        return os.path.join(cls.folder.name, name)

    def same(self, fed, found):
        """Everything that the feeder tells of an event."""
        for name, value in fed.items():
            if name == "scores":
                np.testing.assert_array_equal(np.float32(found[name]), np.float32(value))
            else:
                self.assertEqual(found[name], value, name)

    def test_checksums(self):
        checked = 0

        def check(_, thing):
            nonlocal checked
            if not isinstance(thing, h5py.Dataset) or "crc32c" not in thing.attrs:
                return
            told, values = thing.attrs["crc32c"], thing[()]
            if len(told) > 1 or thing.name.endswith("/data") or "/overview/" in thing.name:
                self.assertEqual(len(told), values.shape[1])
                found = [crc32c(np.ascontiguousarray(values[:, c]).tobytes()) for c in range(values.shape[1])]
            else:
                found = [crc32c(values.tobytes())]
            self.assertEqual(found, told.tolist(), thing.name)
            checked += 1
        self.file.visititems(check)
        self.assertGreater(checked, 50)

    def test_the_session_as_it_happened(self):
        """All tables sorted by `order`."""
        found = {}

        def put(order, event):
            self.assertNotIn(order, found)
            found[int(order)] = event

        def rows(table):
            return [dict(zip(table.dtype.names, row)) for row in table[()].tolist()]
        for group in self.file["segments"].values():
            put(group.attrs["order"], {"kind": 0, "segment": int(group.attrs["segment"])})
            put(group.attrs["end_order"], {"kind": 1, "segment": int(group.attrs["segment"])})
        for index, group in self.streams.items():
            data = group["data"][()]
            for b in rows(group["blocks"]):
                counts = data[b["row"]:b["row"] + b["count"]].ravel()
                put(b["order"], {**b, "kind": 2, "stream": index, "counts": counts.view(
                    np.int32).tolist() if counts.dtype == np.float32 else counts.tolist()})
            for g in rows(group["gaps"]):
                put(g["order"], {**g, "kind": 3, "stream": index})
        for part in (self.file["predictions/movement/device"], self.file["predictions/movement/host"]):
            origin = {b"device": 1, b"host": 2}[bytes(part.attrs["origin"])]
            for i, p in enumerate(rows(part["table"])):
                put(p["order"], {**p, "kind": 4, "origin": origin, "first": part["first"][i].tolist(),
                                 "scores": part["scores"][i].tolist(),
                                 "stages": part["stages"][i].tolist() if "stages" in part else []})
        for kind, name in ((5, "clock/observations"), (6, "events/health"), (7, "events/link"), (8, "events/markers"),
                           (9, "comparison/verdicts"), (10, "intervals/history")):
            for row in rows(self.file[name]):
                texts = {k: v.decode() if isinstance(v, bytes) else v for k, v in row.items()}
                put(row["order"], {**texts, "kind": kind})
        self.assertEqual(sorted(found), list(range(len(self.fed))))
        self.assertEqual(self.file.attrs["events"], len(self.fed))
        for order, fed in enumerate(self.fed):
            self.same(fed, found[order])

    def test_values_times_and_gaps_as_the_program_exports_them(self):
        subprocess.run([LOCKSTEP, "export", self.path, "--format", "csv", "-o", self.at("s.csv")], check=True,
                       capture_output=True)
        for group in self.streams.values():
            table = group["channels"][()]
            values = group["data"][()].astype(np.float32) * table["scale"] + table["offset"]
            runs = group["runs"][()]
            times = np.concatenate([r["time"] + np.arange(r["count"]) / group.attrs["rate_measured"] for r in runs])
            samples = np.concatenate([int(r["first"]) + np.arange(r["count"]) for r in runs])
            segments = np.repeat(runs["segment"], runs["count"].astype(int))
            with open(self.at(f"s_{bytes(group.attrs['name']).decode()}.csv")) as file:
                lines = list(csv.reader(file))
            self.assertEqual(lines[0][3:], [n.decode() for n in table["name"]])
            self.assertEqual(lines[1][3:], [n.decode() for n in table["units"]])
            told = np.array(lines[2:], float)
            np.testing.assert_allclose(told[:, 0], times, atol=1e-6)
            np.testing.assert_array_equal(told[:, 1], segments)
            np.testing.assert_array_equal(told[:, 2], samples)
            np.testing.assert_array_equal(told[:, 3:].astype(np.float32), values)
            self.assertEqual(group.attrs["valid_rows"], len(values))
            # What a segment's device sent is stored or a gap.
            for segment in self.file["segments"].values():
                number = segment.attrs["segment"]
                mine = segment.attrs["streams"].tolist().index(group.attrs["index"])
                gaps = group["gaps"][()]
                missing = gaps["missing"][gaps["segment"] == number].sum()
                self.assertEqual(segment.attrs["produced"][mine] - segment.attrs["dropped"][mine],
                                 (segments == number).sum() + missing)

    def test_overviews(self):
        for group in self.streams.values():
            data = group["data"][()]
            for level, table in group["overview"].items():
                bins = np.array_split(data, range(int(level), len(data), int(level)))
                np.testing.assert_array_equal(table[:, :, 0], [b.min(axis=0) for b in bins])
                np.testing.assert_array_equal(table[:, :, 1], [b.max(axis=0) for b in bins])

    def test_clock_fits(self):
        fits = {(int(f.attrs["device"]), bytes(f.attrs["boot_id"])): f.attrs for name, f in self.file["clock"].items()
                if name.startswith("fit_")}
        for group in self.streams.values():
            for run in group["runs"][()]:
                segment = self.file[f"segments/{run['segment']:05}"]
                boot = json.loads(segment["device_json"][()])["boot_id"].encode()
                fit = fits[int(segment.attrs["device"]), boot]
                seconds = fit["offset_ms"] / 1000 + int(run["device_us"]) / (1e6 * (1 + fit["drift_ppm"] * 1e-6))
                self.assertAlmostEqual(run["time"], seconds, delta=max(1e-4, 10 * fit["error_ms"] / 1000))

    def test_labels_are_their_history(self):
        names = ("id", "start", "stop", "stream", "channel", "confidence", "class", "source", "note")
        current = {}
        for row in self.file["intervals/history"][()]:
            if row["operation"] != 1:
                self.assertEqual(current.pop(row["old_id"]), tuple(row["old_" + n] for n in names))
            if row["operation"] != 3:
                current[row["new_id"]] = tuple(row["new_" + n] for n in names)
        told = {row["id"]: tuple(row[n] for n in names) for row in self.file["intervals/labels"][()]}
        self.assertEqual(told, current)
        out = subprocess.run([LOCKSTEP, "label", "list", self.path, "--json"], check=True, capture_output=True).stdout
        streams = {index: bytes(g.attrs["name"]).decode() for index, g in self.streams.items()}
        program = {(l["id"], l["start_s"], l["stop_s"], l["class"], l["stream"]) for l in json.loads(out)["labels"]}
        self.assertEqual(program, {(t[0], t[1], t[2], t[6].decode(), streams.get(t[3], "")) for t in told.values()})

    def test_journal_of_a_recording_that_was_cut_short(self):
        path = self.at("cut.h5")
        feeder = subprocess.Popen([FEEDER, path, "12", "--pace", "1"], stdout=subprocess.PIPE, text=True)
        fed = []
        for line in feeder.stdout:
            fed.append(json.loads(line.split(" ", 1)[1]))
            if len(fed) == 500:
                time.sleep(0.3)  # 100 ms later all of it has been written
                feeder.kill()
        feeder.wait()
        feeder.stdout.close()
        records = list(read_journal(path + ".journal"))
        self.assertEqual(records[0][0], 1)
        options = records[0][1]
        self.assertEqual((options["subject"], options["composite"], options["start_utc_ns"]), ("S01", 1, 1790000000123456789))
        self.assertEqual([c[:2] for c in options["classes"]], [("walk", "#00aa00"), ("sit", "#aa0000")])
        events = [event for kind, event in records if kind == 2]
        self.assertGreaterEqual(len(events), 500)
        for sent, event in zip(fed, events):
            self.same(sent, event)
        self.assertEqual(events[1]["info"][0]["name"], "eeg")

    def test_label_edits_that_wait(self):
        copy = self.at("waiting.h5")
        with open(self.path, "rb") as source, open(copy, "wb") as target:
            target.write(source.read())
        subprocess.run([LOCKSTEP, "label", "add", copy, "--start", "1", "--stop", "2.5", "--class", "walk", "--author", "eve"],
                       check=True, capture_output=True)
        if not os.path.exists(copy + ".labels"):  # written into the session already
            with h5py.File(copy) as file:
                row = file["intervals/history"][-1]
                self.assertEqual((row["new_start"], row["new_stop"], row["author"]), (1, 2.5, b"eve"))
            return
        (kind, edit), = read_journal(copy + ".labels")
        self.assertEqual((kind, edit["operation"], edit["new_class"], edit["author"]), (2, 1, "walk", "eve"))


if __name__ == "__main__":
    unittest.main()
