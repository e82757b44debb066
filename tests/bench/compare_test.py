#!/usr/bin/env python3
"""The network that bench/compare_pytorch.py and compare_ddp.py build in PyTorch is the one that Convoy trains.

usage: compare_test.py CONVOY [unittest arguments]
"""
import pathlib
import subprocess
import sys
import tempfile
import unittest
import unittest.mock

BENCH = pathlib.Path(__file__).resolve().parents[2] / "bench"
sys.path[:0] = [str(BENCH), str(BENCH.parent / "tests")]
from patience import patience  # noqa: E402

try:
    import compare_ddp
    import compare_pytorch
    import torch_network
    from convoy_runs import Convoy
    MISSING = ""
except ImportError as error:
    MISSING = str(error).replace("'", "")  # which tools/test_report takes for the reason's own

CONVOY = ""
# Every kind of layer, at shapes where a mistaken order of axes or a missing option shows.
EVERYTHING = """
seed: 5
data: {source: digits, normalize: {mean: [0.4, 0.5], std: [0.3, 0.2]}}
model:
  input: [2, 13, 11]
  layers:
    - conv: {out: 6, kernel: [3, 2], stride: [1, 2], pad: [2, 1]}
    - leaky_relu: 0.2
    - conv: {out: 8, kernel: 3, pad: same, dilation: 2, bias: false}
    - batchnorm: {epsilon: 0.1, momentum: 0.3}
    - relu
    - residual: &block
        body:
          - relu
          - conv: {out: 8, kernel: 3, pad: same, init: glorot}
          - batchnorm
    - gelu
    - residual: {body: [conv: {out: 5, kernel: 1, stride: 2}, tanh], shortcut: [avgpool: {kernel: 3, stride: 2, pad: 1}, conv: {out: 5, kernel: 1}]}
    - residual: [sigmoid, dropout: 0.3]
    - maxpool: {kernel: 3, stride: 2, pad: 1}
    - flatten
    - linear: {out: 9, bias: false}
    - relu
    - linear: 4
train: {epochs: 1, global_batch: 8}
optimizer: {name: adam, lr: 0.01, weight_decay: 5e-4}
"""
# Layers of networks since 2017.
MODERN = EVERYTHING.split("  layers:")[0] + """  layers:
    - conv: {out: 12, kernel: 3, pad: same}
    - silu
    - groupnorm: {groups: 3, epsilon: 0.01}
    - concat: [[], [conv: {out: 4, kernel: 1}, relu6, layernorm: {epsilon: 0.01}], [avgpool: {kernel: 3, stride: 1, pad: 1}]]
    - concat: {split: true, branches: [[], [repeat: {times: 2, layers: [conv: {out: 14, kernel: 1}, hardswish]}]]}
    - channel_shuffle: 4
    - squeeze_excite: {squeeze: 3, activation: elu, gate: hardsigmoid}
    - residual: [conv: {out: 28, kernel: 1}, layer_scale: 0.7, drop_path: 0.2]
    - scale: [conv: {out: 28, kernel: 1}, sigmoid]
    - elu: 0.5
    - scale: [globalavgpool, flatten, linear: 28, hardsigmoid]
    - globalavgpool
    - layernorm
    - linear: 4
""" + EVERYTHING[EVERYTHING.index("train: {epochs"):]
# Statistics over each rank's own images, weight decay, label smoothing, a rate that changes.
STEPS = """
data: {source: digits, normalize: {mean: [0.13], std: [0.3]}}
model:
  input: [1, 28, 28]
  layers:
    - conv: {out: 4, kernel: 3, stride: 2, pad: same, bias: false}
    - batchnorm
    - relu
    - repeat: {times: 2, layers: [residual: [conv: {out: 4, kernel: 3, pad: same, bias: false}, batchnorm], relu]}
    - flatten
    - linear: 10
train: {epochs: 2, global_batch: 8, label_smoothing: 0.1}
optimizer: {name: sgd, lr: 0.05, momentum: 0.9, nesterov: true, weight_decay: 5e-4}
schedule: {name: cosine, warmup_epochs: 1}
"""
VOLUMES = """
data: {source: digits}
model:
  input: [2, 5, 7, 6]
  layers: [conv: {out: 4, kernel: [2, 3, 1]}, batchnorm, relu, maxpool: 2, globalavgpool, linear: 3]
train: {epochs: 1, early_stop: {patience: 3}}
optimizer: adamw
"""


