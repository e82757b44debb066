#!/usr/bin/env python3
"""Files of a run that others delete, replace, cut or lock up while it goes on: neither the run nor its resume minds.

usage: touched_files_test.py CONVOY [unittest arguments]
"""
import json
import os
import pathlib
import shutil
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from launch import ProgramTest, finish, main  # noqa: E402
from patience import patience  # noqa: E402
from run_files import checkpoints  # noqa: E402

NET = """
name: net
data:
  source: synthetic
  synthetic: {image: [1, 8, 8], classes: 4, train: 400, test: 20}
model: {input: [1, 8, 8], layers: [flatten, linear: 4]}
train: {epochs: 100000, global_batch: 10}
checkpoint: {every_epochs: 1, keep: 3}
device: cpu
"""


def remove(path):
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def replace(path, make):
    while True:
        remove(path)
        try:
            return make(path)
        except FileExistsError:  # the run was faster
            pass


def replace_by_folder(path):
    replace(path, os.mkdir)


def replace_by_pipe(path):
    replace(path, os.mkfifo)


def cut(path):
    if path.is_file():
        os.truncate(path, path.stat().st_size // 2)


def lock_up(path):
    path.chmod(0o555 if path.is_dir() else 0o444)


class TouchedFiles(ProgramTest):
    def files(self):
        return [self.run_folder / name for name in ("metrics.jsonl", "train.log", "config.yaml")] + [
            next((self.run_folder / "tensorboard").iterdir())]

    def await_that(self, process, condition):
        deadline = time.monotonic() + patience(60)
        while not condition():
            if process.poll() is not None:
                self.fail("the run is over: " + finish(process).stderr)
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)

    def await_checkpoint_after(self, process, names):
        self.await_that(process, lambda: checkpoints(self.run_folder)[-1:] > names[-1:])

    def go_on(self, how, mend, *arguments):
        """A run whose files are touched in this way and are mended some epochs later, or after its stop."""
        process = self.start("train", "net.yaml", "--output", self.run_folder, *arguments)
        self.addCleanup(process.kill)
        self.await_checkpoint_after(process, checkpoints(self.run_folder))
        self.await_that(process, lambda: list((self.run_folder / "tensorboard").glob("*")))
        for path in self.files():
            how(path)
        self.await_checkpoint_after(process, checkpoints(self.run_folder))
        self.await_checkpoint_after(process, checkpoints(self.run_folder))
        if mend:
            for path in self.files():
                if not path.is_file():
                    remove(path)
            self.await_checkpoint_after(process, checkpoints(self.run_folder))
            self.await_checkpoint_after(process, checkpoints(self.run_folder))
        process.send_signal(signal.SIGTERM)
        result = finish(process)
        for line in set(result.stderr.split("\n")):
            if "warning" in line:
                self.assertEqual(result.stderr.count(line.split(" ", 1)[1]), 1, result.stderr)
        return result

    def test_a_run_and_its_resume(self):
        for how in (remove, replace_by_folder, replace_by_pipe, cut, lock_up):
            with self.subTest(how=how.__name__):
                self.write(NET)
                self.run_folder = self.folder / how.__name__
                result = self.go_on(how, mend=True)
                self.assertEqual(result.returncode, 75, result.stderr)
                json.loads((self.run_folder / "metrics.jsonl").read_text().splitlines()[-1])
                resumed = self.go_on(how, True, "--resume", "auto")
                self.assertEqual(resumed.returncode, 75, resumed.stderr)
                self.assertIn("resuming ", resumed.stdout)


if __name__ == "__main__":
    main()
