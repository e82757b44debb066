#!/usr/bin/env python3
"""A disk that fills up, or turns read-only, and recovers in mid-run: the run goes on, says so, and saves again.

usage: disk_test.py CONVOY [unittest arguments]
"""
import os
import pathlib
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from launch import ProgramTest, children, environment, main, mpirun  # noqa: E402
from patience import patience  # noqa: E402
from run_files import checkpoints, read_metrics, read_tensors  # noqa: E402

# Checkpoints of some 700 KB.
NET = """
name: net
data:
  source: synthetic
  synthetic: {image: [3, 16, 16], classes: 10, train: 480, test: 48}
model:
  input: [3, 16, 16]
  layers:
    - flatten
    - linear: 100
    - relu
    - linear: 10
train: {epochs: 400, global_batch: 24}
optimizer: {name: sgd, lr: 0.001, momentum: 0.9}
device: cpu
checkpoint: {every_steps: 10, keep: 2}
"""


class Disk(ProgramTest):
    def setUp(self):
        super().setUp()
        self.write(NET)
        self.disk = self.folder / "disk"
        self.disk.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "convoy-test", str(self.disk)], capture_output=True,
                                 text=True)
        if mounted.returncode != 0:
            self.skipTest(f"no small disk: {mounted.stderr.strip()}")
        self.addCleanup(lambda: subprocess.run(["umount", "--lazy", str(self.disk)]))
        self.run_folder = self.disk / "run"

    def start_logged(self):
        self.errors = self.folder / "errors"
        command = [*mpirun(2), self.program, "train", "net.yaml", "--output", self.run_folder]
        with open(self.errors, "w") as log:
            process = subprocess.Popen(command, cwd=self.folder, env=environment(), stdout=subprocess.DEVNULL, stderr=log)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def await_that(self, process, condition):
        deadline = time.monotonic() + patience(120)
        while not condition():
            self.assertIsNone(process.poll(), "the run was over too soon: " + self.errors.read_text())
            self.assertLess(time.monotonic(), deadline, self.errors.read_text())
            time.sleep(0.01)

    def expect_recovery(self, spoil, mend, complaint):
        process = self.start_logged()
        self.await_that(process, lambda: len(checkpoints(self.run_folder)) == 2)
        spoil()
        self.await_that(process, lambda: all(f"{what}: " in self.errors.read_text()
                                             for what in ("no checkpoint", "no metrics", "nothing for TensorBoard")))
        self.assertIn(complaint, self.errors.read_text())
        before = set(checkpoints(self.run_folder))
        self.assertTrue(before, "older ones stay")
        mend()
        self.await_that(process, lambda: "TensorBoard's files are written again" in self.errors.read_text())
        self.await_that(process, lambda: not before & set(checkpoints(self.run_folder)))
        os.kill(children(process.pid)[0], signal.SIGUSR1)  # one rank, which tells the others
        self.assertEqual(process.wait(60), 75, self.errors.read_text())
        read_tensors(self.run_folder / "checkpoints" / checkpoints(self.run_folder)[-1])
        epochs = [record["epoch"] for record in read_metrics(self.run_folder)]
        self.assertEqual(epochs, list(range(1, len(epochs) + 1)), "no line of the metrics is lost")
        self.assertEqual(list((self.run_folder / "checkpoints").glob("*.tmp")), [])
        said = [line.split("warning ", 1)[1] for line in self.errors.read_text().splitlines() if "warning " in line]
        self.assertEqual(len(said), len(set(said)), "each warning once")

    def test_that_is_full_for_a_while(self):
        ballast = self.disk / "ballast"

        def fill():
            with open(ballast, "wb", buffering=0) as file:
                try:
                    while True:
                        file.write(bytes(1 << 16))
                except OSError:
                    pass

        self.expect_recovery(fill, ballast.unlink, "No space left on device")

    def test_that_is_read_only_for_a_while(self):
        def remount(mode):
            # Busy while a file is open for writing.
            deadline = time.monotonic() + patience(30)
            while subprocess.run(["mount", "-o", f"remount,{mode}", str(self.disk)], capture_output=True).returncode != 0:
                self.assertLess(time.monotonic(), deadline, "cannot remount")

        self.expect_recovery(lambda: remount("ro"), lambda: remount("rw"), "Read-only file system")


if __name__ == "__main__":
    main()
