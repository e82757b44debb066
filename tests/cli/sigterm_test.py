#!/usr/bin/env python3
"""SIGTERM at any moment of any command: it is gone within five seconds, leaves nothing half-written and, where there is
something to go on from, a checkpoint.

usage: sigterm_test.py CONVOY [--rounds N] [--seed S] [unittest arguments]
"""
import argparse
import os
import pathlib
import random
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from data_files import png  # noqa: E402
from depth import DEEP  # noqa: E402
from launch import ProgramTest, children, finish  # noqa: E402
from networks import STEADY  # noqa: E402
from patience import patience  # noqa: E402
from run_files import checkpoints, differing, read_metrics  # noqa: E402

LIMIT = patience(5)  # seconds from the signal to the end
# What each writes, if anything, is called "out".
COMMANDS = {
    "predict": ["predict", "run", "pictures"],
    "export": ["export", "run", "--output", "out.safetensors"],
    "onnx": ["export", "run", "--output", "out.onnx"],
    "plan": ["plan", "net.yaml"],
    "pack": ["data", "pack", "pictures", "out.packed", "--size", "256"],
    "fetch": ["data", "fetch", "mnist", "--output", "out", "--mirror", "http://127.0.0.1:9/"],
    "info": ["data", "info", "net.yaml"],
    "check": ["check", "net.yaml"],
    "eval": ["eval", "run", "data.synthetic.test=20000", "--logits", "out.safetensors"],
    "bench step": ["bench", "step", "net.yaml", "--seconds", "0.5", "--json", "out.json"],
    "bench data": ["bench", "data", "net.yaml", "--seconds", "0.5", "--json", "out.json"],
    "train": ["train", "net.yaml", "train.epochs=2", "--output", "new"],
}


