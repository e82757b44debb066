#!/usr/bin/env python3
"""A run on one and on several ranks: what training leaves, what evaluates it, what begins with its weights.

usage: train_test.py CONVOY [unittest arguments]
"""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from data_files import write_mnist  # noqa: E402
from launch import ProgramTest, main  # noqa: E402
from networks import SMALL, STEADY  # noqa: E402
from run_files import read_metrics, read_tensors  # noqa: E402


class Train(ProgramTest):
    def test_train_eval_resume(self):
        config, data, run = self.write(SMALL), write_mnist(self.folder / "mnist", 50), self.folder / "run"
        result = self.succeed("train", config, data, "train.global_batch=16", "--output", run, ranks=2)
        self.assertIn("test accuracy", result.stdout)
        self.assertNotIn("\r", result.stdout, "no live line where nobody watches")
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        records = [record for record in lines if record.get("event") != "step"]
        self.assertEqual([r.get("event") for r in records], [None, None, "summary"])
        for key in ("epoch", "step", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "lr",
                    "images_per_second", "seconds"):
            self.assertIn(key, records[0])
        accuracies = set()
        for ranks in (1, 2, 3):
            result = self.succeed("eval", run, ranks=ranks)
            accuracies.add(result.stdout.split("(")[1].split(")")[0])
        self.assertEqual(len(accuracies), 1, accuracies)
        self.assertIn("of 50", next(iter(accuracies)))
        files = [self.folder / f"logits-{ranks}" for ranks in (1, 3)]
        for file, ranks in zip(files, (1, 3)):
            self.succeed("eval", run, "--logits", file, ranks=ranks)
        alone, shared = (read_tensors(file) for file in files)
        self.assertEqual(alone["labels"], [i % 10 for i in range(50)])
        self.assertEqual(len(alone["logits"]), 500)
        self.assertEqual(alone, shared)
        rows = [alone["logits"][10 * i:10 * i + 10] for i in range(50)]
        hits = sum(row.index(max(row)) == label for row, label in zip(rows, alone["labels"]))
        self.assertEqual(accuracies.pop().split()[0], str(hits))
        again = self.succeed("train", config, data, "train.epochs=3", "--output", run, "--resume", "auto")
        self.assertIn("resuming after epoch 2", again.stdout)

    def test_weights_leave_and_come_back(self):
        config, run, model = self.write(STEADY), self.folder / "run", self.folder / "model.safetensors"
        self.succeed("train", config, "train.epochs=1", "train.ema=0.9", "--output", run)
        self.succeed("export", run, "--output", model, ranks=2)
        stored = read_tensors(run / "checkpoints" / "epoch-0001.safetensors")
        weights = read_tensors(model)
        self.assertEqual(set(weights), {name for name in stored if not name.startswith(("optimizer.", "average."))})
        for name, values in weights.items():
            self.assertEqual(values, stored.get("average." + name, stored[name]), name)

        # Too small a rate to move anything: what it began with is what it is evaluated with.
        still = ["train", config, "train.epochs=1", "optimizer.lr=1e-30", "--output", self.folder / "still"]
        result = self.succeed(*still, "--init", model)
        self.assertIn("beginning with the weights of", result.stdout)
        begun = read_tensors(self.folder / "still" / "checkpoints" / "epoch-0001.safetensors")
        for name, values in weights.items():
            if "running" not in name:
                self.assertEqual(begun[name], values, name)

        other = self.write(STEADY.replace("linear: 10", "linear: 12").replace("model:", "model:\n  spare_scores: true", 1))
        result = self.launch("train", other, "--init", model, "--output", self.folder / "other")
        self.assertEqual(result.returncode, 0)
        self.assertIn("layer 7 begins anew: 10 outputs in the file, 12 here", result.stdout)
        self.succeed("train", other, "--init", model, "--init-except", "7", "train.epochs=1", "optimizer.lr=1e-30",
                     "--output", self.folder / "other")
        begun = read_tensors(self.folder / "other" / "checkpoints" / "epoch-0001.safetensors")
        self.assertEqual((begun["3.weight"], len(begun["7.weight"])), (weights["3.weight"], 12 * 32))
        result = self.launch("train", config, "--init-except", "7")
        self.assertEqual(result.returncode, 2, result.stderr)
        result = self.launch("train", config, "--init", model, "--resume", run)
        self.assertEqual(result.returncode, 2, result.stderr)
        for name, message in (("nothing", "no such file"), ("run", "convoy export")):
            self.refuse(1, ["--init", name, message], "train", config, "--init", self.folder / name, ranks=(1,))
        self.refuse(1, ["net.yaml: not a safetensors file"], "train", config, "--init", config)
        self.refuse(1, ["nothing"], "export", self.folder / "nothing")
        self.refuse(2, ["--output"], "export", run / "checkpoints" / "epoch-0001.safetensors", ranks=(1,))

    def test_a_new_run_keeps_the_old_one(self):
        config, data = self.write(SMALL), write_mnist(self.folder / "mnist")
        for _ in range(2):
            self.succeed("train", config, data)
        self.assertTrue((self.folder / "runs" / "small.1" / "metrics.jsonl").exists())
        self.assertTrue((self.folder / "runs" / "small" / "metrics.jsonl").exists())

    def test_eval_of_the_best(self):
        config, run = self.write(STEADY), self.folder / "run"
        # At such a rate the best is not the last.
        self.succeed("train", config, "checkpoint={keep: 1, best: true}", "optimizer.lr=1", "--output", run)
        best = self.succeed("eval", run, "--best")
        least = min(record["val_loss"] for record in read_metrics(run))
        self.assertIn(f"loss {least:.5f}", best.stdout)
        self.assertIn("best.safetensors", best.stdout)
        model = self.folder / "model.safetensors"
        self.succeed("export", run, "--best", "--output", model)
        kept = [read_tensors(run / "checkpoints" / f"{name}.safetensors") for name in ("best", "epoch-0003")]
        self.assertEqual([tensors["0.weight"] == read_tensors(model)["0.weight"] for tensors in kept], [True, False])

    def test_plan_counts_and_check_lists(self):
        config, data = self.write(SMALL), write_mnist(self.folder / "mnist")
        plan = self.succeed("plan", config)
        for part in ("linear.wgrad", "sgd", "arenas", "activations", "MFLOP"):
            self.assertIn(part, plan.stdout)
        self.assertIn("memory is not counted", self.succeed("plan", config, "--gpu", "sm_75").stdout)
        self.succeed("check", config, data)
        bad = self.launch("check", self.write(SMALL.replace("linear: 10", "linear: 7")), data, "--output", "/proc/none")
        self.assertEqual(bad.stdout.count("FAIL"), 2, bad.stdout)

    def test_plan_names_the_kernels_of_a_convolution(self):
        config = pathlib.Path(__file__).resolve().parents[2] / "configs/quickstart.yaml"

        def kernels(*arguments):
            out = self.succeed("plan", config, *arguments).stdout.split("evaluation step")[0]
            return {line.split("[")[-1].split()[0].rstrip("]") for line in out.splitlines() if " conv." in line}

        self.assertEqual(kernels("device=cpu"), {"slab"})
        self.assertEqual(kernels("device=reference"), {"reference"})
        self.assertEqual(kernels("--gpu", "sm_75"), {"stem_ffma", "ffma"})
        self.assertEqual(kernels("--gpu", "sm_90a", "train.precision=fp16"), {"stem_halo", "hopper"})
        self.refuse(2, ["train.precision: bf16", "sm_75"], "plan", config, "--gpu", "sm_75", "train.precision=bf16")
        self.refuse(2, ["--gpu", "sm_90a"], "plan", config, "--gpu", "sm_30")


if __name__ == "__main__":
    main()
