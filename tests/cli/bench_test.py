#!/usr/bin/env python3
"""`convoy bench`: what its commands print and report, and that every figure is sound.

usage: bench_test.py CONVOY [unittest arguments]
"""
import json
import math
import pathlib
import struct
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from launch import ProgramTest, main  # noqa: E402
from networks import SMALL  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
CONVOLUTIONS = """
name: convolutions
data: {source: digits}
model:
  input: [1, 6, 6]
  layers:
    - conv: {out: 64, kernel: 3, pad: same}
    - conv: {out: 64, kernel: 3, pad: same}
    - conv: {out: 64, kernel: 3, pad: same, bias: false}
    - relu
    - flatten
    - linear: 10
train: {global_batch: 3}
device: cpu
"""


class Bench(ProgramTest):
    def bench(self, *arguments, ranks=1):
        """Runs `convoy bench`; returns what it printed and its JSON report, every number of which is sound."""
        report = self.folder / "report.json"
        result = self.succeed("bench", *arguments, "--json", report, ranks=ranks)

        def check(value, path):
            if isinstance(value, (dict, list)):
                for key, item in value.items() if isinstance(value, dict) else enumerate(value):
                    check(item, f"{path}.{key}")
            elif isinstance(value, (int, float)) and not isinstance(value, bool):
                least = -math.inf if path.endswith(("input_wait", "exposed")) else 0  # noise can make a difference negative
                self.assertTrue(math.isfinite(value) and value > least, f"{path} = {value}")

        loaded = json.loads(report.read_text())
        check(loaded, "report")
        return result.stdout, loaded

    def test_wrong_usage(self):
        config = self.write(SMALL)
        for arguments in ([], ["nonsense"], ["step"], ["step", config, "--seconds", "-1"], ["ops"],
                          ["allreduce", "--largest", "16"], ["allreduce", "--device", "gpu"]):
            self.assertEqual(self.launch("bench", *arguments).returncode, 2, arguments)
        self.refuse(2, ["nowhere.yaml"], "bench", "step", "nowhere.yaml")
        self.refuse(2, ["global_batch", "2 ranks"], "bench", "step", config, "train.global_batch=1", ranks=(2,))
        self.refuse(2, ["no convolution"], "bench", "ops", config, ranks=(1,))
        self.refuse(2, ["without mpirun"], "bench", "ops", config, ranks=(2,))
        self.refuse(2, ["mpirun"], "bench", "allreduce", ranks=(1,))

    def test_step(self):
        config = self.write(SMALL)
        for ranks, device in ((1, "cpu"), (2, "cpu"), (1, "reference")):
            with self.subTest(ranks=ranks, device=device):
                text, report = self.bench("step", config, "train.global_batch=31", f"device={device}",
                                          "--seconds", "0.1", ranks=ranks)
                self.assertIn("images/s", text)
                self.assertEqual([rank["images"] for rank in report["ranks"]], [31] if ranks == 1 else [16, 15])
                self.assertAlmostEqual(report["images_per_second"] * report["step_seconds"], 31)
                self.assertEqual(sum(report["arenas"].values()), 2 * report["arenas"]["total"])
                # The linear layer alone: forward and the gradient of its weights.
                self.assertGreaterEqual(report["flops"], 31 * 2 * 2 * 490)
                self.assertEqual(report["type"], "f32")

    def test_step_on_staged_data(self):
        config = self.write(SMALL)
        for ranks, rows in ((1, 31), (2, 16)):
            text, report = self.bench("step", config, "train.global_batch=31", "device=cpu", "data.resident=false",
                                      "--seconds", "0.1", ranks=ranks)
            self.assertIn("input wait", text)
            self.assertEqual(report["arenas"]["images"] // (rows * 28 * 28), 2)
            self.assertAlmostEqual(report["input_wait"], 1 - report["resident_step_seconds"] / report["step_seconds"])

    def test_ops(self):
        config = self.write(CONVOLUTIONS)
        for device in ("cpu", "reference"):
            text, report = self.bench("ops", config, f"device={device}")
            self.assertRegex(text, r"[%-] of the limit")
            rows = [(row["node"], row["call"], row["count"]) for row in report["rows"]]
            self.assertEqual(rows, [("0", "conv.fprop", 1), ("1", "conv.fprop", 2), ("2", "conv.wgrad", 2),
                                    ("2", "conv.dgrad", 2), ("0", "conv.wgrad", 1)])
            self.assertEqual(report["rows"][1]["flops"], 2 * 3 * 64 * (64 * 9) * 36)
            family = {"cpu": "slab", "reference": "reference"}[device]
            self.assertEqual({row["family"] for row in report["rows"]}, {family})
            self.assertEqual(text.count(f"[{family}"), 5, text)
            shares = [row["share_of_limit"] for row in report["rows"]]
            self.assertTrue(all(share is None or 0 < share <= 1 for share in shares), shares)
            self.assertEqual("a share of more than 100 % is not shown" in text, None in shares, text)
        _, report = self.bench("ops", config, "--all")
        calls = {row["call"] for row in report["rows"]}
        self.assertEqual({row["call"].split(".")[0] for row in report["rows"] if "family" in row}, {"conv"})
        self.assertLessEqual({"augment", "conv.fprop", "activation.dgrad", "linear.wgrad", "sgd"}, calls)

    def test_ops_beside_a_rival(self):
        config, rival = self.write(CONVOLUTIONS), self.folder / "a rival's program"
        rival.write_text(f"""#!{sys.executable}
import json, sys
for line in open(sys.argv[1]):
    request = json.loads(line)
    if request["call"] == "conv.dgrad":
        print(json.dumps({{"error": "not today"}}))
    else:
        print(json.dumps({{"seconds": request["c"] * 0.25, "algorithm": request["type"]}}))
""")
        rival.chmod(0o755)
        text, report = self.bench("ops", config, "--rival", rival)
        self.assertIn("cuDNN", text)
        self.assertEqual([row.get("cudnn_seconds") for row in report["rows"]], [0.25, 16, 16, None, 0.25])
        self.assertEqual(report["rows"][0]["cudnn_algorithm"], "f32")
        here = sum(row["count"] * row["seconds"] for row in report["rows"] if "cudnn_seconds" in row)
        self.assertAlmostEqual(report["time_over_cudnn"], here / 64.5)
        rival.write_text("#!/bin/sh\nexit 3\n")
        self.refuse(1, ["a rival", "exit code 3"], "bench", "ops", config, "--rival", rival, ranks=(1,))

    def test_allreduce(self):
        text, report = self.bench("allreduce", "--device", "cpu", "--largest", "16K", ranks=2)
        self.assertIn("bus GB/s", text)
        self.assertEqual([row["bytes"] for row in report["rows"]], [256, 1024, 4096, 16384])
        for row in report["rows"]:  # two ranks: every byte crosses the bus once
            self.assertAlmostEqual(row["bus_bytes_per_second"] * row["seconds"] / row["bytes"], 1)

    def test_scaling(self):
        config = self.write(SMALL)
        for ranks, counts in ((1, [1]), (3, [1, 2, 3])):
            text, report = self.bench("scaling", config, "train.global_batch=40", "--seconds", "0.05", ranks=ranks)
            self.assertIn("strong", text)
            one = report["weak"][0]
            self.assertEqual(one, report["strong"][0])
            for kind, batches in (("weak", [40 * count for count in counts]), ("strong", [40] * ranks)):
                rows = report[kind]
                self.assertEqual([row["ranks"] for row in rows], counts)
                self.assertEqual([row["global_batch"] for row in rows], batches)
                for row in rows:
                    self.assertEqual("exposed" in row, row["ranks"] > 1)
                    self.assertAlmostEqual(row["images_per_second"] * row["step_seconds"], row["global_batch"])
                    self.assertAlmostEqual(row["efficiency"] * row["ranks"] * one["images_per_second"],
                                           row["images_per_second"], delta=1e-6 * row["images_per_second"])
        drawn = subprocess.run([sys.executable, ROOT / "bench" / "scaling_chart.py", self.folder / "report.json"],
                               capture_output=True, text=True, check=False)
        self.assertEqual(drawn.returncode, 0, drawn.stderr)
        self.assertTrue((self.folder / "report.png").exists() or "no chart" in drawn.stdout, drawn.stdout)
        # No batch of one image for two ranks: a weak row, but no strong one.
        _, report = self.bench("scaling", config, "train.global_batch=1", "--seconds", "0.05", ranks=2)
        self.assertEqual([len(report["weak"]), len(report["strong"])], [2, 1])
        self.refuse(2, ["train.precision"], "bench", "scaling", config, "device=cpu", "train.precision=fp16", ranks=(2,))

    def test_losses(self):
        config = self.write(SMALL.replace("global_batch: 1000", "global_batch: 30"))
        data = ["data.source=synthetic", "data.synthetic={image: [1, 28, 28], classes: 10, train: 100, test: 1}"]
        headers = []
        for ranks in (1, 2):
            output = self.folder / f"losses-{ranks}.safetensors"
            result = self.succeed("bench", "losses", config, *data, "--steps", "5", "--output", output, ranks=ranks)
            content = output.read_bytes()
            size = 8 + int.from_bytes(content[:8], "little")
            header = json.loads(content[8:size])
            header.pop("__metadata__")
            tensors = {name: content[size + entry["data_offsets"][0]:size + entry["data_offsets"][1]]
                       for name, entry in header.items()}
            headers.append((header, tensors))
            self.assertEqual(header["curve.order"]["shape"], [5, 30])
            order = struct.unpack("150i", tensors["curve.order"])
            self.assertEqual([len(set(epoch)) for epoch in (order[:90], order[90:])], [90, 60])  # without the short batch
            losses = struct.unpack("5f", tensors["curve.losses"])
            self.assertTrue(all(1 < loss < 100 for loss in losses), losses)
        (header, one), (_, two) = headers
        self.assertEqual({name for name in header if not name.startswith("curve.")}, {"2.weight", "2.bias"})
        for name in header:
            if name != "curve.losses":
                self.assertEqual(one[name], two[name], name)
        for a, b in zip(struct.unpack("5f", one["curve.losses"]), struct.unpack("5f", two["curve.losses"])):
            self.assertAlmostEqual(a, b, places=5)
        self.refuse(2, ["data.augment"], "bench", "losses", config, "data.augment=[{flip: horizontal}]", "--output", "f")
        self.refuse(2, ["dropout"], "bench", "losses", config, "model.layers=[dropout: 0.5, flatten, linear: 10]",
                    "--output", "f")


if __name__ == "__main__":
    main()
