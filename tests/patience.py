"""How long tests wait for what should happen: limits guard against hangs, they do not measure speed.

A limit is written for a quiet machine of two cores and stretched by how slow this one is. tools/test measures that once
at its start and hands it on as CONVOY_SLOWNESS; a test that is started by itself measures it here.

usage: patience.py      prints the factor
"""
import os
import time

USUAL = 0.05  # seconds that the work below takes on a quiet machine


def measured_slowness():
    """Of this moment: the slowest of three pieces of the same work, since others may keep the cores busy in turns."""
    longest = 0.0
    for _ in range(3):
        begin = time.monotonic()
        sum(number * number for number in range(1_000_000))
        longest = max(longest, time.monotonic() - begin)
    return min(max(1.0, longest / USUAL), 30.0)


SLOWNESS = float(os.environ.get("CONVOY_SLOWNESS", 0)) or measured_slowness()


def patience(seconds):
    """So many seconds of a quiet machine, on this one."""
    return seconds * SLOWNESS


if __name__ == "__main__":
    print(f"{SLOWNESS:.2f}")
