"""Full disks, crashes and power cuts in short form (faults.py). LOCKSTEP_FAULTS: how many of each, 0 for all."""
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import faults  # noqa: E402

MANY = int(os.environ.get("LOCKSTEP_FAULTS", "16"))


def some(last):
    return range(1, last + 1) if MANY == 0 else sorted({1 + i * (last - 1) // (MANY - 1) for i in range(MANY)})


class Faults(unittest.TestCase):
    def test_crash_at_a_write(self):
        for n in some(faults.count_operations()):
            with self.subTest(n=n):
                opened, *bad = faults.crash_at(n)
                self.assertTrue(opened)
                self.assertEqual(bad, [0, 0, 0, 0])

    def test_crash_while_repairing(self):
        for n in (1, 2, 5, 20, 60, 120, 200):
            with self.subTest(n=n):
                opened, wrong, *_ = faults.crash_in_repair(n)
                self.assertTrue(opened)
                self.assertEqual(wrong, 0)

    def test_power_cut(self):
        for i, (opened, *bad) in enumerate(faults.power_cuts(MANY or 100, timed=False)):
            with self.subTest(cut=i):
                self.assertTrue(opened)
                self.assertEqual(bad, [0, 0, 0, 0])

    def test_disk_full_at_a_write(self):
        for n in some(faults.count_operations()):
            with self.subTest(n=n):
                status, opened, *bad, said = faults.full_at(n)
                self.assertTrue(opened, said)
                self.assertEqual(bad, [0, 0, 0, 0], said)
                if status:
                    self.assertEqual(status, 3)
                    self.assertIn("free some space", said)

    def test_small_disk(self):
        for room in (9 << 20, 13_500_000, 19 << 20):
            got = faults.on_small_disk(("fill_here", room))
            if got is None:
                self.skipTest("this user cannot mount a small file system; test_disk_full_at_a_write covers the rest")
            with self.subTest(room=room):
                # The end fits: nobody has to make room.
                self.assertEqual((got["status"], got["opened"], got["lost"], got["wrong"]), (0, True, 0, 0), got)
                self.assertIn("the disk is full; there is room left to end the recording", got["said"])
                self.assertGreater(got["rows"], 50000)

    def test_small_disk_and_nobody_listens(self):
        for room in (9 << 20, 16 << 20):
            got = faults.on_small_disk(("fill_here", room, True))
            if got is None:
                self.skipTest("this user cannot mount a small file system")
            with self.subTest(room=room):
                self.assertEqual((got["status"], got["elsewhere"], got["lost"], got["wrong"]), (9, True, 0, 0), got)
                self.assertRegex(got["told"], r"no room for the session beside its journal: about \d+ bytes more")
                self.assertRegex(got["told"], r"session repair .* -o ")
                self.assertEqual(len(got["told"].splitlines()), 1)
                self.assertGreater(got["rows"], 50000)


if __name__ == "__main__":
    unittest.main()
