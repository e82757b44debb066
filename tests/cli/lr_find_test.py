#!/usr/bin/env python3
"""The curve of `convoy lr-find` and what it suggests, on one and on two ranks.

usage: lr_find_test.py CONVOY [unittest arguments]
"""
import json
import math
import pathlib
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from launch import ProgramTest, main  # noqa: E402

CONFIG = """
name: finder
data: {source: digits, normalize: {mean: [0.13], std: [0.31]}, validation: 0.99}
model: {input: [1, 28, 28], layers: [flatten, linear: 10]}
train: {global_batch: 60, tensorboard: false}
optimizer: {name: sgd, lr: 0.1}
device: cpu
"""
MEMORY, DIVERGENCE = 0.9, 4


def smoothed(losses):
    """Each a mean of the losses up to it, where each weighs MEMORY of the next."""
    means, total, weight = [], 0, 0
    for loss in losses:
        total, weight = MEMORY * total + loss, MEMORY * weight + 1
        means.append(total / weight)
    return means


class LrFind(ProgramTest):
    def curve(self, *arguments, ranks=1):
        found = self.succeed("lr-find", self.write(CONFIG), *arguments, ranks=ranks)
        return json.loads((self.folder / "runs" / "finder" / "lr_find.json").read_text()), found.stdout

    def test_the_curve_and_its_suggestions(self):
        curve, printed = self.curve("--from", "1e-5", "--to", "1e5", "--steps", "80")
        rates, losses = curve["lr"], curve["loss"]
        self.assertTrue(curve["diverged"])
        self.assertLess(len(losses), 80, "ends early")
        for i, rate in enumerate(rates):  # ten decades in 79 equal factors
            self.assertAlmostEqual(rate / 10 ** (-5 + 10 * i / 79), 1, 5)
        means = smoothed(losses)
        for ours, expected in zip(curve["smoothed_loss"], means, strict=True):
            self.assertAlmostEqual(ours, expected, 9)
        self.assertGreater(means[-1], DIVERGENCE * min(means))
        self.assertTrue(all(mean <= DIVERGENCE * min(means[:i + 1]) for i, mean in enumerate(means[:-1])))
        places = range(len(means) // 10, len(means) - 6)
        slopes = {i: (means[i + 1] - means[i]) / math.log(rates[i + 1] / rates[i]) for i in places}
        self.assertEqual(curve["steepest"], rates[min(slopes, key=slopes.get)])
        lowest = min(range(len(means) // 10, len(means) - 5), key=means.__getitem__)
        self.assertAlmostEqual(curve["tenth_of_minimum"], rates[lowest] / 10)
        self.assertIn(f"suggestions for optimizer.lr: {curve['steepest']:.2e},", printed)
        self.assertTrue(1e-3 < curve["steepest"] < 1e2, curve["steepest"])
        chart = (self.folder / "runs" / "finder" / "lr_find.png").read_bytes()
        self.assertEqual(chart[:8], b"\x89PNG\r\n\x1a\n")
        self.assertEqual(struct.unpack(">II", chart[16:24]), (720, 420))
        # It is no run, and does not stand in the way of one.
        self.assertEqual({path.name for path in (self.folder / "runs" / "finder").iterdir()}, {"lr_find.json", "lr_find.png"})
        self.succeed("train", "net.yaml", "train.epochs=1")
        self.assertFalse((self.folder / "runs" / "finder.1").exists())

    def test_any_rank_count_gives_the_curve(self):
        options = ["train.reproducible_across_ranks=2", "--steps", "20", "--output", "runs/finder"]
        alone, _ = self.curve(*options)
        together, _ = self.curve(*options, ranks=2)
        self.assertEqual(together.pop("ranks"), 2)
        alone.pop("ranks")
        self.assertEqual(together, alone)

    def test_it_begins_with_given_weights(self):
        self.succeed("train", self.write(CONFIG), "train.epochs=5", "--output", "run")
        self.succeed("export", "run", "--output", "run.safetensors")
        begun, _ = self.curve("--steps", "10", "model.init=run.safetensors")
        anew, _ = self.curve("--steps", "10")
        self.assertLess(begun["loss"][0], 0.7 * anew["loss"][0])

    def test_a_loss_that_never_falls_suggests_nothing(self):
        curve, printed = self.curve("--from", "1e-30", "--to", "1e-29", "--steps", "10", "train.global_batch=600")
        self.assertIsNone(curve["steepest"])
        self.assertIn("the loss does not fall", printed)

    def test_wrong_arguments(self):
        self.write(CONFIG)
        self.refuse(2, ["--from 1 must be less than --to 0.1"], "lr-find", "net.yaml", "--from", "1", "--to", "0.1")
        self.refuse(2, ["--steps"], "lr-find", "net.yaml", "--steps", "3")


if __name__ == "__main__":
    main()
