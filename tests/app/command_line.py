"""The command line for people who make mistakes and for programs that read it: JSON in every case, statuses, words
that say what to do, output that cannot be written, Ctrl-C. No board is needed."""
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

import h5py

from program import ENV, PROGRAM, SOURCE, assert_one_line, run

MOVEMENT = os.path.join(SOURCE, "resources", "models", "movement", "movement.lsplan")


def signal_file(path, rows):
    with open(path, "w", encoding="utf-8") as f:
        f.write("acc_x,acc_y,label\ng,g,\n")
        f.writelines(f"{i % 17},{i % 5},{'walk' if i < rows // 2 else 'rest'}\n" for i in range(rows))


class CommandLine(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="lockstep-cli-")
        self.source = self.path("source.csv")
        signal_file(self.source, 500)
        self.session = self.path("session.h5")
        made = run("session", "import", self.source, "-o", self.session, "--set", "rate=50", "--set", "label=label",
                   "--set", "kind=imu")
        self.assertEqual(made.returncode, 0, made.stderr)

    def tearDown(self):
        shutil.rmtree(self.folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    def test_json_when_it_works(self):
        for words in (["devices"], ["info", "replay:" + self.session], ["session", "info", self.session],
                      ["session", "verify", self.session], ["session", "repair", self.session],
                      ["session", "upgrade", self.session, "-o", self.path("new.h5")],
                      ["session", "report", self.session, "-o", self.path("report")],
                      ["session", "import", self.source, "-o", self.path("i.h5"), "--set", "rate=50"],
                      ["label", "list", self.session], ["label", "add", self.session, "--start", "1", "--class", "a"],
                      ["label", "edit", self.session, "--id", "1", "--class", "b"],
                      ["label", "delete", self.session, "--id", "1"],
                      ["label", "class", self.session, "--name", "walk", "--color", "#00ff00"],
                      ["label", "export", self.session, self.path("labels.csv")],
                      ["label", "import", self.session, self.path("labels.csv"), "--author", "B"],
                      ["label", "agreement", self.session], ["compare", self.session],
                      ["export", self.session, "--format", "csv", "-o", self.path("out")],
                      ["firmware", "boards"], ["model", "info", MOVEMENT]):
            with self.subTest(" ".join(words[:2])):
                done = run(*words, "--json")
                self.assertIsInstance(json.loads(done.stdout), dict, done.stdout + done.stderr)

    def test_json_when_it_fails(self):
        nothing = self.path("nothing")
        for words in (["info", "virtual:"], ["info"], ["monitor", "serial:" + nothing], ["record", "-o", nothing],
                      ["record", "serial:" + nothing, "-o", self.path("x.h5"), "--seconds", "0"],
                      ["replay", nothing, "--to", "virtual:mps2-an386"], ["compare", nothing], ["nonsense"],
                      ["session", "info", nothing], ["session", "verify", nothing], ["session", "nonsense"],
                      ["session", "import", self.source, "-o", self.path("y.h5")], ["label", "list", nothing],
                      ["label", "add", self.session, "--start", "x", "--class", "a"],
                      ["label", "export", self.session, "-"], ["export", self.session, "--format", "no", "-o", "x"],
                      ["firmware", "size", "no"], ["model", "info", nothing], ["model", "push", "foo:", MOVEMENT],
                      ["model", "convert", nothing, "-o", self.path("p.lsplan")]):
            with self.subTest(" ".join(words)):
                done = run(*words, "--json")
                assert_one_line(self, done, json.loads(done.stdout)["status"])
                self.assertIn(done.returncode, (2, 3))
                self.assertIn(json.loads(done.stdout)["error"]["what"], done.stderr)

    def test_numbers_that_cannot_be(self):
        board = "serial:" + self.path("none")
        for value in ("0", "-1", "nan", "inf", "5s", ""):
            with self.subTest(value):
                done = run("record", board, "-o", self.path("x.h5"), "--seconds", value)
                assert_one_line(self, done, 2)
                self.assertIn(f'--seconds: "{value}" is no number above 0 (seconds)', done.stderr)
        for words, text in ((["label", "delete", self.session, "--id", "-1"], '"-1"'),
                            (["label", "add", self.session, "--start", "1s", "--class", "a"], '--start: "1s" is no num'),
                            (["label", "class", self.session, "--name", " "], "without a name"),
                            (["firmware", "run", "mps2-an386", "--speed", "nan"], '"nan"'),
                            (["firmware", "run", "mps2-an386", "--tcp", "70000"], "65535"),
                            (["session", "import", self.source, "-o", "x", "--mains", "50Hz"], "50Hz"),
                            (["record", board], "-o NAME.h5"),
                            (["label", "export", self.session, "-", "--author", "Nobody"], "Nobody")):
            with self.subTest(text):
                done = run(*words)
                assert_one_line(self, done, 2)
                self.assertIn(text, done.stderr)
                self.assertLess(len(done.stderr), 250)

    def test_slips_in_the_command(self):
        for words, name, place in ((["sessoin", "info"], "sessoin", "'lockstep --help'"),
                                   (["sessoin", "info", self.session], "sessoin", "'lockstep --help'"),
                                   (["session", "inof", self.session], "inof", "'lockstep session --help'")):
            done = run(*words)
            assert_one_line(self, done, 2)
            self.assertIn(f'there is no command "{name}"; see {place}', done.stderr)

    def test_verbose_before_and_behind(self):
        for words in (["-v", "-v", "session", "info", self.session], ["session", "info", self.session, "-vv"]):
            self.assertEqual(run(*words).returncode, 0)

    def test_a_name_that_begins_with_a_dash(self):
        shutil.copy(self.session, self.path("-n.h5"))
        done = subprocess.run([PROGRAM, "session", "info", "-n.h5"], cwd=self.folder, env=ENV, capture_output=True,
                              text=True, timeout=60)
        assert_one_line(self, done, 2)
        self.assertIn("./-n.h5", done.stderr)

    def test_output_that_cannot_be_written(self):
        with open("/dev/full", "w", encoding="utf-8") as full:
            for words in (["label", "export", self.session, "-"], ["session", "info", self.session],
                          ["label", "list", self.session, "--json"]):
                done = subprocess.run([PROGRAM, *words], env=ENV, stdout=full, stderr=subprocess.PIPE, text=True,
                                      timeout=60)
                assert_one_line(self, done, 3)
                self.assertIn("standard output", done.stderr)

    def test_a_reader_that_goes_away(self):
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run([PROGRAM, "label", "list", self.session], env=ENV, stdout=writing,
                              stderr=subprocess.PIPE, text=True, timeout=60)
        os.close(writing)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_closed_streams_damage_no_file(self):
        """A file that is opened must not become the standard output of a program that was started without."""
        done = subprocess.run(f'"{PROGRAM}" label add "{self.session}" --start 1 --class a --json >&- 2>&- <&-', env=ENV,
                              shell=True, timeout=60)
        self.assertEqual(done.returncode, 0)
        self.assertEqual(run("session", "verify", self.session).returncode, 0)

    def test_a_computation_ends_with_the_interrupt(self):
        child = subprocess.Popen([PROGRAM, "model", "run", MOVEMENT, "--raw-input", "-", "--raw-output", "-"], env=ENV,
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        time.sleep(0.3)
        child.send_signal(signal.SIGINT)
        self.assertEqual(child.wait(timeout=30), -signal.SIGINT)
        child.stdin.close()
        child.stdout.close()

    def test_nohup_outlives_the_terminal(self):
        child = subprocess.Popen([PROGRAM, "record", f"replay:{self.session}?speed=2", "-o", self.path("night.h5"),
                                  "--seconds", "4"], env=ENV, stderr=subprocess.PIPE, text=True,
                                 preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        while not os.path.exists(self.path("night.h5.journal")) and child.poll() is None:
            time.sleep(0.01)
        child.send_signal(signal.SIGHUP)
        words = child.communicate(timeout=60)[1]
        self.assertEqual(child.returncode, 0, words)
        with h5py.File(self.path("night.h5")) as f:
            self.assertGreater(f.attrs["duration"], 3.5)

    def test_interrupted(self):
        signal_file(self.source, 200000)
        before = sorted(os.listdir(self.folder))
        for attempt in range(20):  # until the interrupt comes before the end
            target = self.path("long.h5")
            child = subprocess.Popen([PROGRAM, "session", "import", self.source, "-o", target, "--set", "rate=50"],
                                     env=ENV, stderr=subprocess.PIPE, text=True)
            while child.poll() is None and not any(name.startswith("long") for name in os.listdir(self.folder)):
                time.sleep(0.001)
            child.send_signal(signal.SIGINT)
            words = child.communicate(timeout=60)[1]
            if child.returncode != 0:
                break
            os.remove(target)
        self.assertEqual(child.returncode, 3, words)
        self.assertIn("lockstep: interrupted; no session was made", words)
        self.assertEqual(sorted(os.listdir(self.folder)), before)

    def test_what_a_session_holds(self):
        words = ["label", "add", self.session, "--start", "1", "--stop", "2", "--class", "tap", "--stream", "signals"]
        self.assertEqual(run(*words).returncode, 0)
        told = run("session", "info", self.session).stdout
        self.assertIn("acc_x, acc_y [g]", told)
        self.assertIn("labels rest 1, tap 1, walk 1", told)
        self.assertEqual(json.loads(run("session", "info", self.session, "--json").stdout)["labels"],
                         {"rest": 1, "tap": 1, "walk": 1})
        device = run("info", "replay:" + self.session).stdout
        self.assertIn("acc_x, acc_y [g]", device)
        self.assertNotIn("firmware ,", device)

    def test_what_an_import_made(self):
        done = run("session", "import", self.source, "-o", self.path("i.h5"), "--set", "rate=50", "--set", "label=label",
                   "--set", "kind=imu", "--subject", "P7", "--mains", "50", "--json")
        made = json.loads(done.stdout)
        self.assertEqual((made["streams"], made["labels"]), ({"signals": {"kind": "imu", "rate": 50.0, "rows": 500}}, 2))
        self.assertIn("signals (imu) at 50 Hz, 10 s, 2 labels", done.stderr)
        self.assertIn("subject P7, mains 50 Hz", run("session", "info", self.path("i.h5")).stdout)
        for rate in ("0", "-5", "nan", "50Hz"):
            done = run("session", "import", self.source, "-o", self.path("j.h5"), "--set", "rate=" + rate)
            assert_one_line(self, done, 2)
            self.assertIn(f'rate: "{rate}" is no sampling rate', done.stderr)

    def test_files_of_other_programs(self):
        other = self.path("other.h5")
        with h5py.File(other, "w") as f:  # as NWB and AnnData have them
            f.attrs["encoding-type"] = "text of any length"
            f["x"] = [1, 2, 3]
        for words in (["session", "info", other], ["label", "list", other], ["compare", other],
                      ["export", other, "--format", "csv", "-o", self.path("o")]):
            done = run(*words)
            assert_one_line(self, done, 2)
            self.assertIn("not a Lockstep session", done.stderr)
        done = run("session", "import", other, "-o", self.path("k.h5"))
        assert_one_line(self, done, 2)
        self.assertIn("no importer knows this", done.stderr)
        self.assertIn("a session already", run("session", "import", self.session, "-o", self.path("k.h5")).stderr)

    def test_a_virtual_board_that_cannot_be(self):
        """What is wrong with the address is the user's to mend: status 2, and the reason once."""
        text = self.path("text.elf")
        with open(text, "w", encoding="utf-8") as f:
            f.write("no program")
        for query, words in (("signals=nope.csv", "nope.csv: cannot open"), ("firmware=nope.elf", "no such firmware image"),
                             ("firmware=" + text, "is no firmware image")):
            done = run("info", "virtual:mps2-an386?" + query)
            assert_one_line(self, done, 2)
            self.assertIn(words, done.stderr)
            self.assertEqual(done.stderr.count("lockstep: "), 1, done.stderr)

    def test_label_scripts_name_file_and_line(self):
        script = self.path("cues.csv")
        for line, words in (("1,2,a,nope,", "'nope'"), ("1,2,a,signals,acc_z", "'acc_z'"), ("1,2,a,,acc_x", "'acc_x'")):
            with open(script, "w", encoding="utf-8") as f:
                f.write("start_s,stop_s,class,stream,channel\n0,1,a,signals,0\n" + line + "\n")
            done = run("record", "replay:" + self.session, "-o", self.path("l.h5"), "--seconds", "1", "--label-script",
                       script)
            assert_one_line(self, done, 2)
            self.assertIn("cues.csv:3: ", done.stderr)
            self.assertIn(words, done.stderr)

    def test_a_model_that_no_device_runs(self):
        """Nothing is compared then; --strict must not call that a yes."""
        with open(self.source, "w", encoding="utf-8") as f:
            f.write("acc_x,acc_y,acc_z,gyro_x,gyro_y,gyro_z\ng,g,g,deg/s,deg/s,deg/s\n")
            f.writelines(f"{i % 7},0,1,{i % 5},0,0\n" for i in range(3000))
        wrist = self.path("wrist.h5")
        made = run("session", "import", self.source, "-o", wrist, "--set", "rate=100", "--set", "kind=imu")
        self.assertEqual(made.returncode, 0, made.stderr)
        live = self.path("live.h5")
        done = run("record", f"replay:{wrist}?speed=20", "-o", live, "--seconds", "1", "--model", MOVEMENT, "--strict")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("no device runs movement", done.stderr)
        self.assertIn("not one window of --model was compared", done.stderr)
        self.assertIn("ran no model", run("compare", live).stderr)

    def test_the_example_of_a_preprocessing_file(self):
        """What the documents print converts as it stands."""
        with open(os.path.join(SOURCE, "docs", "model_format.md"), encoding="utf-8") as f:
            text = f.read().split("# Preprocessing files")[1]
        lines = text[text.index("    {"):].split("\n\n")[0]
        way = self.path("way.json")
        with open(way, "w", encoding="utf-8") as f:
            f.write(lines)
        folder = os.path.dirname(MOVEMENT)
        done = run("model", "convert", os.path.join(folder, "movement.onnx"), "-o", self.path("m.lsplan"),
                   "--preprocessing", way, "--calibration", os.path.join(folder, "calibration", "inputs.npy"))
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_ports_that_cannot_be(self):
        for port in ("0", "70000", "http", "-1"):
            done = run("info", "tcp:localhost:" + port)
            assert_one_line(self, done, 2)
            self.assertIn(f"'{port}' is no port", done.stderr)

    def test_notes_of_several_sessions(self):
        with open(self.source, "a", encoding="utf-8") as f:
            f.write("1,1,rest\n")  # a row more than whole seconds
        odd = self.path("odd.h5")
        run("session", "import", self.source, "-o", odd, "--set", "rate=50")
        done = run("export", self.session, odd, "--format", "edf", "-o", self.path("all"), "--json")
        self.assertIn("odd: signals: 49 samples fill the last record", "\n".join(json.loads(done.stdout)["notes"]))

    def test_keys_are_not_made_for_nothing(self):
        done = run("model", "sign", self.path("none.lsplan"), "--new-key", self.path("mine"))
        assert_one_line(self, done, 2)
        self.assertFalse(os.path.exists(self.path("mine.key")))
        made = run("model", "sign", "--new-key", self.path("mine"), "--json")
        self.assertTrue(os.path.exists(json.loads(made.stdout)["public_key"]), made.stderr)

    def test_labels_imported_twice(self):
        labels = self.path("labels.csv")
        self.assertEqual(run("label", "export", self.session, labels).returncode, 0)
        self.assertIn("2 of 2 labels stood there already", run("label", "import", self.session, labels).stderr)

    def test_an_export_without_an_ending(self):
        done = run("export", self.session, "--format", "mat", "-o", self.path("for_matlab"), "--json")
        self.assertEqual(json.loads(done.stdout)["files"], [self.path("for_matlab.mat")], done.stderr)
        self.assertEqual(run("export", self.session, "--format", "mat", "-o", self.path("for_matlab")).returncode, 2)

    def test_advice_that_leads_in_a_circle(self):
        empty = self.path("empty.h5")
        open(empty, "w", encoding="utf-8").close()
        done = run("session", "repair", empty)
        assert_one_line(self, done, 2)
        self.assertNotIn("lockstep session repair", done.stderr)

    def test_a_locale_with_a_decimal_comma(self):
        """Numbers have a point in addresses and reports, wherever the desktop stands."""
        made = subprocess.run(["localedef", "-i", "de_DE", "-f", "UTF-8", self.path("de_DE.UTF-8")], capture_output=True,
                              text=True) if shutil.which("localedef") else None
        if made is None or not os.path.isdir(self.path("de_DE.UTF-8")):
            self.skipTest("no locale can be made here")
        env = dict(ENV, LOCPATH=self.folder, LC_ALL="de_DE.UTF-8", QT_QPA_PLATFORM="offscreen")
        address = f"replay:{self.session}?speed=0.5"
        picture = self.path("studio.png")
        for words in (["lockstep", "info", address], ["lockstep-studio", address, "--seconds", "1", "--screenshot", picture]):
            program = os.path.join(os.path.dirname(PROGRAM), words[0])
            done = subprocess.run([program, *words[1:]], env=env, capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    unittest.main(argv=[__file__, "-v"])
