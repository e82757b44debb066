#!/usr/bin/env python3
"""Batch normalisation over a single value per channel: refused where it is always so, and where only an epoch's last batch is
so small, that step leaves the running variance alone.

usage: one_value_test.py CONVOY [unittest arguments]
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from launch import ProgramTest, main  # noqa: E402
from run_files import checkpoints, read_tensors  # noqa: E402

NET = """
name: net
data:
  source: synthetic
  synthetic: {image: [1, 8, 8], classes: 2, train: 9, test: 4}
model:
  input: [1, 8, 8]
  layers:
    - conv: {out: 3, kernel: 3}
    - batchnorm
    - globalavgpool
    - batchnorm: {group: GROUP}
    - linear: 2
train: {epochs: 1, global_batch: 4, tensorboard: false}
optimizer: {name: sgd, lr: 0.05}
device: cpu
checkpoint: {every_steps: 1, keep: 0}
"""
SKIPPED = "layer 3 normalises over a single value per channel: that step leaves the running variance alone"


class OneValue(ProgramTest):
    def states(self, *arguments, ranks=1):
        """After the steps of an epoch, in order."""
        result = self.succeed("train", "net.yaml", "--output", "run", *arguments, ranks=ranks)
        folder = self.folder / "run" / "checkpoints"
        return result.stderr, [read_tensors(folder / name) for name in checkpoints(self.folder / "run")]

    def expect_still(self, before, after, *names):
        for name, values in before.items():
            if "running" in name:
                self.assertEqual(values == after[name], name in names, f"{name}: {values}, {after[name]}")

    def test_a_last_batch_of_one(self):
        """9 images in batches of 4."""
        for group, device, ranks in (("0", "cpu", 1), ("0", "reference", 1), ("0", "cpu", 2), ("2", "cpu", 1)):
            with self.subTest(group=group, device=device, ranks=ranks):
                self.write(NET.replace("GROUP", group))
                self.assertIn(SKIPPED, self.succeed("check", "net.yaml").stdout)
                said, states = self.states(f"device={device}", ranks=ranks)
                self.assertEqual(said.count(SKIPPED), 1, said)
                self.expect_still(states[0], states[1])
                self.expect_still(states[1], states[2], "3.running_var")
                said, states = self.states("train.drop_last=true")
                self.assertNotIn(SKIPPED, said)
                self.assertEqual(len(states), 2)

    def test_it_is_refused_where_it_is_always_so(self):
        for group, changes, cure in (
                ("0", ["train.global_batch=1"], "raise train.global_batch"),
                ("1", [], "give it a group of 2 or more images"),
                ("3", [], "groups of 3 leave one of train.global_batch=4 images over"),
                ("1", ["train.micro_batch=1", "model.layers.1.batchnorm={group: 1}"], "give it a group of 2"),
                ("0", ["train.reproducible_across_ranks=4"], "leaves one image for a shard"),
                ("0", ["data.synthetic.train=1"], "the training part has 1 image(s)")):
            with self.subTest(group=group, changes=changes):
                self.write(NET.replace("GROUP", group))
                for command in ("check", "train"):
                    result = self.launch(command, "net.yaml", *changes)
                    self.assertEqual(result.returncode, 2, result.stdout + result.stderr)
                    for part in ("layer 3 normalises over a single value per channel", cure):
                        self.assertIn(part, result.stdout + result.stderr)


if __name__ == "__main__":
    main()
