#!/usr/bin/env python3
"""Runs the program as a user would, on one and on two ranks: what it says, how it exits, what it leaves behind.

usage: cli_test.py CONVOY [unittest arguments]
"""
import gzip
import json
import math
import os
import pathlib
import random
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from run_files import checkpoints, read_metrics, read_tensors  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
CONVOY = ""
SMALL = """
name: small
data: {source: digits, normalize: {mean: [0.13], std: [0.3]}}
model:
  input: [1, 28, 28]
  layers:
    - maxpool: 4
    - flatten
    - linear: 10
train: {epochs: 2, global_batch: 1000}
optimizer: {name: sgd, lr: 0.1}
device: cpu
"""


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

# Some seconds of training: 20 steps an epoch.
STEADY = """
name: steady
data:
  source: synthetic
  synthetic: {image: [3, 16, 16], classes: 10, train: 640, test: 64}
model:
  input: [3, 16, 16]
  layers:
    - conv: {out: 32, kernel: 3, pad: same}
    - batchnorm: {group: 16}
    - relu
    - conv: {out: 32, kernel: 3, pad: same}
    - relu
    - globalavgpool
    - dropout: 0.25
    - linear: 10
train: {epochs: 3, global_batch: 32}
optimizer: {name: sgd, lr: 0.05, momentum: 0.9}
device: cpu
checkpoint: {every_steps: 4, keep: 0}
"""


