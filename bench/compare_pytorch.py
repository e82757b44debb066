#!/usr/bin/env python3
"""Convoy beside PyTorch: the same network, precision, batch and device, from the same YAML, in one sitting.

usage: compare_pytorch.py CONFIG [key=value ...] [options]

1. Trains a few steps with Convoy, loads the checkpoint into PyTorch, and checks that both give the same logits.
2. Times each mode of PyTorch (bench/torch_worker.py lists them) and Convoy in turn, for several rounds.
3. Prints images per second, the ratio of Convoy to each mode and to the best, peak memory and the time to the first step.
   Writes them as JSON and, if matplotlib is installed, as a chart.

Both train on noise, since the values do not change the work of a step. PyTorch's batch is already on the device and normalised,
so PyTorch pays nothing for loading. Convoy gathers, augments and normalises each of its batches.
"""
import argparse
import json
import pathlib
import statistics
import sys
import tempfile

import torch

import chart
import torch_network
from convoy_runs import Convoy, Failure
from torch_worker import HALF, MODES, set_precision
from workers import Worker, time_beside

ROOT = pathlib.Path(__file__).resolve().parent.parent
CHECKED_IMAGES = 20  # two batches of 8 and a short one
# Above what sums in another order and rounded operands come to after fifty layers, far below what a wrong layer does. Where
# PyTorch's own error is large, ten times that.
LOGIT_TOLERANCE = {"fp32": 5e-5, "tf32": 5e-3, "fp16": 5e-3, "bf16": 4e-2}


# ---- logits ----

def largest_error(logits, reference):
    """Relative to the largest logit."""
    return ((logits.double() - reference).abs().max() / reference.abs().max()).item()


def compare_logits(convoy, config, seed, precision, device, steps):
    """Convoy's and PyTorch's errors against PyTorch in double precision, for the weights of a short run of Convoy."""
    batch = 8
    checkpoint, logits_file = convoy.trained_predictions(steps, batch, CHECKED_IMAGES)
    predictions = torch_network.read_safetensors(logits_file)
    images, labels = torch_network.noise(seed, steps * batch, CHECKED_IMAGES, convoy.image, convoy.classes)
    if predictions["labels"].tolist() != labels.tolist():
        raise Failure("the labels of data.source: synthetic are not those that torch_network.noise makes")
    x = torch_network.normalize(images, config.get("data", {}))
    network, _ = torch_network.build_network(config["model"])
    torch_network.load_weights(network, checkpoint)
    network.eval()
    with torch.no_grad():
        with torch.autocast(device, HALF.get(precision), enabled=precision in HALF):
            own = network.to(device)(x.to(device)).flatten(1).cpu()
        reference = network.cpu().double()(x.double()).flatten(1)
    if device == "cuda":
        torch.cuda.empty_cache()  # this process stays, beside the others
    errors = {"convoy": largest_error(torch.from_numpy(predictions["logits"].copy()), reference),
              "pytorch": largest_error(own, reference)}
    bound = max(LOGIT_TOLERANCE[precision], 10 * errors["pytorch"])
    return {**errors, "bound": bound, "equal": bool(errors["convoy"] <= bound)}  # NaN is not


# ---- PyTorch ----

def time_mode(task, patience, seconds, rounds, convoy_speed):
    """One mode's figures, with Convoy's speed after each round."""
    return time_beside(lambda: Worker("torch_worker.py", task, patience), seconds, rounds, convoy_speed)


# ---- report ----

def memory_text(size):
    return f"{size / 2**20:,.0f} MiB" if size else "-"


def print_row(name, figures):
    if "images_per_second" not in figures:
        print(f"{name:20} failed: {figures.get('error', 'no figure').splitlines()[-1]}", flush=True)
        return
    ratio = f"{figures['convoy_ratio']:.2f}" if "convoy_ratio" in figures else ""
    rate = figures["images_per_second"]
    print(f"{name:20} {rate:12,.{0 if rate >= 100 else 1}f} {ratio:>9} {memory_text(figures.get('peak_bytes')):>14} "
          f"{figures['seconds_to_first_step']:10.2f}", flush=True)


def draw_chart(report, path):
    pyplot = chart.pyplot()
    if pyplot is None:
        return
    rows = [("Convoy", report["convoy"]["images_per_second"])]
    rows += [(f"PyTorch {mode}", figures["images_per_second"]) for mode, figures in report["pytorch"].items()
             if "images_per_second" in figures]
    rows.sort(key=lambda row: row[1])
    figure, axes = pyplot.subplots(figsize=(8, 1 + 0.4 * len(rows)))
    bars = axes.barh([name for name, _ in rows], [rate for _, rate in rows],
                     color=["tab:orange" if name == "Convoy" else "tab:blue" for name, _ in rows])
    axes.bar_label(bars, [f"{rate:,.0f}" for _, rate in rows], padding=3)
    axes.margins(x=0.15)
    axes.set_xlabel("training images/s")
    axes.set_title(f"{report['name']}, batch {report['batch']}, {report['precision']}, {report['device']}")
    chart.save(figure, path)


# ---- the whole ----

