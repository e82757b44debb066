#!/usr/bin/env python3
"""What `convoy export --format onnx` writes gives, in onnxruntime, the scores that `convoy eval` gives; and --verify says so.

usage: onnx_test.py CONVOY [unittest arguments]
"""
import gzip
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
import unittest.mock

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from data_files import png  # noqa: E402
from networks import PICTURES  # noqa: E402
from patience import patience  # noqa: E402
from run_files import read_tensors  # noqa: E402

sys.path.insert(0, str(ROOT / "bench"))
try:
    import numpy
    import synthetic_noise
    import onnxruntime
    import PIL  # noqa: F401
    MISSING = ""
except ImportError as error:
    MISSING = str(error).replace("'", "")

CONVOY = ""
MNIST = pathlib.Path(os.environ.get("CONVOY_DATA", ROOT.parent / "shared" / "data")) / "mnist"

# Every kind of layer, at shapes where a mistaken order of axes or a missing option shows.
IMAGES = """
name: everything
data:
  source: synthetic
  synthetic: {image: [3, 13, 11], classes: 4, train: 64, test: 37}
  normalize: {mean: [0.4, 0.5, 0.3], std: [0.3, 0.2, 0.25]}
model:
  input: [3, 13, 11]
  layers:
    - conv: {out: 6, kernel: [3, 2], stride: [1, 2], pad: [2, 1]}
    - leaky_relu: 0.2
    - conv: {out: 8, kernel: 3, pad: same, dilation: 2, bias: false}
    - batchnorm: {epsilon: 0.1, momentum: 0.3}
    - relu
    - residual: {body: [conv: {out: 5, kernel: 1, stride: 2}, tanh], shortcut: [avgpool: {kernel: 3, stride: 2, pad: 1}, conv: {out: 5, kernel: 1}]}
    - gelu
    - residual: [sigmoid, dropout: 0.3]
    - maxpool: {kernel: 3, stride: 2, pad: 1}
    - flatten
    - tanh
    - dropout: 0.2
    - linear: {out: 9, bias: false}
    - batchnorm
    - relu
    - linear: 4
train: {epochs: 1, global_batch: 16, ema: 0.5}
optimizer: {name: sgd, lr: 0.1}
device: cpu
"""
# What flattened features meet before a linear layer puts them together, and layers of flat features.
FLAT = IMAGES.split("  layers:")[0] + """  layers:
    - conv: {out: 4, kernel: 3}
    - avgpool: [2, 3]
    - flatten
    - batchnorm
    - residual: [relu]
    - linear: 6
    - conv: {out: 8, kernel: 1}
    - residual: {body: [globalavgpool], shortcut: [linear: 8]}
    - linear: 4
""" + IMAGES[IMAGES.index("train: {epochs"):]
VOLUMES = """
name: volumes
data:
  source: synthetic
  synthetic: {image: [2, 7, 6, 5], classes: 3, train: 48, test: 20}
  normalize: {mean: [0.5], std: [0.25]}
model:
  input: [2, 7, 6, 5]
  layers:
    - conv: {out: 4, kernel: [3, 2, 1], pad: [1, 0, 0], stride: [1, 1, 2]}
    - batchnorm
    - relu
    - maxpool: {kernel: 2, stride: 1}
    - avgpool: {kernel: [2, 1, 1], pad: [1, 0, 0]}
    - flatten
    - linear: 3
train: {epochs: 1, global_batch: 16}
device: cpu
"""
# Groups, and windows that reach beyond the image, leave its border out of a mean, or differ in size.
WINDOWS = IMAGES.split("  layers:")[0] + """  layers:
    - conv: {out: 12, kernel: 3, pad: same, groups: 3}
    - conv: {out: 12, kernel: 3, stride: [1, 2], pad: same, groups: 12, bias: false}
    - residual: {body: [maxpool: {kernel: 3, stride: 2, ceil: true}], shortcut: [avgpool: {kernel: 3, stride: 2, ceil: true}]}
    - avgpool: {kernel: 3, stride: 1, pad: 1, count_padding: false}
    - adaptive_avgpool: [4, 2]
    - adaptive_avgpool: [2, 2]
    - flatten
    - linear: 4
""" + IMAGES[IMAGES.index("train: {epochs"):]
VOLUME_WINDOWS = VOLUMES.split("  layers:")[0] + """  layers:
    - conv: {out: 4, kernel: 3, pad: same, groups: 2}
    - avgpool: {kernel: 2, stride: 2, ceil: true, count_padding: false}
    - adaptive_avgpool: [3, 2, 2]
    - flatten
    - linear: 3
""" + VOLUMES[VOLUMES.index("train: {epochs"):]
# Layers of networks since 2017; what is random or starts near zero stands where it shows all the same.
MODERN = IMAGES.split("  layers:")[0] + """  layers:
    - conv: {out: 12, kernel: 3, pad: same}
    - silu
    - groupnorm: {groups: 3, epsilon: 0.01}
    - concat: [[], [conv: {out: 4, kernel: 1}, relu6, layernorm: {epsilon: 0.01}], [avgpool: {kernel: 3, stride: 1, pad: 1}]]
    - concat: {split: true, branches: [[], [conv: {out: 14, kernel: 1}, hardswish]]}
    - channel_shuffle: 4
    - squeeze_excite: {squeeze: 3, activation: elu, gate: hardsigmoid}
    - residual: [conv: {out: 28, kernel: 1}, layer_scale: 0.7, drop_path: 0.2]
    - scale: [conv: {out: 28, kernel: 1}, sigmoid]
    - elu: 0.5
    - scale: [globalavgpool, flatten, linear: 28, hardsigmoid]
    - avgpool: 4
    - flatten
    - layernorm
    - concat: [[linear: 5], [linear: 4, layer_scale: 0.5]]
    - channel_shuffle: 3
    - groupnorm: 3
    - concat: {split: true, branches: [[silu], [], [scale: [linear: 3, sigmoid]]]}
    - linear: 4
""" + IMAGES[IMAGES.index("train: {epochs"):]
MODERN_VOLUMES = VOLUMES.split("  layers:")[0] + """  layers:
    - conv: {out: 4, kernel: [3, 2, 1]}
    - groupnorm: 2
    - layernorm
    - concat: {split: true, branches: [[silu], [layer_scale: 0.5]]}
    - channel_shuffle: 2
    - squeeze_excite: 2
    - globalavgpool
    - linear: 3
""" + VOLUMES[VOLUMES.index("train: {epochs"):]
LENET = """
name: lenet
data: {source: mnist, path: PATH, normalize: {mean: [0.1307], std: [0.3081]}, validation: test}
model:
  input: [1, 28, 28]
  layers:
    - conv: {out: 6, kernel: 5, pad: 2}
    - relu
    - maxpool: 2
    - conv: {out: 16, kernel: 5}
    - relu
    - maxpool: 2
    - flatten
    - linear: 120
    - relu
    - linear: 84
    - relu
    - linear: 10
train: {epochs: 1, global_batch: 2000}
optimizer: {name: adam, lr: 0.002}
device: cpu
"""