def start(arguments, ranks=1, cwd=None, **options):
    command = [CONVOY, *arguments]
    if ranks > 1:
        command = ["mpirun", "--oversubscribe", "--bind-to", "none", "-np", str(ranks), *command]
    environment = dict(os.environ, OMP_NUM_THREADS="1", OMPI_ALLOW_RUN_AS_ROOT="1",
                       OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    return subprocess.Popen(command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True, **options)


def finish(process):
    try:
        out, err = process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def launch(arguments, ranks=1, cwd=None, **options):
    return finish(start(arguments, ranks, cwd, **options))


def process_of_rank(launcher, rank):
    """The process that mpirun started as this rank."""
    for pid in subprocess.run(["pgrep", "-P", str(launcher.pid)], capture_output=True, text=True).stdout.split():
        environment = pathlib.Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        if f"OMPI_COMM_WORLD_RANK={rank}".encode() in environment:
            return int(pid)
    raise AssertionError(f"rank {rank} is not there")


def handles(process, number):
    """Whether the process has a handler for the signal."""
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    caught = int(next(line for line in status.splitlines() if line.startswith("SigCgt:")).split()[1], 16)
    return bool(caught >> (number - 1) & 1)


class Cli(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="convoy-cli-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def write(self, text, name="net.yaml"):
        path = self.folder / name
        path.write_text(text)
        return str(path)

    def refuse(self, code, parts, *arguments, ranks=(1, 2)):
        """The command exits with `code`, and one line, from one rank, holds all `parts`."""
        for count in ranks:
            with self.subTest(arguments=arguments, ranks=count):
                result = launch(arguments, count, cwd=self.folder)
                self.assertEqual(result.returncode, code, result.stderr)
                lines = [line for line in result.stderr.splitlines() if all(part in line for part in parts)]
                self.assertEqual(len(lines), 1, f"{parts} in: {result.stderr}{result.stdout}")
                self.assertFalse((self.folder / "runs").exists(), "nothing is half-written")

    def mnist(self, images=20, rows=28, magic=0x803, labels=None, cut=0, name="mnist"):
        """A folder of IDX files; `cut` bytes are missing at the end of the training images."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        values = labels or [i % 10 for i in range(images)]
        for part in ("train", "t10k"):
            pixels = struct.pack(">IIII", magic, images, rows, 28)
            pixels += bytes(i * i // 97 % 256 for i in range(images * rows * 28))  # no two images are equal
            (folder / f"{part}-images-idx3-ubyte").write_bytes(pixels[:len(pixels) - cut])
            with gzip.open(folder / f"{part}-labels-idx1-ubyte.gz", "wb") as file:
                file.write(struct.pack(">II", 0x801, len(values)) + bytes(values))
        return f"data={{source: mnist, path: {folder}}}"

    def await_checkpoint(self, process, run, name):
        """Waits until the run has come to this checkpoint."""
        while process.poll() is None and not (run / "checkpoints" / name).exists():
            time.sleep(0.005)
        self.assertIsNone(process.poll(), "the run was over too soon")

    # --- bad configurations: exit code 2 ---

    def test_configuration_mistakes_name_file_line_and_key(self):
        self.refuse(2, ["bad.yaml:10", "global_batch"], "train", self.write(SMALL.replace("global_batch", "globl_batch"), "bad.yaml"))
        self.refuse(2, ["bad.yaml:10", "epochs"], "train", self.write(SMALL.replace("epochs: 2", "epochs: two"), "bad.yaml"), ranks=(1,))
        self.refuse(2, ["bad.yaml:10", "epochs"], "train", self.write(SMALL.replace("epochs: 2", "epochs: -2"), "bad.yaml"), ranks=(1,))
        self.refuse(2, ["bad.yaml:11", "lr"], "train", self.write(SMALL.replace("lr: 0.1", "lr: 0.1, lr: 0.2"), "bad.yaml"), ranks=(1,))
        self.refuse(2, ["bad.yaml:8", "flat"], "train", self.write(SMALL.replace("    - flatten\n", ""), "bad.yaml"))

    def test_overrides_are_as_strict(self):
        config = self.write(SMALL)
        self.refuse(2, ["train.epoch"], "train", config, "train.epoch=3")
        self.refuse(2, ["train.epochs"], "train", config, "train.epochs=1.5", ranks=(1,))

    def test_missing_configuration(self):
        self.refuse(2, ["nowhere.yaml"], "train", "nowhere.yaml")

    def test_unknown_command_line_option(self):
        self.assertEqual(launch(["train", "--nonsense"]).returncode, 2)
        self.assertEqual(launch([]).returncode, 2)

    def test_batch_smaller_than_the_ranks(self):
        self.refuse(2, ["global_batch", "2 ranks"], "train", self.write(SMALL), "train.global_batch=1", ranks=(2,))

    def test_nothing_to_train_on(self):
        config = self.write(SMALL)
        for command in ("train", "plan"):
            self.refuse(2, ["drop_last", "60000 images"], command, config, "train.drop_last=true",
                        "train.global_batch=70000", ranks=(1,))
        check = launch(["check", config, "train.drop_last=true", "train.global_batch=70000"], cwd=self.folder)
        self.assertEqual(check.returncode, 2)
        self.assertIn("FAIL  batch", check.stdout)

    def test_a_device_that_is_not_there_is_said_once(self):
        if "without CUDA" in launch(["train", self.write(SMALL), "device=cuda"], cwd=self.folder).stderr:
            self.refuse(1, ["built without CUDA"], "train", self.write(SMALL), "device=cuda")

    def test_double_precision_needs_the_reference(self):
        self.refuse(2, ["fp64", "reference"], "train", self.write(SMALL), "train.precision=fp64")

    def test_other_precisions_need_cuda(self):
        for precision in ("tf32", "fp16", "bf16"):
            self.refuse(2, [precision, "device: cuda"], "train", self.write(SMALL), f"train.precision={precision}")

    def test_image_shape_of_another_data_set(self):
        config = self.write(SMALL.replace("[1, 28, 28]", "[3, 32, 32]"))
        self.refuse(2, ["model.input", "(28,28,1)"], "train", config)

    def test_labels_beyond_the_last_layer(self):
        self.refuse(2, ["7 scores", "10 classes"], "train", self.write(SMALL.replace("linear: 10", "linear: 7")))

    # --- bad data: exit code 1 ---

    def test_missing_data(self):
        self.refuse(1, ["nowhere"], "train", self.write(SMALL), "data={source: mnist, path: nowhere}")

    def test_truncated_data_names_file_and_offset(self):
        self.refuse(1, ["train-images-idx3-ubyte", "byte"], "train", self.write(SMALL), self.mnist(cut=100))

    def test_foreign_data(self):
        self.refuse(1, ["train-images-idx3-ubyte"], "train", self.write(SMALL), self.mnist(magic=0x1234), ranks=(1,))

    def test_label_out_of_range(self):
        self.refuse(1, ["labels", "77"], "train", self.write(SMALL), self.mnist(labels=[77] * 20), ranks=(1,))

    # --- what cannot be written or read back ---

    def test_output_that_cannot_be_written(self):
        (self.folder / "taken").write_text("a file, not a folder")
        self.refuse(1, ["taken"], "train", self.write(SMALL), "--output", str(self.folder / "taken" / "run"))

    def test_damaged_checkpoint(self):
        config, run = self.write(SMALL), self.folder / "run"
        self.assertEqual(launch(["train", config, self.mnist(), "--output", str(run)]).returncode, 0)
        checkpoint = run / "checkpoints" / "epoch-0002.safetensors"
        whole = checkpoint.read_bytes()
        checkpoint.write_bytes(whole[:-10])
        self.refuse(1, ["epoch-0002", "truncated"], "eval", str(checkpoint))
        checkpoint.write_bytes(whole[:-10] + b"x" * 10)
        self.refuse(1, ["epoch-0002", "altered"], "eval", str(checkpoint), ranks=(1,))
        checkpoint.write_bytes(b"not a checkpoint at all")
        self.refuse(1, ["epoch-0002"], "eval", str(checkpoint), ranks=(1,))

    def test_missing_run(self):
        self.refuse(1, ["nowhere"], "eval", "nowhere")

    # --- the good path ---

    def test_train_eval_resume(self):
        config, data, run = self.write(SMALL), self.mnist(images=50), self.folder / "run"
        result = launch(["train", config, data, "train.global_batch=16", "--output", str(run)], ranks=2)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("test accuracy", result.stdout)
        self.assertNotIn("\r", result.stdout, "no live line where nobody watches")
        records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        self.assertEqual([r.get("event") for r in records], [None, None, "summary"])
        for key in ("epoch", "step", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "lr",
                    "images_per_second", "seconds"):
            self.assertIn(key, records[0])
        accuracies = set()
        for ranks in (1, 2, 3):
            result = launch(["eval", str(run)], ranks=ranks)
            self.assertEqual(result.returncode, 0, result.stderr)
            accuracies.add(result.stdout.split("(")[1].split(")")[0])
        self.assertEqual(len(accuracies), 1, accuracies)
        self.assertIn("of 50", next(iter(accuracies)))
        files = [self.folder / f"logits-{ranks}" for ranks in (1, 3)]
        for file, ranks in zip(files, (1, 3)):
            self.assertEqual(launch(["eval", str(run), "--logits", str(file)], ranks=ranks).returncode, 0)
        alone, shared = (read_tensors(file) for file in files)
        self.assertEqual(alone["labels"], [i % 10 for i in range(50)])
        self.assertEqual(len(alone["logits"]), 500)
        self.assertEqual(alone, shared)
        rows = [alone["logits"][10 * i:10 * i + 10] for i in range(50)]
        hits = sum(row.index(max(row)) == label for row, label in zip(rows, alone["labels"]))
        self.assertEqual(accuracies.pop().split()[0], str(hits))
        again = launch(["train", config, data, "train.epochs=3", "--output", str(run), "--resume", "auto"])
        self.assertEqual(again.returncode, 0, again.stderr)
        self.assertIn("resuming after epoch 2", again.stdout)

    def test_weights_leave_and_come_back(self):
        config, run, model = self.write(STEADY), self.folder / "run", self.folder / "model.safetensors"
        whole = launch(["train", config, "train.epochs=1", "train.ema=0.9", "--output", str(run)])
        self.assertEqual(whole.returncode, 0, whole.stderr)
        result = launch(["export", str(run), "--output", str(model)], ranks=2)
        self.assertEqual(result.returncode, 0, result.stderr)
        stored = read_tensors(run / "checkpoints" / "epoch-0001.safetensors")
        weights = read_tensors(model)
        self.assertEqual(set(weights), {name for name in stored if not name.startswith(("optimizer.", "average."))})
        for name, values in weights.items():
            self.assertEqual(values, stored.get("average." + name, stored[name]), name)

        # Too small a rate to move anything: what it began with is what it is evaluated with.
        still = ["train", config, "train.epochs=1", "optimizer.lr=1e-30", "--output", str(self.folder / "still")]
        result = launch([*still, "--init", str(model)])
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("beginning with the weights of", result.stdout)
        begun = read_tensors(self.folder / "still" / "checkpoints" / "epoch-0001.safetensors")
        for name, values in weights.items():
            if "running" not in name:
                self.assertEqual(begun[name], values, name)

        other = self.write(STEADY.replace("linear: 10", "linear: 12"))
        result = launch(["train", other, "--init", str(model), "--output", str(self.folder / "other")])
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stderr, r"tensor 7\.weight has shape \[10,32\], the model's is \[12,32\]")
        result = launch(["train", other, "--init", str(model), "--init-except", "7", "train.epochs=1", "optimizer.lr=1e-30",
                         "--output", str(self.folder / "other")])
        self.assertEqual(result.returncode, 0, result.stderr)
        begun = read_tensors(self.folder / "other" / "checkpoints" / "epoch-0001.safetensors")
        self.assertEqual((begun["3.weight"], len(begun["7.weight"])), (weights["3.weight"], 12 * 32))
        result = launch(["train", config, "--init-except", "7"])
        self.assertEqual(result.returncode, 2, result.stderr)
        result = launch(["train", config, "--init", str(model), "--resume", str(run)])
        self.assertEqual(result.returncode, 2, result.stderr)
        result = launch(["export", str(self.folder / "nothing")])
        self.assertEqual(result.returncode, 1)

    def test_a_new_run_keeps_the_old_one(self):
        config, data = self.write(SMALL), self.mnist()
        for _ in range(2):
            self.assertEqual(launch(["train", config, data], cwd=self.folder).returncode, 0)
        self.assertTrue((self.folder / "runs" / "small.1" / "metrics.jsonl").exists())
        self.assertTrue((self.folder / "runs" / "small" / "metrics.jsonl").exists())

    # --- stopped, killed, out of space: what is lost ---

    def test_a_signal_stops_the_run_at_a_checkpoint(self):
        config, whole = self.write(STEADY), self.folder / "whole"
        undisturbed = {}
        for ranks in (1, 2):
            self.assertEqual(launch(["train", config, "--output", str(whole)], ranks).returncode, 0)
            undisturbed[ranks] = read_tensors(whole / "checkpoints" / "epoch-0003.safetensors")
            if ranks == 1:
                metrics = read_metrics(whole)
        # On two ranks, only one of them is asked: they must agree.
        for ranks, number, to in ((1, signal.SIGUSR1, None), (1, signal.SIGTERM, None), (1, signal.SIGINT, None),
                                  (2, signal.SIGUSR1, 1), (2, signal.SIGTERM, 0)):
            with self.subTest(signal=number.name, ranks=ranks):
                run = self.folder / f"run-{ranks}-{number.name}"
                process = start(["train", config, "--output", str(run)], ranks)
                self.await_checkpoint(process, run, "epoch-0001-step-00000008.safetensors")
                os.kill(process.pid if to is None else process_of_rank(process, to), number)
                stopped = finish(process)
                self.assertEqual(stopped.returncode, 75, stopped.stderr)
                said = [line for line in stopped.stdout.splitlines() if "stopped on request" in line]
                self.assertEqual(len(said), 1, stopped.stdout)
                self.assertIn("--resume auto", said[0])
                last = checkpoints(run)[-1]
                self.assertIn(f"step {int(last.split('-')[-1].split('.')[0])}", said[0])
                again = launch(["train", config, "--output", str(run), "--resume", "auto"], ranks)
                self.assertEqual(again.returncode, 0, again.stderr)
                final = read_tensors(run / "checkpoints" / "epoch-0003.safetensors")
                self.assertEqual(final, undisturbed[ranks])
                if ranks == 1:
                    self.assertEqual(read_metrics(run), metrics)

    def test_a_second_interrupt_ends_the_run_at_once(self):
        config, run = self.write(STEADY), self.folder / "run"
        # The one step of an epoch takes seconds, so that the second interrupt comes during the same one.
        process = start(["train", config, "train.global_batch=6400", "data.synthetic.train=6400",
                         "--output", str(run)])
        while not (run / "checkpoints").exists():
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        while handles(process, signal.SIGINT):
            time.sleep(0.001)
        process.send_signal(signal.SIGINT)
        self.assertEqual(finish(process).returncode, -signal.SIGINT)

    def test_a_kill_at_any_moment_costs_no_more_than_the_last_steps(self):
        config, whole, run = self.write(STEADY), self.folder / "whole", self.folder / "run"
        always = ["train", config, "checkpoint={every_steps: 1, keep: 3, best: true}", "--output"]
        self.assertEqual(launch([*always, str(whole)]).returncode, 0)
        dice, kills = random.Random(1), 0
        for _ in range(6):
            process = start([*always, str(run), "--resume", "auto"])
            before = checkpoints(run)
            while process.poll() is None and checkpoints(run) == before:
                time.sleep(0.001)
            time.sleep(dice.uniform(0, 0.2))
            process.kill()
            kills += finish(process).returncode == -signal.SIGKILL
        self.assertGreater(kills, 2, "most came before the end")
        self.assertEqual(launch([*always, str(run), "--resume", "auto"]).returncode, 0)
        for name in ("epoch-0003.safetensors", "best.safetensors"):
            self.assertEqual(read_tensors(run / "checkpoints" / name), read_tensors(whole / "checkpoints" / name))
        self.assertEqual(read_metrics(run), read_metrics(whole))
        self.assertEqual(list((run / "checkpoints").glob("*.tmp")), [])

    def test_a_full_disk_is_said_and_the_run_goes_on(self):
        config, run = self.write(STEADY), self.folder / "run"

        def fill_disk():
            resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))

        result = launch(["train", config, "train.epochs=1", "--output", str(run)], preexec_fn=fill_disk)
        self.assertEqual(result.returncode, 1, result.stderr)
        too_large = [line for line in result.stderr.splitlines() if "File too large" in line]
        self.assertEqual(sum("/checkpoints/" in line for line in too_large), 2, "the first and the last: " + result.stderr)
        self.assertEqual(sum("/tensorboard/" in line for line in too_large), 1, result.stderr)
        self.assertIn("the last checkpoint is missing", result.stderr)
        self.assertEqual(len(read_metrics(run)), 2, "metrics had room")
        self.assertEqual(list((run / "checkpoints").glob("*")), [])
        again = launch(["train", config, "train.epochs=1", "--output", str(run), "--resume", "auto"])
        self.assertEqual(again.returncode, 0, again.stderr)

    def test_eval_of_the_best(self):
        config, run = self.write(STEADY), self.folder / "run"
        train = launch(["train", config, "checkpoint={keep: 1, best: true}", "optimizer.lr=0.3", "--output", str(run)])
        self.assertEqual(train.returncode, 0, train.stderr)
        best = launch(["eval", str(run), "--best"])
        self.assertEqual(best.returncode, 0, best.stderr)
        least = min(record["val_loss"] for record in read_metrics(run))
        self.assertIn(f"loss {least:.5f}", best.stdout)
        self.assertIn("best.safetensors", best.stdout)

    def test_plan_counts_and_check_lists(self):
        config, data = self.write(SMALL), self.mnist()
        plan = launch(["plan", config])
        self.assertEqual(plan.returncode, 0, plan.stderr)
        for part in ("linear.wgrad", "sgd", "arenas", "activations", "MFLOP"):
            self.assertIn(part, plan.stdout)
        check = launch(["check", config, data], cwd=self.folder)
        self.assertEqual(check.returncode, 0, check.stdout + check.stderr)
        bad = launch(["check", self.write(SMALL.replace("linear: 10", "linear: 7")), data, "--output", "/proc/none"])
        self.assertEqual(bad.stdout.count("FAIL"), 2, bad.stdout)

    # --- bench ---

    def bench(self, *arguments, ranks=1):
        """Runs `convoy bench`; returns what it printed and its JSON report, every number of which is sound."""
        report = self.folder / "report.json"
        result = launch(["bench", *arguments, "--json", str(report)], ranks, cwd=self.folder)
        self.assertEqual(result.returncode, 0, result.stderr)

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

    def test_bench_wrong_usage(self):
        config = self.write(SMALL)
        for arguments in ([], ["nonsense"], ["step"], ["step", config, "--seconds", "-1"], ["ops"],
                          ["allreduce", "--largest", "16"], ["allreduce", "--device", "gpu"]):
            self.assertEqual(launch(["bench", *arguments], cwd=self.folder).returncode, 2, arguments)
        self.refuse(2, ["nowhere.yaml"], "bench", "step", "nowhere.yaml")
        self.refuse(2, ["global_batch", "2 ranks"], "bench", "step", config, "train.global_batch=1", ranks=(2,))
        self.refuse(2, ["no convolution"], "bench", "ops", config, ranks=(1,))
        self.refuse(2, ["without mpirun"], "bench", "ops", config, ranks=(2,))
        self.refuse(2, ["mpirun"], "bench", "allreduce", ranks=(1,))

    def test_bench_step(self):
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

    def test_bench_step_on_staged_data(self):
        config = self.write(SMALL)
        for ranks, rows in ((1, 31), (2, 16)):
            text, report = self.bench("step", config, "train.global_batch=31", "device=cpu", "data.resident=false",
                                      "--seconds", "0.1", ranks=ranks)
            self.assertIn("input wait", text)
            self.assertEqual(report["arenas"]["images"] // (rows * 28 * 28), 2)
            self.assertAlmostEqual(report["input_wait"], 1 - report["resident_step_seconds"] / report["step_seconds"])

    def test_bench_ops(self):
        config = self.write(CONVOLUTIONS)
        for device in ("cpu", "reference"):
            text, report = self.bench("ops", config, f"device={device}")
            self.assertIn("% of the limit", text)
            rows = [(row["node"], row["call"], row["count"]) for row in report["rows"]]
            self.assertEqual(rows, [("0", "conv.fprop", 1), ("1", "conv.fprop", 2), ("2", "conv.wgrad", 2),
                                    ("2", "conv.dgrad", 2), ("0", "conv.wgrad", 1)])
            self.assertEqual(report["rows"][1]["flops"], 2 * 3 * 64 * (64 * 9) * 36)
            self.assertIn("wide_share_of_limit", report)
        _, report = self.bench("ops", config, "--all")
        calls = {row["call"] for row in report["rows"]}
        self.assertLessEqual({"augment", "conv.fprop", "activation.dgrad", "linear.wgrad", "sgd"}, calls)

    def test_bench_ops_beside_a_rival(self):
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
        text, report = self.bench("ops", config, "--rival", str(rival))
        self.assertIn("cuDNN", text)
        self.assertEqual([row.get("cudnn_seconds") for row in report["rows"]], [0.25, 16, 16, None, 0.25])
        self.assertEqual(report["rows"][0]["cudnn_algorithm"], "f32")
        here = sum(row["count"] * row["seconds"] for row in report["rows"] if "cudnn_seconds" in row)
        self.assertAlmostEqual(report["time_over_cudnn"], here / 64.5)
        rival.write_text("#!/bin/sh\nexit 3\n")
        self.refuse(1, ["a rival", "exit code 3"], "bench", "ops", config, "--rival", str(rival), ranks=(1,))

    def test_bench_allreduce(self):
        text, report = self.bench("allreduce", "--device", "cpu", "--largest", "16K", ranks=2)
        self.assertIn("bus GB/s", text)
        self.assertEqual([row["bytes"] for row in report["rows"]], [256, 1024, 4096, 16384])
        for row in report["rows"]:  # two ranks: every byte crosses the bus once
            self.assertAlmostEqual(row["bus_bytes_per_second"] * row["seconds"] / row["bytes"], 1)

    def test_bench_scaling(self):
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

    def test_bench_losses(self):
        config = self.write(SMALL.replace("global_batch: 1000", "global_batch: 30"))
        data = ["data.source=synthetic", "data.synthetic={image: [1, 28, 28], classes: 10, train: 100, test: 1}"]
        headers = []
        for ranks in (1, 2):
            output = self.folder / f"losses-{ranks}.safetensors"
            result = launch(["bench", "losses", config, *data, "--steps", "5", "--output", str(output)], ranks, cwd=self.folder)
            self.assertEqual(result.returncode, 0, result.stderr)
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

    def test_help_lists_every_key(self):
        text = launch(["train", "--help"]).stdout
        for key in ("global_batch", "every_steps", "label_smoothing", "weight_decay", "warmup_epochs", "--resume", "--output"):
            self.assertIn(key, text)

    def test_help_lists_exit_codes(self):
        text = launch(["--help"]).stdout
        for part in ("0 done", "1 the run failed", "2 wrong usage", "75 stopped on request", "128+n"):
            self.assertIn(part, " ".join(text.split()))


if __name__ == "__main__":
    CONVOY = str(pathlib.Path(sys.argv.pop(1)).resolve())
    unittest.main()
