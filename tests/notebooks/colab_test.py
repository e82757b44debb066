#!/usr/bin/env python3
"""Runs notebooks/colab.ipynb from top to bottom on the CPU, on small data of its data sets' shapes.

    colab_test.py PROGRAM
"""
import os
import pathlib
import sys
import tempfile
import unittest

MISSING = ""
try:
    import ipykernel  # noqa: F401  what the notebook's cells run in
    import nbclient
    import nbformat
    import numpy
except ImportError as error:
    MISSING = str(error)

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from patience import patience  # noqa: E402
from data_files import idx, png  # noqa: E402

PROGRAM = ""


@unittest.skipIf(MISSING, MISSING)
class Notebook(unittest.TestCase):
    def test_runs_from_top_to_bottom_and_goes_on_when_run_again(self):
        with tempfile.TemporaryDirectory(prefix="convoy-notebook-") as name:
            folder = pathlib.Path(name)
            self.make_data(folder / "data")
            environment = {"CONVOY_PROGRAM": PROGRAM, "CONVOY_DATA": str(folder / "data"), "CONVOY_KEEP": name,
                           "CONVOY_QUICK": "train.epochs=1 schedule.warmup_epochs=0 device=cpu", "CONVOY_PICTURES": str(folder / "picture.png"),
                           "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
            first = self.execute(environment)
            self.assertIn("epoch 1/1", first)
            self.assertIn("picture.png", first)
            for path in ("runs/mnist/metrics.jsonl", "runs/mnist/tensorboard", "runs/cifar10/checkpoints",
                         "runs/cifar10.safetensors", "runs/cifar10.onnx"):
                self.assertTrue((folder / path).exists(), path)
            again = self.execute(environment)  # as after a disconnect: what is finished is not trained twice
            self.assertNotIn("epoch 1/1  loss", again)

    @staticmethod
    def make_data(folder):
        random = numpy.random.default_rng(1)
        for part, count in (("train", 512), ("t10k", 128)):
            labels = random.integers(0, 10, count).astype(numpy.uint8)
            images = random.integers(0, 50, (count, 28, 28)).astype(numpy.uint8) + 20 * labels[:, None, None]
            (folder / "mnist").mkdir(parents=True, exist_ok=True)
            (folder / "mnist" / f"{part}-images-idx3-ubyte").write_bytes(idx(images.tobytes(), *images.shape))
            (folder / "mnist" / f"{part}-labels-idx1-ubyte").write_bytes(idx(labels.tobytes(), *labels.shape))
        (folder / "cifar10").mkdir()
        for file in [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]:
            records = random.integers(0, 256, (64, 3073)).astype(numpy.uint8)
            records[:, 0] %= 10
            (folder / "cifar10" / file).write_bytes(records.tobytes())
        pixels = random.integers(0, 256, (50, 40, 3)).tolist()
        (folder / ".." / "picture.png").resolve().write_bytes(png(50, 40, lambda y, x: pixels[y][x]))

    @staticmethod
    def execute(environment):
        """The notebook's printed output. Raises what a cell raised."""
        notebook = nbformat.read(ROOT / "notebooks" / "colab.ipynb", as_version=4)
        client = nbclient.NotebookClient(notebook, timeout=int(patience(300)), kernel_name="python3",
                                         resources={"metadata": {"path": str(ROOT / "notebooks")}})
        client.execute(env={**os.environ, **environment})
        return "".join(output.get("text", "") for cell in notebook.cells if cell.cell_type == "code"
                       for output in cell.outputs)


if __name__ == "__main__":
    PROGRAM = str(pathlib.Path(sys.argv.pop(1)).resolve())
    unittest.main()
