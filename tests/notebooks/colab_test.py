#!/usr/bin/env python3
"""Runs notebooks/colab.ipynb from top to bottom, on a GPU where the program finds one, without a network: on small data of its data
sets' shapes, or on the real sets where CONVOY_DATA names their folder.

    colab_test.py PROGRAM
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

MISSING = ""
try:
    import ipykernel  # noqa: F401  what the notebook's cells run in
    import jupyter_client
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


def output_of(command):
    return subprocess.run(command, capture_output=True, text=True).stdout


@unittest.skipIf(MISSING, MISSING)
class Notebook(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="convoy-notebook-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        checked = output_of([PROGRAM, "check", str(ROOT / "configs" / "quickstart.yaml")])
        gpu = re.search(r"(?m)^ok +device +(?! |cpu)", checked) is not None
        self.environment = {"CONVOY_PROGRAM": PROGRAM, "CONVOY_HOME": str(pathlib.Path(PROGRAM).parent), "CONVOY_KEEP": str(self.folder),
                            "CONVOY_QUICK": f"train.epochs=1 schedule.warmup_epochs=0 device={'cuda' if gpu else 'cpu'}"}
        if not gpu:
            self.environment |= {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        if "CONVOY_DATA" not in os.environ:  # folders mnist and cifar10 of the real sets
            self.make_data(self.folder / "data")
            self.environment["CONVOY_DATA"] = str(self.folder / "data")

    def test_runs_from_top_to_bottom_and_goes_on_when_run_again(self):
        if not list(pathlib.Path(PROGRAM).parent.glob("**/libconvoy.so")):
            self.skipTest("no libconvoy.so in this build: configure with -DCONVOY_SHARED=ON or -DCONVOY_ONE_LIBRARY=ON")
        first = self.execute()
        self.assertIn("epoch 1/1", first)
        self.assertRegex(first, r"test image 4: \w+:  \w+ [\d.]+ %")
        for path in ("runs/mnist/metrics.jsonl", "runs/mnist/tensorboard", "runs/cifar10/checkpoints",
                     "runs/cifar10.safetensors", "runs/cifar10.onnx"):
            self.assertTrue((self.folder / path).exists(), path)
        (self.folder / "picture.png").write_bytes(png(50, 40, lambda y, x: (5 * y, 6 * x, 90)))
        again = self.execute(CONVOY_PICTURES=str(self.folder / "picture.png"))  # what is finished is not trained twice
        self.assertNotIn("epoch 1/1  loss", again)
        self.assertIn("picture.png:  ", again)

    def test_the_stop_button_ends_a_training_at_a_checkpoint(self):
        """Lines are shown while a cell still runs; interrupted, the run stops itself, and no cell after it is run."""
        quick = self.environment["CONVOY_QUICK"].replace("epochs=1", "epochs=100000")
        manager = jupyter_client.KernelManager(kernel_name="python3")
        manager.start_kernel(env={**os.environ, **self.environment, "CONVOY_QUICK": quick},
                             cwd=str(ROOT / "notebooks"))
        self.addCleanup(manager.shutdown_kernel, now=True)
        client = manager.blocking_client()
        self.addCleanup(client.stop_channels)
        client.start_channels()
        client.wait_for_ready(timeout=patience(60))
        install, mnist = [cell.source for cell in self.read().cells if cell.cell_type == "code"][:2]
        client.execute_interactive(install, timeout=patience(120), output_hook=lambda message: None)
        shown = []

        def press_stop_at_the_first_epoch(message):
            shown.append(message["content"].get("text", "") if message["msg_type"] == "stream" else "")
            if "epoch 1/" in shown[-1] and "epoch 1/" not in "".join(shown[:-1]):
                manager.interrupt_kernel()

        reply = client.execute_interactive(mnist, timeout=patience(120), output_hook=press_stop_at_the_first_epoch)
        self.assertEqual(reply["content"]["ename"], "KeyboardInterrupt", "".join(shown))
        self.assertIn("stopped on request", "".join(shown))
        self.assertTrue(list((self.folder / "runs" / "mnist" / "checkpoints").glob("epoch-*")))

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

    @staticmethod
    def read():
        return nbformat.read(ROOT / "notebooks" / "colab.ipynb", as_version=4)

    def execute(self, **more):
        """The notebook's printed output. Raises what a cell raised."""
        notebook = self.read()
        client = nbclient.NotebookClient(notebook, timeout=int(patience(300)), kernel_name="python3",
                                         resources={"metadata": {"path": str(ROOT / "notebooks")}})
        client.execute(env={**os.environ, **self.environment, **more})
        return "".join(output.get("text", "") for cell in notebook.cells if cell.cell_type == "code"
                       for output in cell.outputs)


if __name__ == "__main__":
    PROGRAM = str(pathlib.Path(sys.argv.pop(1)).resolve())
    unittest.main()
