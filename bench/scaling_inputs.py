"""What bench/scaling_model.py starts from: plans as `convoy plan` prints them, profiles as `convoy train --profile` writes
them, and times of sums as `convoy bench allreduce --json` reports them."""
import dataclasses
import gzip
import itertools
import json
import math
import re
import statistics

from convoy_runs import Failure, run_convoy

ONE_BY_ONE = "train.bucket_mb=0.0001"  # every gradient a bucket of its own, which the model puts together again
SIZES = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
TYPES = {"f16": 2, "bf16": 2, "f32": 4, "f64": 8}
ROW = re.compile(r"^  (.*\S) +(\S+) +(\d+\.\d\d) +([\d.]+) (B|[KMGT]iB)  ?(.*)$")
# How calls that leave gradients or statistics behind are named in plans and, fused with others, in profiles.
KINDS = {"conv.wgrad": "wgrad", "linear.wgrad": "wgrad", "bias.grad": "bias.grad", "batchnorm.reduce": "reduce",
         "batchnorm.statistics": "stat"}


@dataclasses.dataclass
class Row:
    """A call of a plan."""
    node: str
    call: str
    flops: float
    bytes: float
    shape: str

    def summed_bytes(self):
        """What an all_reduce sends."""
        count, kind = self.shape.split()
        return int(count.removeprefix("count=")) * TYPES[kind]


@dataclasses.dataclass
class Step:
    """A step of one rank. Calls stand in the order in which they end; `calls` are the seconds that each adds."""
    calls: list
    tensors: list  # (bytes, index of the call that writes it last) of each gradient, as they lie in memory
    normalizations: list  # (bytes, index of the call before it) of each sum that the next call waits for
    join: int  # index of the first call that waits for all sums

    def seconds(self):
        return sum(self.calls)


def print_plan(program, config, overrides, batch):
    """The text of a plan for two ranks with `batch` images each."""
    return run_convoy(program, "plan", config, "device=cpu", *overrides, f"train.global_batch={2 * batch}", ONE_BY_ONE,
                      ranks=2, threads=1)


def read_plan(text):
    """The rows of the training step of most images."""
    sections = re.findall(r"^training step, (\d+) images.*\n((?:  .*\n)+)", text, re.MULTILINE)
    if not sections:
        raise Failure("this is not what `convoy plan` prints")
    _, lines = max(sections, key=lambda section: int(section[0]))
    rows = []
    for line in lines.splitlines():
        match = ROW.match(line)
        if match and " calls, " not in line:
            node, call, mega, size, unit, shape = match.groups()
            rows.append(Row(node, call, float(mega) * 1e6, float(size) * SIZES[unit], shape))
    return rows


def read_trace(path):
    """The mean step of a profile: [(nodes, call, end in seconds from the step's beginning)]."""
    opened = gzip.open(path, "rt") if str(path).endswith(".gz") else open(path, encoding="utf-8")
    with opened as file:
        events = [event for event in json.load(file)["traceEvents"] if event["ph"] == "X"]
    if not events:
        raise Failure(f"{path} has no calls")
    starts = [i for i, event in enumerate(events) if event["name"] == events[0]["name"]]
    steps = [events[begin:end] for begin, end in itertools.pairwise([*starts, len(events)])]
    if any([event["name"] for event in step] != [event["name"] for event in steps[0]] for step in steps):
        raise Failure(f"the steps of {path} differ")
    calls = []
    for same in zip(*steps):
        ends = [event["ts"] + event["dur"] - step[0]["ts"] for event, step in zip(same, steps)]
        node, call = same[0]["name"].rsplit(" ", 1)
        calls.append((node, call, statistics.mean(ends) * 1e-6))
    return calls


def estimate_calls(rows, flops_per_second, bytes_per_second):
    """Where there is no profile: a call takes as long as its FLOPs or its bytes, one call after the other."""
    calls, end = [], 0.0
    for row in rows:
        if row.call in ("all_reduce", "join"):
            continue
        end += max(row.flops / flops_per_second, row.bytes / bytes_per_second)
        calls.append((row.node, row.call, end))
    return calls


def index_of(calls, node, call):
    """The last of `calls` that does the work of a plan's call, alone or fused with others."""
    kind = KINDS.get(call)
    found = [i for i, (nodes, name, _) in enumerate(calls)
             if node in nodes.split("+") and (name == call if kind is None else kind in name)]
    if not found:
        raise Failure(f"the profile has no {call} of {node}: is it of another network?")
    return found[-1]


def make_step(rows, calls, step_seconds):
    """The plan's sums among the calls of a profile, which is scaled to the time that a step takes."""
    calls = sorted(calls, key=lambda call: call[2])
    scale = step_seconds / calls[-1][2]
    ends = [0.0, *(end * scale for _, _, end in calls)]
    buckets, normalizations, before, after_join = {}, [], None, None
    for row in rows:
        if row.call == "join":
            after_join = set()  # the last one's are left
        elif row.call != "all_reduce":
            before = row
            if after_join is not None:
                after_join.add(row.node)
        elif row.node.startswith("bucket "):
            buckets[int(row.node.split()[1])] = (row.summed_bytes(), index_of(calls, before.node, before.call))
        else:
            normalizations.append((row.summed_bytes(), index_of(calls, before.node, before.call)))
    if not buckets:
        raise Failure("the plan sums nothing over ranks: it has to be one for two ranks")
    join = min(i for i, (nodes, _, _) in enumerate(calls) if nodes in after_join)
    return Step([b - a for a, b in itertools.pairwise(ends)], [buckets[i] for i in sorted(buckets)], normalizations, join)


class Curve:
    """Seconds of a sum by its bytes: straight lines between the measured sizes, both on logarithmic scales."""

    def __init__(self, ranks, points):
        self.ranks, self.points = ranks, sorted(points)

    @classmethod
    def read(cls, report):
        """A report of `convoy bench allreduce --json`; a row may say its bus bandwidth instead of its time."""
        ranks = report["ranks"]
        return cls(ranks, [(row["bytes"], row.get("seconds") or share(ranks) * row["bytes"] / row["bus_bytes_per_second"])
                           for row in report["rows"]])

    def latency(self):
        return self.points[0][1]

    def __call__(self, size):
        points = self.points
        if size <= points[0][0]:
            return points[0][1]
        if size >= points[-1][0]:
            return points[-1][1] * size / points[-1][0]
        (low, fast), (high, slow) = next(pair for pair in itertools.pairwise(points) if size <= pair[1][0])
        return fast * (slow / fast) ** (math.log(size / low) / math.log(high / low))


def share(ranks):
    """How often a byte crosses a rank's link in a sum of point-to-point transfers, 2(n-1)/n:
    https://github.com/NVIDIA/nccl-tests/blob/master/doc/PERFORMANCE.md"""
    return 2 * (ranks - 1) / ranks
