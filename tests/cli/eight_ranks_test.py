#!/usr/bin/env python3
"""Eight ranks: the same bits as one, two and four come to; one of them is killed, all are gone in time, and the run goes on
with four to the bits of a run that nobody disturbed.

usage: eight_ranks_test.py CONVOY [--ranks 2|4|8] [--device cpu|cuda] [unittest arguments]
"""
import argparse
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
from patience import patience  # noqa: E402
from run_files import checkpoints, differing  # noqa: E402

LAST = "epoch-0003.safetensors"
ACROSS = "train.reproducible_across_ranks=8"
LONGER = ("data.synthetic.train=24000", "checkpoint.every_steps=20")  # for GPUs, which are done before anybody can act
LIMIT = patience(5)  # seconds until all ranks are gone


class EightRanks(unittest.TestCase):
    options = argparse.Namespace()

    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="convoy-eight-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.ranks = cls.options.ranks
        cls.whole = cls.train("whole", cls.ranks)

    @classmethod
    def start(cls, name, ranks, *arguments, **environment):
        folder = cls.folder / name
        folder.mkdir(exist_ok=True)
        (folder / "net.yaml").write_text(chaos_test.NET.replace("device: cpu", f"device: {cls.options.device}"))
        length = LONGER if cls.options.device == "cuda" else ()
        run = faults_test.Run(folder, ranks, ACROSS, *length, *arguments, **environment)
        cls.addClassCleanup(run.kill)
        return run

    @classmethod
    def train(cls, name, ranks, *arguments, **environment):
        """The last checkpoint of a run that nobody disturbs."""
        run = cls.start(name, ranks, *arguments, **environment)
        status, errors, seconds = run.end(patience(300))
        if status != 0:
            raise AssertionError(f"{ranks} ranks ended with {status}: {errors}")
        if arguments and "resuming" not in run.said:
            raise AssertionError(f"not resumed: {run.said}")
        print(f"{name}: {ranks} ranks, {seconds:.1f} s", file=sys.stderr)
        return run.output / "checkpoints" / LAST

    def expect_whole(self, checkpoint):
        self.assertEqual(differing(checkpoint, self.whole), [])

    def test_fewer_ranks_come_to_the_same_bits(self):
        for ranks in [count for count in (1, 2, 4) if count < self.ranks][:None if DEEP else 1]:
            with self.subTest(ranks=ranks):
                self.expect_whole(self.train(f"whole-{ranks}", ranks))

    def test_sockets_come_to_the_same_bits(self):
        if self.options.device != "cuda":
            self.skipTest("NCCL's paths are for GPUs")
        self.expect_whole(self.train("sockets", self.ranks, NCCL_P2P_DISABLE="1", NCCL_SHM_DISABLE="1"))

    def test_one_is_killed_and_half_of_them_go_on(self):
        for rank in {0, self.ranks // 2 - 1, self.ranks - 1} if DEEP else (random.randrange(self.ranks),):
            with self.subTest(rank=rank):
                name = f"killed-{rank}"
                run = self.start(name, self.ranks)
                deadline = time.monotonic() + patience(120)
                while not list(run.output.glob("checkpoints/*-step-*.safetensors")):
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
                self.assertNotIn(LAST, checkpoints(run.output))
                print(f"{name}: SIGKILL, all gone after {seconds:.2f} s (limit {LIMIT}), going on after {checkpoints(run.output)[-1]}",
                      file=sys.stderr)
                self.expect_whole(self.train(name, self.ranks // 2, "--resume", "auto"))
                self.assertFalse((run.output / "failure.json").exists(), "a resumed run removes the old record")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("convoy")
    parser.add_argument("--ranks", type=int, choices=(2, 4, 8), default=8)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    EightRanks.options, rest = parser.parse_known_args()
    faults_test.CONVOY = os.path.abspath(EightRanks.options.convoy)
    unittest.main(argv=[sys.argv[0], *rest])
