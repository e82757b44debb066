#!/usr/bin/env python3
"""Standard output that is closed, full, or that nobody reads: a run goes on, every other command fails, and no file gets
what was printed.

usage: output_test.py CONVOY [unittest arguments]
"""
import itertools
import os
import pathlib
import signal
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from data_files import png  # noqa: E402
from launch import ProgramTest, environment, main, mpirun  # noqa: E402
from patience import patience  # noqa: E402
from run_files import checkpoints, differing, read_metrics  # noqa: E402

FULL = "No space left on device"
NET = """
name: net
data:
  source: synthetic
  synthetic: {image: [1, 8, 8], classes: 4, train: 40, test: 20}
model: {input: [1, 8, 8], layers: [flatten, linear: 4]}
train: {epochs: 2, global_batch: 10}
device: cpu
"""


class Output(ProgramTest):
    def setUp(self):
        super().setUp()
        self.write(NET)
        self.succeed("train", "net.yaml", "--output", "run")

    def ended(self, arguments, output, errors=subprocess.PIPE, closed=(), program=None):
        """With standard output going to `output`, and with these descriptors closed at the start."""
        command = [*(program or [self.program]), *map(str, arguments)]
        if closed:  # exec() and a shell, as Python would have to close its own
            command = ["sh", "-c", 'exec "$@" ' + " ".join(f"{fd}>&-" for fd in closed), "sh", *command]
        return subprocess.run(command, cwd=self.folder, env=environment(), stdout=output, stderr=errors, text=True,
                              timeout=patience(120))

    def unread(self, arguments, **options):
        """Into a pipe that nobody reads."""
        reading, writing = os.pipe()
        os.close(reading)
        try:
            return self.ended(arguments, writing, **options)
        finally:
            os.close(writing)

    def products(self):
        """Commands whose output is what they are called for."""
        return (["eval", "run"], ["check", "net.yaml"], ["plan", "net.yaml"], ["data", "info", "net.yaml"], ["keys"],
                ["runs", "."], ["--version"], ["train", "--help"], ["completion", "bash"],
                ["export", "run", "--output", "weights.safetensors"])

    def expect_whole(self, run):
        self.assertEqual(checkpoints(self.folder / run), checkpoints(self.folder / "run"))
        self.assertEqual(read_metrics(self.folder / run), read_metrics(self.folder / "run"))
        last = "checkpoints/" + checkpoints(self.folder / "run")[-1]
        self.assertEqual(differing(self.folder / "run" / last, self.folder / run / last), [])
        self.succeed("eval", f"{run}/{last}")
        self.assertIn("epoch 2/2", (self.folder / run / "train.log").read_text())

    def test_that_nobody_reads(self):
        for ranks in (1, 2):
            with self.subTest(ranks=ranks):
                name = f"unread{ranks}"
                program = [*(mpirun(2) if ranks > 1 else []), self.program]
                result = self.unread(["train", "net.yaml", "--output", name], program=program)
                if ranks > 1:  # the pipe is mpirun's
                    self.assertTrue(checkpoints(self.folder / name), result.stderr)
                    continue
                self.assertEqual(result.returncode, 0, result.stderr)
                self.assertEqual(result.stderr.count("cannot write to standard output: Broken pipe"), 1, result.stderr)
                self.expect_whole(name)
        for arguments in self.products():
            with self.subTest(arguments=arguments):
                result = self.unread(arguments)
                self.assertEqual((result.returncode, result.stderr), (-signal.SIGPIPE, ""))
        # Where who calls ignores the signal, it is an error like any other.
        result = self.unread(["keys"], program=["sh", "-c", 'trap "" PIPE; exec "$@"', "sh", self.program])
        self.assertEqual(result.returncode, 1)
        self.assertIn("cannot write everything to standard output: Broken pipe", result.stderr)

    def test_that_is_full(self):
        with open("/dev/full", "w") as full:
            result = self.ended(["train", "net.yaml", "--output", "full"], full)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertEqual(result.stderr.count(FULL), 1, result.stderr)
            self.expect_whole("full")
            self.assertEqual(self.ended(["train", "net.yaml", "--output", "mute"], full, errors=full).returncode, 0)
            self.expect_whole("mute")
            for arguments in self.products():
                with self.subTest(arguments=arguments):
                    result = self.ended(arguments, full)
                    self.assertEqual(result.returncode, 1, result.stderr)
                    self.assertEqual(result.stderr.count(f"cannot write everything to standard output: {FULL}"), 1, result.stderr)

    def test_that_is_closed(self):
        """All combinations of the first three descriptors: no file takes the number of one."""
        for closed in itertools.chain.from_iterable(itertools.combinations(range(3), n) for n in range(4)):
            with self.subTest(closed=closed):
                name = "closed" + "".join(map(str, closed))
                result = self.ended(["train", "net.yaml", "--output", name], subprocess.PIPE, closed=closed)
                self.assertEqual(result.returncode, 0, result.stderr)
                self.expect_whole(name)
                for arguments in (["eval", "run"], ["check", "net.yaml"], ["export", "run", "--output", "weights.safetensors"]):
                    result = self.ended(arguments, subprocess.PIPE, closed=closed)
                    self.assertEqual(result.returncode, 1 if 1 in closed else 0, f"{arguments}: {result.stderr}")
                    if 1 in closed and 2 not in closed:
                        self.assertIn("cannot write everything to standard output", result.stderr)

    def test_predict_ends_when_nobody_reads(self):
        """Rather than to look at the pictures that are left."""
        (self.folder / "gray.png").write_bytes(png(8, 8, lambda y, x: (9 * y + x,), channels=1))
        result = self.unread(["predict", "run", *["gray.png"] * 32, *["missing.png"] * 32])
        self.assertEqual((result.returncode, result.stderr), (-signal.SIGPIPE, ""))


if __name__ == "__main__":
    main()
