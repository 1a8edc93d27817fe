"""Runs the real program for the tests of this folder."""
import os
import subprocess

SOURCE = os.environ["LOCKSTEP_SOURCE"]
PROGRAM = os.path.join(os.environ["LOCKSTEP_BUILD"], "bin", "lockstep")
RECORDINGS = os.path.join(SOURCE, "resources", "recordings")
FIRMWARE = os.environ.get("LOCKSTEP_FIRMWARE_DIR", os.path.join(SOURCE, "build", "firmware"))
ENV = dict(os.environ)
ENV.setdefault("LOCKSTEP_FIRMWARE_DIR", FIRMWARE)
ENV.setdefault("LOCKSTEP_RESOURCES", os.path.join(SOURCE, "resources"))


def run(*arguments, timeout=90):
    return subprocess.run([PROGRAM, *arguments], env=ENV, capture_output=True, text=True, timeout=timeout)


def assert_one_line(test, done, status):
    """The status, and one line for a person: what, where, what to do."""
    test.assertEqual(done.returncode, status, done.stderr)
    test.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)
    test.assertIn("lockstep: ", done.stderr)
