#!/usr/bin/env python3
"""Draws the report of `convoy bench scaling`: images/s by rank count, and the share of communication that is exposed.

usage: scaling_chart.py REPORT.json [CHART.png]
"""
import argparse
import json
import pathlib
import sys

import chart

KINDS = (("weak", "o-", "tab:orange"), ("strong", "s-", "tab:blue"))


def draw_speed(axes, report):
    one_rank = report["weak"][0]["images_per_second"]
    counts = [row["ranks"] for row in report["weak"]]
    axes.plot(counts, [count * one_rank for count in counts], ":", color="gray", label="ideal")
    for kind, style, color in KINDS:
        rows = report[kind]
        images = f"{report['batch']} images {'per rank' if kind == 'weak' else 'in all'}"
        axes.plot([row["ranks"] for row in rows], [row["images_per_second"] for row in rows], style, color=color,
                  label=f"{kind}: {images}")
        for row in rows[1:]:
            axes.annotate(f"{100 * row['efficiency']:.1f} %", (row["ranks"], row["images_per_second"]),
                          textcoords="offset points", xytext=(0, -16), ha="center", color=color)
    axes.margins(x=0.08)  # for the numbers at the last point
    axes.set_xticks(counts)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("ranks")
    axes.set_ylabel("training images/s")
    axes.legend()


def draw_exposed(axes, report):
    for (kind, _, color), shift in zip(KINDS, (-0.2, 0.2)):
        rows = [row for row in report[kind] if "exposed" in row]
        bars = axes.bar([i + shift for i in range(len(rows))], [100 * row["exposed"] for row in rows], 0.4, color=color,
                        label=kind)
        axes.bar_label(bars, fmt="%.1f")
    axes.margins(y=0.1)
    rows = [row for row in report["weak"] if "exposed" in row]
    axes.set_xticks(range(len(rows)), [row["ranks"] for row in rows])
    axes.set_xlabel("ranks")
    axes.set_ylabel("exposed communication, % of the step")


def draw(report, path):
    pyplot = chart.pyplot()
    if pyplot is None:
        return
    figure, (speed, exposed) = pyplot.subplots(1, 2, figsize=(11, 4), width_ratios=(3, 2))
    draw_speed(speed, report)
    draw_exposed(exposed, report)
    figure.suptitle(f"{report['config']}, {report['precision']}, {report['engine']}")
    chart.save(figure, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report", type=pathlib.Path)
    parser.add_argument("chart", type=pathlib.Path, nargs="?", help="default: beside the report, .png")
    arguments = parser.parse_args()
    report = json.loads(arguments.report.read_text(encoding="utf-8"))
    if report.get("benchmark") != "scaling":
        print(f"error: {arguments.report} is not a report of `convoy bench scaling`", file=sys.stderr)
        return 2
    draw(report, arguments.chart or arguments.report.with_suffix(".png"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
