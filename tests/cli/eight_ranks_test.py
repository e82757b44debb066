#!/usr/bin/env python3
"""Eight ranks: the same bits as one, two and four come to; one of them is killed, all are gone in time, and the run goes on
with four to the bits of a run that nobody disturbed.

usage: eight_ranks_test.py CONVOY [unittest arguments]
"""
import os
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import chaos_test  # noqa: E402
import faults_test  # noqa: E402
from depth import DEEP  # noqa: E402
from run_files import read_tensors  # noqa: E402

ACROSS = "train.reproducible_across_ranks=8"
FEWER = (1, 2, 4) if DEEP else (1,)
KILLED = (0, 3, 7) if DEEP else (random.randrange(8),)
LIMIT = 5  # seconds until all ranks are gone


class EightRanks(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="convoy-eight-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.whole = cls.train("whole-8", 8)

    @classmethod
    def start(cls, name, ranks, *arguments):
        folder = cls.folder / name
        folder.mkdir(exist_ok=True)
        (folder / "net.yaml").write_text(chaos_test.NET)
        run = faults_test.Run(folder, ranks, ACROSS, *arguments)
        cls.addClassCleanup(run.kill)
        return run

    @classmethod
    def train(cls, name, ranks, *arguments):
        """The weights at the end of a run that nobody disturbs."""
        run = cls.start(name, ranks, *arguments)
        status, errors, seconds = run.end(300)
        if status != 0:
            raise AssertionError(f"{ranks} ranks ended with {status}: {errors}")
        if arguments and "resuming" not in run.said:
            raise AssertionError(f"not resumed: {run.said}")
        print(f"{name}: {ranks} ranks, {seconds:.1f} s", file=sys.stderr)
        return read_tensors(run.output / "checkpoints" / "epoch-0003.safetensors")

    def expect_whole(self, weights):
        self.assertEqual(weights.keys(), self.whole.keys())
        self.assertEqual([name for name in weights if weights[name] != self.whole[name]], [], "these differ")

    def test_fewer_ranks_come_to_the_same_bits(self):
        for ranks in FEWER:
            with self.subTest(ranks=ranks):
                self.expect_whole(self.train(f"whole-{ranks}", ranks))

    def test_one_is_killed_and_four_go_on(self):
        for rank in KILLED:
            with self.subTest(rank=rank):
                name = f"killed-{rank}"
                run = self.start(name, 8)
                deadline = time.monotonic() + 120
                while chaos_test.newest_step(run.output) < 10:
                    self.assertIsNone(run.process.poll(), "the run was over too soon")
                    self.assertLess(time.monotonic(), deadline, "not trained")
                    time.sleep(0.005)
                run.signal(rank, signal.SIGKILL)
                status, errors, seconds = run.end()
                self.assertNotEqual(status, 0, errors)
                self.assertEqual(run.alive(), [])
                self.assertLessEqual(seconds, LIMIT, errors)
                failure = run.failure()
                self.assertEqual(failure["rank"], rank, failure)
                self.assertIn("without a goodbye", failure["reason"])
                self.assertNotEqual(failure["witness"], rank)
                reached = chaos_test.newest_step(run.output)
                self.assertLess(reached, chaos_test.STEPS)
                print(f"{name}: SIGKILL, all eight gone after {seconds:.2f} s (limit {LIMIT}), going on after step {reached}",
                      file=sys.stderr)
                self.expect_whole(self.train(name, 4, "--resume", "auto"))
                self.assertFalse((run.output / "failure.json").exists(), "a resumed run removes the old record")


if __name__ == "__main__":
    faults_test.CONVOY = os.path.abspath(sys.argv.pop(1))
    unittest.main()
