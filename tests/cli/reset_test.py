#!/usr/bin/env python3
"""The connection between two ranks is reset at a random moment of a run: the run goes on, to the same bits.

usage: reset_test.py CONVOY [unittest arguments]
"""
import ctypes
import os
import pathlib
import random
import signal
import socket
import struct
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from depth import DEEP  # noqa: E402
from launch import ProgramTest, children, finish, main  # noqa: E402
from networks import STEADY  # noqa: E402
from patience import patience  # noqa: E402
from run_files import differing  # noqa: E402

LIBC = ctypes.CDLL(None, use_errno=True)
PIDFD_OPEN, PIDFD_GETFD = 434, 438  # the same on all architectures
LISTENS, CONNECTED = "0A", "01"  # as /proc/net/tcp writes them
LOOPBACK = "0100007F"


def sockets_of(pid):
    """Descriptor by the number of its socket."""
    found = {}
    for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = os.readlink(entry)
        except FileNotFoundError:
            continue
        if target.startswith("socket:["):
            found[target[8:-1]] = int(entry.name)
    return found


def heartbeat_of(root, rank):
    """The descriptor of the connection from a rank to the port of loopback at which rank 0 listens; None while there is none."""
    rows = [line.split() for line in pathlib.Path(f"/proc/{root}/net/tcp").read_text().splitlines()[1:]]
    of_root, of_rank = sockets_of(root), sockets_of(rank)
    doors = {row[1] for row in rows if row[3] == LISTENS and row[9] in of_root and row[1].startswith(LOOPBACK)}
    return next((of_rank[row[9]] for row in rows if row[3] == CONNECTED and row[9] in of_rank and row[2] in doors), None)


def reset(pid, descriptor):
    """Ends a connection of another process as a reset on the way does: both sides see it broken, and nothing more arrives."""
    process = LIBC.syscall(PIDFD_OPEN, pid, 0)
    copy = LIBC.syscall(PIDFD_GETFD, process, descriptor, 0)
    if copy < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    try:
        with socket.socket(fileno=copy) as connection:
            nowhere = struct.pack("H14x", socket.AF_UNSPEC)
            LIBC.connect(connection.fileno(), nowhere, len(nowhere))  # Linux sends a reset
    finally:
        os.close(process)


class Reset(ProgramTest):
    def disturb(self, process, delay):
        """Whether there was a connection to reset after so many seconds."""
        time.sleep(delay)
        while process.poll() is None:
            try:
                for root, rank in [ranks := children(process.pid), list(reversed(ranks))]:
                    descriptor = heartbeat_of(root, rank)
                    if descriptor is not None:
                        reset(rank, descriptor)
                        return True
            except (FileNotFoundError, ProcessLookupError, ValueError):
                pass  # they are coming or going
            except OSError as error:
                process.send_signal(signal.SIGKILL)
                process.communicate()
                self.skipTest(f"this system lets no process reset another's connection: {error}")
        return False

    def test_a_run_goes_on_to_the_same_bits(self):
        config, last = self.write(STEADY), pathlib.Path("checkpoints") / "epoch-0003.safetensors"
        start = time.monotonic()
        self.succeed("train", config, "--output", "whole", ranks=2)
        whole = time.monotonic() - start
        dice, done = random.Random(1), 0
        for _ in range(10 * (rounds := 50 if DEEP else 2)):
            if done == rounds:
                break
            process = self.start("train", config, "--output", f"run-{done}", ranks=2)
            delay = dice.uniform(0, whole)
            was_reset = self.disturb(process, delay)
            result = finish(process)
            with self.subTest(reset=done, delay=delay, was_reset=was_reset):
                self.assertEqual(result.returncode, 0, result.stderr)
                self.assertNotIn("killed or crashed", result.stderr)
                self.assertEqual(differing(self.folder / f"run-{done}" / last, self.folder / "whole" / last), [])
            done += was_reset
        print(f"{done} runs of {whole:.1f} s with a reset", file=sys.stderr)
        self.assertEqual(done, rounds)


if __name__ == "__main__":
    main()
