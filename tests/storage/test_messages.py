"""What goes wrong with label, session and export is told in one line: what, where and what to do; the exit status is
2 for wrong usage and bad input. Nothing is written or overwritten."""
import json
import os
import shutil
import subprocess
import tempfile
import time
import unittest

import h5py
import numpy as np

BUILD = os.environ["LOCKSTEP_BUILD"]
LOCKSTEP = os.path.join(BUILD, "bin", "lockstep")
FEEDER = os.path.join(BUILD, "tests", "storage_feeder")


class Messages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.session = cls.at("s.h5")
        subprocess.run([FEEDER, cls.session, "3"], check=True, capture_output=True)
        out = subprocess.run([LOCKSTEP, "label", "add", cls.session, "--start", "1", "--class", "x", "--json"], check=True,
                             capture_output=True).stdout
        cls.label = json.loads(out)["edited"][0]["id"]
        with open(cls.session, "rb") as file:
            whole = file.read()
        for name, content in (("text.h5", b"hello\n"), ("empty.h5", b""), ("cut.h5", whole[:4000]),
                              ("a.csv", b"time,a\n0,1\n0.1,2\n"), ("no_rate.csv", b"a\n1\n2\n"),
                              ("labels.csv", b"start_s,stop_s,class,stream,channel\n1,2,x,,\n1,2,x,nope,\n")):
            with open(cls.at(name), "wb") as file:
                file.write(content)
        os.mkdir(cls.at("folder.h5"))

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @classmethod
    def at(cls, name):
        return os.path.join(cls.folder.name, name)

    def run_it(self, *words):
        run = subprocess.run([LOCKSTEP, *words], capture_output=True, text=True, cwd=self.folder.name, timeout=60)
        return run.returncode, run.stderr

    def refused(self, words, *expected):
        before = sorted(os.listdir(self.folder.name))
        status, text = self.run_it(*words.split())
        self.assertEqual(status, 2, words + ": " + text)
        self.assertEqual(len(text.splitlines()), 1, text)
        for part in expected:
            self.assertIn(part, text, words)
        self.assertEqual(sorted(os.listdir(self.folder.name)), before, words)

    def test_files_that_are_no_sessions(self):
        for command in ("session info", "session verify", "label list", "export --format csv -o out.csv",
                        "session upgrade -o up.h5", "session report -o page"):
            for name, *words in (("missing.h5", "no such file"), ("text.h5", "no HDF5 file", "session import"),
                                 ("empty.h5", "is empty"), ("cut.h5", "cut off", "copy it once more"),
                                 ("folder.h5", "is a folder")):
                self.refused(f"{command} {name}", name, *words)

    def test_commands_that_do_not_exist(self):
        self.refused("label nonsense s.h5", 'no command "nonsense"', "lockstep label --help")
        self.refused("session", "subcommand is required", "lockstep session --help")

    def test_labels(self):
        for words, *expected in (
                ("add s.h5 --start -5 --class x", "outside of the session", "0 to 3 s"),
                ("add s.h5 --start 1 --stop 500 --class x", "outside of the session"),
                ("add s.h5 --start 1 --class x --stream nope", 'no stream "nope"', "eeg, imu, ppg, temperature"),
                ("add s.h5 --start 1 --class x --stream eeg --channel nope", 'no channel "nope"', "eeg1"),
                ("add s.h5 --start 1 --class x --channel nope", 'channel "nope"', "streams are"),
                ("edit s.h5 --id 99 --class y", "no label 99", "label list"),
                (f"edit s.h5 --id {self.label}", "nothing to change", "--start"),
                ("import s.h5 labels.csv", "labels.csv: line 3", 'no stream "nope"'),
                ("export s.h5 nowhere/out.csv", "no such folder", "nowhere"),
                ("export s.h5 labels.csv", "exists already")):
            self.refused("label " + words, *expected)

    def test_imports_and_exports(self):
        for words, *expected in (
                ("session import s.h5 -o x.h5", "HDF5 file", "needs no import"),
                ("session import a.csv -o nowhere/x.h5", "no such folder", "nowhere"),
                ("session import a.csv -o s.h5", "exists already"),
                ("session import a.csv -o x.h5 --format xdf", "no XDF file"),
                ("session import a.csv -o x.h5 --set time=zzz", 'no column "zzz"', "time, a"),
                ("session import a.csv -o x.h5 --set description=none.json", "cannot be read", "none.json"),
                ("session import a.csv -o x.h5 --set foo=1", "no option of the format csv", "rate"),
                ("session import no_rate.csv -o x.h5", "sampling rate", "option rate"),
                ("export s.h5 --format edf -o x.edf --set foo=1", "foo", "has no options"),
                ("export s.h5 --format mp3 -o x", "mp3", "edf"),
                ("export s.h5 --format edf -o s.h5", "exists already")):
            self.refused(words, *expected)

    def test_a_recording_that_runs_and_one_that_was_cut_short(self):
        feeder = subprocess.Popen([FEEDER, self.at("live.h5"), "30", "--pace", "20"], stdout=subprocess.DEVNULL)
        while not os.path.exists(self.at("live.h5.journal")):
            time.sleep(0.05)
        time.sleep(0.5)
        for words in ("session info live.h5", "label add live.h5 --start 1 --class x",
                      "export live.h5 --format edf -o live.edf"):
            self.refused(words, "being recorded", "finish")
        self.refused("session info live.h5.tmp", "another program is writing it", "finish")
        self.refused("session import a.csv -o live.h5", "running", "another name")
        feeder.kill()
        feeder.wait()
        self.refused("session info live.h5", "cut short", "session repair live.h5")
        self.assertEqual(self.run_it("session", "repair", "live.h5")[0], 0)
        self.assertEqual(self.run_it("session", "verify", "live.h5")[0], 0)

    def test_verify_finds_attributes_that_lie(self):
        copy = self.at("lies.h5")
        shutil.copy(self.session, copy)
        with h5py.File(copy, "r+") as file:
            file["acquisition/imu"].attrs["rate_num"] = np.uint32(200)
        status, text = self.run_it("session", "verify", "lies.h5")
        self.assertEqual(status, 1, text)
        self.assertIn("stream imu: its rate, type or channels", text)
        self.assertIn("1 fault;", text)

    def test_annotators_of_different_recordings(self):
        for name in ("a", "b"):
            status, text = self.run_it("session", "import", "a.csv", "-o", name + ".h5")
            self.assertEqual(status, 0, text)
            status, text = self.run_it("label", "add", name + ".h5", "--start", "0", "--class", "x", "--author", name)
            self.assertEqual(status, 0, text)
        self.refused("label agreement a.h5 b.h5", "no recording was labelled by two")


if __name__ == "__main__":
    unittest.main()
