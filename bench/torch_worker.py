"""One process that trains a network in PyTorch in one mode, for bench/compare_pytorch.py, which starts it.

usage: torch_worker.py TASK, a JSON object with config, mode, device, precision, batch and threads (or null).

The process trains on one batch of noise that already lies where the step runs, so that PyTorch pays nothing for loading,
augmentation or normalisation. It writes a line of JSON when the first step is done; then, for each line `SECONDS` that it
reads, one with the speed. Lines of its own begin with "@", since compilers print too.

Modes: eager; channels_last (and so are all that follow); compile, reduce-overhead, max-autotune (torch.compile of network
and loss in its default and these modes, backward with it, the optimizer eager); graph (the whole step, optimizer included,
captured by hand in one CUDA graph); graph-compile and graph-max-autotune (the same over torch.compile). fp16 and bf16 are
autocast, fp16 with a loss scale.
"""
import time

START = time.perf_counter()  # before torch is imported: that is part of the time to the first step

import json
import sys

import torch

import torch_network

MODES = ("eager", "channels_last", "compile", "reduce-overhead", "max-autotune", "graph", "graph-compile",
         "graph-max-autotune")
COMPILED = {"compile": "default", "reduce-overhead": "reduce-overhead", "max-autotune": "max-autotune",
            "graph-compile": "default", "graph-max-autotune": "max-autotune-no-cudagraphs"}
HALF = {"fp16": torch.float16, "bf16": torch.bfloat16}
WARM_UP = 10


def set_precision(precision):
    """TF32 is for whoever asks for less than fp32."""
    allowed = precision != "fp32"
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed


def optimizer_of(config, parameters, device, in_graph):
    """One group of parameters, which is fastest: weight decay is for all of them. The rate is small: the data is noise."""
    options = config.get("optimizer", {})
    options = {"name": options} if isinstance(options, str) else options
    name = options.get("name", "sgd")
    common = {"lr": 1e-3, "weight_decay": options.get("weight_decay", 0), "fused": True}
    if name == "sgd":
        return torch.optim.SGD(parameters, momentum=options.get("momentum", 0), nesterov=options.get("nesterov", False),
                               **common)
    kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    if name not in kinds:
        sys.exit(f"error: bench/torch_worker.py knows no optimizer {name}, only sgd, {', '.join(kinds)}")
    return kinds[name](parameters, betas=(options.get("beta1", 0.9), options.get("beta2", 0.999)),
                       capturable=in_graph and device == "cuda", **common)


def criterion_of(config):
    train = config.get("train", {})
    for key in ("loss", "class_weights"):
        if train.get(key, "cross_entropy") != "cross_entropy":
            sys.exit(f"error: bench/torch_worker.py knows no train.{key}, only plain cross-entropy")
    return torch.nn.CrossEntropyLoss(label_smoothing=train.get("label_smoothing", 0.0))


class Step:
    """A training step, callable. `wrap` makes of the network what is trained, such as DistributedDataParallel."""

    def __init__(self, config, mode, device, precision, batch, wrap=lambda network: network):
        self.device = device
        in_graph = mode.startswith("graph")
        torch.manual_seed(0)
        network, classes = torch_network.build_network(config["model"], device)
        shape = config["model"]["input"]
        images = torch.randint(0, 256, (batch, *shape), dtype=torch.uint8, device=device)
        x = torch_network.normalize(images, config.get("data", {})).to(HALF.get(precision, torch.float32))
        y = torch.randint(0, classes, (batch,), device=device)
        if mode != "eager":
            layout = torch.channels_last if len(shape) == 3 else torch.channels_last_3d
            network, x = network.to(memory_format=layout), x.to(memory_format=layout)
        network = wrap(network)
        loss = criterion_of(config)
        self.optimizer = optimizer_of(config, network.parameters(), device, in_graph)
        self.scaler = torch.amp.GradScaler(device, enabled=precision == "fp16")

        def forward():
            with torch.autocast(device, HALF.get(precision), enabled=precision in HALF, cache_enabled=not in_graph):
                return loss(network(x).flatten(1), y)

        self.forward = torch.compile(forward, mode=COMPILED[mode]) if mode in COMPILED else forward
        self.run = self.step
        # What is captured must have run before, and on a stream of its own.
        self.side = torch.cuda.Stream() if in_graph else None

    def backward_and_update(self):
        self.scaler.scale(self.forward()).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()

    def step(self):
        self.optimizer.zero_grad(set_to_none=True)
        self.backward_and_update()

    def first(self):
        self.synchronize()  # batch and weights were made on another stream
        with torch.cuda.stream(self.side):  # of None: changes nothing
            self.step()
        self.synchronize()

    def warm_up(self):
        """Into the step's final form. Peak memory is counted from here on, when algorithms have been chosen."""
        if self.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        with torch.cuda.stream(self.side):
            for _ in range(WARM_UP):
                self.step()
        self.synchronize()
        if self.side:
            self.capture()

    def capture(self):
        self.optimizer.zero_grad(set_to_none=True)
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.backward_and_update()
        self.run = graph.replay
        self.run()
        self.synchronize()

    def synchronize(self):
        if self.device == "cuda":
            torch.cuda.synchronize()


def images_per_second(step, batch, seconds):
    """Of steps queued in rows long enough that waiting at a row's end does not count."""
    start, done, row = time.perf_counter(), 0, 1
    while True:
        begin = time.perf_counter()
        for _ in range(row):
            step.run()
        step.synchronize()
        done += row
        now = time.perf_counter()
        if now - start >= seconds:
            return done * batch / (now - start)
        if now - begin < seconds / 10:
            row *= 2


def say(**values):
    print("@" + json.dumps(values), flush=True)


def main():
    task = json.loads(sys.argv[1])
    if task["threads"]:
        torch.set_num_threads(task["threads"])
    device, batch = task["device"], task["batch"]
    set_precision(task["precision"])
    torch.backends.cudnn.benchmark = True
    step = Step(task["config"], task["mode"], device, task["precision"], batch)
    step.first()
    first = time.perf_counter() - START
    step.warm_up()
    name = torch.cuda.get_device_name() if device == "cuda" else f"{torch.get_num_threads()} CPU threads"
    say(seconds_to_first_step=first, seconds_to_ready=time.perf_counter() - START, torch=torch.__version__, device=name,
        cudnn=torch.backends.cudnn.version())
    for line in sys.stdin:
        rate = images_per_second(step, batch, float(line))
        memory = {"peak_bytes": torch.cuda.max_memory_allocated(),
                  "reserved_bytes": torch.cuda.max_memory_reserved()} if device == "cuda" else {}
        say(images_per_second=rate, **memory)


if __name__ == "__main__":
    main()
