#!/usr/bin/env python3
"""The shell functions that decide what .ci/run calls failed, skipped or broken off, and how long tools/test waits.

usage: stages_test.py CONVOY [unittest arguments]
"""
import pathlib
import re
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from patience import patience  # noqa: E402


def function(file, name):
    """Its text: one line, or up to the } at the beginning of one."""
    return re.search(rf"^{name}\(\) \{{(.*\}}|(?s:.*?)^\}})$", (ROOT / file).read_text(), re.MULTILINE).group()


def run(*lines):
    done = subprocess.run(["bash", "-c", "\n".join(["set -euo pipefail", *lines])], capture_output=True, text=True, timeout=patience(60))
    return done.returncode, done.stdout.splitlines()


class Stages(unittest.TestCase):
    def stage(self, kind, seconds, *command):
        """What the stage's line says and which stages have failed, when it begins so many seconds after the first."""
        code, lines = run("say() { :; }; failed=() times=()", function(".ci/run", kind), f"SECONDS={seconds}",
                          f"{kind} name {' '.join(command)}", 'echo "${times[0]}"; echo "failed: ${failed[*]-}"')
        self.assertEqual(code, 0, lines)
        verdict = re.fullmatch(r"name +\d+ s  (.*)", lines[-2]).group(1)
        return verdict, lines[-1].removeprefix("failed: ").strip(), lines[:-2]

    def test_verdicts(self):
        for kind in ("stage", "extra_stage"):
            with self.subTest(kind=kind):
                self.assertEqual(self.stage(kind, 0, "true"), ("ok", "", []))
                self.assertEqual(self.stage(kind, 0, "false"), ("FAILED", "name", []))

    def test_an_extra_stage_gives_way(self):
        self.assertEqual(self.stage("stage", 9000, "echo", "done"), ("ok", "", ["done"]))
        self.assertEqual(self.stage("extra_stage", 3500, "echo", "done"), ("ok", "", ["done"]))
        self.assertEqual(self.stage("extra_stage", 3601, "echo", "done"), ("skipped for lack of time", "", []))

    def test_what_is_broken_off_leaves_no_process(self):
        # Begun in time, and then the clock is put forward.
        text = function(".ci/run", "extra_stage").replace("job=$!", "job=$!; sleep 0.2; SECONDS=4900")
        code, lines = run("say() { :; }; failed=() times=()", text, 'slow() { sleep 60 >/dev/null & echo "pid $!"; wait; }', "SECONDS=0",
                          "extra_stage name slow", 'echo "${times[0]}"; echo "failed: ${failed[*]-}"')
        self.assertEqual(code, 0, lines)
        self.assertRegex(lines[1], r"broken off for lack of time$")
        self.assertEqual(lines[2].strip(), "failed:")
        state = pathlib.Path("/proc", lines[0].split()[1], "stat")
        self.assertTrue(not state.exists() or state.read_text().rsplit(")", 1)[1].split()[0] == "Z", "it still runs")


class Limits(unittest.TestCase):
    def test_they_stretch_with_the_machine(self):
        self.assertEqual(run("CONVOY_SLOWNESS=2.5", function("tools/test", "limit"), "limit 600"), (0, ["1500"]))
        self.assertEqual(run("CONVOY_SLOWNESS=1.00", function("tools/test", "limit"), "limit 600"), (0, ["600"]))


if __name__ == "__main__":
    del sys.argv[1:2]  # the program, which is not asked
    unittest.main()
