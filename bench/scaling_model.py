#!/usr/bin/env python3
"""Predicts how training scales over more GPUs than are available, by simulating a data-parallel step.

usage: scaling_model.py INPUTS.json [--convoy PROGRAM] [--json FILE] [--chart FILE]

INPUTS (such as bench/data/h200.json) holds times of sums over ranks, and cases: a configuration, the measured speed of one rank,
and a profile of its step. Entries say where they were measured. Paths are relative to the file.

    sums         [{ranks, rows: [{bytes, seconds or bus_bytes_per_second}]}], as `convoy bench allreduce --json` writes them
    assumptions  {slow | expected | fast: {sums: measured | tree | ring | switch, contention, unexplained_seconds}}
    ranks, bucket_mb            what to predict
    cases        [{name, config, set, batch, images_per_second, batchnorm: local | global, trace, measured: {ranks: images/s}}];
                 instead of a trace: flops_per_second and bytes_per_second, which only divide the step among its calls

The model: calls run as in the profile, scaled to the measured step. The sum of a bucket is queued when the call that completes the
bucket has ended. It waits behind earlier sums, because all share one stream. The optimizer waits for all sums. A sum for batch
normalisation over all ranks is queued in the same way, and the next call waits for it. While a sum runs, calls are slower by the
share of the GPU that the sum takes (contention). The model does not know that some ranks are slower than others. A time may be
added for each doubling of the ranks (unexplained_seconds).
"""
import argparse
import json
import math
import pathlib
import sys

import chart
from convoy_runs import Failure
from scaling_inputs import Curve, estimate_calls, make_step, print_plan, read_plan, read_trace, share

ROOT = pathlib.Path(__file__).resolve().parent.parent
SCENARIOS = ("slow", "expected", "fast")
DEFAULT_MB = 4  # train.bucket_mb


# ---- sums over more ranks than were measured ----

def grown(curve, ranks, steps):
    """The curve's latency by the number of its steps, the rest by the bytes that cross a link."""
    fixed = curve.latency()
    return lambda size: (fixed * steps(ranks) / steps(curve.ranks) +
                         (curve(size) - fixed) * share(ranks) / share(curve.ranks))


def between(curves, ranks):
    """Measured on fewer and on more ranks: a straight line over the logarithm of the rank count."""
    fewer = max((curve for curve in curves if curve.ranks <= ranks), key=lambda curve: curve.ranks, default=curves[0])
    more = min((curve for curve in curves if curve.ranks >= ranks), key=lambda curve: curve.ranks, default=None)
    if more is None:
        return grown(fewer, ranks, math.log2)
    if more.ranks == fewer.ranks:
        return more
    weight = math.log(ranks / fewer.ranks) / math.log(more.ranks / fewer.ranks)
    return lambda size: fewer(size) ** (1 - weight) * more(size) ** weight


def sum_time(kind, curves, ranks):
    """Seconds of a sum of so many bytes."""
    curves = sorted(curves, key=lambda curve: curve.ranks)
    if kind == "measured":
        return between(curves, ranks)
    if kind == "switch":  # every rank sends and receives its values once, however many ranks there are
        return curves[0]
    return grown(curves[0], ranks, {"tree": math.log2, "ring": lambda n: 2 * (n - 1)}[kind])


# ---- one step ----

def make_buckets(tensors, bucket_bytes):
    """As src/plan/buckets.cpp has it: (bytes, index of the last call that writes into it), in the order of launching."""
    buckets, size, last = [], 0, 0
    for i, (tensor_bytes, index) in enumerate(tensors):
        size, last = size + tensor_bytes, max(last, index)
        if size >= bucket_bytes or i + 1 == len(tensors):
            buckets.append((size, last))
            size, last = 0, 0
    return sorted(buckets, key=lambda bucket: bucket[1])


def simulate(step, buckets, normalizations, seconds_of, contention):
    """Seconds of a step. `seconds_of`: of a sum, by its bytes."""
    now, free = 0.0, 0.0  # when the next call can start; when the stream of sums has done what is queued
    for i, work in enumerate(step.calls):
        if i == step.join:
            now = max(now, free)
        beside = min(work, max(0.0, free - now) * (1 - contention))
        now += beside / (1 - contention) + work - beside
        for size, after in buckets:
            if after == i:
                free = max(now, free) + seconds_of(size)
        for size, after in normalizations:
            if after == i:
                now = free = max(now, free) + seconds_of(size)
    return now


def predict(case, step, ranks, assumption, curves, bucket_mb=DEFAULT_MB):
    """Images/s over all ranks, efficiency, and the share by which the step is longer than without its sums."""
    normalizations = step.normalizations if case["batchnorm"] == "global" else []
    alone = step.seconds()
    seconds = alone
    if ranks > 1:
        seconds = simulate(step, make_buckets(step.tensors, bucket_mb * 2**20), normalizations,
                           sum_time(assumption["sums"], curves, ranks), assumption["contention"])
        seconds += assumption.get("unexplained_seconds", 0) * math.log2(ranks)
    return {"step_seconds": seconds, "images_per_second": ranks * case["batch"] / seconds, "efficiency": alone / seconds,
            "exposed": 1 - alone / seconds}


# ---- all cases ----

def read_step(case, folder, program):
    config = ROOT / case["config"]
    text = (folder / case["plan"]).read_text() if "plan" in case else \
        print_plan(program, config, case.get("set", []), case["batch"])
    rows = read_plan(text)
    calls = read_trace(folder / case["trace"]) if "trace" in case else \
        estimate_calls(rows, case["flops_per_second"], case["bytes_per_second"])
    return make_step(rows, calls, case["batch"] / case["images_per_second"])


