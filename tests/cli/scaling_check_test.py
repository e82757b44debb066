#!/usr/bin/env python3
"""tools/scaling_check on CPU ranks: runs every part, and reports a part that fails.

usage: scaling_check_test.py CONVOY [unittest arguments]
"""
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from depth import deep  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
CONVOY = ""


class ScalingCheck(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="convoy-scaling-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def check(self, build, *arguments):
        self.output = self.folder / "out"
        result = subprocess.run([str(ROOT / "tools/scaling_check"), "--cpu", "--build", str(build), "--output", str(self.output),
                                 "--seconds", "0.1", *arguments], capture_output=True, text=True, check=False)
        verdicts = self.output / "verdicts.txt"
        self.verdicts = [line.split()[-1] for line in verdicts.read_text().splitlines()] if verdicts.exists() else []
        return result

    @deep
    def test_four_ranks_are_as_they_must_be(self):
        result = self.check(pathlib.Path(CONVOY).parent, "--ranks", "4")
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertIn("all gone after", result.stdout)
        self.assertRegex(result.stdout, r"(?m)^ +4 +128 +\d+ .*%")  # ranks, images in all, images/s
        self.assertEqual(len(self.verdicts), 7)
        self.assertNotIn("FAILED", self.verdicts)
        self.assertGreaterEqual(self.verdicts.count("ok"), 5)

    def test_a_program_that_fails_is_noticed(self):
        program = self.folder / "convoy"
        program.write_text("#!/bin/sh\necho it is broken >&2\nexit 1\n")
        program.chmod(0o755)
        result = self.check(self.folder, "--ranks", "2")
        self.assertEqual(result.returncode, 1, result.stdout)
        self.assertIn("at least one part failed", result.stderr)
        self.assertEqual(self.verdicts[:2], ["skipped", "FAILED"], "no suites are built there; the program fails")
        self.assertNotIn("ok", self.verdicts)
        self.assertTrue(any("it is broken" in log.read_text() for log in self.output.glob("*.log")))

    def test_wrong_usage(self):
        self.assertEqual(self.check(pathlib.Path(CONVOY).parent, "--ranks", "3").returncode, 1)
        self.assertEqual(self.check(pathlib.Path(CONVOY).parent, "--fast").returncode, 2)
        self.assertIn("is not there", self.check(self.folder).stderr)
        self.folder.joinpath("out").mkdir()
        self.assertIn("exists already", self.check(pathlib.Path(CONVOY).parent).stderr)


if __name__ == "__main__":
    CONVOY = os.path.abspath(sys.argv.pop(1))
    unittest.main()
