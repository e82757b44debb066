#!/usr/bin/env python3
"""Every call of a short run to the system fails once. The run then goes on to the same weights, or ends with exit code 1 and
one clear sentence; it never crashes, hangs, or leaves a checkpoint that is damaged.

usage: system_calls_test.py CONVOY [unittest arguments]
"""
import concurrent.futures
import errno
import os
import pathlib
import random
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from depth import DEEP  # noqa: E402
from faulty_calls import FaultyTest  # noqa: E402
from launch import main  # noqa: E402
from run_files import checkpoints, differing  # noqa: E402

SEED = int(os.environ.get("CONVOY_TEST_SEED", random.SystemRandom().randrange(10**6)))
# With which errors a call can fail on a machine that works badly: a full or broken disk, no descriptors, no memory, a signal.
ERRORS = {
    "open": ["EMFILE", "EACCES", "ENOSPC", "EINTR"], "fopen": ["EMFILE"], "read": ["EIO", "EINTR"], "pread": ["EIO", "EINTR"],
    "write": ["ENOSPC", "EIO", "EINTR"], "pwrite": ["ENOSPC", "EINTR"], "writev": ["ENOSPC"], "fsync": ["EIO", "ENOSPC"],
    "rename": ["EIO", "ENOSPC"], "unlink": ["EIO"], "mkdir": ["ENOSPC"], "ftruncate": ["EIO"], "stat": ["EIO", "EACCES"],
    "opendir": ["EMFILE"], "mmap": ["ENOMEM"], "close": ["EIO"], "socket": ["EMFILE"], "bind": ["EADDRINUSE"],
    "listen": ["EADDRINUSE"], "connect": ["ECONNREFUSED"], "accept": ["EMFILE"], "send": ["EPIPE"], "recv": ["ECONNRESET"],
    "poll": ["EINTR", "ENOMEM"], "pipe": ["EMFILE"], "eventfd": ["EMFILE"], "thread": ["EAGAIN"]}


class SystemCalls(FaultyTest):
    def moments(self, arguments, few):
        counts = self.calls(arguments)
        every = [(call, nth, error) for call, errors in ERRORS.items() for error in errors
                 for nth in range(1, counts[call] + 1)]
        return every if DEEP else random.Random(SEED).sample(every, min(few, len(every)))

    def fails_well(self, arguments, fault):
        """(status, what was complained of, what is wrong or None)."""
        call, nth, error = fault
        what = f"{error} of {call} {nth}"
        status, out, err = self.run_with({"CALL": call, "NTH": nth, "DO": getattr(errno, error)}, arguments)
        if status not in (0, 1) and not (status == 2 and "error cannot read net.yaml" in err):
            return status, err, f"{what}: exit code {status}: {out[-500:]}{err}"
        said = re.findall(r"^(?:\d\d:\d\d:\d\d )?error:? .+", err, re.MULTILINE)
        if status != 0 and len(said) != 1:
            return status, err, f"{what}: {len(said)} sentences: {err}"
        if "what():" in err or "filesystem error" in err or "terminate called" in err:
            return status, err, f"{what}: a raw exception: {err}"
        return status, err, None

    def try_all(self, few, make_arguments, judge):
        faults = self.moments(make_arguments("whole"), few)

        def one(pair):
            number, fault = pair
            status, err, wrong = self.fails_well(make_arguments(f"part-{number}"), fault)
            return wrong or judge(f"part-{number}", status, err, "{2} of {0} {1}".format(*fault))

        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            wrong = [problem for problem in pool.map(one, enumerate(faults)) if problem]
        print(f"CONVOY_TEST_SEED={SEED}: {len(faults) - len(wrong)} of {len(faults)} faults ended well", file=sys.stderr)
        self.assertEqual(wrong, [], f"{len(wrong)}:\n" + "\n".join(wrong[:40]))

    def test_of_a_training(self):
        whole = self.folder / "whole" / "checkpoints"

        def judge(name, status, err, what):
            run = self.folder / name
            if status == 0 and differing(run / "checkpoints" / "epoch-0003.safetensors", whole / "epoch-0003.safetensors"):
                return f"{what}: exit code 0 with other weights"
            for file in checkpoints(run):  # whole, or not there
                if self.run_with({}, ["eval", run / "checkpoints" / file])[0] != 0:
                    return f"{what}: {file} is damaged"
            return None

        self.try_all(24, lambda name: ["train", "net.yaml", "--output", self.folder / name], judge)

    def test_of_an_export(self):
        self.succeed("train", "net.yaml", "--output", "run")

        def judge(name, status, err, what):
            file, whole = self.folder / name, self.folder / "whole"
            if status == 0 and file.read_bytes() != whole.read_bytes() and "skipping a checkpoint" not in err:
                return f"{what}: exit code 0 with another file"
            if status == 1 and file.exists() and file.read_bytes() != whole.read_bytes():
                return f"{what}: half a file"
            return None

        self.try_all(12, lambda name: ["export", "run", "--format", "onnx", "--output", self.folder / name], judge)

    def test_of_an_evaluation(self):
        self.succeed("train", "net.yaml", "--output", "run")
        self.try_all(12, lambda name: ["eval", "run"], lambda name, status, err, what: None)


if __name__ == "__main__":
    main()