def model(inputs, folder, program):
    curves = [Curve.read(report) for report in inputs["sums"]]
    report = {"benchmark": "scaling_model", "assumptions": inputs["assumptions"], "cases": []}
    most = max(inputs["ranks"])
    for case in inputs["cases"]:
        step = read_step(case, folder, program)
        rows = [{"ranks": ranks, **{scenario: predict(case, step, ranks, inputs["assumptions"][scenario], curves)
                                    for scenario in SCENARIOS}} for ranks in inputs["ranks"]]
        sizes = [{"bucket_mb": size, "buckets": len(make_buckets(step.tensors, size * 2**20)),
                  **{scenario: predict(case, step, most, inputs["assumptions"][scenario], curves, size)["step_seconds"]
                     for scenario in SCENARIOS}} for size in inputs["bucket_mb"]]
        measured = [{"ranks": int(ranks), "images_per_second": rate,
                     **{scenario: predict(case, step, int(ranks), inputs["assumptions"][scenario], curves)["images_per_second"]
                        for scenario in SCENARIOS}} for ranks, rate in case.get("measured", {}).items()]
        report["cases"].append({"name": case["name"], "batch": case["batch"], "batchnorm": case["batchnorm"], "rows": rows,
                                "bucket_sizes": sizes, "measured": measured})
    return report


def print_case(case):
    print(f"\n{case['name']}, {case['batch']} images per rank, batchnorm {case['batchnorm']}")
    print(f"  {'ranks':>5} {'images/s':>10} {'low':>10} {'high':>10} {'times one':>9} {'low':>6} {'high':>6} {'exposed':>8} "
          f"{'worst':>7}")
    for row in case["rows"]:
        slow, expected, fast = (row[scenario] for scenario in SCENARIOS)
        times = [row["ranks"] * figures["efficiency"] for figures in (expected, slow, fast)]
        print(f"  {row['ranks']:>5} {expected['images_per_second']:>10,.0f} {slow['images_per_second']:>10,.0f} "
              f"{fast['images_per_second']:>10,.0f} {times[0]:>9.2f} {times[1]:>6.2f} {times[2]:>6.2f} "
              f"{100 * expected['exposed']:>6.1f} % {100 * slow['exposed']:>5.1f} %")
    best = min(case["bucket_sizes"], key=lambda size: size["expected"])
    sizes = ", ".join(f"{size['bucket_mb']:g}: {1e3 * size['expected']:.3f}" for size in case["bucket_sizes"])
    print(f"  ms a step on {case['rows'][-1]['ranks']} ranks by train.bucket_mb  {sizes}; best {best['bucket_mb']:g} "
          f"({best['buckets']} buckets)")
    for row in case["measured"]:
        error = row["expected"] / row["images_per_second"] - 1
        print(f"  measured on {row['ranks']} ranks: {row['images_per_second']:,.0f} images/s; predicted {row['expected']:,.0f} "
              f"({100 * error:+.1f} %), {row['slow']:,.0f} to {row['fast']:,.0f}")


def draw(report, path):
    pyplot = chart.pyplot()
    if pyplot is None:
        return
    figure, (scaling, buckets) = pyplot.subplots(1, 2, figsize=(12, 5))
    for case in report["cases"]:
        counts = [row["ranks"] for row in case["rows"]]
        slow, expected, fast = ([100 * row[scenario]["efficiency"] for row in case["rows"]] for scenario in SCENARIOS)
        line, = scaling.plot(counts, expected, "o-", label=f"{case['name']}, {case['batch']}, {case['batchnorm']}")
        scaling.fill_between(counts, slow, fast, color=line.get_color(), alpha=0.12)
        sizes, best = case["bucket_sizes"], min(size["expected"] for size in case["bucket_sizes"])
        buckets.plot([size["bucket_mb"] for size in sizes], [100 * (size["expected"] / best - 1) for size in sizes], "o-",
                     color=line.get_color())
    scaling.set_xscale("log", base=2)
    scaling.set_xticks(counts, counts)
    scaling.set_xlabel("ranks")
    scaling.set_ylabel("predicted efficiency, %")
    scaling.legend(fontsize=8, title="images per rank, groups of batchnorm", title_fontsize=8)
    buckets.set_xscale("log", base=2)
    buckets.set_xticks([size["bucket_mb"] for size in sizes], [f"{size['bucket_mb']:g}" for size in sizes])
    buckets.set_xlabel("train.bucket_mb")
    buckets.set_ylabel(f"step on {counts[-1]} ranks, % longer than with the best size")
    figure.suptitle("predicted, not measured; bands: from slow to fast sums")
    chart.save(figure, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("inputs", type=pathlib.Path)
    parser.add_argument("--convoy", type=pathlib.Path, default=ROOT / "build/cpu/convoy", help="prints the plans")
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--chart", type=pathlib.Path)
    arguments = parser.parse_args()
    try:
        report = model(json.loads(arguments.inputs.read_text(encoding="utf-8")), arguments.inputs.parent, arguments.convoy)
    except (Failure, OSError, KeyError, ValueError) as error:
        print(f"error: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    for case in report["cases"]:
        print_case(case)
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    if arguments.chart:
        draw(report, arguments.chart)
    return 0


if __name__ == "__main__":
    sys.exit(main())
