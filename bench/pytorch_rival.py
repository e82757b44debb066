#!/usr/bin/env python3
"""Images per second of PyTorch on the network of a Convoy configuration: the figure to beat.

usage: pytorch_rival.py CONFIG [--device cuda|cpu] [--threads N] [--batch N] [--seconds S] [--modes eager,...]

Trains on one random batch that is already where the step runs (so PyTorch pays nothing for loading), SGD as the
configuration says, TF32 allowed on GPUs. Modes: eager; reduce-overhead (torch.compile of model and loss); graph (the
whole step, optimizer included, captured by hand in one CUDA graph); graph-compile (the same over torch.compile).
Prints one JSON object per mode: mode, images_per_second (median of rounds), batch, device, torch.
"""
import argparse
import json
import statistics
import time

import torch
import yaml
from torch import nn


class Residual(nn.Module):
    def __init__(self, body, shortcut):
        super().__init__()
        self.body, self.shortcut = body, shortcut

    def forward(self, x):
        return self.body(x) + self.shortcut(x)


def chain(layers, shape):
    """nn.Sequential of a layer list, and the (C, H, W) or (features,) that leaves it."""
    modules = []
    for entry in layers:
        kind, value = (entry, None) if isinstance(entry, str) else next(iter(entry.items()))
        if kind == "conv":
            dilation, kernel = value.get("dilation", 1), value["kernel"]
            pad = value.get("pad", 0)
            pad = dilation * (kernel - 1) // 2 if pad == "same" else pad
            modules.append(nn.Conv2d(shape[0], value["out"], kernel, value.get("stride", 1), pad, dilation,
                                     bias=value.get("bias", True)))
        elif kind == "linear":
            out = value if isinstance(value, int) else value["out"]
            modules.append(nn.Linear(shape[0], out, bias=True if isinstance(value, int) else value.get("bias", True)))
        elif kind in ("maxpool", "avgpool"):
            value = {"kernel": value} if isinstance(value, int) else value
            pool = nn.MaxPool2d if kind == "maxpool" else nn.AvgPool2d
            modules.append(pool(value["kernel"], value.get("stride"), value.get("pad", 0)))
        elif kind == "globalavgpool":
            modules += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        elif kind == "batchnorm":
            modules.append(nn.BatchNorm2d(shape[0]))
        elif kind == "dropout":
            modules.append(nn.Dropout(value))
        elif kind == "flatten":
            modules.append(nn.Flatten())
        elif kind == "residual":
            modules.append(Residual(chain(value["body"], shape)[0], chain(value.get("shortcut", []), shape)[0]))
        else:
            modules.append({"relu": nn.ReLU, "gelu": nn.GELU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid,
                            "leaky_relu": nn.LeakyReLU}[kind]())
        with torch.no_grad():
            shape = tuple(nn.Sequential(*modules[-1:]).eval()(torch.zeros(1, *shape)).shape[1:]) \
                if kind != "globalavgpool" else (shape[0],)
    return nn.Sequential(*modules), shape


class Step:
    """One training step of one mode, callable."""

    def __init__(self, config, batch, device, mode):
        torch.manual_seed(0)
        shape = config["model"]["input"]
        model, (classes,) = chain(config["model"]["layers"], tuple(shape))
        self.model = model.to(device).train()
        optimizer = config["optimizer"]
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.01, momentum=optimizer.get("momentum", 0),
                                         nesterov=optimizer.get("nesterov", False),
                                         weight_decay=optimizer.get("weight_decay", 0), fused=True)
        self.x = torch.randn(batch, *shape, device=device)
        self.y = torch.randint(0, classes, (batch,), device=device)
        if device == "cuda" or len(shape) == 3:
            self.x = self.x.to(memory_format=torch.channels_last)
            self.model = self.model.to(memory_format=torch.channels_last)
        smoothing = config.get("train", {}).get("label_smoothing", 0.0)
        self.loss = nn.CrossEntropyLoss(label_smoothing=smoothing)
        self.forward = lambda: self.loss(self.model(self.x), self.y)
        if mode == "reduce-overhead":
            self.forward = torch.compile(self.forward, mode="reduce-overhead")
        if mode == "graph-compile":
            self.forward = torch.compile(self.forward)
        self.run = self.eager
        if mode.startswith("graph"):
            self.capture()

    def eager(self):
        self.optimizer.zero_grad(set_to_none=True)
        self.forward().backward()
        self.optimizer.step()

    def capture(self):
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(5):
                self.eager()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        self.optimizer.zero_grad(set_to_none=True)
        with torch.cuda.graph(graph):
            self.forward().backward()
            self.optimizer.step()
        self.run = graph.replay


def measure(step, batch, device, seconds, rounds=5):
    sync = torch.cuda.synchronize if device == "cuda" else lambda: None
    for _ in range(10):
        step.run()
    sync()
    rates = []
    for _ in range(rounds):
        start, images = time.perf_counter(), 0
        while time.perf_counter() - start < seconds / rounds:
            for _ in range(50 if device == "cuda" else 1):
                step.run()
                images += batch
            sync()
        rates.append(images / (time.perf_counter() - start))
    return statistics.median(rates)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--modes")
    args = parser.parse_args()
    with open(args.config) as file:
        config = yaml.safe_load(file)
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    batch = args.batch or config["train"]["global_batch"]
    modes = args.modes or ("eager,reduce-overhead,graph,graph-compile" if args.device == "cuda" else "eager")
    for mode in modes.split(","):
        rate = measure(Step(config, batch, args.device, mode), batch, args.device, args.seconds)
        name = torch.cuda.get_device_name() if args.device == "cuda" else f"{torch.get_num_threads()} CPU threads"
        print(json.dumps({"mode": mode, "images_per_second": round(rate), "batch": batch, "device": name,
                          "torch": torch.__version__}), flush=True)


if __name__ == "__main__":
    main()
