"""Labels through the real program: files of other tools read back by other tools, classes, agreement."""
import json
import os
import subprocess
import tempfile
import unittest

import numpy as np

BUILD = os.environ["LOCKSTEP_BUILD"]
LOCKSTEP = os.path.join(BUILD, "bin", "lockstep")
FEEDER = os.path.join(BUILD, "tests", "storage_feeder")


def lockstep(*words, status=0):
    done = subprocess.run([LOCKSTEP, *words], capture_output=True, text=True)
    assert done.returncode == status, (words, done.returncode, done.stderr)
    return done.stdout if status == 0 else done.stderr


class Labels(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.session = self.at("s.h5")
        subprocess.run([FEEDER, self.session, "10"], check=True, stdout=subprocess.DEVNULL)

    def tearDown(self):
        self.folder.cleanup()

    def at(self, name):
        return os.path.join(self.folder.name, name)

    def labels(self, session=None):
        return json.loads(lockstep("label", "list", session or self.session, "--json"))["labels"]

    def key_of(self, name):
        classes = json.loads(lockstep("label", "list", self.session, "--json"))["classes"]
        return next(c["hotkey"] for c in classes if c["name"] == name)

    def test_every_form_comes_back(self):
        want = [(l["start_s"], l["stop_s"], l["class"]) for l in self.labels()]
        self.assertGreater(len(want), 2)
        for ending, exact in (("csv", True), ("tsv", True), ("json", True), ("txt", False), ("edf", False)):
            file = self.at("labels." + ending)
            lockstep("label", "export", self.session, file)
            lockstep("label", "export", self.session, file, status=2)  # nothing is overwritten
            copy = self.at(ending + ".h5")
            subprocess.run([FEEDER, copy, "1"], check=True, stdout=subprocess.DEVNULL)
            for l in self.labels(copy):
                lockstep("label", "delete", copy, "--id", str(l["id"]))
            lockstep("label", "import", copy, file)
            got = self.labels(copy)
            np.testing.assert_allclose([(l["start_s"], l["stop_s"]) for l in got], [w[:2] for w in want], atol=1e-6)
            self.assertEqual([l["class"] for l in got], [w[2] for w in want])
            if exact:
                self.assertEqual([l["stream"] for l in got], [l["stream"] for l in self.labels()])

    def test_several_annotators_and_classes_travel(self):
        lockstep("label", "class", self.session, "--name", "blink2", "--color", "#123456", "--hotkey", "9", "--hed", "Sensory-event")
        self.assertEqual(self.key_of("blink2"), "9")
        lockstep("label", "class", self.session, "--name", "walk", "--hotkey", "9")  # a key is one class's
        self.assertEqual((self.key_of("walk"), self.key_of("blink2")), ("9", ""))
        lockstep("label", "class", self.session, "--name", "blink2", "--hotkey", "9")
        for who, start in (("ann", "1"), ("bob", "1.5")):
            lockstep("label", "add", self.session, "--start", start, "--stop", "2", "--class", "blink2", "--author", who)
        copy = self.at("copy.h5")
        subprocess.run([FEEDER, copy, "1"], check=True, stdout=subprocess.DEVNULL)
        for ending in ("csv", "json", "tsv"):
            lockstep("label", "export", self.session, self.at("all." + ending))
        for ending in ("csv", "json"):
            lockstep("label", "import", copy, self.at("all." + ending))
        listed = json.loads(lockstep("label", "list", copy, "--json"))
        self.assertEqual(sorted(l["author"] for l in listed["labels"] if l["class"] == "blink2"),
                         ["ann", "ann", "bob", "bob"])
        blink = [c for c in listed["classes"] if c["name"] == "blink2"]
        self.assertEqual([(c["color"], c["hotkey"], c["HED"]) for c in blink], [("#123456", "9", "Sensory-event")])
        lockstep("label", "import", copy, self.at("all.json"), "--author", "eve")
        self.assertIn("eve", {l["author"] for l in json.loads(lockstep("label", "list", copy, "--json"))["labels"]})

    def test_tables_of_other_tools(self):
        import pandas
        rows = pandas.DataFrame({"onset": [0.5, 1.25], "duration": [0.25, 0.0], "description": ["blink", "tap"]})
        rows.to_csv(self.at("mne.csv"), index=False)
        before = len(self.labels())
        lockstep("label", "import", self.session, self.at("mne.csv"))
        got = [(l["start_s"], l["stop_s"]) for l in self.labels() if l["source"] == "import"]
        self.assertEqual((got, len(self.labels())), ([(0.5, 0.75), (1.25, 1.25)], before + 2))
        # A table about several recordings would put everyone's labels into one.
        with open(self.at("many.csv"), "w") as file:
            file.write("file,start_s,end_s,label\na.csv,1,2,x\nb.csv,1,2,x\n")
        self.assertIn("several recordings", lockstep("label", "import", self.session, self.at("many.csv"), status=2))
        self.assertEqual(len(self.labels()), before + 2)

    def test_label_of_a_channel_in_edf(self):
        import mne
        stream = next(l["stream"] for l in self.labels() if l["stream"])
        lockstep("label", "add", self.session, "--start", "3", "--stop", "4", "--class", "odd", "--stream", stream, "--channel", "0")
        channel = next(l["channel"] for l in self.labels() if l["class"] == "odd")
        lockstep("label", "export", self.session, self.at("c.edf"))
        self.assertIn("odd@@" + channel, list(mne.read_annotations(self.at("c.edf")).description))
        for l in self.labels():
            lockstep("label", "delete", self.session, "--id", str(l["id"]))
        lockstep("label", "import", self.session, self.at("c.edf"))
        self.assertEqual([(l["stream"], l["channel"]) for l in self.labels() if l["class"] == "odd"], [(stream, channel)])

    def test_edf_annotations_in_mne(self):
        import mne
        lockstep("label", "export", self.session, self.at("a.edf"))
        read = mne.read_annotations(self.at("a.edf"))
        want = self.labels()
        np.testing.assert_allclose(read.onset, [l["start_s"] for l in want], atol=1e-5)
        np.testing.assert_allclose(read.duration, [l["stop_s"] - l["start_s"] for l in want], atol=1e-5)
        self.assertEqual(list(read.description), [l["class"] for l in want])

    def test_bids_events_in_pandas(self):
        import pandas
        lockstep("label", "class", self.session, "--name", "walk", "--hed", "Action/Move, Sit", "--color", "#0000ff",
                 "--hotkey", "7")
        lockstep("label", "class", self.session, "--name", "walk", "--hotkey", "77", status=2)
        lockstep("label", "class", self.session, "--name", "walk", "--color", "blue", status=2)
        lockstep("label", "export", self.session, self.at("sub-1_events.tsv"))
        table = pandas.read_csv(self.at("sub-1_events.tsv"), sep="\t")
        self.assertEqual(list(table.columns[:3]), ["onset", "duration", "trial_type"])
        self.assertEqual(set(table[table.trial_type == "walk"].HED), {"Action/Move, Sit"})

    def test_broken_files_are_named(self):
        for name, text, word in (("a.csv", "start_s,stop_s,class\nx,1,walk\n", "line 2"),
                                 ("a.tsv", "onset\tduration\ttrial_type\n1\t-1\twalk\n", "line 2"),
                                 ("a.txt", "1\t2\tok\n5\t4\twalk\n", "line 2"),
                                 ("a.json", '[{"start_s": 1}]', "label 1"), ("b.json", "{", "JSON"),
                                 ("a.edf", "no EDF at all", "EDF"), ("a.doc", "", "form of labels")):
            with open(self.at(name), "w") as file:
                file.write(text)
            before = self.labels()
            self.assertIn(word, lockstep("label", "import", self.session, self.at(name), status=2))
            self.assertEqual(self.labels(), before)

    def test_agreement(self):
        for l in self.labels():
            lockstep("label", "delete", self.session, "--id", str(l["id"]))
        add = lambda who, what, start, stop=None: lockstep(
            "label", "add", self.session, "--author", who, "--class", what, "--start", str(start),
            *(["--stop", str(stop)] if stop else []))
        for who, intervals in (("A", (("walk", 0, 4), ("sit", 4, 8))), ("B", (("walk", 0, 3), ("sit", 3, 8)))):
            for what, start, stop in intervals:
                add(who, what, start, stop)
        add("A", "blink", 1.0)
        add("B", "blink", 1.05)
        add("B", "blink", 2.0)
        found = json.loads(lockstep("label", "agreement", self.session, "--authors", "A,B", "--json"))["pairs"][0]
        # The same by scikit-learn's formula on a fine grid.
        t = np.arange(0, found["seconds"], 0.001) + 0.0005
        a = np.where(t < 4, 1, np.where(t < 8, 2, 0))
        b = np.where(t < 3, 1, np.where(t < 8, 2, 0))
        observed = (a == b).mean()
        chance = sum((a == k).mean() * (b == k).mean() for k in range(3))
        self.assertAlmostEqual(found["kappa"], (observed - chance) / (1 - chance), places=3)
        self.assertEqual(found["events"]["blink"], {"both": 1, "f1": 2 / 3, "only_a": 0, "only_b": 1})
        self.assertEqual(found["events"]["walk"]["f1"], 1)
        self.assertAlmostEqual(found["events"]["*"]["f1"], 6 / 7)
        strict = json.loads(lockstep("label", "agreement", self.session, "--authors", "A,B", "--overlap", "0.9",
                                     "--json"))["pairs"][0]
        self.assertEqual(strict["events"]["walk"]["f1"], 0)
        self.assertIn("nobody", lockstep("label", "agreement", self.session, "--authors", "A,C", status=2))


if __name__ == "__main__":
    unittest.main()
