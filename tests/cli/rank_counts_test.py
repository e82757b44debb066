#!/usr/bin/env python3
"""The metrics of a run, digit for digit, on any number of ranks.

usage: rank_counts_test.py CONVOY [unittest arguments]
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from launch import ProgramTest, main  # noqa: E402
from run_files import differing, read_metrics  # noqa: E402

# A rate that is far too high: losses from 0 and 1e-7 to 100, so that the last digit of a sum of doubles depends on its
# order. 800 images to train on in batches of 72, 200 to validate and 250 to test with: each part ends with a short batch.
NETWORK = """
name: noise
data:
  source: synthetic
  validation: 0.2
  synthetic: {image: [1, 12, 12], classes: 4, train: 1000, test: 250}
  normalize: {mean: [0.5], std: [0.3]}
model:
  input: [1, 12, 12]
  layers: [conv: {out: 8, kernel: 5}, MIDDLE, flatten, linear: 4]
train: {epochs: 4, global_batch: 72}
optimizer: {name: sgd, lr: 3}
schedule: {name: constant}
device: cpu
checkpoint: {every_steps: 5, keep: 0}
"""
NORMALISED, PLAIN = (NETWORK.replace("MIDDLE", middle) for middle in ("batchnorm, tanh, flatten, linear: 72, tanh", "tanh"))


class RankCounts(ProgramTest):
    def metrics(self, name, *arguments, config=NORMALISED, ranks=1):
        """Of a run, without what names the machine."""
        run = self.folder / name
        self.succeed("train", self.write(config), *arguments, "--output", run, ranks=ranks)
        records = read_metrics(run)
        for record in records:
            record.pop("ranks", None), record.pop("engine", None)
        return records

    def test_a_reproducible_run_has_the_same_digits(self):
        """Also where it stops early by val_loss, and where another number of ranks goes on within an epoch."""
        options = ["train.reproducible_across_ranks=4", "train.ema=0.5", "train.epochs=20",
                   "train.early_stop={patience: 3}"]
        alone = self.metrics("alone", *options)
        self.assertLess(len(alone), 20, "stopped early")
        for ranks in (2, 4):
            self.assertEqual(self.metrics(f"on-{ranks}", *options, ranks=ranks), alone, ranks)
            self.assertEqual(differing(*(sorted((self.folder / run / "checkpoints").glob("epoch*"))[-1]
                                         for run in ("alone", f"on-{ranks}"))), [])
        for place in sorted((self.folder / "on-4" / "checkpoints").glob("*")):
            if place.name > "epoch-0002-step-00000020.safetensors":
                place.unlink()
        self.assertEqual(self.metrics("on-4", *options, "--resume", "auto", ranks=2), alone)

    def test_sums_have_the_same_digits_on_any_rank_count(self):
        """Weights that do not move, so that all ranks' numbers compute the same losses: what differs is the sums."""
        self.succeed("train", self.write(PLAIN), "--output", "begun")
        self.succeed("export", "begun", "--output", "begun.safetensors")
        still = ["--init", "begun.safetensors", "train.epochs=1", "optimizer.lr=1e-30"]
        for options, counts in (([], (2, 3, 4)), (["train.micro_batch=24"], (3,)), (["data.resident=false"], (2,))):
            alone = self.metrics("alone", *still, *options, config=PLAIN)
            self.assertIn("test_loss", alone[-1])
            for ranks in counts:
                with self.subTest(options=options, ranks=ranks):
                    self.assertEqual(self.metrics(f"on-{ranks}", *still, *options, config=PLAIN, ranks=ranks), alone)


if __name__ == "__main__":
    main()
