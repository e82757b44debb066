#!/usr/bin/env python3
"""Several runs that want one folder: one has it, the others are refused; a dead run's folder is free.

usage: same_folder_test.py CONVOY [unittest arguments]
"""
import os
import pathlib
import re
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from depth import DEEP  # noqa: E402
from launch import ProgramTest, children, finish, main  # noqa: E402
from networks import STEADY  # noqa: E402
from patience import patience  # noqa: E402
from run_files import checkpoints, differing, epochs_in, read_metrics  # noqa: E402

ENDLESS = ("train.epochs=1000000",)
FOREIGN = """lock of a run of convoy
host: elsewhere
pid: 17
since: 2026-01-31 12:00:00 UTC
process start: 1
boot: 00000000-0000-0000-0000-000000000000
pid namespace: pid:[1]
refresh ms: {refresh}
token: 0123456789abcdef
"""


class SameFolder(ProgramTest):
    def setUp(self):
        super().setUp()
        self.write(STEADY)
        self.run_folder = self.folder / "run"
        self.lock = self.run_folder / "run.lock"

    def begin(self, *arguments, **options):
        process = self.start("train", "net.yaml", "--output", "run", *arguments, **options)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def await_that(self, process, condition):
        deadline = time.monotonic() + patience(120)
        while not condition():
            self.assertIsNone(process.poll(), "the run was over too soon")
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)

    def begin_endless(self, *arguments, **options):
        process = self.begin(*ENDLESS, *arguments, **options)
        self.await_that(process, lambda: checkpoints(self.run_folder) and self.lock.exists())
        return process

    def owner(self):
        return int(re.search(r"^pid: (\d+)$", self.lock.read_text(), re.M)[1])

    def expect_refusals(self, starts, owner):
        for start in starts:
            result = finish(start)
            self.assertEqual(result.returncode, 1, result.stdout + result.stderr)
            errors = [line for line in result.stderr.splitlines() if " error " in line]
            self.assertEqual(len(errors), 1, result.stderr)
            self.assertIn(f"process {owner} on host", errors[0])

    def test_the_second_is_refused(self):
        first = self.begin_endless()
        newest = f"run/checkpoints/{checkpoints(self.run_folder)[-1]}"
        ways = [(), ("--resume", "auto"), ("--resume", newest), ENDLESS, ("--resume", "auto", *ENDLESS)]
        for _ in range(20 if DEEP else 1):
            self.expect_refusals([self.begin(*way) for way in ways], first.pid)
        self.expect_refusals([self.begin(ranks=2)], first.pid)
        self.assertEqual(self.owner(), first.pid)
        os.kill(first.pid, signal.SIGUSR1)
        self.assertEqual(finish(first).returncode, 75)
        epochs = [record["epoch"] for record in read_metrics(self.run_folder)]
        self.assertEqual(epochs, list(range(1, len(epochs) + 1)), "one run wrote them")
        self.assertEqual(sorted(path.name for path in self.folder.iterdir()), ["net.yaml", "run"], "nothing was moved")
        self.assertFalse((self.run_folder / "failure.json").exists(), "who is refused leaves nothing")
        self.assertFalse(self.lock.exists())

    def test_a_stopped_run_lives(self):
        first = self.begin_endless()
        os.kill(first.pid, signal.SIGSTOP)
        try:
            self.expect_refusals([self.begin()], first.pid)
        finally:
            os.kill(first.pid, signal.SIGCONT)

    def test_of_many_that_find_a_killed_run_one_goes_on(self):
        last = self.begin_endless()
        for _ in range(20 if DEEP else 2):
            last.kill()
            starts = [self.begin("--resume", "auto", *ENDLESS) for _ in range(6)]
            last.wait()
            deadline = time.monotonic() + patience(120)
            while sum(start.poll() is None for start in starts) > 1 and time.monotonic() < deadline:
                time.sleep(0.01)
            winners = [start for start in starts if start.poll() is None]
            self.assertEqual(len(winners), 1)
            last = winners[0]
            self.assertEqual(self.owner(), last.pid)
            self.expect_refusals([start for start in starts if start is not last], last.pid)
            self.assertEqual([path.name for path in self.run_folder.glob("run.lock*")], ["run.lock"])

    def test_the_next_goes_on_right_after_a_kill(self):
        self.succeed("train", "net.yaml", "--output", "whole")
        last = pathlib.Path("checkpoints") / checkpoints(self.folder / "whole")[-1]
        for ranks in (1, 2):
            output = f"run-{ranks}"
            process = self.start("train", "net.yaml", "--output", output, ranks=ranks)
            self.await_that(process, lambda: epochs_in(self.folder / output) > 0)
            for pid in children(process.pid) if ranks > 1 else [process.pid]:
                os.kill(pid, signal.SIGKILL)
            result = self.succeed("train", "net.yaml", "--output", output, "--resume", "auto", ranks=ranks)
            finish(process)
            self.assertIn("takes it over", result.stderr)
            if ranks == 1:
                self.assertEqual(differing(self.folder / output / last, self.folder / "whole" / last), [])
            self.assertEqual(len(read_metrics(self.folder / output)), len(read_metrics(self.folder / "whole")))

    def test_another_hosts_lock_counts_while_it_is_renewed(self):
        self.run_folder.mkdir()
        self.lock.write_text(FOREIGN.format(refresh=60000))
        process = self.begin()
        while process.poll() is None:
            os.utime(self.lock)
            time.sleep(0.05)
        result = finish(process)
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIn("process 17 on host elsewhere", result.stderr)
        self.assertIn("looking for a sign of life for 360 s", result.stderr)
        self.lock.write_text(FOREIGN.format(refresh=50))  # six times that without a renewal
        self.assertIn("takes it over", self.succeed("train", "net.yaml", "--output", "run").stderr)

    def test_a_run_that_was_taken_for_dead_ends(self):
        for ranks in (1, 2):
            with self.subTest(ranks=ranks):
                process = self.begin_endless(ranks=ranks)
                other = self.folder / "other"
                other.write_text(FOREIGN.format(refresh=1000))
                other.rename(self.lock)
                result = finish(process)
                self.assertEqual(result.returncode, 1, result.stderr)
                self.assertIn("another run has taken over run (process 17 on host elsewhere", result.stderr)
                self.assertFalse((self.run_folder / "failure.json").exists(), "it is the other run's folder")
                self.assertEqual(self.lock.read_text(), FOREIGN.format(refresh=1000))
                self.lock.unlink()


if __name__ == "__main__":
    main()
