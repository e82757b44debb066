#!/usr/bin/env python3
"""Weights leave for PyTorch and come back, to the bit; the rest of `convoy export` and `convoy train --init`.

usage: export_test.py CONVOY [unittest arguments]
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "bench"), str(pathlib.Path(__file__).resolve().parent)]
import onnx_test  # noqa: E402
from patience import patience  # noqa: E402
from run_files import read_tensors  # noqa: E402

try:
    import numpy
    import synthetic_noise
    import torch
    import torch_network
    MISSING = ""
except ImportError as error:
    MISSING = str(error).replace("'", "")

CONVOY = ""
STILL = ["optimizer.lr=1e-30"]  # moves nothing but zeros


def write_safetensors(path, tensors):
    """{name: torch tensor}, as PyTorch's users write them: counters of batches and all."""
    header, values = {}, b""
    for name, tensor in tensors.items():
        data = tensor.contiguous().numpy().tobytes()
        kind = {torch.float32: "F32", torch.float16: "F16", torch.int64: "I64"}[tensor.dtype]
        header[name] = {"dtype": kind, "shape": list(tensor.shape), "data_offsets": [len(values), len(values) + len(data)]}
        values += data
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + values)


@unittest.skipIf(MISSING, MISSING)
class PyTorch(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="convoy-export-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.config = self.folder / "config.yaml"
        # Running averages that stand still; PyTorch's layer for images takes no flat features.
        self.config.write_text(onnx_test.IMAGES.replace("    - batchnorm\n", "").replace("momentum: 0.3", "momentum: 1e-30"))
        self.network, _ = torch_network.build_network(torch_network.load_config(self.config)["model"])
        self.network.eval()

    def convoy(self, *arguments, returncode=0):
        environment = dict(os.environ, OMP_NUM_THREADS="2")
        result = subprocess.run([CONVOY, *map(str, arguments)], env=environment, capture_output=True, text=True, timeout=patience(120))
        self.assertEqual(result.returncode, returncode, result.stderr)
        return result

    def scores(self):
        """The network's of the validation images."""
        images = torch.from_numpy(synthetic_noise.images(1, 64, 37, (3, 13, 11)))
        with torch.no_grad():
            return self.network(torch_network.normalize(images, torch_network.load_config(self.config)["data"])).flatten(1)

    def logits(self, run):
        self.convoy("eval", run, "--logits", self.folder / "logits")
        return torch.tensor(read_tensors(self.folder / "logits")["logits"]).reshape(37, -1)

    def test_there(self):
        run = self.folder / "run"
        self.convoy("train", self.config, "--output", run)
        self.convoy("export", run)
        stored = torch_network.read_safetensors(run / "model.safetensors")
        mine = {name for name in self.network.state_dict() if not name.endswith("num_batches_tracked")}
        self.assertEqual(set(stored), mine)
        self.network.load_state_dict({name: torch.from_numpy(values.copy()) for name, values in stored.items()}, strict=False)
        self.assertLess((self.scores() - self.logits(run)).abs().max().item(), 1e-5)

    def test_and_back(self):
        torch.manual_seed(3)
        for name, tensor in self.network.state_dict().items():
            if tensor.dim() == 1:
                tensor.uniform_(0.5, 2)
        weights, run = self.folder / "weights.safetensors", self.folder / "run"
        write_safetensors(weights, self.network.state_dict())
        self.convoy("train", self.config, *STILL, "--init", weights, "--output", run)
        self.convoy("export", run)
        stored = torch_network.read_safetensors(run / "model.safetensors")
        for name, values in stored.items():
            self.assertTrue(numpy.array_equal(values, self.network.state_dict()[name].numpy()), name)
        self.assertLess((self.scores() - self.logits(run)).abs().max().item(), 1e-5)

    def test_half_precision_and_mistakes(self):
        state = {name: tensor.half() if tensor.is_floating_point() else tensor
                 for name, tensor in self.network.state_dict().items()}
        weights, run = self.folder / "half.safetensors", self.folder / "run"
        write_safetensors(weights, state)
        self.convoy("train", self.config, *STILL, "--init", weights, "--output", run)
        self.convoy("export", run)
        stored = torch_network.read_safetensors(run / "model.safetensors")
        self.assertTrue(numpy.array_equal(stored["0.weight"], state["0.weight"].float().numpy()))

        wrong = dict(state, **{"14.weight": torch.zeros(5, 9, dtype=torch.float16)})
        write_safetensors(weights, wrong)
        other = self.folder / "other"
        result = self.convoy("train", self.config, *STILL, "--init", weights, "--output", other)
        self.assertIn("layer 14 begins anew: 5 outputs in the file, 4 here", result.stdout)
        self.convoy("train", self.config, *STILL, "--init", weights, "--init-except", "14", "--output", other)
        self.convoy("export", other)
        stored = torch_network.read_safetensors(other / "model.safetensors")
        self.assertTrue(numpy.array_equal(stored["0.weight"], state["0.weight"].float().numpy()))
        self.assertEqual(stored["14.weight"].shape, (4, 9))
        self.assertGreater(abs(stored["14.weight"]).max(), 0)
        del wrong["3.running_mean"]
        write_safetensors(weights, wrong)
        result = self.convoy("train", self.config, "--init", weights, "--init-except", "14", "--output", other,
                             returncode=1)
        self.assertIn("missing: 3.running_mean", result.stderr)
        for layer in ("77", "1"):  # which is not 14, and has no weights
            result = self.convoy("train", self.config, "--init", weights, "--init-except", layer, "--output", other, returncode=1)
            self.assertIn(f"--init-except {layer}: the model has no weights of that name", result.stderr)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    CONVOY = str(pathlib.Path(sys.argv.pop(1)).resolve())
    unittest.main()
