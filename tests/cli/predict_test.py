#!/usr/bin/env python3
"""`convoy predict`: what it answers, of which files, and what it says of those that are no images.

usage: predict_test.py CONVOY [unittest arguments]
"""
import csv
import io
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from data_files import png  # noqa: E402
from patience import patience  # noqa: E402
from networks import DIGITS, PICTURES  # noqa: E402
from run_files import read_tensors  # noqa: E402

CONVOY = ""
# Classes that anybody can tell: the colour that an image has most of.
COLOURS = """
name: colours
data: {source: cifar10, path: PATH}
model: {input: [3, 32, 32], layers: [globalavgpool, linear: 10]}
train: {epochs: 30, global_batch: 50}
optimizer: {name: adam, lr: 0.1}
device: cpu
"""
NAMES = "airplane automobile bird cat deer dog frog horse ship truck".split()


def colour_of(label):
    return tuple(20 + 100 * (label // 3 ** i % 3) for i in range(3))


def convoy(*arguments, **options):
    environment = dict(os.environ, OMP_NUM_THREADS="2")
    return subprocess.run([CONVOY, *map(str, arguments)], env=environment, capture_output=True, text=True, timeout=patience(120),
                          **options)


class Predict(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="convoy-predict-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        data = cls.folder / "cifar"
        data.mkdir()
        records = b""
        for i in range(100):
            records += bytes([i % 10]) + b"".join(bytes([min(255, value + i // 10)]) * 1024 for value in colour_of(i % 10))
        for name in [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]:
            (data / name).write_bytes(records)
        cls.colours = cls.train("colours", COLOURS.replace("PATH", str(data)))
        cls.digits = cls.train("digits", DIGITS)
        cls.images = cls.folder / "images"
        (cls.images / "more" / ".hidden").mkdir(parents=True)
        for label, (height, width) in enumerate([(32, 32), (100, 60), (33, 200), (7, 5), (64, 64)]):
            place = cls.images / "more" if label > 2 else cls.images
            (place / f"{label}.png").write_bytes(png(height, width, lambda *_, c=colour_of(label): c))
        (cls.images / "notes.txt").write_text("no image")
        (cls.images / "more" / ".hidden" / "x.png").write_text("hidden")

    @classmethod
    def train(cls, name, text):
        config = cls.folder / f"{name}.yaml"
        config.write_text(text)
        result = convoy("train", config, "--output", cls.folder / name)
        assert result.returncode == 0, result.stderr
        return cls.folder / name

    def predict(self, *arguments, returncode=0, **options):
        result = convoy("predict", *arguments, **options)
        self.assertEqual(result.returncode, returncode, result.stdout + result.stderr)
        return result

    def answers(self, *arguments, **options):
        return [json.loads(line) for line in self.predict(*arguments, "--json", **options).stdout.splitlines()]

    def test_folders_and_sizes(self):
        answers = self.answers(self.colours, self.images)
        self.assertEqual([pathlib.Path(answer["file"]).name for answer in answers], [f"{i}.png" for i in range(5)])
        self.assertEqual([answer["top"][0]["class"] for answer in answers], NAMES[:5])
        self.assertRegex(self.predict(self.colours, self.images).stderr, r"warning \S+/notes\.txt: left out, no \.jpg, ")
        for answer in answers:
            probabilities = [score["probability"] for score in answer["top"]]
            self.assertEqual(len(probabilities), 5)
            self.assertEqual(probabilities, sorted(probabilities, reverse=True))
        (every,) = self.answers(self.colours, self.images / "0.png", "--top", "100")
        self.assertAlmostEqual(sum(score["probability"] for score in every["top"]), 1, places=6)

    def test_a_picture_where_the_run_belongs(self):
        result = self.predict(self.images / "0.png", self.colours, returncode=1)
        self.assertIn("a picture, where a run or checkpoint should be; write convoy predict RUN IMAGE", result.stderr)

    def test_text_and_table(self):
        first = self.images / "0.png"
        self.assertRegex(self.predict(self.colours, first, "--top", "2").stdout, r"^\S+0\.png:  airplane [\d.]+ %  \w+ [\d.]+ %\n$")
        awkward = self.folder / 'a,"b".png'
        awkward.write_bytes(first.read_bytes())
        rows = list(csv.DictReader(io.StringIO(self.predict(self.colours, awkward, "--csv").stdout)))
        self.assertEqual([row["file"] for row in rows], [str(awkward)] * 5)
        self.assertEqual((rows[0]["rank"], rows[0]["label"], rows[0]["class"]), ("1", "0", "airplane"))
        self.predict(self.colours, first, "--csv", "--json", returncode=2)

    def test_names_from_standard_input(self):
        listed = f"{self.images / '0.png'}\r\n\r\n{self.images / 'more'}\n\n"
        answers = self.answers(self.colours, "-", input=listed)
        self.assertEqual([answer["top"][0]["label"] for answer in answers], [0, 3, 4])
        result = self.predict(self.colours, "-", input="", returncode=1)
        self.assertIn("no images", result.stderr)

    def test_more_than_a_batch(self):
        names = [self.images / f"{i % 3}.png" for i in range(70)]
        answers = self.answers(self.colours, *names)
        self.assertEqual([answer["top"][0]["label"] for answer in answers], [i % 3 for i in range(70)])
        (alone,) = self.answers(self.colours, names[1])
        self.assertEqual(alone["file"], answers[1]["file"])
        self.assertAlmostEqual(alone["top"][0]["probability"], answers[1]["top"][0]["probability"], places=6)

    def test_broken_images_are_named_and_the_others_answered(self):
        broken = self.folder / "broken.png"
        broken.write_bytes((self.images / "0.png").read_bytes()[:60])
        files = [self.images / "1.png", broken, self.images / "notes.txt", self.folder / "missing.jpg", self.images / "2.png"]
        result = self.predict(self.colours, *files, "--json", returncode=1)
        answers = [json.loads(line) for line in result.stdout.splitlines()]
        self.assertEqual(["error" in answer for answer in answers], [False, True, True, True, False])
        self.assertEqual([answers[0]["top"][0]["label"], answers[4]["top"][0]["label"]], [1, 2])
        for path in files[1:4]:
            self.assertIn(str(path), result.stderr)
        self.assertEqual(len(self.predict(self.colours, *files, returncode=1).stdout.splitlines()), 2)

    def test_the_same_as_evaluation(self):
        logits = self.folder / "logits.safetensors"
        self.assertEqual(convoy("eval", self.colours, "--logits", logits).returncode, 0)
        row = read_tensors(logits)["logits"][:10]  # of the first image: all of colour_of(0), as 0.png is
        (answer,) = self.answers(self.colours, self.images / "0.png", "--top", "10")
        total = sum(math.exp(value) for value in row)
        for score in answer["top"]:
            self.assertAlmostEqual(score["probability"], math.exp(row[score["label"]]) / total, places=6)

    def test_pictures_from_folders(self):
        """Names from the folders, and any size resized and cut as evaluation does it."""
        pictures = self.folder / "pictures"
        for label, name in enumerate(["a cat", "b dog", "c \u00fc"]):
            for part, count in (("train", 4), ("val", 3)):
                (pictures / part / name).mkdir(parents=True)
                for i in range(count):
                    height, width = 17 + 9 * i + label, 40 - 7 * i
                    (pictures / part / name / f"{i}.png").write_bytes(
                        png(height, width, lambda y, x: (40 * label + x, (y * x + 90 * i) % 256, 3 * y)))
        run = self.train("pictures-run", PICTURES.replace("PATH", str(pictures)))
        logits = self.folder / "pictures.safetensors"
        self.assertEqual(convoy("eval", run, "--logits", logits).returncode, 0)
        tensors = read_tensors(logits)
        answers = self.answers(run, pictures / "val")
        self.assertEqual(len(answers), len(tensors["labels"]))
        for i, answer in enumerate(answers):
            row = tensors["logits"][3 * i:3 * i + 3]
            total = sum(math.exp(value) for value in row)
            self.assertEqual(sorted(score["class"] for score in answer["top"]), ["a cat", "b dog", "c \u00fc"])
            for score in answer["top"]:
                self.assertAlmostEqual(score["probability"], math.exp(row[score["label"]]) / total, places=5)

    def test_gray_networks(self):
        """The same picture in gray and in colours."""
        gray, colour = self.folder / "gray.png", self.folder / "colour.png"
        gray.write_bytes(png(28, 28, lambda y, x: ((y * 9 + x) % 256,), channels=1))
        colour.write_bytes(png(28, 28, lambda y, x: ((y * 9 + x) % 256,) * 3))
        one, other = self.answers(self.digits, gray, colour)
        self.assertEqual(one["top"], other["top"])
        self.assertEqual(one["top"][0]["class"], str(one["top"][0]["label"]))

    def test_wrong_checkpoints(self):
        checkpoint = next((self.digits / "checkpoints").glob("epoch-*"))
        image = self.images / "0.png"
        short = self.folder / "short.safetensors"
        short.write_bytes(checkpoint.read_bytes()[:-9])
        for path, message in [(self.folder / "nowhere", "nowhere"), (short, "truncated"), (image, "0.png: a picture, where a run or checkpoint should be"),
                              (self.images, "no checkpoint there")]:
            result = self.predict(path, image, returncode=1)
            self.assertEqual(result.stdout, "")
            self.assertRegex(result.stderr, message)
            self.assertEqual(len(result.stderr.strip().splitlines()), 1, result.stderr)
        (self.folder / "empty").mkdir()
        self.assertIn("no .jpg", self.predict(self.digits, self.folder / "empty", returncode=1).stderr)
        self.predict(self.digits, returncode=2)

    def test_it_answers_at_once(self):
        """0.3 s from start to answer; ten times that would be a mistake."""
        self.predict(self.digits, self.images / "0.png")
        seconds = []
        for _ in range(3):
            begin = time.monotonic()
            self.predict(self.digits, self.images / "0.png", "--device", "cpu")
            seconds.append(time.monotonic() - begin)
        self.assertLess(min(seconds), patience(3))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    CONVOY = str(pathlib.Path(sys.argv.pop(1)).resolve())
    unittest.main()
