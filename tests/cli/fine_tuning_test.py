#!/usr/bin/env python3
"""Two lines begin a run: a network by name with weights, and a path. What they leave out is found or filled in.

usage: fine_tuning_test.py CONVOY [unittest arguments]
"""
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from data_files import png, write_mnist  # noqa: E402
from launch import ProgramTest, main  # noqa: E402
from run_files import read_metrics  # noqa: E402

PETS = "model: {name: shufflenet_v2_x1_0, init: weights.safetensors}\ndata: {path: pets}\n"
CLASSES = ("cat", "cow", "dog")


def make_pets(folder, each=10, parts=("",)):
    for part in parts:
        for label, name in enumerate(CLASSES):
            (folder / part / name).mkdir(parents=True)
            for i in range(each):
                color = tuple(40 + 80 * (c == label) + i for c in range(3))
                (folder / part / name / f"{i}.png").write_bytes(png(20 + i, 30 - i, lambda y, x: color))


class FineTuning(ProgramTest):
    def make_weights(self):
        """Of the same network with other classes."""
        self.write("name: others\nmodel: {name: shufflenet_v2_x1_0, input: [3, 32, 32]}\n"
                   "data: {source: synthetic, synthetic: {image: [3, 32, 32], classes: 7, train: 4, test: 4}}\n"
                   "train: {global_batch: 4}\ndevice: cpu\n", "others.yaml")
        self.succeed("train", "others.yaml", "--output", "others")
        self.succeed("export", "others", "--output", "weights.safetensors")

    def test_two_lines_check_and_train(self):
        make_pets(self.folder / "pets")
        self.make_weights()
        self.write(PETS, "pets.yaml")
        small = ["train.epochs=1", "model.input=[3,64,64]"]
        for ranks in (1, 2):
            said = self.succeed("check", "pets.yaml", *small, ranks=ranks)
            self.assertRegex(said.stdout, r"ok +init +weights.safetensors: \d+ tensors; layer fc begins anew: 7 outputs in the file, 3 here")
            self.assertRegex(said.stdout, r"27 training and 3 validation images \(64,64,3\)")
            self.assertEqual(said.stderr.count("data.path: pets: recognised as source: folder; a tenth"), 1, said.stderr)
            self.assertEqual(said.stderr.count("train.global_batch: 32, optimizer.name: sgd, optimizer.lr: 0.01"), 1, said.stderr)
        done = self.succeed("train", "pets.yaml", *small, "--output", "run")
        self.assertIn("layer fc begins anew", done.stdout)
        resolved = (self.folder / "run" / "config.yaml").read_text()
        for line in ("source: folder", "validation: 0.1", "global_batch: 32", "momentum: 0.9", "random_resized_crop"):
            self.assertIn(line, resolved)
        self.assertRegex(self.succeed("eval", "run").stdout, r"of 3 correct")

    def test_what_the_file_says_stays(self):
        make_pets(self.folder / "pets", parts=("train", "val"))
        self.write("model: {name: resnet18, init: weights.safetensors, input: [3, 32, 32]}\n"
                   "data: {path: pets, augment: []}\noptimizer: {name: adam}\ntrain: {global_batch: 6}\n", "pets.yaml")
        said = self.launch("check", "pets.yaml")
        self.assertIn("30 training and 30 validation images", said.stdout)
        self.assertIn("data.path: pets: recognised as source: folder\n", said.stderr)
        note = next(line for line in said.stderr.splitlines() if "keys that the file leaves out" in line)
        for key in ("augment", "optimizer", "global_batch"):
            self.assertNotIn(key, note)

    def test_weights_that_do_not_fit_are_told_before_training(self):
        make_pets(self.folder / "pets")
        self.make_weights()
        self.write(PETS, "pets.yaml")
        for override, parts in (("model.init=none.safetensors", ["model.init: none.safetensors: there is no such file"]),
                                ("model.init=pets", ["model.init: pets: a folder"]),
                                ("model.name=resnet18", ["weights.safetensors: does not match this network", "missing: ",
                                                         "left over: "])):
            for ranks in (1, 2):
                done = self.launch("check", "pets.yaml", override, "model.input=[3,64,64]", ranks=ranks)
                self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
                self.assertEqual(len(re.findall(r"^FAIL", done.stdout, re.M)), 1, done.stdout)
                failed = done.stdout[done.stdout.index("FAIL  init"):]
                for part in parts:
                    self.assertIn(part, failed)

    def test_data_is_recognised_by_its_files(self):
        write_mnist(self.folder / "digits" / "raw")
        self.write("model: {input: [1, 28, 28], layers: [flatten, linear: 10]}\ndata: {path: digits}\n"
                   "train: {global_batch: 20}\ndevice: cpu\n")
        done = self.succeed("train", "net.yaml", "--output", "run")
        self.assertRegex(done.stderr, r"data.path: digits.raw: recognised as source: mnist\n")
        self.assertTrue(read_metrics(self.folder / "run"))
        self.refuse(2, ["command line: data.path=nothing: data.path: there is no such file or folder"], "train", "net.yaml", "data.path=nothing")
        (self.folder / "empty").mkdir()
        self.refuse(1, ["no folders of classes there"], "train", "net.yaml", "data.path=empty", "model.input=[3,8,8]")


if __name__ == "__main__":
    main()
