"""Runs of the convoy program, most on noise in the shape of a configuration's data, for bench/compare_pytorch.py,
bench/compare_ddp.py and bench/scaling_model.py."""
import json
import math
import os
import pathlib
import re
import shutil
import statistics
import subprocess

DATA_ARENAS = ("images", "labels", "order")  # of the data set itself


class Failure(Exception):
    """A program that this one runs has failed; the message says how it ended."""


def tail(text, lines=8):
    return "\n".join(text.strip().splitlines()[-lines:])


def launcher(ranks):
    """What starts a command on so many ranks of this machine."""
    if ranks == 1:
        return []
    return ["mpirun", "--oversubscribe", "--bind-to", "none", "-np", str(ranks)]


def run_convoy(program, *arguments, ranks=1, threads=None):
    """What `convoy ARGUMENTS` prints on so many ranks of so many threads each; by default it chooses these itself."""
    environment = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
                       **({"OMP_NUM_THREADS": str(threads)} if threads else {}))
    command = [*launcher(ranks), str(program), *map(str, arguments)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise Failure(f"convoy {arguments[0]} ended with {result.returncode}: {tail(result.stderr)}")
    return result.stdout


class Convoy:
    def __init__(self, program, config_path, overrides, config, classes, device, threads, folder, ranks=1):
        self.program, self.path, self.folder = str(program), str(config_path), pathlib.Path(folder)
        self.ranks = ranks
        self.overrides = [*overrides, f"device={device}", *self.steady(config)]
        self.image, self.classes = list(config["model"]["input"]), classes
        self.threads, self.runs = threads, 0

    @staticmethod
    def steady(config):
        """Nothing ends a run early or makes it diverge on noise; one checkpoint, at the end."""
        optimizer = config.get("optimizer", {})
        rate = [f"optimizer={{name: {optimizer}, lr: 0.001}}"] if isinstance(optimizer, str) else ["optimizer.lr=0.001"]
        patience = ["train.early_stop.patience=1000000"] if config.get("train", {}).get("early_stop") else []
        return ["schedule=constant", "checkpoint={every_epochs: 1000000, keep: 1}", "data.validation=test", *rate,
                *patience]

    def noise(self, train, test):
        return ["data.source=synthetic",
                f"data.synthetic={{image: {self.image}, classes: {self.classes}, train: {train}, test: {test}}}"]

    def call(self, *arguments, ranks=1):
        return run_convoy(self.program, *arguments, ranks=ranks, threads=self.threads)

    def train(self, train, test, epochs, *overrides):
        """Runs it and returns its folder and the objects of metrics.jsonl: epochs, then the summary."""
        self.runs += 1
        output = self.folder / f"run-{self.ranks}-{self.runs}"
        self.call("train", self.path, *self.overrides, *self.noise(train, test), f"train.epochs={epochs}", *overrides,
                  "--output", output, ranks=self.ranks)
        lines = (output / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        records = [json.loads(line) for line in lines]
        return output, [record for record in records if record.get("event") != "step"]

    def trained_predictions(self, steps, batch, test):
        """Checkpoint of a run of so many steps, and the file of its logits."""
        output, _ = self.train(steps * batch, test, 1, f"train.global_batch={batch}")
        logits = output / "logits.safetensors"
        self.call("eval", output, "--logits", logits)
        return next((output / "checkpoints").glob("*.safetensors")), logits

    def records(self, *arguments):
        """Of a run whose checkpoint nobody needs."""
        output, records = self.train(*arguments)
        shutil.rmtree(output)
        return records

    def seconds_to_first_step(self, batch):
        return self.records(batch, 1, 1)[-1]["seconds_to_first_step"]

    def images_per_second(self, images, test, seconds, expected):
        """Over all training epochs but the first of a run of about so many seconds; `expected`: the speed, if known."""
        epochs = 2 if expected is None else 1 + min(1000, max(1, math.ceil(seconds * expected / images)))
        records = self.records(images, test, epochs)
        rate = statistics.harmonic_mean(record["images_per_second"] for record in records[1:-1])
        if expected is None and seconds * rate > 2 * images:
            return self.images_per_second(images, test, seconds, rate)
        return rate

    def memory(self, train, test):
        """Bytes of all arenas but the data set's, as the plan has them."""
        out = self.call("plan", self.path, *self.overrides, *self.noise(train, test))
        rows = re.findall(r"^  (\w+) +(\d+) bytes", out[out.index("arenas of one rank"):], re.MULTILINE)
        return sum(int(size) for name, size in rows if name not in (*DATA_ARENAS, "total"))

    def version(self):
        return self.call("--version").strip()