# Height and width: smaller and larger than the network, upright and not, margins that are odd and even.
SIZES = [(16, 12), (20, 20), (33, 21), (21, 33), (100, 37), (7, 5), (19, 64), (151, 200), (20, 27)]
# In place of Python: the Python that is asked for, whose answers are then turned round.
LIAR = f"""#!{sys.executable}
import os, subprocess, sys
code = subprocess.run([{sys.executable!r}, *sys.argv[1:]]).returncode
with open(sys.argv[4], "rb") as file:
    answers = file.read()
with open(sys.argv[4], "wb") as file:
    file.write(b"".join(answers[i:i + 4] for i in range(len(answers) - 4, -1, -4)))
sys.exit(code)
"""

# Answers with the second best of 4 classes, and notes for how many images that is nearly as good.
SECOND = f"""#!{sys.executable}
import struct, subprocess, sys
code = subprocess.run([{sys.executable!r}, *sys.argv[1:]]).returncode
with open(sys.argv[4], "rb") as file:
    rows = [list(row) for row in struct.iter_unpack("<4f", file.read())]
close = 0
for row in rows:
    second, best = sorted(row)[2:]
    close += best - second < 0.1
    row[row.index(second)] = best + 1
with open(sys.argv[4], "wb") as file:
    file.write(b"".join(struct.pack("<4f", *row) for row in rows))
with open(sys.argv[0] + ".close", "w") as file:
    file.write(str(close))
sys.exit(code)
"""


