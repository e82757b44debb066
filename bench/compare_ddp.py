#!/usr/bin/env python3
"""Convoy on several ranks beside PyTorch's DistributedDataParallel: speed, or with --curve the losses of the first steps.

usage: compare_ddp.py CONFIG [key=value ...] [options]

train.global_batch of CONFIG is the batch of each rank. Batch normalisation is over each rank's own images, as in
DistributedDataParallel (Convoy: batchnorm.group).

Speed: times each mode of PyTorch and Convoy in turn, on one rank and on all, for several rounds on noise, as
bench/compare_pytorch.py does. Prints images per second, the speed of all ranks over one, and Convoy's ratio to each mode.

Curve: Convoy trains STEPS steps on the data of CONFIG, without augmentation. PyTorch trains the same steps from the same weights
on the same images: on one rank, on all ranks, and on all ranks from weights that are one rounding larger, which shows the effect
of rounding alone. Prints how far the losses of PyTorch's runs are apart, and how far Convoy's are from them. Compare in fp32: in
16 bits, overflows skip different steps.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

import torch
import yaml

import chart
import torch_network
from convoy_runs import Convoy, Failure, tail
from workers import Worker, time_beside

ROOT = pathlib.Path(__file__).resolve().parent.parent
MODES = ("eager", "channels_last", "compile", "reduce-overhead", "max-autotune")


def with_groups(layers, group):
    """The layers with every batchnorm over groups of so many images."""
    out = []
    for entry in layers:
        kind, options = (entry, {}) if isinstance(entry, str) else next(iter(entry.items()))
        if kind == "batchnorm":
            entry = {"batchnorm": {**options, "group": group}}
        elif kind == "residual":
            parts = options if isinstance(options, dict) else {"body": options}
            entry = {"residual": {name: with_groups(part, group) for name, part in parts.items()}}
        out.append(entry)
    return out


class PyTorch:
    """A worker on several ranks, as workers.Worker is one on one."""

    def __init__(self, task, ranks, patience, folder):
        meeting = tempfile.mktemp(prefix="meeting-", dir=folder)  # a name; the ranks make the file
        tasks = [{**task, "rank": rank, "ranks": ranks, "meeting": meeting} for rank in range(ranks)]
        self.others, self.first = [], None
        try:
            for other in tasks[1:]:
                self.others.append(self.follower(other, folder))
            self.first = Worker("ddp_worker.py", tasks[0], patience)
        except BaseException:
            self.__exit__()
            raise

    @staticmethod
    def follower(task, folder):
        script = pathlib.Path(__file__).with_name("ddp_worker.py")
        errors = tempfile.TemporaryFile("w+", dir=folder, encoding="utf-8", errors="replace")
        process = subprocess.Popen([sys.executable, str(script), json.dumps(task)], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=errors)
        return process, errors

    def ask(self, question, *arguments):
        try:
            return question(*arguments)
        except Failure as failure:
            texts = [str(failure)]
            for rank, (process, errors) in enumerate(self.others, 1):
                if process.poll():
                    errors.seek(0)
                    texts.append(f"rank {rank}: {tail(errors.read(), 3)}")
            raise Failure("\n".join(texts)) from None

    def answer(self):
        return self.ask(self.first.answer)

    def measure(self, seconds):
        return self.ask(self.first.measure, seconds)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.first:
            self.first.__exit__()
        for process, errors in self.others:
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            errors.close()


class Sitting:
    """What both sides are started with."""

    def __init__(self, arguments, folder):
        self.arguments, self.folder = arguments, folder
        config = torch_network.load_config(arguments.config, arguments.overrides)
        train = config.setdefault("train", {})
        self.batch = train.setdefault("global_batch", 128)
        self.precision = train.setdefault("precision", "fp32")
        config["model"]["layers"] = with_groups(config["model"]["layers"], self.batch)
        self.config, self.name = config, config.get("name", "run")
        self.path = pathlib.Path(folder) / "config.yaml"
        self.path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
        _, self.classes = torch_network.build_network(config["model"], "meta")

    def convoy(self, ranks):
        return Convoy(self.arguments.convoy, self.path, [f"train.global_batch={ranks * self.batch}"], self.config,
                      self.classes, self.arguments.device, self.arguments.threads, self.folder, ranks)

    def pytorch(self, ranks, **task):
        task.update(config=self.config, device=self.arguments.device, precision=self.precision,
                    threads=self.arguments.threads)
        return PyTorch(task, ranks, self.arguments.patience, self.folder)

    def report(self, **values):
        device = torch.cuda.get_device_name() if self.arguments.device == "cuda" else "CPU"
        return {"name": self.name, "config": self.arguments.config, "overrides": self.arguments.overrides,
                "precision": self.precision, "batch_per_rank": self.batch, "ranks": self.arguments.ranks, "device": device,
                "torch": torch.__version__, **values}

    def counts(self):
        return sorted({1, self.arguments.ranks})


# ---- speed ----

def speed(sitting):
    arguments, batch = sitting.arguments, sitting.batch
    report = sitting.report(benchmark="ddp", pytorch={}, convoy={})
    speeds = {count: [] for count in sitting.counts()}
    convoys = {count: sitting.convoy(count) for count in speeds}

    def convoy_speed(count):
        convoy = convoys[count]
        image_bytes = torch.Size(convoy.image).numel()
        most = 4 if arguments.device == "cpu" else max(4, min(400, 2**29 // (count * batch * image_bytes)))
        rate = convoy.images_per_second((arguments.steps or most) * count * batch, count * batch, arguments.seconds,
                                        statistics.median(speeds[count]) if speeds[count] else None)
        speeds[count].append(rate)
        return rate

    print(f"{'':22} {'ranks':>6} {'images/s':>12} {'over one':>9} {'Convoy is':>9}")
    for mode in arguments.modes:
        rows = report["pytorch"][mode] = {}
        for count in sitting.counts():
            rows[count] = time_beside(lambda: sitting.pytorch(count, mode=mode, batch=batch), arguments.seconds,
                                      arguments.rounds, lambda: convoy_speed(count))
            print_row(f"PyTorch {mode}", rows, count)
    for count in sitting.counts():
        if not speeds[count]:
            convoy_speed(count)
        report["convoy"][count] = {"rounds": speeds[count], "images_per_second": statistics.median(speeds[count])}
        print_row("Convoy", report["convoy"], count)
    summarize(report)
    return report


def print_row(name, rows, count):
    figures = rows[count]
    if "images_per_second" not in figures:
        print(f"{name:22} {count:>6} failed: {figures.get('error', 'no figure').splitlines()[-1]}", flush=True)
        return
    rate, one = figures["images_per_second"], rows[1].get("images_per_second")
    over = f"{rate / one:.2f}" if one and count > 1 else ""
    ratio = f"{figures['convoy_ratio']:.2f}" if "convoy_ratio" in figures else ""
    print(f"{name:22} {count:>6} {rate:12,.0f} {over:>9} {ratio:>9}", flush=True)


def summarize(report):
    last = report["ranks"]
    report["convoy_scaling"] = report["convoy"][last]["images_per_second"] / report["convoy"][1]["images_per_second"]
    print(f"\n{last} ranks do {report['convoy_scaling']:.3f} times the work of one in Convoy", end="")
    best = max((rows for rows in report["pytorch"].values() if "images_per_second" in rows[last]),
               key=lambda rows: rows[last]["images_per_second"], default=None)
    if best is None:
        print()
        return
    report["ratio_to_best"] = best[last]["convoy_ratio"]
    if "images_per_second" in best[1]:
        report["pytorch_scaling"] = best[last]["images_per_second"] / best[1]["images_per_second"]
        print(f", {report['pytorch_scaling']:.3f} in PyTorch's best mode", end="")
    print(f";\non {last} ranks Convoy is {report['ratio_to_best']:.2f} times PyTorch's best (median of rounds in turn)")


def draw_speed(report, path):
    pyplot = chart.pyplot()
    if pyplot is None:
        return
    sides = {f"PyTorch {mode}": rows for mode, rows in report["pytorch"].items()}
    sides["Convoy"] = report["convoy"]
    counts = sorted(report["convoy"])
    figure, axes = pyplot.subplots(figsize=(2 + 1.5 * len(sides), 4))
    for i, count in enumerate(counts):
        rates = [rows[count].get("images_per_second", 0) for rows in sides.values()]
        bars = axes.bar([x + 0.4 * i for x in range(len(sides))], rates, 0.4, label=f"{count} rank{'s' * (count > 1)}")
        axes.bar_label(bars, [f"{rate:,.0f}" for rate in rates], fontsize=8)
    axes.set_xticks([x + 0.2 * (len(counts) - 1) for x in range(len(sides))], sides)
    axes.set_ylabel("training images/s")
    axes.set_title(f"{report['name']}, {report['batch_per_rank']} per rank, {report['precision']}, {report['device']}")
    axes.legend()
    chart.save(figure, path)


# ---- curve ----

def largest_difference(a, b):
    return max(abs(x - y) for x, y in zip(a, b, strict=True))


def curve(sitting):
    arguments = sitting.arguments
    file = pathlib.Path(sitting.folder) / "curve.safetensors"
    count = arguments.ranks
    sitting.convoy(count).call("bench", "losses", sitting.path, f"train.global_batch={count * sitting.batch}",
                               f"device={arguments.device}", "data.augment=[]", "optimizer.decay_all=true",
                               "--steps", arguments.curve, "--output", file, ranks=count)
    losses = {"Convoy": torch_network.read_safetensors(file)["curve.losses"].tolist()}
    for name, ranks, nudged in (("PyTorch on 1", 1, False), (f"PyTorch on {count}", count, False),
                                (f"PyTorch on {count}, nudged", count, True)):
        with sitting.pytorch(ranks, curve=str(file), groups=count // ranks, nudged=nudged) as pytorch:
            losses[name] = pytorch.answer()["losses"]
    ours, one, several, nudged = losses.values()
    apart = {"pytorch_rank_counts": largest_difference(one, several),
             "pytorch_rounding": largest_difference(several, nudged),
             "convoy_to_pytorch": min(largest_difference(ours, theirs) for theirs in (one, several))}
    print(f"{sitting.name}: {arguments.curve} steps of {count} x {sitting.batch} images, {sitting.precision}; Convoy's loss "
          f"goes from {ours[0]:.4f} to {ours[-1]:.4f}\nlargest difference of losses")
    print(f"  {apart['pytorch_rank_counts']:.2e} between PyTorch on 1 and on {count} ranks")
    print(f"  {apart['pytorch_rounding']:.2e} between PyTorch on {count} ranks and the same from weights one rounding larger")
    print(f"  {apart['convoy_to_pytorch']:.2e} between Convoy on {count} ranks and the nearest of PyTorch's")
    return sitting.report(benchmark="curve", steps=arguments.curve, losses=losses, largest_differences=apart)


def draw_curve(report, path):
    pyplot = chart.pyplot()
    if pyplot is None:
        return
    figure, (above, below) = pyplot.subplots(2, 1, figsize=(8, 7), sharex=True)
    names = list(report["losses"])
    for name, losses in report["losses"].items():
        above.plot(losses, label=name, alpha=0.8)
    above.set_ylabel("loss")
    above.legend()
    for first, second in ((1, 2), (2, 3), (0, 1), (0, 2)):
        first, second = names[first], names[second]
        pairs = zip(report["losses"][first], report["losses"][second])
        below.semilogy([max(abs(x - y), 1e-12) for x, y in pairs], label=f"{first} - {second}", alpha=0.8)
    below.set_ylabel("difference")
    below.set_xlabel("step")
    below.legend()
    above.set_title(f"{report['name']}, {report['ranks']} x {report['batch_per_rank']} images, {report['precision']}")
    chart.save(figure, path)


# ---- the whole ----

def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", metavar="CONFIG")
    parser.add_argument("overrides", metavar="key=value", nargs="*", help="replace values of the file, for both")
    parser.add_argument("--ranks", type=int, default=max(2, torch.cuda.device_count()), help="(default: one for each GPU)")
    parser.add_argument("--curve", type=int, metavar="STEPS", help="compare losses instead of speed")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--modes", help=f"comma-separated, of {', '.join(MODES)} (default: channels_last,compile; on a CPU "
                        "eager)")
    parser.add_argument("--seconds", type=float, default=3, help="of each round, for each side (default: 3)")
    parser.add_argument("--rounds", type=int, default=3, help="of each mode and rank count (default: 3)")
    parser.add_argument("--steps", type=int, help="of an epoch of Convoy (default: what 512 MiB of images allow, at most "
                        "400; on a CPU 4)")
    parser.add_argument("--patience", type=float, default=900, help="seconds that PyTorch may take for an answer")
    parser.add_argument("--threads", type=int, help="of each rank, on a CPU (default: 1)")
    parser.add_argument("--convoy", type=pathlib.Path, help="the program (default: build/gpu/convoy or build/cpu/convoy)")
    parser.add_argument("--json", type=pathlib.Path, help="file for the figures (default: in runs/compare)")
    parser.add_argument("--chart", type=pathlib.Path, help="file for the chart (default: beside the figures, .png)")
    arguments = parser.parse_intermixed_args()
    if arguments.device == "cpu":
        arguments.threads = arguments.threads or 1
    arguments.modes = (arguments.modes or ("eager" if arguments.device == "cpu" else "channels_last,compile")).split(",")
    for mode in arguments.modes:
        if mode not in MODES:
            parser.error(f"no mode {mode}; there are {', '.join(MODES)}")
    if arguments.ranks < 2:
        parser.error("--ranks: two or more")
    arguments.convoy = arguments.convoy or ROOT / "build" / ("gpu" if arguments.device == "cuda" else "cpu") / "convoy"
    if not arguments.convoy.exists():
        parser.error(f"{arguments.convoy} is not there: build it or name it with --convoy")
    return arguments


def main():
    arguments = parse_arguments()
    compare, draw = (curve, draw_curve) if arguments.curve else (speed, draw_speed)
    try:
        with tempfile.TemporaryDirectory(prefix="convoy-ddp-") as folder:
            sitting = Sitting(arguments, folder)
            report = compare(sitting)
    except Failure as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 1
    name = f"{report['name']}-{report['precision']}-{report['ranks']}x{report['batch_per_rank']}-{report['benchmark']}.json"
    path = arguments.json or ROOT / "runs" / "compare" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(f"figures: {path}")
    draw(report, arguments.chart or path.with_suffix(".png"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
