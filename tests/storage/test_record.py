"""Through the real program: what cannot be recorded is said in one line, nothing is overwritten, nothing lost;
a session goes on later; labels survive a crash at any write. A recorded session is the device."""
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import h5py

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import faults  # noqa: E402

SOURCE = os.environ["LOCKSTEP_SOURCE"]
PROGRAM = os.path.join(os.environ["LOCKSTEP_BUILD"], "bin", "lockstep")
ENV = {**os.environ, "LOCKSTEP_RESOURCES": os.path.join(SOURCE, "resources")}
MANY = int(os.environ.get("LOCKSTEP_FAULTS", "12"))


def run(*words, env=None, **more):
    return subprocess.run([PROGRAM, *words], env={**ENV, **(env or {})}, capture_output=True, text=True, timeout=120, **more)


class Record(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.whole = tempfile.TemporaryDirectory()
        status, _, said = faults.feed(cls.whole.name, seconds=20)
        assert status == 0, said
        cls.device = "replay:" + os.path.join(cls.whole.name, "s.h5")

    @classmethod
    def tearDownClass(cls):
        cls.whole.cleanup()

    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self.temporary.cleanup)
        self.folder = self.temporary.name
        self.session = os.path.join(self.folder, "a.h5")

    def record(self, *words, **more):
        return run("record", self.device + "?speed=4", "--seconds", "2", *words, **more)

    def refused(self, done, status, *words):
        self.assertEqual(done.returncode, status, done.stderr)
        # The made-up device runs a model that nobody has, and is told so each time.
        lines = [line for line in done.stderr.strip().splitlines() if "program's plans" not in line]
        self.assertEqual(len(lines), 1, done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)

    def start(self, *words):
        process = subprocess.Popen([PROGRAM, "record", self.device, *words], env=ENV, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        for _ in range(200):
            if os.path.exists(self.session + ".journal") and os.path.getsize(self.session + ".journal") > 20000:
                return process
            time.sleep(0.05)
        self.fail("the recording did not begin")

    def rows(self, path):
        with h5py.File(path, "r") as file:
            return {name: len(group["data"]) for name, group in file["acquisition"].items()}

    def in_order(self, path):
        done = run("session", "verify", path)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_a_name_that_exists(self):
        with open(self.session, "w") as file:
            file.write("somebody's")
        self.refused(self.record("-o", self.session), 2, self.session, "another name")
        with open(self.session) as file:
            self.assertEqual(file.read(), "somebody's")
        self.assertEqual(os.listdir(self.folder), ["a.h5"])

    def test_two_recorders_on_one_file(self):
        first = self.start("-o", self.session)
        self.refused(self.record("-o", self.session), 2, self.session, "another")
        self.refused(run("session", "repair", self.session), 2, self.session, "still running")
        first.send_signal(signal.SIGINT)
        said = first.communicate(timeout=60)[1]
        self.assertTrue(os.path.exists(self.session), said)
        self.in_order(self.session)
        self.assertEqual(os.listdir(self.folder), ["a.h5"])

    def test_a_folder_that_may_not_be_written(self):
        if os.getuid() == 0:
            words = ["unshare", "-m", "sh", "-c", f'mount -t tmpfs -o ro tmpfs "{self.folder}" && exec "$0" "$@"']
            if subprocess.run(words[:4] + ["true"]).returncode:
                self.skipTest("no file system of one's own can be mounted here")
        else:
            words = []
            os.chmod(self.folder, 0o500)
        done = subprocess.run(words + [PROGRAM, "record", self.device, "-o", self.session, "--seconds", "1"], env=ENV,
                              capture_output=True, text=True, timeout=60)
        os.chmod(self.folder, 0o700)
        self.refused(done, 3, self.session, "choose a folder")

    def test_a_folder_that_is_not_there(self):
        self.refused(self.record("-o", os.path.join(self.folder, "no", "a.h5")), 3, "create the folder")

    def test_a_folder_that_vanishes(self):
        """The name is gone, the file is not: the recording ends, says so, and is whole where the folder is now."""
        away = os.path.join(self.folder, "away")
        here = os.path.join(self.folder, "here")
        os.mkdir(here)
        self.session = os.path.join(here, "a.h5")
        process = self.start("-o", self.session)
        os.rename(here, away)
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[1]
        self.assertEqual(process.returncode, 3, said)
        self.assertIn("a.h5.journal", said)
        self.assertEqual(sum("everything recorded is kept" in line for line in said.splitlines()), 1, said)
        done = run("session", "repair", os.path.join(away, "a.h5"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.in_order(os.path.join(away, "a.h5"))
        self.assertGreater(self.rows(os.path.join(away, "a.h5"))["eeg"], 250)

    def test_a_disk_that_fills_up(self):
        """When nothing more can be reserved the recording ends by itself, with exit status 3."""
        done = self.record("-o", self.session, env=faults.faulty(self.folder, full=10))
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn("the disk is full; there is room left to end the recording", done.stderr)
        done = run("session", "repair", self.session)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.in_order(self.session)

    def test_a_disk_that_is_full_when_enough_is_reserved(self):
        done = self.record("-o", self.session, env=faults.faulty(self.folder, full=40))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(os.listdir(self.folder), ["a.h5"])
        self.in_order(self.session)

    def test_killed_and_repaired(self):
        process = self.start("-o", self.session)
        process.kill()
        process.communicate()
        self.refused(self.record("-o", self.session), 2, "session repair")
        self.assertEqual(run("session", "repair", self.session).returncode, 0)
        self.in_order(self.session)

    # --- going on ---

    def continued(self, seconds, env=None):
        return run("record", self.device, "--continue", self.session, "--seconds", str(seconds), env=env)

    def test_a_session_goes_on(self):
        self.assertEqual(self.record("-o", self.session, "--subject", "S07").returncode, 0)
        before = self.rows(self.session)
        self.assertEqual(run("label", "add", self.session, "--class", "walk", "--start", "0.1", "--stop", "0.5").returncode, 0)
        done = self.continued(2)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.in_order(self.session)
        after = self.rows(self.session)
        self.assertEqual(set(after), set(before))
        for name in before:
            self.assertGreater(after[name], before[name])
        with h5py.File(self.session, "r") as file:
            self.assertEqual(file["general/subject"].attrs["id"].decode(), "S07")
            segments = [g.attrs["segment"] for g in file["segments"].values()]
            self.assertEqual(len(segments), len(set(segments)))
            self.assertGreaterEqual(len(segments), 2)
            runs = file["acquisition/eeg/runs"][()]
            self.assertTrue((runs["time"][1:] >= runs["time"][:-1]).all(), runs["time"])
            self.assertEqual(len(set(runs["segment"])), len(segments))
            programs = [p.decode() for p in file["provenance/steps"]["program"]]
            self.assertEqual(len(programs), 2)
        self.assertEqual(os.listdir(self.folder), ["a.h5"])
        for words in (("session", "info", self.session), ("session", "report", self.session, "-o", os.path.join(self.folder, "r.html")),
                      ("export", self.session, "--format", "csv", "-o", os.path.join(self.folder, "csv"))):
            done = run(*words)
            # The report says 1: the replayed session has gaps, and it names them.
            self.assertEqual(done.returncode, 1 if "report" in words else 0, (words, done.stderr))
        self.refused(run("record", self.device, "--continue", os.path.join(self.folder, "no.h5")), 2, "no.h5")

    def test_a_continuation_that_is_killed_is_appended_by_the_next_start(self):
        self.assertEqual(self.record("-o", self.session).returncode, 0)
        before = self.rows(self.session)
        more = os.path.join(self.folder, "a_more.h5.journal")
        process = subprocess.Popen([PROGRAM, "record", self.device, "--continue", self.session], env=ENV,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not os.path.exists(more) or os.path.getsize(more) < 30000:
            time.sleep(0.05)
        process.kill()
        process.wait()
        self.assertEqual(self.rows(self.session), before)
        done = run("session", "repair", self.session)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("appended", done.stderr)
        self.in_order(self.session)
        self.assertGreater(self.rows(self.session)["eeg"], before["eeg"])
        self.assertEqual(os.listdir(self.folder), ["a.h5"])

    def test_a_continuation_that_dies_at_any_write(self):
        self.assertEqual(self.record("-o", self.session).returncode, 0)
        before = self.rows(self.session)
        whole = os.path.join(self.whole.name, "kept.h5")
        shutil.copy(self.session, whole)
        with tempfile.NamedTemporaryFile() as count:
            self.assertEqual(self.continued(1, faults.faulty(self.folder, count=count.name)).returncode, 0)
            last = int(count.read())
        # The end, where both become one, is where it matters.
        for n in [last * i // 4 for i in range(1, 4)] + [last - i for i in (40, 20, 10, 6, 5, 4, 3, 2, 1, 0)]:
            with self.subTest(n=n, last=last):
                for name in os.listdir(self.folder):
                    os.remove(os.path.join(self.folder, name))
                shutil.copy(whole, self.session)
                self.continued(1, faults.faulty(self.folder, crash=n))
                for name, rows in before.items():
                    self.assertGreaterEqual(self.rows(self.session)[name], rows)
                done = run("session", "repair", self.session)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.in_order(self.session)
                after = self.rows(self.session)
                self.assertGreater(after["eeg"], before["eeg"])
                self.assertLess(after["eeg"], 2 * before["eeg"] + 250)
                self.assertEqual(os.listdir(self.folder), ["a.h5"])

    # --- labels ---

    def labels(self, path):
        done = run("label", "list", path, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_an_edit_that_dies_at_any_write(self):
        self.assertEqual(self.record("-o", self.session).returncode, 0)
        self.assertEqual(run("label", "add", self.session, "--class", "walk", "--start", "0.1", "--stop", "0.5").returncode, 0)
        kept = os.path.join(self.whole.name, "labelled.h5")
        shutil.copy(self.session, kept)
        old = self.labels(self.session)
        words = ("label", "add", self.session, "--class", "sit", "--start", "0.6", "--stop", "0.9")
        with tempfile.NamedTemporaryFile() as count:
            self.assertEqual(run(*words, env=faults.faulty(self.folder, count=count.name)).returncode, 0)
            last = int(count.read())
        new = self.labels(self.session)
        self.assertNotEqual(old, new)
        kinds = set()
        for n in range(1, last + 1) if MANY == 0 else sorted({1 + i * (last - 1) // (MANY - 1) for i in range(MANY)}):
            with self.subTest(n=n):
                for name in os.listdir(self.folder):
                    os.remove(os.path.join(self.folder, name))
                shutil.copy(kept, self.session)
                run(*words, env=faults.faulty(self.folder, crash=n))
                said = self.labels(self.session)
                seen = 0 if said == old else 1 if said.count("sit") == new.count("sit") else -1
                self.assertNotEqual(seen, -1, said)
                kinds.add(seen)
                # The next editor merges what waits.
                self.assertEqual(run("label", "add", self.session, "--class", "walk", "--start", "1", "--stop", "1.2").returncode, 0)
                self.assertEqual(self.labels(self.session).count("sit"), new.count("sit") if seen else old.count("sit"))
                self.in_order(self.session)
                self.assertEqual(os.listdir(self.folder), ["a.h5"])
        self.assertEqual(kinds, {0, 1})


if __name__ == "__main__":
    unittest.main()
