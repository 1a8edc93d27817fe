"""`lockstep model push`, `list`, `activate` and `rollback` as a person uses them, on the virtual board: the pushed
plan runs, and a recording of it compares the same."""
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

SOURCE = os.environ["LOCKSTEP_SOURCE"]
PROGRAM = os.path.join(os.environ["LOCKSTEP_BUILD"], "bin", "lockstep")
KEY = os.path.join(SOURCE, "embedded_target", "keys", "development.key")
MOVEMENT = os.path.join(SOURCE, "resources", "models", "movement", "movement.lsplan")
ENV = dict(os.environ)
ENV.setdefault("LOCKSTEP_FIRMWARE_DIR", os.path.join(SOURCE, "build", "firmware"))
sys.path.insert(0, os.path.join(SOURCE, "tests", "embedded_target"))
from bench import crc32c  # noqa: E402


def changed_plan():
    """The movement model with another weight."""
    with open(MOVEMENT, "rb") as f:
        plan = bytearray(f.read())
    for i in range(struct.unpack_from("<I", plan, 68)[0]):
        at = struct.unpack_from("<I", plan, 64)[0] + 36 * i
        if struct.unpack_from("<H", plan, at)[0] == 10:
            params, size = struct.unpack_from("<II", plan, at + 20)
            plan[params + size - 3] ^= 0x11
            break
    plan[16:20] = bytes(4)
    plan[16:20] = struct.pack("<I", crc32c(bytes(plan)))
    return bytes(plan)


class Push(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="lockstep-push-")
        self.plan = os.path.join(self.folder, "new.lsplan")
        with open(self.plan, "wb") as f:
            f.write(changed_plan())
        self.board = subprocess.Popen([PROGRAM, "firmware", "run", "mps2-an386"], env=ENV, text=True,
                                      stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.uri = "serial:" + self.board.stdout.readline().split()[1]

    def tearDown(self):
        self.board.terminate()
        self.board.wait()
        self.board.stdout.close()
        shutil.rmtree(self.folder)

    def run_it(self, *arguments, expect=0):
        done = subprocess.run([PROGRAM, *map(str, arguments)], env=ENV, capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, expect, (arguments, done.stderr))
        return done

    def refused(self, status, *arguments, says=()):
        done = self.run_it(*arguments, expect=status)
        self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)
        for part in says:
            self.assertIn(part, done.stderr)

    def plans(self):
        return {p["name"]: p for p in json.loads(self.run_it("model", "list", self.uri, "--json").stdout)["plans"]
                if p["model"] >= 0}

    def test_from_push_to_comparison(self):
        before = self.plans()
        self.refused(3, "model", "push", self.uri, self.plan, says=["signed plans only", "model sign"])
        self.run_it("model", "sign", "--new-key", os.path.join(self.folder, "mine"))
        self.run_it("model", "sign", self.plan, "--key", os.path.join(self.folder, "mine.key"), "-o",
                    os.path.join(self.folder, "wrong.sig"))
        self.refused(3, "model", "push", self.uri, self.plan, "--signature", os.path.join(self.folder, "wrong.sig"),
                     says=["not signed by the key"])
        self.run_it("model", "sign", self.plan, "--key", KEY)
        self.refused(2, "model", "push", self.uri, MOVEMENT, "--signature", self.plan + ".sig",
                     says=["signature of another plan"])
        self.refused(2, "model", "push", self.uri, os.path.join(self.folder, "none.lsplan"))
        self.assertEqual(self.plans(), before)

        self.run_it("model", "push", self.uri, self.plan)
        self.assertEqual(self.plans(), before)
        self.run_it("model", "activate", self.uri, self.plan)
        after = self.plans()
        self.assertNotEqual(after["movement"]["plan_id"], before["movement"]["plan_id"])
        self.assertEqual(after["vitals"], before["vitals"])

        session = os.path.join(self.folder, "s.h5")
        self.run_it("record", self.uri, "-o", session, "--seconds", "8", "--model", self.plan)
        verdicts = json.loads(self.run_it("compare", session, "--json").stdout)
        self.assertTrue(verdicts["equal"])
        self.assertGreater(verdicts["windows"]["same"], 15)

        self.run_it("model", "rollback", self.uri)
        self.assertEqual(self.plans()["movement"]["plan_id"], before["movement"]["plan_id"])
        self.refused(3, "model", "rollback", self.uri, says=["there is nothing to undo"])
        self.run_it("model", "activate", self.uri, after["movement"]["plan_id"][:12])
        self.assertEqual(self.plans(), after)
        self.refused(2, "model", "activate", self.uri, "ffff", says=["no such plan"])


if __name__ == "__main__":
    unittest.main()
