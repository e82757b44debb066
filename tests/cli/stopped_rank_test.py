#!/usr/bin/env python3
"""A rank that is stopped at any moment of a command, its start and its end included: all ranks are gone in time, and a line
says which rank of which host and process it was, and what it did.

usage: stopped_rank_test.py CONVOY [--rounds N] [--seed S] [unittest arguments]
"""
import argparse
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from depth import DEEP  # noqa: E402
from launch import ProgramTest, children  # noqa: E402
from networks import STEADY  # noqa: E402
from patience import patience  # noqa: E402

TIMEOUT = round(patience(1.5), 1)  # distributed.timeout
LIMIT = TIMEOUT + patience(1 if DEEP else 3)  # seconds until all ranks are gone; other tests run beside the short form
NET = STEADY + f"distributed: {{timeout: {TIMEOUT}}}\n"
COMMANDS = {
    "train": ["train", "net.yaml", "train.epochs=1", "--output", "new"],
    "eval": ["eval", "run", "data.synthetic.test=2000"],
    "check": ["check", "net.yaml"],
    "bench step": ["bench", "step", "net.yaml", "--seconds", "0.3"],
    "bench scaling": ["bench", "scaling", "net.yaml", "--seconds", "0.1"],
}


def state_of(pid):
    """As in /proc/PID/stat; "X" where there is no such process."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"


class StoppedRank(ProgramTest):
    options = argparse.Namespace()

    def setUp(self):
        super().setUp()
        self.write(NET)
        self.succeed("train", "net.yaml", "train.epochs=1", "--output", "run")

    def begin(self, command, ranks):
        process = self.start(*COMMANDS[command], ranks=ranks)
        self.addCleanup(self.end, process)
        deadline = time.monotonic() + patience(30)
        while len(children(process.pid)) < ranks and time.monotonic() < deadline:
            self.assertIsNone(process.poll(), "it ended before its ranks were there")
        return process, children(process.pid)

    def end(self, process):
        for pid in children(process.pid):
            os.kill(pid, signal.SIGKILL)
        process.kill()
        process.communicate()

    def seconds_of(self, command, ranks):
        """From the moment when its ranks are there to its end, undisturbed."""
        process, _ = self.begin(command, ranks)
        start = time.monotonic()
        _, errors = process.communicate(timeout=patience(120))
        self.assertEqual(process.returncode, 0, errors)
        return time.monotonic() - start

    def stop(self, command, ranks, rank, delay):
        """What the launcher says and the pid of the rank that was stopped; None where it had ended before."""
        process, pids = self.begin(command, ranks)
        time.sleep(delay)
        try:
            os.kill(pids[rank], signal.SIGSTOP)
        except ProcessLookupError:
            return None
        start = time.monotonic()
        time.sleep(0.01)
        if state_of(pids[rank]) != "T":
            return None  # it was ending already
        try:
            _, errors = process.communicate(timeout=LIMIT + patience(30))
        except subprocess.TimeoutExpired:
            self.fail(f"{command}, rank {rank} of {ranks} stopped after {delay:.3f} s: still there")
        left = pids  # mpirun does not wait for the ranks that it kills
        while (left := [pid for pid in left if state_of(pid) not in "ZX"]) and time.monotonic() - start < LIMIT:
            time.sleep(0.01)
        seconds = time.monotonic() - start
        self.assertEqual(left, [], errors)
        self.assertLessEqual(seconds, LIMIT, errors)
        self.assertNotEqual(process.returncode, 0, errors)
        return errors, pids[rank], seconds

    def test_all_ranks_are_gone_in_time_and_the_stopped_one_is_named(self):
        print(f"--rounds {self.options.rounds} --seed {self.options.seed}", file=sys.stderr)
        dice, whole = random.Random(self.options.seed), {}
        names = list(COMMANDS)
        for number in range(self.options.rounds):
            command = names[number % len(names)] if DEEP else dice.choice(names)
            ranks = dice.choice((2, 3))
            if (command, ranks) not in whole:
                whole[command, ranks] = self.seconds_of(command, ranks)
            stopped = None
            while stopped is None:
                rank, delay = dice.randrange(ranks), dice.uniform(0, whole[command, ranks])
                stopped = self.stop(command, ranks, rank, delay)
            errors, pid, seconds = stopped
            with self.subTest(round=number, command=command, rank=rank, ranks=ranks, delay=delay):
                said = [line for line in errors.splitlines() if "all ranks end here" in line]
                self.assertEqual(len(said), 1, errors)
                named = re.search(r"rank (\d+) on host \S+ \(pid (\d+)[^)]*\) failed (while \w[\w ]*|in step \d+)", said[0])
                self.assertIsNotNone(named, said[0])
                self.assertEqual((int(named[1]), int(named[2])), (rank, pid), said[0])
                print(f"{command}: rank {rank} of {ranks} stopped after {delay:.2f} of {whole[command, ranks]:.2f} s, {named[3]}, all "
                      f"gone after {seconds:.2f} s (limit {LIMIT:.1f})", file=sys.stderr)

    def test_a_program_that_is_replaced_meanwhile(self):
        """Ranks know each other although one began with a file that is gone: it is stopped as soon as the file is."""
        copy = self.folder / "bin" / "convoy"
        copy.parent.mkdir()
        shutil.copy(self.program, copy)
        for part in pathlib.Path(self.program).parent.glob("lib*"):  # plugins, which it finds beside itself
            (copy.parent / part.name).symlink_to(part)
        self.program = str(copy)
        process, pids = self.begin("train", 2)
        copy.unlink()
        os.kill(pids[1], signal.SIGSTOP)
        start = time.monotonic()
        _, errors = process.communicate(timeout=LIMIT + patience(30))
        self.assertLessEqual(time.monotonic() - start, LIMIT, errors)
        self.assertIn(f"(pid {pids[1]}", errors)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("convoy")
    parser.add_argument("--rounds", type=int, default=100 if DEEP else 4)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    StoppedRank.options, rest = parser.parse_known_args()
    ProgramTest.program = os.path.abspath(StoppedRank.options.convoy)
    unittest.main(argv=[sys.argv[0], *rest])
