#!/usr/bin/env python3
"""What a checkpoint knows of its data, held against the data at hand: resumed, evaluated, verified.

usage: other_data_test.py CONVOY [unittest arguments]
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from data_files import png, write_mnist  # noqa: E402
from launch import ProgramTest, main  # noqa: E402
from run_files import checkpoints, parts_of, write_safetensors  # noqa: E402

CONFIG = """
name: other-data
data: {source: folder, path: pictures, resize: 16}
model: {input: [3, 16, 16], layers: [conv: {out: 2, kernel: 3}, relu, globalavgpool, linear: 2]}
train: {epochs: 1, global_batch: 2, autotune: false}
optimizer: {lr: 1e-2}
device: cpu
"""
DIGITS = """
name: other-data
data: {source: mnist, path: mnist}
model: {input: [1, 28, 28], layers: [flatten, linear: 10]}
train: {epochs: 1, global_batch: 10, autotune: false}
device: cpu
"""


def make_pictures(folder, names, train=3, validation=2):
    for part, count in (("train", train), ("val", validation)):
        for label, name in enumerate(names):
            (folder / part / name).mkdir(parents=True)
            for i in range(count):
                content = png(16, 16, lambda y, x: (min(255, 4 * x + 9 * i), 4 * y, 100 * label))
                (folder / part / name / f"{i}.png").write_bytes(content)


def forget(checkpoint, keys):
    """Takes keys out of a checkpoint's metadata, as an older version would have left them out."""
    header, values = parts_of(checkpoint)
    for key in keys:
        del header["__metadata__"][key]
    write_safetensors(checkpoint, header, values)


class OtherDataTest(ProgramTest):
    def setUp(self):
        super().setUp()
        self.pictures = self.folder / "pictures"
        make_pictures(self.pictures, "ab")
        self.config = self.write(CONFIG)
        self.succeed("train", self.config, "--output", "run")
        self.again = ("train", self.config, "train.epochs=2", "--output", "run", "--resume", "auto")

    def rename(self, old, new):
        for part in ("train", "val"):
            (self.pictures / part / old).rename(self.pictures / part / new)

    def test_renamed_classes(self):
        self.rename("a", "z")
        named = ["epoch-0001.safetensors", "its classes are b, z here and a, b there"]
        self.refuse(1, named, "eval", "run")
        self.refuse(1, [*named, "--resume-on-other-data"], *self.again)
        done = self.succeed(*self.again, "--resume-on-other-data")
        self.assertIn("going on with other data", done.stderr)
        self.assertNotIn("other data", self.succeed(*self.again, "train.epochs=3").stderr)
        self.succeed("eval", "run")

    def test_exchanged_classes(self):
        self.rename("a", "c")
        self.rename("b", "a")
        self.rename("c", "b")
        self.refuse(1, ["its 6 training images are others; its 4 validation images are others"], *self.again, ranks=(1, 2))
        self.succeed("eval", "run")  # which may be asked of any data

    def test_more_images_and_others(self):
        before = (self.pictures / "train/a/0.png").read_bytes()
        (self.pictures / "train/a/0.png").write_bytes(before[:-40] + bytes([before[-40] ^ 1]) + before[-39:])
        self.refuse(1, ["its 6 training images are others. "], *self.again, ranks=(1,))
        (self.pictures / "train/a/0.png").write_bytes(before)
        (self.pictures / "train/a/more.png").write_bytes(before)
        self.refuse(1, ["it has 7 training images here and 6 there"], *self.again, ranks=(1,))
        (self.pictures / "train/a/more.png").unlink()
        self.refuse(1, ["validation images"], *self.again, "data.validation=0.34", ranks=(1,))
        self.assertEqual(self.succeed(*self.again).stderr, "")

    def test_elsewhere_and_on_other_rank_counts(self):
        self.pictures.rename(self.folder / "moved")
        self.succeed(*self.again, "data.path=moved", ranks=2)
        self.succeed(*self.again, "data.path=moved", "train.epochs=3")

    def test_packed_instead_of_decoded(self):
        self.succeed("data", "pack", "pictures", "pictures.pack", "--size", "16")
        packed = ("data.source=packed", "data.path=pictures.pack")
        self.succeed(*self.again, *packed)
        self.pictures.rename(self.folder / "other")
        make_pictures(self.pictures, "ab", train=2, validation=3)
        self.succeed("data", "pack", "pictures", "pictures.pack", "--size", "16")
        self.refuse(1, ["4 training images here and 6 there"], *self.again, *packed, "train.epochs=3", ranks=(1,))

    def test_mnist_labels_exchanged(self):
        config = self.write(DIGITS, "digits.yaml")
        write_mnist(self.folder / "mnist")
        self.succeed("train", config, "--output", "digits")
        again = ("train", config, "train.epochs=2", "--output", "digits", "--resume", "auto")
        (self.folder / "mnist").rename(self.folder / "old")
        write_mnist(self.folder / "mnist", labels=[9 - i % 10 for i in range(20)])
        self.refuse(1, ["20 training images are others; its 20 validation images are others"], *again)
        self.succeed("eval", "digits")
        self.refuse(1, ["trained for other classes", "0 is T-shirt/top here and 0 there"], "eval", "digits",
                    "data.source=fashion-mnist", ranks=(1,))
        self.succeed(*again, "data.path=old")

    def test_an_older_checkpoint(self):
        """It does not say what its data was; class names it may know."""
        path = self.folder / "run/checkpoints" / checkpoints(self.folder / "run")[-1]
        keys = ("data_kind", "data_train", "data_validation", "data_test")
        forget(path, keys)
        done = self.succeed(*self.again)
        self.assertEqual(done.stdout.count("written by an older version"), 1, done.stdout)
        self.rename("a", "z")
        path = self.folder / "run/checkpoints" / checkpoints(self.folder / "run")[-1]
        forget(path, keys)
        self.refuse(1, ["its classes are b, z here and a, b there"], *self.again, "train.epochs=3", ranks=(1,))

    def test_weights_of_other_classes_are_warned_of(self):
        self.succeed("train", self.config, "--init", "run/checkpoints/epoch-0001.safetensors", "--output", "same")
        self.rename("a", "z")
        done = self.succeed("train", self.config, "--init", "run/checkpoints/epoch-0001.safetensors", "--output", "other")
        self.assertIn("trained for other classes: its classes are b, z here and a, b there", done.stderr)

    def test_a_flag_without_resume(self):
        self.refuse(2, ["--resume-on-other-data needs --resume"], "train", self.config, "--resume-on-other-data", ranks=(1,))


if __name__ == "__main__":
    main()
