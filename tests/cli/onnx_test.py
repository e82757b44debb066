#!/usr/bin/env python3
"""What `convoy export --format onnx` writes gives, in onnxruntime, the scores that `convoy eval` gives.

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

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from patience import patience  # noqa: E402
from run_files import read_tensors  # noqa: E402

sys.path.insert(0, str(ROOT / "bench"))
try:
    import numpy
    import synthetic_noise
    import onnxruntime
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


def convoy(*arguments):
    environment = dict(os.environ, OMP_NUM_THREADS="2")
    return subprocess.run([CONVOY, *map(str, arguments)], env=environment, capture_output=True, text=True, timeout=patience(120))


@unittest.skipIf(MISSING, MISSING)
class Onnx(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.run = self.folder / "run"

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

    @unittest.skipUnless(MNIST.is_dir(), "no MNIST in CONVOY_DATA or ../shared/data")
    def test_mnist(self):
        with gzip.open(MNIST / "t10k-images-idx3-ubyte.gz") as file:
            images = numpy.frombuffer(file.read(), numpy.uint8, offset=16).reshape(-1, 1, 28, 28)
        session = self.check(LENET.replace("PATH", str(MNIST)), images)
        self.assertEqual(json.loads(session.get_modelmeta().custom_metadata_map["class_names"]), list("0123456789"))

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
