#!/usr/bin/env python3
"""Runs that are stopped, killed or out of space: what is lost, and that they go on from there.

usage: stop_test.py CONVOY [unittest arguments]
"""
import os
import pathlib
import random
import re
import resource
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from depth import DEEP  # noqa: E402
from launch import ProgramTest, children, environment, finish, main, mpirun  # noqa: E402
from networks import STEADY  # noqa: E402
from patience import patience  # noqa: E402
from run_files import checkpoints, differing, read_metrics  # noqa: E402


def process_of_rank(launcher, rank):
    """The process that mpirun started as this rank."""
    for pid in subprocess.run(["pgrep", "-P", str(launcher.pid)], capture_output=True, text=True).stdout.split():
        environment = pathlib.Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        if f"OMPI_COMM_WORLD_RANK={rank}".encode() in environment:
            return int(pid)
    raise AssertionError(f"rank {rank} is not there")


def alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def handles(pid, number):
    """Whether the process has a handler for the signal."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    caught = int(next(line for line in status.splitlines() if line.startswith("SigCgt:")).split()[1], 16)
    return bool(caught >> (number - 1) & 1)


class Stop(ProgramTest):
    def await_checkpoint(self, process, run, name):
        """Waits until the run has come to this checkpoint."""
        while process.poll() is None and not (run / "checkpoints" / name).exists():
            time.sleep(0.005)
        self.assertIsNone(process.poll(), "the run was over too soon")

    def test_a_signal_stops_the_run_at_a_checkpoint(self):
        config, last = self.write(STEADY), pathlib.Path("checkpoints") / "epoch-0003.safetensors"
        whole = {ranks: self.folder / f"whole-{ranks}" for ranks in (1, 2)}
        for ranks, output in whole.items():
            self.succeed("train", config, "--output", output, ranks=ranks)
        # On two ranks, only one of them is asked: they must agree.
        for ranks, number, to in ((1, signal.SIGUSR1, None), (1, signal.SIGTERM, None), (1, signal.SIGINT, None),
                                  (2, signal.SIGUSR1, 1), (2, signal.SIGTERM, 0)):
            with self.subTest(signal=number.name, ranks=ranks):
                run = self.folder / f"run-{ranks}-{number.name}"
                process = self.start("train", config, "--output", run, ranks=ranks)
                self.await_checkpoint(process, run, "epoch-0001-step-00000008.safetensors")
                os.kill(process.pid if to is None else process_of_rank(process, to), number)
                stopped = finish(process)
                self.assertEqual(stopped.returncode, 75, stopped.stderr)
                said = [line for line in stopped.stdout.splitlines() if "stopped on request" in line]
                self.assertEqual(len(said), 1, stopped.stdout)
                self.assertIn("--resume auto", said[0])
                newest = checkpoints(run)[-1]
                self.assertIn(f"step {int(newest.split('-')[-1].split('.')[0])}", said[0])
                self.succeed("train", config, "--output", run, "--resume", "auto", ranks=ranks)
                self.assertEqual(differing(run / last, whole[ranks] / last), [])
                if ranks == 1:
                    self.assertEqual(read_metrics(run), read_metrics(whole[ranks]))

    # Whose data takes seconds to make.
    LARGE = STEADY.replace("train: 640", "train: 400000")

    def stop_while_it_loads(self, *arguments, ranks, to=None):
        """What is left of a command after SIGTERM to it, or to one rank, and the seconds that it took to end."""
        process = self.start(*arguments, ranks=ranks)
        time.sleep(0.2)
        if arguments[0] == "train":
            pid, deadline = None, time.monotonic() + patience(30)
            while pid is None or not handles(pid, signal.SIGTERM):
                self.assertLess(time.monotonic(), deadline, "it never heeds the signal")
                try:
                    pid = process.pid if to is None else process_of_rank(process, to)
                except (AssertionError, FileNotFoundError):
                    pid = None  # it is about to be there
        self.assertIsNone(process.poll(), arguments)
        os.kill(process.pid if to is None else pid, signal.SIGTERM)
        start = time.monotonic()
        return finish(process), time.monotonic() - start

    def test_a_request_while_data_is_loaded_ends_the_run_at_once(self):
        config = self.write(self.LARGE)
        for ranks, to in ((1, None), (2, 1)):
            with self.subTest(ranks=ranks):
                stopped, seconds = self.stop_while_it_loads("train", config, "--output", "run", ranks=ranks, to=to)
                self.assertEqual(stopped.returncode, 75, stopped.stderr)
                self.assertLess(seconds, patience(5))
                said = [line for line in stopped.stderr.splitlines() if "on request, before the first step" in line]
                self.assertEqual(len(said), 1, stopped.stderr)
                self.assertIn("--resume auto", said[0])
                left = [path for path in (self.folder / "run").rglob("*") if "lock" not in path.name]
                self.assertEqual(left, [], "the next run takes over the lock of one that has ended")

    def test_sigterm_ends_commands_without_a_checkpoint_at_once(self):
        self.write(self.LARGE)
        self.succeed("train", self.write(STEADY, "small.yaml"), "train.epochs=1", "--output", "run")
        before = sorted(path for path in self.folder.rglob("*"))
        for arguments in (["check", "net.yaml"], ["data", "info", "net.yaml"], ["bench", "data", "net.yaml", "--json", "figures"],
                          ["bench", "step", "net.yaml", "--seconds", "60"],
                          ["eval", "run", "data.synthetic.test=400000", "--logits", "logits.safetensors"]):
            with self.subTest(arguments=arguments):
                stopped, seconds = self.stop_while_it_loads(*arguments, ranks=1)
                self.assertEqual(stopped.returncode, -signal.SIGTERM, stopped.stdout + stopped.stderr)
                self.assertLess(seconds, patience(5))
        self.assertEqual(sorted(path for path in self.folder.rglob("*")), before, "nothing is half-written")

    def start_group(self, *arguments, ranks):
        """As a terminal or a notebook starts a command: as the leader of a process group, which its keys or its stop button
        signal."""
        return self.start(*arguments, ranks=ranks, start_new_session=True)

    def signal_at_random_moments(self, ranks, *signals):
        """Stops runs that write a checkpoint every step, some at their first steps, by signals to their group with pauses
        between them: yields what each left, and goes on with the next from there."""
        config, run, dice = self.write(STEADY), self.folder / f"run-{ranks}-{len(signals)}", random.Random(1)
        always = ["train", config, "checkpoint={every_steps: 1, keep: 3}", "train.epochs=500", "--output", run, "--resume", "auto"]
        for moment in range(30 if DEEP else 4):
            process = self.start_group(*always, ranks=ranks)
            before = checkpoints(run)
            while process.poll() is None and checkpoints(run) == before:
                time.sleep(0.001)
            time.sleep(dice.uniform(0, 0.5) if moment % 3 else 0)
            own = children(process.pid) if ranks > 1 else []
            for pause, number in signals:
                time.sleep(pause)
                try:
                    os.killpg(process.pid, number)
                except ProcessLookupError:
                    break  # it has ended
            yield run, finish(process), own
        epoch = int(checkpoints(run)[-1].split("-")[1].split(".")[0])  # the one under way, or the last that is done
        self.succeed(*always, f"train.epochs={epoch + 1}", ranks=ranks)
        self.assertEqual(list((run / "checkpoints").glob("*.tmp")), [])

    def test_ctrl_c_under_mpirun_ends_at_a_checkpoint(self):
        version = subprocess.run(["mpirun", "--version"], capture_output=True, text=True).stdout
        if not re.search(r"Open MPI\) 4\.", version):
            self.skipTest(f"what Ctrl-C does is known of Open MPI 4, this is {version.splitlines()[0]}")
        for run, stopped, _ in self.signal_at_random_moments(2, (0, signal.SIGINT)):
            said = [line for line in stopped.stdout.splitlines() if "stopped on request" in line]
            self.assertEqual(len(said), 1, stopped.stdout + stopped.stderr)
            newest = checkpoints(run)[-1]
            kind = "step" if "step" in newest else "epoch"
            self.assertIn(f"after {kind} {int(newest.split('-')[-1].split('.')[0])};", said[0])
            self.assertNotIn("killed or crashed", stopped.stderr)
            self.assertEqual(stopped.returncode, 1, "mpirun's own, whatever its ranks end with")

    def test_sigusr1_to_mpirun_ends_with_the_ranks_exit_code(self):
        heeding = "trap 'echo passed on; exit' USR1; echo ready; for i in $(seq 100); do sleep 0.05; done"
        asked = subprocess.Popen([*mpirun(2), "bash", "-c", heeding], env=environment(), stdout=subprocess.PIPE, text=True)
        asked.stdout.readline()
        asked.send_signal(signal.SIGUSR1)
        if "passed on" not in asked.communicate()[0]:
            self.skipTest("this mpirun does not pass SIGUSR1 on")  # Ubuntu 24.04's does not
        for _, stopped, _ in self.signal_at_random_moments(2, (0, signal.SIGUSR1)):
            self.assertEqual(stopped.returncode, 75, stopped.stderr)
            self.assertIn("stopped on request", stopped.stdout)

    def test_a_notebooks_stop_button_leaves_a_checkpoint_to_go_on_from(self):
        for ranks in (1, 2):
            with self.subTest(ranks=ranks):
                button = (0, signal.SIGINT), (0.1, signal.SIGTERM), (0.1, signal.SIGKILL)
                for run, stopped, own in self.signal_at_random_moments(ranks, *button):
                    end = time.monotonic() + 20
                    while any(alive(pid) for pid in own) and time.monotonic() < end:
                        time.sleep(0.02)
                    self.assertEqual([pid for pid in own if alive(pid)], [], "ranks outlive their mpirun")

    def test_a_second_interrupt_ends_the_run_at_once(self):
        config, run = self.write(STEADY), self.folder / "run"
        # The one step of an epoch takes seconds, so that the second interrupt comes during the same one.
        process = self.start("train", config, "train.global_batch=6400", "data.synthetic.train=6400",
                             "--output", run)
        while not (run / "checkpoints").exists():
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        while handles(process.pid, signal.SIGINT):
            time.sleep(0.001)
        process.send_signal(signal.SIGINT)
        self.assertEqual(finish(process).returncode, -signal.SIGINT)

    def test_a_kill_at_any_moment_costs_no_more_than_the_last_steps(self):
        config, whole, run = self.write(STEADY), self.folder / "whole", self.folder / "run"
        always = ["train", config, "checkpoint={every_steps: 1, keep: 3, best: true}", "--output"]
        self.succeed(*always, whole)
        dice, kills = random.Random(1), 0
        for _ in range(6):
            process = self.start(*always, run, "--resume", "auto")
            before = checkpoints(run)
            while process.poll() is None and checkpoints(run) == before:
                time.sleep(0.001)
            time.sleep(dice.uniform(0, 0.2))
            process.kill()
            kills += finish(process).returncode == -signal.SIGKILL
        self.assertGreater(kills, 2, "most came before the end")
        self.succeed(*always, run, "--resume", "auto")
        for name in ("epoch-0003.safetensors", "best.safetensors"):
            self.assertEqual(differing(run / "checkpoints" / name, whole / "checkpoints" / name), [])
        self.assertEqual(read_metrics(run), read_metrics(whole))
        self.assertEqual(list((run / "checkpoints").glob("*.tmp")), [])

    def test_a_full_disk_is_said_and_the_run_goes_on(self):
        config, run = self.write(STEADY), self.folder / "run"

        def fill_disk():
            resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))

        result = self.launch("train", config, "train.epochs=1", "--output", run, preexec_fn=fill_disk)
        self.assertEqual(result.returncode, 1, result.stderr)
        too_large = [line for line in result.stderr.splitlines() if "File too large" in line]
        self.assertEqual(sum("/checkpoints/" in line for line in too_large), 2, "the first and the last: " + result.stderr)
        self.assertEqual(sum("/tensorboard/" in line for line in too_large), 1, result.stderr)
        self.assertIn("the last checkpoint is missing", result.stderr)
        self.assertEqual(len(read_metrics(run)), 2, "metrics had room")
        self.assertEqual(list((run / "checkpoints").glob("*")), [])
        self.succeed("train", config, "train.epochs=1", "--output", run, "--resume", "auto")


if __name__ == "__main__":
    main()
