#!/usr/bin/env python3
"""Images per second of training steps in PyTorch, as `convoy bench step` has them, for `convoy study`.

usage: torch_speed.py CONFIG --device cpu|cuda --json FILE [--mode MODE] [--precision P] [--threads N] [--seconds S]

CONFIG is a resolved configuration: its layers are spelled out. The median of five rounds is written. bench/torch_worker.py
lists the modes and says what a step is.
"""
import argparse
import json
import pathlib
import statistics
import sys

import torch

import torch_network
from torch_worker import MODES, Step, images_per_second, set_precision

ROUNDS = 5


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config")
    parser.add_argument("--device", choices=("cpu", "cuda"), required=True)
    parser.add_argument("--json", type=pathlib.Path, required=True)
    parser.add_argument("--mode", choices=MODES, default="channels_last")
    parser.add_argument("--precision", choices=("fp32", "tf32", "fp16", "bf16"), default="fp32")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--seconds", type=float, default=5)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit("error: PyTorch finds no GPU")
    set_precision(options.precision)
    torch.backends.cudnn.benchmark = True
    config = torch_network.load_config(options.config)
    batch = config["train"]["global_batch"]
    step = Step(config, options.mode, options.device, options.precision, batch)
    step.first()
    step.warm_up()
    rates = [images_per_second(step, batch, options.seconds / ROUNDS) for _ in range(ROUNDS)]
    figures = {"benchmark": "step", "engine": f"PyTorch {torch.__version__}, {options.mode}", "global_batch": batch,
               "images_per_second": statistics.median(rates), "rounds": ROUNDS}
    if options.device == "cuda":
        figures["arenas"] = {"total": torch.cuda.max_memory_allocated()}
    # Whole or absent: the file says that this is done.
    unfinished = options.json.with_name(options.json.name + ".part")
    unfinished.write_text(json.dumps(figures, indent=2) + "\n")
    unfinished.replace(options.json)
    print(f"{figures['engine']}: {figures['images_per_second']:.0f} images/s")


if __name__ == "__main__":
    main()
