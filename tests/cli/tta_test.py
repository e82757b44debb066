#!/usr/bin/env python3
"""Test-time augmentation: the mean of the logits of the views that torchvision's FiveCrop and a mirror show.

usage: tta_test.py CONVOY [unittest arguments]
"""
import json
import math
import pathlib
import random
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from data_files import png, write_mnist  # noqa: E402
from launch import ProgramTest, main  # noqa: E402
from run_files import read_tensors  # noqa: E402

HEIGHT, WIDTH, SIDE = 24, 20, 16  # of a picture, whose shorter side is data.resize, and of the network's input
CONFIG = f"""
name: pictures
data: {{source: folder, path: pictures, resize: {WIDTH}}}
model: {{input: [3, {SIDE}, {SIDE}], layers: [conv: {{out: 4, kernel: 3, stride: 2}}, relu, flatten, linear: 3]}}
train: {{epochs: 1, global_batch: 6, tensorboard: false}}
optimizer: {{name: adam, lr: 0.01}}
device: cpu
"""
# (top, left) of torchvision.transforms.functional.five_crop
CROPS = [(0, 0), (0, WIDTH - SIDE), (HEIGHT - SIDE, 0), (HEIGHT - SIDE, WIDTH - SIDE), (4, 2)]


def pixels_of(label, number):
    at = random.Random(10 * label + number)
    return [[tuple(at.randrange(256) for _ in range(3)) for _ in range(WIDTH)] for _ in range(HEIGHT)]


def mirrored(rows):
    return [row[::-1] for row in rows]


class TestTimeAugmentation(ProgramTest):
    def make(self, folder, change=lambda rows: rows):
        """Pictures to train and to validate on, each changed so."""
        for part, numbers in (("train", range(2)), ("val", range(2, 5))):
            for label in range(3):
                place = self.folder / folder / part / f"class{label}"
                place.mkdir(parents=True)
                for number in numbers:
                    rows = change(pixels_of(label, number))
                    (place / f"{number}.png").write_bytes(png(len(rows), len(rows[0]), lambda y, x: rows[y][x]))

    def logits(self, *arguments, **options):
        out = self.folder / "logits.safetensors"
        said = self.succeed("eval", "run", "--logits", out, *arguments, **options).stdout
        tensors = read_tensors(out)
        return list(tensors["logits"]), list(tensors["labels"]), said

    def mean(self, parts):
        return [sum(values) / len(values) for values in zip(*parts)]

    def expect_near(self, mine, theirs):
        self.assertEqual(len(mine), len(theirs))
        for a, b in zip(mine, theirs):
            self.assertAlmostEqual(a, b, delta=2e-6)

    def setUp(self):
        super().setUp()
        self.make("pictures")
        self.succeed("train", self.write(CONFIG), "--output", "run")

    def test_flip_is_the_mean_with_the_mirrored_pictures(self):
        self.make("mirrored", mirrored)
        plain, mirror = self.logits()[0], self.logits("data.path=mirrored")[0]
        self.assertNotAlmostEqual(plain[0], mirror[0], delta=1e-4)
        logits, labels, said = self.logits("--tta", "flip")
        self.expect_near(logits, self.mean([plain, mirror]))
        rows = [logits[3 * i:3 * i + 3] for i in range(9)]
        correct = sum(row.index(max(row)) == label for row, label in zip(rows, labels))
        loss = sum(math.log(sum(map(math.exp, row))) - row[int(label)] for row, label in zip(rows, labels)) / 9
        self.assertIn(f"({correct} of 9 correct), loss {loss:.5f}, mean of 2 views", said)

    def test_five_crop_is_the_mean_of_five_parts(self):
        parts = []
        for i, (top, left) in enumerate(CROPS):
            self.make(f"crop{i}", lambda rows: [row[left:left + SIDE] for row in rows[top:top + SIDE]])
            parts.append(self.logits(f"data.path=crop{i}", f"data.resize={SIDE}")[0])
        expected = self.mean(parts)
        for ranks in (1, 2, 4):  # also of ranks without a picture in the last batch
            logits, _, said = self.logits("--tta", "five_crop", ranks=ranks)
            self.expect_near(logits, expected)
            self.assertIn("mean of 5 views", said)
        picture = self.folder / "pictures" / "val" / "class0" / "2.png"
        answer = json.loads(self.succeed("predict", "run", picture, "--tta", "five_crop", "--json").stdout)
        weights = [math.exp(value) for value in expected[:3]]
        for score in answer["top"]:
            self.assertAlmostEqual(score["probability"], weights[score["label"]] / sum(weights), delta=1e-5)
        self.refuse(2, ["resized to the network's size, 16", "data.resize=18"], "eval", "run", "--tta", "five_crop",
                    "data.resize=16")

    def test_images_in_memory(self):
        at = random.Random(3)
        images = [[at.randbytes(28) for _ in range(28)] for _ in range(20)]
        for folder, change in (("straight", lambda row: row), ("mirrored", lambda row: row[::-1])):
            write_mnist(self.folder / folder, 20, bytes(i % 10 for i in range(20)),
                        b"".join(change(row) for image in images for row in image))
        self.write("data: {source: mnist, path: straight}\nmodel: {input: [1, 28, 28], layers: [flatten, linear: 10]}\n"
                   "train: {epochs: 1, global_batch: 10}\ndevice: cpu\n")
        self.succeed("train", "net.yaml", "--output", "run")
        expected = self.mean([self.logits()[0], self.logits("data.path=mirrored")[0]])
        for ranks in (1, 2):
            self.expect_near(self.logits("--tta", "flip", ranks=ranks)[0], expected)
        self.refuse(2, ["the images of source: mnist have the network's size", "--tta flip"], "eval", "run", "--tta", "five_crop")


if __name__ == "__main__":
    main()