@unittest.skipIf(MISSING, MISSING)
class Compare(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="convoy-compare-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def write(self, text):
        path = self.folder / "net.yaml"
        path.write_text(text)
        return path

    def compare(self, text, *overrides):
        path = self.write(text)
        config = torch_network.load_config(path, overrides)
        _, classes = torch_network.build_network(config["model"], "meta")
        convoy = Convoy(CONVOY, path, overrides, config, classes, "cpu", 1, self.folder)
        return compare_pytorch.compare_logits(convoy, config, config.get("seed", 1), "fp32", "cpu", 6)

    def test_every_layer_gives_the_same_logits(self):
        result = self.compare(EVERYTHING)
        self.assertTrue(result["equal"], result)

    def test_layers_of_modern_networks_give_the_same_logits(self):
        result = self.compare(MODERN)
        self.assertTrue(result["equal"], result)

    def test_volumes_and_overrides(self):
        result = self.compare(VOLUMES, "seed=98765432101", "data.normalize.mean=0.25")
        self.assertTrue(result["equal"], result)

    def test_another_network_is_noticed(self):
        with unittest.mock.patch.dict(torch_network.ACTIVATIONS, gelu=torch_network.nn.SiLU):
            self.assertFalse(self.compare(EVERYTHING)["equal"])

    def test_both_are_timed(self):
        report = self.folder / "report.json"
        chart = self.folder / "chart.png"
        result = subprocess.run(
            [sys.executable, str(BENCH / "compare_pytorch.py"), str(self.write(EVERYTHING)), "--convoy", CONVOY, "--device",
             "cpu", "--modes", "eager", "--seconds", "0.1", "--rounds", "2", "--threads", "1", "--json", str(report),
             "--chart", str(chart)], capture_output=True, text=True, timeout=patience(300), check=False)
        self.assertEqual(result.returncode, 0, result.stderr)
        figures = compare_pytorch.json.loads(report.read_text())
        eager = figures["pytorch"]["eager"]
        self.assertEqual(len(eager["rounds"]), 2, eager)
        self.assertEqual(len(figures["convoy"]["rounds"]), 2)
        self.assertEqual(figures["best_mode"], "eager")
        ratios = [ours / theirs for ours, theirs in zip(eager["convoy_rounds"], eager["rounds"])]
        self.assertAlmostEqual(figures["ratio_to_best"], sum(ratios) / 2)
        self.assertGreater(figures["convoy"]["peak_bytes"], 0)
        self.assertTrue(chart.exists() or "no chart" in result.stdout, result.stdout)

    def test_a_mode_that_fails_does_not_end_the_rest(self):
        config = torch_network.load_config(self.write(EVERYTHING))
        task = {"config": config, "mode": "eager", "device": "nowhere", "precision": "fp32", "batch": 8, "threads": 1}
        result = compare_pytorch.time_mode(task, 100, 0.1, 1, lambda: 1.0)
        self.assertIn("nowhere", result["error"])

    # --- several ranks ---

    def compare_ddp(self, text, *arguments):
        report = self.folder / "ddp.json"
        result = subprocess.run(
            [sys.executable, str(BENCH / "compare_ddp.py"), str(self.write(text)), "--convoy", CONVOY, "--device", "cpu",
             "--ranks", "2", "--json", str(report), *arguments], capture_output=True, text=True, timeout=patience(300), check=False)
        self.assertEqual(result.returncode, 0, result.stderr)
        return compare_pytorch.json.loads(report.read_text())

    def test_first_losses_are_those_of_ddp(self):
        report = self.compare_ddp(STEPS, "--curve", "12")
        apart = report["largest_differences"]
        self.assertLess(apart["pytorch_rank_counts"], 1e-5)
        self.assertLess(apart["convoy_to_pytorch"], 1e-5)
        self.assertGreater(apart["pytorch_rounding"], 0)
        self.assertEqual([len(losses) for losses in report["losses"].values()], [12] * 4)
        # Shows that it can fail: another momentum is far off.
        whole = compare_ddp.largest_difference(*list(report["losses"].values())[:2])
        other = self.compare_ddp(STEPS.replace("momentum: 0.9", "momentum: 0.8"), "--curve", "12")
        self.assertGreater(compare_ddp.largest_difference(report["losses"]["Convoy"], other["losses"]["PyTorch on 2"]),
                           1000 * whole)

    def test_ddp_and_convoy_are_timed_on_one_and_two_ranks(self):
        report = self.compare_ddp(STEPS, "--seconds", "0.1", "--rounds", "1")
        for rows in (report["pytorch"]["eager"], report["convoy"]):
            self.assertEqual(sorted(rows), ["1", "2"])
            for figures in rows.values():
                self.assertGreater(figures["images_per_second"], 0, figures)
        self.assertGreater(report["ratio_to_best"], 0)

    def test_every_batchnorm_gets_its_group(self):
        layers = ["batchnorm", {"residual": {"body": [{"batchnorm": {"momentum": 0.3}}]}}, {"residual": ["batchnorm"]}]
        self.assertEqual(compare_ddp.with_groups(layers, 8),
                         [{"batchnorm": {"group": 8}},
                          {"residual": {"body": [{"batchnorm": {"momentum": 0.3, "group": 8}}]}},
                          {"residual": {"body": [{"batchnorm": {"group": 8}}]}}])


if __name__ == "__main__":
    CONVOY = str(pathlib.Path(sys.argv.pop(1)).resolve())
    unittest.main()