def noise(seed, *shape):
    return numpy.random.RandomState(seed).randint(0, 256, shape).astype(numpy.uint8)


def write_png(path, pixels):
    """(H,W,3)"""
    path.write_bytes(png(*pixels.shape[:2], lambda y, x: pixels[y, x].tolist()))


def convoy(*arguments, python=sys.executable):
    environment = dict(os.environ, OMP_NUM_THREADS="2", CONVOY_PYTHON=str(python))
    return subprocess.run([CONVOY, *map(str, arguments)], env=environment, capture_output=True, text=True, timeout=patience(120))


@unittest.skipIf(MISSING, MISSING)
class Onnx(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.run = self.folder / "run"

    def program(self, name, text):
        """An executable file, to be taken for a Python."""
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o755)
        return path

    def succeed(self, *arguments):
        result = convoy(*arguments)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result

    def train(self, text):
        config = self.folder / "config.yaml"
        config.write_text(text)
        self.succeed("train", config, "--output", self.run)

    def model(self, *options):
        """The exported model, and eval's logits (N,classes) with the labels."""
        self.succeed("export", self.run, "--format", "onnx", *options)
        self.succeed("eval", self.run, "--logits", self.folder / "logits.safetensors")
        tensors = read_tensors(self.folder / "logits.safetensors")
        labels = numpy.array(tensors["labels"])
        logits = numpy.array(tensors["logits"], numpy.float32).reshape(len(labels), -1)
        session = onnxruntime.InferenceSession(self.run / "model.onnx", providers=["CPUExecutionProvider"])
        return session, logits, labels

    def check(self, text, images):
        """`images`: bytes (N,C,...) of the validation set, fed as the network takes them."""
        self.train(text)
        session, expected, _ = self.model("--raw-input")
        pixels = images.astype(numpy.float32) / 255
        self.assertEqual(session.get_inputs()[0].shape, ["N", *images.shape[1:]])
        (logits,) = session.run(None, {"images": pixels})
        self.assertEqual(logits.shape, expected.shape)
        self.assertGreater(numpy.abs(expected - expected.mean(0)).max(), 1e-3, "a network that sees nothing")
        self.assertLess(numpy.abs(logits - expected).max(), 1e-4)
        (one,) = session.run(None, {"images": pixels[:1]})
        self.assertLess(numpy.abs(one - expected[:1]).max(), 1e-4)
        return session

    def test_every_layer(self):
        session = self.check(IMAGES, synthetic_noise.images(1, 64, 37, (3, 13, 11)))
        self.assertIn("[0,1]", session.get_modelmeta().custom_metadata_map["input"])

    def test_flat_features(self):
        self.check(FLAT, synthetic_noise.images(1, 64, 37, (3, 13, 11)))

    def test_volumes(self):
        self.check(VOLUMES, synthetic_noise.images(1, 48, 20, (2, 7, 6, 5)))

    def test_groups_and_windows(self):
        self.check(WINDOWS, synthetic_noise.images(1, 64, 37, (3, 13, 11)))
        self.check(VOLUME_WINDOWS, synthetic_noise.images(1, 48, 20, (2, 7, 6, 5)))
    def test_layers_of_modern_networks(self):
        self.check(MODERN, synthetic_noise.images(1, 64, 37, (3, 13, 11)))
        self.check(MODERN_VOLUMES, synthetic_noise.images(1, 48, 20, (2, 7, 6, 5)))

    @unittest.skipUnless(MNIST.is_dir(), "no MNIST in CONVOY_DATA or ../shared/data")
    def test_mnist(self):
        with gzip.open(MNIST / "t10k-images-idx3-ubyte.gz") as file:
            images = numpy.frombuffer(file.read(), numpy.uint8, offset=16).reshape(-1, 1, 28, 28)
        session = self.check(LENET.replace("PATH", str(MNIST)), images)
        self.assertEqual(json.loads(session.get_modelmeta().custom_metadata_map["class_names"]), list("0123456789"))

    def make_pictures(self):
        """val/ holds a picture of each size; returns their pixels in the order of eval."""
        pictures = {}
        for label in range(3):
            for part in ("train", "val"):
                (self.folder / "pictures" / part / f"{label}").mkdir(parents=True)
            for i in range(2):
                write_png(self.folder / "pictures" / "train" / f"{label}" / f"{i}.png", noise(10 * label + i, 20, 20, 3))
        for i, size in enumerate(SIZES):
            path = self.folder / "pictures" / "val" / f"{i % 3}" / f"{i}.png"
            pictures[path] = noise(100 + i, *size, 3)
            write_png(path, pictures[path])
        return [pictures[path] for path in sorted(pictures)]

    def train_on_pictures(self, text=PICTURES):
        pictures = self.make_pictures()
        self.train(text.replace("PATH", str(self.folder / "pictures")))
        return pictures

    def verify(self, *options, returncode=0, **more):
        result = convoy("export", self.run, "--format", "onnx", "--verify", *options, **more)
        self.assertEqual(result.returncode, returncode, result.stdout + result.stderr)
        return result

    def check_pictures(self, session, pictures, expected):
        """A pixel may be one level of 255 off where the float sum of a filter lies half-way between two."""
        self.assertGreater(numpy.abs(expected - expected.mean(0)).max(), 0.2, "a network that sees nothing")
        for picture, row in zip(pictures, expected):
            (logits,) = session.run(None, {"images": picture[None]})
            self.assertLess(numpy.abs(logits[0] - row).max(), 0.02, picture.shape)

    def test_pictures_of_any_size(self):
        pictures = self.train_on_pictures()
        session, expected, _ = self.model()
        self.assertEqual((session.get_inputs()[0].type, session.get_inputs()[0].shape), ("tensor(uint8)", ["N", "H", "W", "C"]))
        self.check_pictures(session, pictures, expected)
        both = numpy.stack([pictures[0], pictures[0][::-1]])
        (logits,) = session.run(None, {"images": both})
        for picture, row in zip(both, logits):
            self.assertLess(numpy.abs(session.run(None, {"images": picture[None]})[0] - row).max(), 1e-4)
        gray = noise(5, 1, 40, 30, 1)  # one channel stands for three equal ones
        one, three = (session.run(None, {"images": pixels})[0] for pixels in (gray, gray.repeat(3, 3)))
        self.assertEqual(one.tolist(), three.tolist())
        self.assertRegex(self.verify().stdout, r"\n9 of 9 answers agree; largest difference of a logit [\d.e-]+, where they reach [\d.e+]+ \(.*/val/\d/\d\.png\)\n")
        self.assertIn("\n9 of 9 answers agree", self.verify("--raw-input").stdout)

    def test_gray_pictures_and_packed_ones(self):
        gray = PICTURES.replace("input: [3", "input: [1").replace("mean: [0.4, 0.5, 0.3], std: [0.3, 0.2, 0.25]",
                                                                   "mean: [0.4], std: [0.2]")
        pictures = self.train_on_pictures(gray)
        session, expected, _ = self.model()
        self.check_pictures(session, pictures, expected)
        packed = self.folder / "packed"
        self.succeed("data", "pack", self.folder / "pictures", packed, "--size", "24")
        self.assertIn("\n9 of 9 answers agree", self.verify(f"data={{source: packed, path: {packed}}}").stdout)

    def test_images_of_the_networks_own_size(self):
        """They are not resized, also where the network's input is not square; others are as predict has them."""
        self.train(IMAGES)
        session, expected, _ = self.model()
        images = synthetic_noise.images(1, 64, 37, (3, 13, 11)).transpose(0, 2, 3, 1)
        self.assertLess(numpy.abs(session.run(None, {"images": images})[0] - expected).max(), 1e-4)
        write_png(self.folder / "other.png", noise(1, 20, 31, 3))
        answer = json.loads(self.succeed("predict", self.run, self.folder / "other.png", "--json").stdout)["top"]
        (logits,) = session.run(None, {"images": noise(1, 1, 20, 31, 3)})
        probabilities = numpy.exp(logits[0]) / numpy.exp(logits[0]).sum()
        for score in answer:
            self.assertAlmostEqual(score["probability"], probabilities[score["label"]], delta=0.005)
        self.assertIn("\n37 of 37 answers agree", self.verify().stdout)

    def test_verify_of_volumes(self):
        self.train(VOLUMES)
        self.assertIn("\n20 of 20 answers agree", self.verify().stdout)

    def test_verify_finds_other_answers(self):
        self.train(IMAGES)
        liar = self.program("liar", LIAR)
        result = self.verify(python=liar, returncode=1)
        self.assertRegex(result.stdout, r"\n\d+ of 37 answers agree.*\n  image \d+: \d here, \d by onnxruntime\n")
        self.assertIn("gives other answers than this program", result.stderr)

    def test_verify_counts_ties_as_agreement(self):
        self.train(FLAT)
        second = self.program("second", SECOND)
        result = self.verify(python=second, returncode=1)
        close = int((self.folder / "second.close").read_text())
        self.assertTrue(0 < close < 37, close)
        self.assertIn(f"\n{close} of 37 answers agree ({close} of them a tie); largest difference", result.stdout)

    def test_verify_ends_a_python_that_hangs(self):
        self.train(VOLUMES)
        for name, body in (("deaf", "exec sleep 1000"), ("endless", "cat > /dev/null; exec sleep 1000")):
            hanging = self.program(name, f"#!/bin/sh\n{body}\n")
            with self.subTest(name), unittest.mock.patch.dict(os.environ, CONVOY_PYTHON_TIMEOUT="1"):
                self.assertIn("did not answer for 1 s", self.verify(python=hanging, returncode=1).stderr)

    def test_verify_says_what_is_missing(self):
        self.train(VOLUMES)
        self.assertIn("install Python 3", self.verify(python=self.folder / "nowhere", returncode=1).stderr)
        bare = self.program("bare", f"#!/bin/sh\nexec '{sys.executable}' -I -S \"$@\"\n")  # a Python that sees no packages
        self.assertIn("has no numpy; pip install onnxruntime numpy pillow", self.verify(python=bare, returncode=1).stderr)
        with self.subTest("no place for its answers"), unittest.mock.patch.dict(os.environ, TMPDIR=str(self.folder / "nowhere")):
            self.assertIn("there is no folder for temporary files", self.verify(returncode=1).stderr)
        result = convoy("export", self.run, "--verify")
        self.assertEqual((result.returncode, result.stdout), (2, ""))
        self.assertIn("only with --format onnx", result.stderr)

    def test_the_ending_of_the_output_says_the_format(self):
        self.train(VOLUMES)
        file = self.folder / "x.onnx"
        self.succeed("export", self.run, "--output", file)
        self.assertEqual(onnxruntime.InferenceSession(str(file)).get_outputs()[0].name, "logits")
        self.succeed("export", self.run, "--output", self.folder / "x.weights")
        self.assertIn(b"__metadata__", (self.folder / "x.weights").read_bytes()[:40])
        result = convoy("export", self.run, file)  # an output where an override stands
        self.assertEqual(result.returncode, 2)
        self.assertIn("the file to write is --output FILE", result.stderr)

    def test_what_cannot_be_written(self):
        self.train(VOLUMES)
        result = convoy("export", self.run, "--format", "onnx", "--output", self.folder / "missing" / "x.onnx")
        self.assertEqual(result.returncode, 1)
        self.assertIn("missing/x.onnx", result.stderr)
        checkpoint = next((self.run / "checkpoints").glob("epoch-*"))
        content = checkpoint.read_bytes()
        checkpoint.write_bytes(content[:-100])
        result = convoy("export", checkpoint, "--format", "onnx", "--output", self.folder / "x.onnx")
        self.assertEqual(result.returncode, 1)
        self.assertIn("truncated", result.stderr)
        self.assertFalse((self.folder / "x.onnx").exists())


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    CONVOY = str(pathlib.Path(sys.argv.pop(1)).resolve())
    unittest.main()
