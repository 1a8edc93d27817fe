"""Imports of what recordings have in real life: interruptions, triggers, dates, notes, clocks - of files written here
byte by byte as their formats are specified, and compared with MNE where it reads them."""
import glob
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import unittest

import mne
import numpy as np

CONVERT = os.path.join(os.environ["LOCKSTEP_BUILD"], "tests", "formats_convert")
sys.path.insert(0, os.path.join(os.environ["LOCKSTEP_SOURCE"], "storage", "python"))
import lockstep  # noqa: E402


def edf(path, signals, onsets=None, seconds=1.0, bdf=False, notes=(), kind=None, declared=None, filters=""):
    """signals: (label, unit, physical range, digital range, [record, sample] digits); onsets: of the records, for the
    + forms; notes: (record, onset, duration, text)."""
    count = len(signals[0][4])
    rows = [list(s) for s in signals]
    if onsets is not None:
        width = 3 if bdf else 2
        lists = []
        for record, onset in enumerate(onsets):
            text = b"+%s\x14\x14\0" % (b"%g" % onset)
            for at, start, length, note in notes:
                if at == record:
                    text += b"+%g\x15%g\x14%s\x14\0" % (start, length, note.encode())
            lists.append(text.ljust(120, b"\0"))
        rows.append(["BDF Annotations" if bdf else "EDF Annotations", "", (-1, 1),
                     (-8388608, 8388607) if bdf else (-32768, 32767), [[None] * (120 // width)] * count])
    kind = kind if kind is not None else ("BDF+D" if bdf else "EDF+D") if onsets is not None else ""

    def column(values, width):
        return b"".join(str(v).encode("latin-1").ljust(width) for v in values)
    head = (b"\xffBIOSEMI" if bdf else b"0".ljust(8)) + b"X X X X".ljust(80) + \
        b"Startdate 03-FEB-2021 X X X".ljust(80) + b"03.02.2110.30.00" + str(256 * (len(rows) + 1)).encode().ljust(8) + \
        kind.encode().ljust(44) + str(count if declared is None else declared).encode().ljust(8) + \
        (b"%g" % seconds).ljust(8) + str(len(rows)).encode().ljust(4)
    head += column([r[0] for r in rows], 16) + column([""] * len(rows), 80) + column([r[1] for r in rows], 8)
    for field, side in ((2, 0), (2, 1), (3, 0), (3, 1)):
        head += column([r[field][side] for r in rows], 8)
    head += column([filters] * len(rows), 80) + column([len(r[4][0]) for r in rows], 8) + column([""] * len(rows), 32)
    with open(path, "wb") as file:
        file.write(head)
        for record in range(count):
            for r in rows:
                if r[4][record][0] is None:
                    file.write(lists[record])
                elif bdf:
                    file.write(b"".join(int(d).to_bytes(3, "little", signed=True) for d in r[4][record]))
                else:
                    file.write(np.asarray(r[4][record], "<i2").tobytes())


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.made = 0

    def at(self, name):
        return os.path.join(self.folder.name, name)

    def text(self, name, content):
        with open(self.at(name), "w") as file:
            file.write(content)
        return self.at(name)

    def run_import(self, source, session, **options):
        return subprocess.run([CONVERT, "import", source, session, *(f"{k}={v}" for k, v in options.items())],
                              capture_output=True, text=True)

    def imported(self, source, **options):
        self.made += 1
        path = self.at(f"session{self.made}.h5")
        run = self.run_import(source, path, **options)
        self.assertEqual(run.returncode, 0, run.stderr)
        session = lockstep.open_session(path)
        self.addCleanup(session.close)
        return session

    def refused(self, source, **options):
        path = self.at("refused.h5")
        run = self.run_import(source, path, **options)
        self.assertEqual(run.returncode, 2, run.stderr)
        self.assertFalse(os.path.exists(path))
        self.assertEqual(len(run.stderr.strip().splitlines()), 1, run.stderr)
        return run.stderr


class InterruptedEdf(Case):
    ONSETS = [0, 1, 4, 5, 5.0 + 61 + 0.25]

    def write(self, bdf):
        path = self.at("x.bdf" if bdf else "x.edf")
        top = 8388607 if bdf else 32767
        rng = np.random.default_rng(1)
        fast = rng.integers(-top, top, (5, 200))
        slow = rng.integers(-top, top, (5, 10))
        edf(path, [("EEG Cz", "uV", (-1000, 1000), (-top - 1, top), fast), ("Temp", "degC", (20, 40), (-top - 1, top), slow)],
            onsets=self.ONSETS, bdf=bdf, notes=[(2, 4.5, 0.25, "blink"), (4, 66.75, 0, "end@@Temp")])
        return path, fast, slow

    def test_interruptions_are_gaps(self):
        for bdf in (False, True):
            with self.subTest(bdf=bdf):
                path, fast, slow = self.write(bdf)
                session = self.imported(path)
                self.assertEqual(session.start_utc_ns, 1612348200 * 10 ** 9)
                for name, digits, rate in (("eeg", fast, 200), ("temperature", slow, 10)):
                    stream = session[name]
                    self.assertEqual(stream.rate, rate)
                    np.testing.assert_array_equal(stream.counts[:, 0], digits.ravel())
                    # 2 s and 60.25 s are missing; nothing is closed up.
                    gaps = [(int(g["row"]), int(g["first"]), int(g["missing"])) for g in stream.gaps]
                    rounded = int(60.25 * rate + 0.5)
                    self.assertEqual(gaps, [(2 * rate, 2 * rate, 2 * rate), (4 * rate, 6 * rate, rounded)])
                    times = np.concatenate([onset + np.arange(rate) / rate for onset in self.ONSETS])
                    np.testing.assert_allclose(stream.times(), times, atol=0.5 / rate)
                marks = mne.read_annotations(path)
                labels = session.labels
                np.testing.assert_allclose([l["start"] for l in labels], marks.onset)
                np.testing.assert_allclose([l["stop"] - l["start"] for l in labels], marks.duration)
                self.assertEqual([l["class"] for l in labels], ["blink", "end"])
                self.assertEqual((labels[1]["stream"], labels[1]["channel"]), (session["temperature"].index, 0))

    def test_first_record_begins_a_fraction_later(self):
        edf(self.at("f.edf"), [("Cz", "uV", (-100, 100), (-100, 100), [[1] * 10, [2] * 10])], onsets=[0.5, 1.5],
            kind="EDF+C", notes=[(1, 1.75, 0, "a")])
        session = self.imported(self.at("f.edf"))
        self.assertEqual(session.start_utc_ns, 1612348200 * 10 ** 9 + 5 * 10 ** 8)
        self.assertEqual([l["start"] for l in session.labels], list(mne.read_annotations(self.at("f.edf")).onset))

    def test_records_out_of_order_and_cut_files(self):
        signal = ("Cz", "uV", (-100, 100), (-100, 100), [[1] * 10] * 3)
        edf(self.at("b.edf"), [signal], onsets=[0, 5, 2])
        self.assertRegex(self.refused(self.at("b.edf")), "record 3")
        edf(self.at("c.edf"), [signal], declared=5)
        self.assertIn("3 of 5 records", self.refused(self.at("c.edf")))
        self.assertEqual(len(self.imported(self.at("c.edf"), incomplete="yes")["eeg"]), 30)
        # A recorder that lost its power never wrote how many there are.
        edf(self.at("d.edf"), [signal], declared=-1)
        self.assertEqual(len(self.imported(self.at("d.edf"))["eeg"]), 30)


class OldTexts(Case):
    def test_latin_1(self):
        edf(self.at("l.edf"), [("EEG \xd6z", "\xb5V", (-100, 100), (-100, 100), [[1] * 100])])
        stream = self.imported(self.at("l.edf"))["eeg"]
        self.assertEqual((stream.channels, stream.units), (["EEG \xd6z"], ["uV"]))
        for coding in ("latin-1", "utf-8"):
            with open(self.at("t.csv"), "w", encoding=coding) as file:
                file.write("Zeit;H\xf6he;label\nms;\xb5m;\n" + "".join(f"{i * 10};{i};m\xfcde\n" for i in range(100)))
            session = self.imported(self.at("t.csv"), time="Zeit")
            stream, = session.streams.values()
            self.assertEqual((stream.channels, stream.units), (["H\xf6he"], ["um"]))
            self.assertEqual([l["class"] for l in session.labels], ["m\xfcde"])


class Triggers(Case):
    CODES = {100: 5, 150: 0, 300: 7, 301: 9, 302: 0, 950: 65535}  # from this sample on

    def codes(self, before=0):
        line = np.full(1000, before)
        for at, code in self.CODES.items():
            line[at:] = code
        return line

    def expected(self):
        return [(at / 1000, f"trigger {code}") for at, code in self.CODES.items() if code]

    def found(self, session):
        for label in session.labels:
            self.assertEqual(label["start"], label["stop"])
            self.assertEqual(label["stream"], -1)
        return [(round(l["start"], 6), l["class"]) for l in session.labels]

    def test_biosemi_status(self):
        # Bits 16 and up are the amplifier's own: a new block, the electrodes' range, the speed, the model.
        own = np.where(np.arange(1000) < 10, 0x110000, 0x100000) | np.where(np.arange(1000) > 500, 0x400000, 0)
        line = self.codes() | own
        edf(self.at("b.bdf"), [("A1", "uV", (-262144, 262143), (-8388608, 8388607), [[1] * 1000]),
                               ("Status", "Boolean", (-8388608, 8388607), (-8388608, 8388607), [line])], bdf=True)
        session = self.imported(self.at("b.bdf"))
        self.assertEqual(self.found(session), self.expected())
        # The channel itself is kept, apart from the electrodes.
        np.testing.assert_array_equal(session["trigger"].counts[:, 0], line)
        self.assertEqual(session["trigger"].channels, ["Status"])
        raw = mne.io.read_raw_bdf(self.at("b.bdf"), verbose="error")
        events = mne.find_events(raw, stim_channel="Status", consecutive=True, mask=0xFFFF, mask_type="and",
                                 shortest_event=1, verbose="error")
        self.assertEqual([(at / 1000, f"trigger {code}") for at, _, code in events], self.expected())
        own = mne.find_events(session["trigger"].to_mne(), consecutive=True, mask=0xFFFF, mask_type="and", shortest_event=1,
                              verbose="error")
        np.testing.assert_array_equal(own[:, [0, 2]], events[:, [0, 2]])
        # Exported, the labels are annotations beside the channel: both together are the same labels again.
        subprocess.run([CONVERT, "export", "bdf", self.at("again.bdf"), self.at("session1.h5")], check=True,
                       capture_output=True)
        self.assertEqual(self.found(self.imported(self.at("again.bdf"))), self.expected())

    def test_inputs_that_are_never_low(self):
        line = np.full(1000, 0xFF00)
        line[200:210] = 0xFF03
        line[400:] = 0xFF01
        edf(self.at("h.bdf"), [("Status", "", (-8388608, 8388607), (-8388608, 8388607), [line])], bdf=True)
        self.assertEqual(self.found(self.imported(self.at("h.bdf"))), [(0.2, "trigger 3"), (0.4, "trigger 1")])

    def test_edf_channels_by_name(self):
        line = np.minimum(self.codes(), 255)
        for name in ("Status", "TRIG", "STI 014", "Trigger"):
            edf(self.at("t.edf"), [("Cz", "uV", (-100, 100), (-100, 100), [[1] * 1000]),
                                   (name, "", (0, 255), (-32768, 32512), [line * 256 - 32768])])
            found = self.found(self.imported(self.at("t.edf")))
            self.assertEqual(found, [(t, c.replace("65535", "255")) for t, c in self.expected()], name)

    def test_a_signal_named_like_a_trigger(self):
        wave = np.round(1000 * np.sin(np.arange(1000) / 9)).astype(int)
        edf(self.at("s.edf"), [("Trigger", "uV", (-100, 100), (-32768, 32767), [wave])])
        session = self.imported(self.at("s.edf"))
        self.assertEqual(session.labels, [])
        np.testing.assert_array_equal(session["trigger"].counts[:, 0], wave)

    def test_openbci_inputs_and_markers(self):
        with open(os.path.join(os.environ["LOCKSTEP_DATA"], "eeg_openbci/OpenBCI_GUI-v6-blinks-jawClench-alpha.txt")) as file:
            head, rows = [next(file) for _ in range(5)], [next(file) for _ in range(1000)]
        names = [n.strip() for n in head[-1].split(",")]
        button, marker, light = (names.index(n) for n in ("Digital Channel 3 (D17)", "Marker Channel", "Analog Channel 1"))

        def change(number, row):
            cells = row.split(",")
            cells[button] = "1" if 300 <= number < 320 else "0"
            cells[marker] = " 2.0" if number == 500 else "7" if number == 750 else "0.0"
            cells[light] = str(number % 7)
            return ",".join(cells)
        # Two lost rows before the second marker: its time follows the board's counter.
        rows = [change(i, r) for i, r in enumerate(rows) if i not in (600, 601)]
        session = self.imported(self.text("o.txt", "".join(head + rows)))
        self.assertEqual(sorted(session.streams), ["acc", "analog", "eeg", "trigger"])
        self.assertEqual(session["trigger"].channels, ["D17", "Marker"])
        self.assertEqual(int(session["trigger"].values()[:, 0].sum()), 20)
        self.assertEqual(session["analog"].channels, ["A1"])
        np.testing.assert_array_equal(session["analog"].values()[:7, 0], range(7))
        self.assertEqual(int(session["trigger"].gaps["missing"].sum()), 2)
        self.assertEqual(self.found(session), [(1.2, "trigger D17"), (2.0, "trigger 2"), (3.0, "trigger 7")])

    def test_emotibit_notes(self):
        lines = ["1000,1,1,RB,1,100,2024-05-01_10-00-00-000000"]
        for i in range(100):
            lines.append(f"{1000 + 80 * i},{2 + 2 * i},2,EA,1,100,0.5,0.6")
            lines.append(f"{1000 + 80 * i},{3 + 2 * i},1,AK,1,100,0")
        lines.insert(101, "5000,101,2,UN,1,100,2024-05-01_10-00-04-000000,coffee, no sugar")
        session = self.imported(self.text("e.csv", "\n".join(lines) + "\n"), format="emotibit")
        label, = session.labels
        self.assertEqual((label["class"], label["note"]), ("user note", "coffee, no sugar"))
        self.assertAlmostEqual(label["start"], (5000 - 1000) / 1000 + 1 / 15, delta=0.1)


class Mains(Case):
    """Nobody is told of a mains frequency that nobody told."""

    def sidecar(self, session):
        folder = self.at(f"bids{self.made}")
        subprocess.run([CONVERT, "export", "bids", folder, self.at(f"session{self.made}.h5")], check=True, capture_output=True)
        with open(glob.glob(folder + "/**/*_eeg.json", recursive=True)[0]) as file:
            return json.load(file)["PowerLineFrequency"]

    def test_only_what_was_said(self):
        signal = ("EEG Cz", "uV", (-100, 100), (-100, 100), [[1] * 250])
        for filters, told, expected in (("", {}, None), ("HP:0.1Hz LP:75Hz N:60Hz", {}, 60), ("", {"mains": 50}, 50),
                                        ("N:60Hz", {"mains": 50}, 50)):
            edf(self.at("m.edf"), [signal], filters=filters)
            session = self.imported(self.at("m.edf"), **told)
            self.assertEqual(session.mains_hz, expected)
            self.assertEqual(session["eeg"].to_mne().info["line_freq"], expected)
            self.assertEqual(self.sidecar(session), expected or "n/a")


class Provenance(Case):
    def test_the_source_is_known_by_its_hash_and_nobody_by_name(self):
        labels = self.text("Anna Example.csv", "start_s,stop_s,class\n1,2,x\n")
        source = self.text("Anna.csv", "time,a\n" + "".join(f"{i / 10},{i}\n" for i in range(50)))
        session = self.imported(source, labels=labels)
        step, = session.file["provenance/steps"][()]
        with open(source, "rb") as file:
            self.assertEqual(step["input_sha256"].decode(), hashlib.sha256(file.read()).hexdigest())
        self.assertEqual(step["program"], b"session import")
        self.assertTrue(step["version"].startswith(b"lockstep"))
        with open(self.at("session1.h5"), "rb") as file:
            self.assertNotIn(b"Anna", file.read())
        # Of a folder: the hash of a list as sha256sum prints it.
        os.mkdir(self.at("e4"))
        self.text("e4/EDA.csv", "1700000000\n4\n" + "0.5\n" * 40)
        self.text("e4/tags.csv", "1700000003.5\n")
        listed = subprocess.run(["sha256sum", "EDA.csv", "tags.csv"], cwd=self.at("e4"), capture_output=True).stdout
        session = self.imported(self.at("e4"))
        step, = session.file["provenance/steps"][()]
        self.assertEqual(step["input_sha256"].decode(), hashlib.sha256(listed).hexdigest())


class Dates(Case):
    """ISO 8601 in the time column; START is 2024-05-01T10:00:00.25Z."""
    START = 1714557600250000000

    def table(self, line_of, rows=500, name="d.csv", head="timestamp,a\n"):
        return self.text(name, head + "".join(line_of(i) for i in range(rows)))

    def stamp(self, ns, zone="Z", digits=9, between="T", hours=0):
        ns += self.START + hours * 3600 * 10 ** 9
        text = np.datetime_as_string(np.datetime64(ns, "ns")).replace("T", between)
        return text[:20 + digits] + zone

    def test_forms(self):
        forms = [dict(), dict(zone="+02:00", hours=2), dict(zone="-0330", hours=-3.5), dict(digits=3), dict(digits=6, zone=""),
                 dict(between=" ", zone="+00")]
        for form in forms:
            form = {**form, "hours": form.get("hours", 0)}
            hours = form.pop("hours")
            def line(i):
                return f"{self.stamp(int(i * 4e6 + hours * 3.6e12), **form)},{i}\n"
            with self.subTest(first=line(0)):
                session = self.imported(self.table(line))
                stream, = session.streams.values()
                self.assertEqual((stream.rate, session.start_utc_ns), (250, self.START))
                np.testing.assert_array_equal(stream.counts[:, 0], np.arange(500))
                self.assertEqual(stream.channels, ["a"])

    def test_gaps_between_dates(self):
        # One sample, then a minute and a half.
        kept = [i for i in range(1000) if i != 300]
        session = self.imported(self.text("g.csv", "when,a\n" + "".join(
            f"{self.stamp((i + (9000 if i >= 600 else 0)) * 10 ** 7)},{i}\n" for i in kept)))
        stream, = session.streams.values()
        self.assertEqual(stream.rate, 100)
        self.assertEqual([(int(g["row"]), int(g["missing"])) for g in stream.gaps], [(300, 1), (599, 9000)])
        np.testing.assert_allclose(stream.times(), [(i + (9000 if i >= 600 else 0)) / 100 for i in kept], atol=1e-4)

    def test_epoch_numbers(self):
        for unit in (1, 10 ** 3, 10 ** 6):
            name = {1: "s", 10 ** 3: "ms", 10 ** 6: "us"}[unit]
            session = self.imported(self.table(lambda i: f"{(self.START + i * 10 ** 7) * unit / 1e9:.6f},{i}\n"))
            stream, = session.streams.values()
            self.assertEqual((stream.rate, session.start_utc_ns // 1000), (100, self.START // 1000), name)

    def test_jitter_is_no_gap(self):
        rng = np.random.default_rng(3)
        late = rng.integers(0, 15 * 10 ** 6, 2000)
        session = self.imported(self.table(lambda i: f"{self.stamp(i * 10 ** 7 + int(late[i]))},{i}\n", rows=2000))
        stream, = session.streams.values()
        self.assertEqual(len(stream.gaps), 0)
        self.assertAlmostEqual(stream.rate, 100, 1)
        self.assertLess(np.abs(stream.times() - stream.times()[0] - np.arange(2000) / 100).max(), 0.03)

    def test_bad_input_names_its_line(self):
        def with_row(at, text):
            return lambda i: text + "\n" if i == at else f"{self.stamp(i * 10 ** 7)},{i}\n"
        for text, words in (("12.5,7", "no date"), (self.stamp(0, "") + ",7", "no time zone"), (",7", "missing"),
                            (self.stamp(-10 ** 9) + ",7", "goes back by"), ("2024-02-30T00:00:00Z,7", "no date"),
                            ("2024-05-01T25:00:00Z,7", "no date")):
            message = self.refused(self.table(with_row(200, text)))
            self.assertIn(words, message)
            self.assertIn("line 202", message)  # the head is line 1
        message = self.refused(self.table(lambda i: f"{i / 100},{i}\n" if i != 50 else f"{self.stamp(0)},3\n"))
        self.assertIn("no number", message)
        self.assertIn("line 52", message)
        self.assertIn("no dates", self.refused(self.table(lambda i: f"10:00:{i % 60},{i}\n")))


if __name__ == "__main__":
    unittest.main()
