"""One rank that trains a network in PyTorch, for bench/compare_ddp.py, which starts as many as it compares.

usage: ddp_worker.py TASK, a JSON object with config, device, precision, threads (or null), rank, ranks and meeting, a file
that does not exist yet; and for speed mode and batch (per rank), for a curve the curve, a file of `convoy bench losses`,
groups, in which one rank normalises, and nudged: whether weights start one rounding up.

Several ranks train with DistributedDataParallel, batch normalisation over each rank's own images. Rank 0 speaks as
torch_worker.py does: for speed a line when the first step is done, then one for each line `SECONDS`; for a curve one line
with the losses. The others only follow.
"""
import time

START = time.perf_counter()

import datetime
import json
import sys

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

import torch_network
from torch_worker import HALF, Step, criterion_of, optimizer_of, say, set_precision


class Ranks:
    """This rank and the others. What waits for a command waits with gloo: a GPU in a collective would not be idle."""

    def __init__(self, task):
        self.rank, self.size, self.device = task["rank"], task["ranks"], task["device"]
        if self.device == "cuda":
            torch.cuda.set_device(self.rank)
        if self.size > 1:
            dist.init_process_group("nccl" if self.device == "cuda" else "gloo", init_method=f"file://{task['meeting']}",
                                    rank=self.rank, world_size=self.size)
            self.control = dist.new_group(backend="gloo", timeout=datetime.timedelta(hours=2))

    def wrap(self, network):
        if self.size == 1:
            return network
        return DistributedDataParallel(network, device_ids=[self.rank] if self.device == "cuda" else None,
                                       broadcast_buffers=False, gradient_as_bucket_view=True)

    def reduce(self, value, operation):
        """A number of every rank, combined."""
        tensor = torch.tensor(value, dtype=torch.float64)
        if self.size > 1:
            dist.all_reduce(tensor, operation, group=self.control)
        return tensor.item()

    def command(self):
        """The next line of rank 0's input as a number, 0 at its end."""
        value = 0.0
        if self.rank == 0:
            value = float(sys.stdin.readline().strip() or 0)
        return self.reduce(value, dist.ReduceOp.MAX)

    def say(self, **values):
        if self.rank == 0:
            say(**values)


# ---- speed ----

def seconds_of(step, steps, ranks):
    """The slowest rank's, from a common start."""
    step.synchronize()
    ranks.reduce(0, dist.ReduceOp.MAX)
    begin = time.perf_counter()
    for _ in range(steps):
        step.run()
    step.synchronize()
    return ranks.reduce(time.perf_counter() - begin, dist.ReduceOp.MAX)


def speed(task, ranks):
    batch = task["batch"]
    torch.backends.cudnn.benchmark = True
    step = Step(task["config"], task["mode"], task["device"], task["precision"], batch, ranks.wrap)
    step.first()
    first = time.perf_counter() - START
    step.warm_up()
    ranks.say(seconds_to_first_step=first, torch=torch.__version__)
    while seconds := ranks.command():
        steps = max(5, int(seconds / (seconds_of(step, 5, ranks) / 5)))
        rate = ranks.size * batch * steps / seconds_of(step, steps, ranks)
        memory = {"peak_bytes": torch.cuda.max_memory_allocated()} if task["device"] == "cuda" else {}
        ranks.say(images_per_second=rate, **memory)


# ---- curve ----

def in_groups(forward, groups):
    """One rank normalises what each of several ranks would."""
    return lambda x: torch.cat([forward(part) for part in x.chunk(groups)])


def network_of(task, tensors):
    network, _ = torch_network.build_network(task["config"]["model"], task["device"])
    weights = {name: torch.from_numpy(array.copy()) for name, array in tensors.items() if not name.startswith("curve.")}
    if task["nudged"]:
        weights = {name: torch.nextafter(values, torch.tensor(torch.inf)) for name, values in weights.items()}
    missing, unexpected = network.load_state_dict(weights, strict=False)
    buffers = {name for name, _ in network.named_buffers()}
    if unexpected or set(missing) - buffers:
        raise ValueError(f"missing {missing}, unexpected {unexpected}")
    for module in network.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm) and task["groups"] > 1:
            module.forward = in_groups(module.forward, task["groups"])
    return network


def curve(task, ranks):
    config, device, precision = task["config"], task["device"], task["precision"]
    tensors = torch_network.read_safetensors(task["curve"])
    network = ranks.wrap(network_of(task, tensors))
    images = torch.from_numpy(tensors["curve.images"].copy())  # (samples,D,H,W,C)
    images = images.movedim(-1, 1)
    if len(config["model"]["input"]) == 3:
        images = images.squeeze(2)
    labels = torch.from_numpy(tensors["curve.labels"].copy()).long()
    optimizer = optimizer_of(config, network.parameters(), device, False)
    scaler = torch.amp.GradScaler(device, enabled=precision == "fp16")
    criterion = criterion_of(config)
    losses = []
    for ids, rate in zip(tensors["curve.order"], tensors["curve.learning_rates"]):
        mine = torch.from_numpy(ids.copy()).long().chunk(ranks.size)[ranks.rank]
        x = torch_network.normalize(images[mine].to(device), config.get("data", {}))
        for group in optimizer.param_groups:
            group["lr"] = float(rate)
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device, HALF.get(precision), enabled=precision in HALF):
            loss = criterion(network(x).flatten(1), labels[mine].to(device))
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        losses.append(ranks.reduce(loss.item(), dist.ReduceOp.SUM) / ranks.size)
    ranks.say(losses=losses)


def main():
    task = json.loads(sys.argv[1])
    if task["threads"]:
        torch.set_num_threads(task["threads"])
    set_precision(task["precision"])
    ranks = Ranks(task)
    (curve if "curve" in task else speed)(task, ranks)
    if ranks.size > 1:
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
