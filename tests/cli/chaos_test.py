#!/usr/bin/env python3
"""Ranks are killed or stopped at random moments, saves included: all are gone in time, and the run goes on from the
newest checkpoint to the weights of a run that nobody disturbed.

usage: chaos_test.py CONVOY [--rounds N] [--seed S] [unittest arguments]
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
import faults_test  # noqa: E402
from depth import DEEP  # noqa: E402
from patience import patience  # noqa: E402
from run_files import checkpoints, differing, read_metrics  # noqa: E402

TIMEOUT = round(patience(3))  # distributed.timeout
LIMITS = {signal.SIGKILL: patience(5), signal.SIGSTOP: TIMEOUT + patience(2)}  # seconds until all ranks are gone
RANKS = (2, 3)  # of a run that goes on with as many
RANKS_ACROSS = (1, 2, 4)  # of one that goes on with others
ACROSS = "train.reproducible_across_ranks=4"
STEPS, EVERY = 60, 2
# Writes checkpoints most of the time, of some 700 KB each.
NET = f"""
name: chaos
data:
  source: synthetic
  synthetic: {{image: [3, 16, 16], classes: 10, train: 480, test: 48}}
model:
  input: [3, 16, 16]
  layers:
    - conv: {{out: 16, kernel: 3, pad: same}}
    - batchnorm: {{group: 3}}
    - relu
    - maxpool: 2
    - flatten
    - linear: 80
    - relu
    - dropout: 0.25
    - linear: 10
train: {{epochs: 3, global_batch: 24}}
optimizer: {{name: sgd, lr: 0.05, momentum: 0.9}}
device: cpu
checkpoint: {{every_steps: {EVERY}, keep: 3, best: true}}
distributed: {{timeout: {TIMEOUT}}}
"""


def newest_step(run):
    """The step of the newest checkpoint that is whole; 0 where there is none."""
    steps = [0]
    for name in checkpoints(run):
        parts = name.removesuffix(".safetensors").split("-")  # epoch, 0002[, step, 00000024]
        steps.append(int(parts[3]) if len(parts) > 2 else int(parts[1]) * STEPS // 3)
    return max(steps)


class Chaos(unittest.TestCase):
    options = argparse.Namespace()

    def setUp(self):
        self.undisturbed = {}

    def start(self, name, across, ranks, *arguments):
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        (folder / "net.yaml").write_text(NET)
        run = faults_test.Run(folder, ranks, *([ACROSS] if across else []), *arguments)
        self.addCleanup(run.kill)
        return run

    def whole(self, across, ranks):
        """An undisturbed run's folder; any rank count's where all end with the same weights."""
        which = (across, 2 if across else ranks)
        if which not in self.undisturbed:
            run = self.start("whole-{}-{}".format(*which), *which)
            status, errors, _ = run.end(patience(120))
            self.assertEqual(status, 0, errors)
            self.undisturbed[which] = run.output
        return self.undisturbed[which]

    def disturb(self, run, rank, number, step, delay):
        """At some moment after the checkpoint of this step, whatever the run does then."""
        deadline = time.monotonic() + patience(120)
        while newest_step(run.output) < step:
            self.assertIsNone(run.process.poll(), "the run was over too soon")
            self.assertLess(time.monotonic(), deadline, "not trained")
            time.sleep(0.001)
        time.sleep(delay)
        run.signal(rank, number)

    def round(self, name, across, dice):
        ranks = dice.choice(RANKS_ACROSS[1:] if across else RANKS)
        number = dice.choice(list(LIMITS))
        rank, step, delay = dice.randrange(ranks), dice.randrange(EVERY, STEPS * 2 // 3, EVERY), dice.uniform(0, 0.03)
        whole = self.whole(across, ranks)
        run = self.start(name, across, ranks)
        self.disturb(run, rank, number, step, delay)
        status, errors, seconds = run.end()
        self.assertNotEqual(status, 0, errors)
        self.assertEqual(run.alive(), [])
        self.assertLessEqual(seconds, LIMITS[number], errors)
        self.assertEqual(run.failure()["rank"], rank, errors)
        reached = newest_step(run.output)
        halves = len(list((run.output / "checkpoints").glob("*.tmp")))

        count = dice.choice([other for other in RANKS_ACROSS if other != ranks]) if across else ranks
        again = self.start(name, across, count, "--resume", "auto")
        status, errors, _ = again.end(patience(120))
        self.assertEqual(status, 0, errors)
        self.assertIn("resuming", again.said)
        self.assertIn(f"after step {reached} " if reached % (STEPS // 3) else f"after epoch {reached * 3 // STEPS} ", again.said)
        print(f"{name}: rank {rank} of {ranks} {number.name} after step {reached}, {halves} saves cut short, all gone after "
              f"{seconds:.2f} s (limit {LIMITS[number]}), resumed on {count}", file=sys.stderr)
        for file in ("epoch-0003.safetensors", "best.safetensors"):
            self.assertEqual(differing(again.output / "checkpoints" / file, whole / "checkpoints" / file), [], file)
        if not across:
            self.assertEqual(read_metrics(again.output), read_metrics(whole))
        self.assertEqual(list((again.output / "checkpoints").glob("*.tmp")), [])

    def test_ranks_that_die_or_stop_at_random_moments(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="convoy-chaos-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        print(f"--rounds {self.options.rounds} --seed {self.options.seed}", file=sys.stderr)
        dice = random.Random(self.options.seed)
        for number in range(self.options.rounds):
            with self.subTest(round=number, seed=self.options.seed):
                self.round(f"round-{number}", number % 2 == 0, random.Random(dice.random()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("convoy")
    parser.add_argument("--rounds", type=int, default=30 if DEEP else 4)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    Chaos.options, rest = parser.parse_known_args()
    faults_test.CONVOY = os.path.abspath(Chaos.options.convoy)
    unittest.main(argv=[sys.argv[0], *rest])
