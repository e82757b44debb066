#!/usr/bin/env python3
"""What a run shows while it goes on: on a terminal, in a file, in its folder; and what `convoy runs` says of runs.

usage: progress_test.py CONVOY [unittest arguments]
"""
import csv
import fcntl
import io
import json
import os
import pathlib
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from launch import ProgramTest, environment, finish, main  # noqa: E402
from networks import SMALL, STEADY  # noqa: E402
from run_files import epochs_in  # noqa: E402

STEP = re.compile(r"epoch (\d+)/3  step (\d+)/20  loss \S+  train \S+ %")


def on_terminal(command, folder, columns, variables):
    """What the command writes to a terminal so wide."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(command, cwd=folder, env=environment(**variables), stdout=follower, stderr=subprocess.PIPE)
    os.close(follower)
    out = b""
    while True:
        try:
            part = os.read(leader, 65536)
        except OSError:  # Linux's way to say that the other end is closed
            break
        if not part:
            break
        out += part
    os.close(leader)
    process.communicate()
    return process.returncode, out.decode()


class Progress(ProgramTest):
    def events(self, run):
        return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]

    def test_lines_in_a_file(self):
        run = self.folder / "run"
        out = self.succeed("train", self.write(STEADY), "train.log_every=0.001", "--output", run).stdout
        self.assertIn("loading data", out.splitlines()[0])
        steps = [(int(epoch), int(step)) for epoch, step in STEP.findall(out)]
        self.assertGreater(len(steps), 3)
        self.assertEqual(steps, sorted(set(steps)), "each once, in order")
        rows = [event for event in self.events(run) if event.get("event") == "step"]
        self.assertEqual([(row["epoch"], row["step"]) for row in rows],
                         [(epoch, 20 * (epoch - 1) + step) for epoch, step in steps], "the same as rows")
        for key in ("loss", "accuracy", "images_per_second", "seconds", "lr"):
            self.assertIsInstance(rows[-1][key], float)
        self.assertEqual(rows[0]["images_per_second"], 0, "nothing is known of the speed after one step")
        self.assertEqual((run / "train.log").read_text(), out)

    def test_the_time_left_is_that_of_all_epochs(self):
        process = self.start("train", self.write(STEADY), "train={epochs: 10000, global_batch: 32, log_every: 0.001}")
        for line in process.stdout:
            found = re.search(r"step \d+/20  .*  (\d+) img/s  (?:(\d+) d )?(?:(\d+):)?(\d+):(\d+) left", line)
            if found:
                break
        process.send_signal(signal.SIGKILL)
        finish(process)
        speed, days, hours, minutes, seconds = (int(number or 0) for number in found.groups())
        left = 60 * (60 * (24 * days + hours) + minutes) + seconds
        self.assertGreater(left, 640 * 9900 / (speed + 0.5), "9,900 epochs at least are to come")

    def test_no_line_per_step(self):
        run = self.folder / "run"
        out = self.succeed("train", self.write(STEADY), "train.log_every=3600", "--output", run).stdout
        self.assertEqual(STEP.findall(out), [])
        self.assertEqual([event.get("event") for event in self.events(run)], [None] * 3 + ["summary"])

    def test_it_lives_while_a_step_lasts(self):
        # Plain loops over a layer that large take seconds for a step.
        slow = STEADY.replace("device: cpu", "device: reference").replace("train: 640", "train: 64").replace("16, 16]", "48, 48]")
        process = self.start("train", self.write(slow), "train={epochs: 1, global_batch: 64, log_every: 0.3}")
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "still in step 1 of 1, " in line:
                break
        process.send_signal(signal.SIGKILL)
        finish(process)
        self.assertIn("epoch 1/1  still in step 1 of 1, ", lines[-1])

    def test_a_bar_on_a_terminal(self):
        config = self.write(STEADY)
        for columns in (40, 70, 120):
            with self.subTest(columns=columns):
                run = self.folder / f"run-{columns}"
                command = [self.program, "train", config, "--output", str(run)]
                status, out = on_terminal(command, self.folder, columns, {"TERM": "xterm"})
                self.assertEqual(status, 0, out)
                bars = [part.split("\033[K")[0] for part in out.split("\r")[1:] if re.match(r"epoch \d/3 .*\d+/20", part)]
                self.assertTrue(bars, out)
                self.assertLess(max(map(len, bars)), columns, bars)
                log = (run / "train.log").read_text()
                self.assertNotIn("\r", log)
                self.assertNotIn("\033", log)
                self.assertIn("epoch 3/3  loss", log)
        status, out = on_terminal([self.program, "train", config], self.folder, 80, {"TERM": "dumb"})
        self.assertEqual(status, 0, out)
        self.assertNotIn("\033", out)

    def test_the_log_goes_on_where_the_run_does(self):
        run, config = self.folder / "run", self.write(SMALL)
        first = self.succeed("train", config, "--output", run).stdout
        more = self.succeed("train", config, "train.epochs=3", "--output", run, "--resume", "auto").stdout
        self.assertEqual((run / "train.log").read_text(), first + more)
        again = self.succeed("train", config, "train.epochs=3", "--output", run, "--resume", "auto").stdout
        self.assertIn("already trained for 3 epochs; raise train.epochs (3) to go on", again)


class Runs(ProgramTest):
    def test_a_table(self):
        config = self.write(SMALL)
        self.succeed("train", config)
        self.succeed("train", config, "--output", "runs/sweep/second", "train.epochs=1", ranks=2)
        (self.folder / "runs" / "broken").mkdir()
        (self.folder / "runs" / "broken" / "metrics.jsonl").write_text('{"epoch": 1, "val_')
        table = self.succeed("runs").stdout
        self.assertEqual([line.split()[0] for line in table.splitlines()], ["run", "broken", "sweep/second", "small"])
        self.assertRegex(table, r"small +small +finished +2/2 +\d\d\.\d\d % ")
        self.assertIn("metrics.jsonl: 1 broken line", table)
        runs = json.loads(self.succeed("runs", "--json").stdout)
        self.assertEqual([run["ranks"] for run in runs], [None, 2, 1])
        rows = list(csv.DictReader(io.StringIO(self.succeed("runs", "runs", "--csv").stdout)))
        self.assertEqual([row["run"] for row in rows], [run["run"] for run in runs])
        self.assertEqual(float(rows[2]["best_val_accuracy"]), runs[2]["best_val_accuracy"])
        self.assertEqual(rows[0]["val_accuracy"], "")
        self.assertIn("no such folder", self.launch("runs", "elsewhere").stderr)

    def test_states(self):
        config, run = self.write(STEADY), self.folder / "runs" / "steady"
        process = self.start("train", config, "train.epochs=1000000")
        while process.poll() is None and epochs_in(run) < 1:
            time.sleep(0.05)
        state = json.loads(self.succeed("runs", "--json").stdout)[0]["state"]
        process.send_signal(signal.SIGUSR1)
        finish(process)
        after = json.loads(self.succeed("runs", "--json").stdout)[0]["state"]
        self.assertEqual((state, after), ("running", "stopped"))


if __name__ == "__main__":
    main()