def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", metavar="CONFIG")
    parser.add_argument("overrides", metavar="key=value", nargs="*", help="replace values of the file, for both")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--modes", help=f"comma-separated, of {', '.join(MODES)} (default: all but the last; on a CPU "
                        "eager and channels_last)")
    parser.add_argument("--seconds", type=float, default=3, help="of each round, for each side (default: 3)")
    parser.add_argument("--rounds", type=int, default=3, help="of each mode (default: 3)")
    parser.add_argument("--steps", type=int, help="of an epoch of Convoy (default: what 512 MiB of images allow, at most "
                        "400; on a CPU 4)")
    parser.add_argument("--check-steps", type=int, default=12, help="trained before logits are compared; 0: no check")
    parser.add_argument("--patience", type=float, default=900, help="seconds that a mode may take to compile")
    parser.add_argument("--threads", type=int, help="of both, on a CPU")
    parser.add_argument("--convoy", type=pathlib.Path, help="the program (default: build/gpu/convoy or build/cpu/convoy)")
    parser.add_argument("--json", type=pathlib.Path, help="file for the figures (default: runs/compare/NAME.json)")
    parser.add_argument("--chart", type=pathlib.Path, help="file for the chart (default: beside the figures, .png)")
    arguments = parser.parse_intermixed_args()
    default = "eager,channels_last" if arguments.device == "cpu" else ",".join(MODES[:-1])
    arguments.modes = (arguments.modes or default).split(",")
    for mode in arguments.modes:
        if mode not in MODES:
            parser.error(f"no mode {mode}; there are {', '.join(MODES)}")
    arguments.convoy = arguments.convoy or ROOT / "build" / ("gpu" if arguments.device == "cuda" else "cpu") / "convoy"
    if not arguments.convoy.exists():
        parser.error(f"{arguments.convoy} is not there: build it or name it with --convoy")
    return arguments


def compare(arguments, config, folder):
    train = config.get("train", {})
    precision, batch = train.get("precision", "fp32"), train.get("global_batch", 128)
    if precision not in LOGIT_TOLERANCE:
        raise Failure(f"train.precision: {precision} has no counterpart here")
    set_precision(precision)
    _, classes = torch_network.build_network(config["model"], "meta")
    convoy = Convoy(arguments.convoy, arguments.config, arguments.overrides, config, classes, arguments.device,
                    arguments.threads, folder)
    image_bytes = torch.Size(convoy.image).numel()
    steps = arguments.steps or (4 if arguments.device == "cpu" else max(4, min(400, 2**29 // (batch * image_bytes))))
    device = torch.cuda.get_device_name() if arguments.device == "cuda" else "CPU"
    report = {"name": config.get("name", "run"), "config": arguments.config, "overrides": arguments.overrides,
              "precision": precision, "batch": batch, "device": device, "torch": torch.__version__,
              "convoy_version": convoy.version()}
    print(f"{report['name']}: batch {batch}, {precision}, {device}, PyTorch {torch.__version__}, Convoy {report['convoy_version']}")
    if torch_network.has_batch_groups(config["model"]["layers"]):
        print("note: batchnorm.group is left out in PyTorch, which normalises whole batches")

    if arguments.check_steps:
        report["logits"] = compare_logits(convoy, config, config.get("seed", 1), precision, arguments.device,
                                          arguments.check_steps)
        print("logits: Convoy is off PyTorch in double precision by {convoy:.1e}, PyTorch in this precision by "
              "{pytorch:.1e}; allowed {bound:.1e}".format(**report["logits"]))
        if not report["logits"]["equal"]:
            raise Failure("the logits differ: not the same network, so no timing")

    ours = {"first_seconds_to_first_step": convoy.seconds_to_first_step(batch)}  # may measure tile choices, once
    ours["peak_bytes"] = convoy.memory(steps * batch, batch)
    speeds = []

    def convoy_speed():
        speeds.append(convoy.images_per_second(steps * batch, batch, arguments.seconds,
                                               statistics.median(speeds) if speeds else None))
        return speeds[-1]

    print(f"\n{'':20} {'images/s':>12} {'Convoy is':>9} {'peak memory':>14} {'1st step s':>10}")
    report["pytorch"] = {}
    for mode in arguments.modes:
        task = {"config": config, "mode": mode, "device": arguments.device, "precision": precision, "batch": batch,
                "threads": arguments.threads}
        report["pytorch"][mode] = time_mode(task, arguments.patience, arguments.seconds, arguments.rounds, convoy_speed)
        print_row(mode, report["pytorch"][mode])
    if not speeds:
        convoy_speed()
    ours.update(rounds=speeds, images_per_second=statistics.median(speeds),
                seconds_to_first_step=convoy.seconds_to_first_step(batch))
    report["convoy"] = ours
    print_row("Convoy", ours)
    return report


def summarize(report):
    measured = {mode: figures for mode, figures in report["pytorch"].items() if "images_per_second" in figures}
    if not measured:
        return
    best = max(measured, key=lambda mode: measured[mode]["images_per_second"])
    report["best_mode"], report["ratio_to_best"] = best, measured[best]["convoy_ratio"]
    print(f"\nConvoy is {report['ratio_to_best']:.2f} times PyTorch's best, {best} (median of rounds in turn)")
    theirs = measured[best].get("peak_bytes")
    if theirs:
        report["memory_ratio"] = report["convoy"]["peak_bytes"] / theirs
        print(f"and needs {report['memory_ratio']:.2f} times its memory: arenas without the data set, against "
              "torch.cuda.max_memory_allocated once algorithms are chosen")
    print("Convoy loads its batches, PyTorch's one batch is already on the device; first step: from the start of the "
          "process")


def main():
    arguments = parse_arguments()
    config = torch_network.load_config(arguments.config, arguments.overrides)
    try:
        with tempfile.TemporaryDirectory(prefix="convoy-compare-") as folder:
            report = compare(arguments, config, folder)
    except Failure as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 1
    summarize(report)
    path = arguments.json or ROOT / "runs" / "compare" / f"{report['name']}-{report['precision']}-{report['batch']}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(f"figures: {path}")
    draw_chart(report, arguments.chart or path.with_suffix(".png"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