def is_there(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Sigterm(ProgramTest):
    options = argparse.Namespace(rounds=1, seed=1)

    def setUp(self):
        super().setUp()
        self.write(STEADY)
        self.succeed("train", "net.yaml", "train.epochs=1", "--output", "run")
        for number in range(300):
            path = self.folder / "pictures" / f"class{number % 2}" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png(8, 8, lambda y, x: (30 * x, 30 * y, number % 256)))

    def clear(self):
        for path in list(self.folder.glob("out*")) + list(self.folder.glob("new*")):
            subprocess.run(["rm", "-rf", str(path)], check=True)

    def terminate(self, arguments, ranks, delay, dice):
        """What is left of the command after SIGTERM; None where it had ended before."""
        process = self.start(*arguments, ranks=ranks)
        time.sleep(delay)
        own = children(process.pid) if ranks > 1 else []
        target = dice.choice([process.pid, *own])
        if process.poll() is not None:
            finish(process)
            return None
        try:
            os.kill(target, signal.SIGTERM)
        except ProcessLookupError:  # that rank has just ended
            pass
        start = time.monotonic()
        ended = finish(process)
        seconds = time.monotonic() - start
        self.assertLess(seconds, LIMIT, ended.stderr)
        self.assertEqual([pid for pid in own if is_there(pid)], [], "ranks outlive their mpirun")
        return ended

    def test_every_command_ends_at_once_and_leaves_nothing_half_written(self):
        print(f"--rounds {self.options.rounds} --seed {self.options.seed}", file=sys.stderr)
        dice = random.Random(self.options.seed)
        for name, arguments in COMMANDS.items():
            for ranks in (1, 2):
                self.clear()
                start = time.monotonic()
                self.launch(*arguments, ranks=ranks)
                whole = time.monotonic() - start
                for number in range(self.options.rounds):
                    self.clear()
                    with self.subTest(command=name, ranks=ranks, round=number):
                        ended = self.terminate(arguments, ranks, dice.uniform(0, whole), dice)
                        if ended is None:
                            continue
                        if ranks == 1:
                            self.assertIn(ended.returncode, (0, 1 if name == "fetch" else 0, 75, -signal.SIGTERM), ended.stderr)
                        left = sorted(path.name for path in self.folder.glob("out*"))
                        # A killed process cannot tidy up; the next that writes there does.
                        left = [path for path in left if not path.endswith(".tmp")]
                        self.assertLessEqual(len(left), 1, left)
                        self.assert_whole(name, arguments, left)

    def assert_whole(self, name, arguments, left):
        if name == "train":
            if checkpoints(self.folder / "new") if (self.folder / "new" / "checkpoints").exists() else []:
                self.succeed("eval", "new")
            return
        for path in left:
            if path.endswith(".packed"):
                self.succeed("data", "info", "--verify", path)
            elif path.endswith(".safetensors") and name == "export":
                self.succeed("train", "net.yaml", "train.epochs=1", "--init", path, "--output", "new")

    # Whose evaluations take far longer than its training; one core.
    LONG_EVALUATION = STEADY.replace("train: 640, test: 64", "train: 64, test: 400000").replace("epochs: 3", "epochs: 1")
    # Whose steps do.
    LONG_STEPS = STEADY.replace("train: 640, test: 64", "train: 120000, test: 64").replace("global_batch: 32", "global_batch: 60000")

    def await_line(self, path, words):
        """Waits until the text of a file that may not be there yet has the words."""
        deadline = time.monotonic() + patience(60)
        while not (path.exists() and words in path.read_text()):
            self.assertLess(time.monotonic(), deadline, "it never comes")
            time.sleep(0.02)

    def test_a_long_validation_is_broken_off_and_repeated(self):
        config = self.write(self.LONG_EVALUATION, "long.yaml")
        for ranks in (1, 2):
            with self.subTest(ranks=ranks):
                output, whole = self.folder / f"stopped-{ranks}", self.folder / f"whole-{ranks}"
                quick = ["train", config, "data.synthetic.test=3000", "--output"]
                self.succeed(*quick, whole, ranks=ranks)
                process = self.start("train", config, "--output", output, ranks=ranks)
                while not (output / "config.yaml").exists():
                    time.sleep(0.02)
                time.sleep(patience(1.5))  # two steps, then validation
                os.kill(children(process.pid)[0] if ranks > 1 else process.pid, signal.SIGTERM)
                start = time.monotonic()
                stopped = finish(process)
                self.assertLess(time.monotonic() - start, LIMIT)
                self.assertEqual(stopped.returncode, 75, stopped.stderr)
                self.assertEqual(checkpoints(output), ["epoch-0001-step-00000002.safetensors"], stopped.stdout)
                self.assertIn("in epoch 1, after step 2", stopped.stdout)
                resumed = self.succeed(*quick, output, "--resume", "auto", "--resume-on-other-data", ranks=ranks)
                self.assertIn("resuming in epoch 1, after step 2", resumed.stdout)
                last = "checkpoints/epoch-0001.safetensors"
                self.assertEqual([name for name in differing(output / last, whole / last) if not name.startswith("data")], [])
                self.assertEqual(len(read_metrics(output)), len(read_metrics(whole)))

    def test_a_step_that_takes_too_long_is_broken_off(self):
        config = self.write(self.LONG_STEPS, "long.yaml")
        process = self.start("train", config, "--output", "stopped")
        self.await_line(self.folder / "stopped" / "train.log", "parameters")
        time.sleep(patience(0.5))
        process.send_signal(signal.SIGTERM)
        start = time.monotonic()
        stopped = finish(process)
        self.assertLess(time.monotonic() - start, LIMIT)
        self.assertEqual(stopped.returncode, 75, stopped.stderr)
        said = [line for line in stopped.stderr.splitlines() if "not at a checkpoint" in line]
        self.assertEqual(len(said), 1, stopped.stderr)
        self.assertIn("--resume auto", said[0])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("convoy")
    parser.add_argument("--rounds", type=int, default=12 if DEEP else 1)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    Sigterm.options, rest = parser.parse_known_args()
    ProgramTest.program = os.path.abspath(Sigterm.options.convoy)
    unittest.main(argv=[sys.argv[0], *rest])
