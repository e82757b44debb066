#!/usr/bin/env python3
"""What training loses on cores that other programs keep busy: no more than its share of them.

usage: shared_cores_test.py CONVOY [unittest arguments]

An epoch beside as many busy loops as there are cores is compared with undisturbed ones before and after it. Threads that
wait without letting others run would make it many times as long.
"""
import json
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from depth import DEEP, deep  # noqa: E402
from launch import ProgramTest, main  # noqa: E402

QUICKSTART = pathlib.Path(__file__).resolve().parents[2] / "configs" / "quickstart.yaml"
IMAGES = 60000 if DEEP else 6400
ROUNDS = 3 if DEEP else 2
# Of half the undisturbed speed, the fair share beside one busy loop per core.
WANTED = 0.8 if DEEP else 0.5
CORES = set(sorted(os.sched_getaffinity(0))[:2])  # all that happens here happens on these


def idle_share(seconds=0.5):
    """Of the cores that this process may use, the part that nobody has used for a moment."""
    def ticks():
        rows = [line.split() for line in pathlib.Path("/proc/stat").read_text().splitlines()]
        rows = [[int(x) for x in row[1:9]] for row in rows if row[0][:3] == "cpu" and row[0][3:].isdigit() and int(row[0][3:]) in CORES]
        return sum(row[3] + row[4] for row in rows), sum(map(sum, rows))
    idle, total = ticks()
    time.sleep(seconds)
    idle_later, total_later = ticks()
    return (idle_later - idle) / max(1, total_later - total)


class SharedCores(ProgramTest):
    def epoch(self, ranks, threads, loops):
        """(images/s, seconds of cores per 1000 images) of an epoch beside so many busy loops."""
        run = self.folder / "run"
        shutil.rmtree(run, ignore_errors=True)
        others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(loops)]
        try:
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            self.succeed("train", QUICKSTART, "train.epochs=1", "train.tensorboard=false", "device=cpu", "--output", run,
                         "data={source: synthetic, synthetic: {image: [1, 28, 28], classes: 10, train: %d, test: 100}}" % IMAGES,
                         ranks=ranks, threads=threads)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
        finally:
            for other in others:
                other.kill()
            for other in others:
                other.wait()
        first = json.loads((run / "metrics.jsonl").read_text().splitlines()[0])
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return first["images_per_second"], 1000 * used / IMAGES

    def compare(self, ranks, threads):
        if len(CORES) < 2:
            self.skipTest("two cores are needed, there is one")
        os.sched_setaffinity(0, CORES)
        idle = idle_share()
        if idle < 0.9:
            self.skipTest(f"other programs use {1 - idle:.0%} of the cores: nothing could be compared")
        alone, shared = [], []
        for _ in range(ROUNDS):
            alone.append(self.epoch(ranks, threads, 0))
            shared.append(self.epoch(ranks, threads, len(CORES)))
        alone, shared = max(alone), max(shared)
        ratio = shared[0] / (alone[0] / 2)
        print(f"\n{ranks} x {threads} threads: {alone[0]:.0f} images/s alone ({alone[1]:.2f} core-s per 1000), {shared[0]:.0f} "
              f"beside {len(CORES)} busy loops ({shared[1]:.2f}): {ratio:.2f} of half (wanted: {WANTED})", file=sys.stderr)
        self.assertGreaterEqual(ratio, WANTED)

    def test_one_process_with_two_threads(self):
        self.compare(1, 2)

    def test_two_ranks(self):
        self.compare(2, 1)

    @deep
    def test_two_ranks_with_two_threads_each(self):
        self.compare(2, 2)


if __name__ == "__main__":
    main()
