#!/usr/bin/env python3
"""A run whose folder, or a part of it, is deleted under it goes on, says so once, and leaves what a run leaves.

usage: deleted_folder_test.py CONVOY [unittest arguments]
"""
import pathlib
import shutil
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from launch import ProgramTest, finish, main  # noqa: E402
from networks import STEADY  # noqa: E402
from run_files import checkpoints, differing, read_metrics  # noqa: E402

LAST = "epoch-0003.safetensors"


class DeletedFolder(ProgramTest):
    def test_the_run_goes_on(self):
        config, whole = self.write(STEADY), self.folder / "whole"
        self.succeed("train", config, "--output", whole)
        for part in ("checkpoints", "."):
            for ranks in (1, 2):
                with self.subTest(deleted=part, ranks=ranks):
                    run = self.folder / f"run-{len(part)}-{ranks}"
                    process = self.start("train", config, "checkpoint.every_steps=4", "--output", run, ranks=ranks)
                    while process.poll() is None and not (run / "checkpoints" / "epoch-0001.safetensors").exists():
                        time.sleep(0.005)
                    shutil.rmtree(run / part, ignore_errors=True)  # the run may be writing into it
                    ended = finish(process)
                    self.assertEqual(ended.returncode, 0, ended.stderr)
                    said = [line for line in ended.stderr.splitlines() if "was deleted: it is made anew" in line]
                    self.assertEqual(len(said), 1, ended.stderr)
                    self.assertIn(LAST, checkpoints(run))
                    if ranks == 1:
                        self.assertEqual(differing(run / "checkpoints" / LAST, whole / "checkpoints" / LAST), [])
                    self.assertEqual(read_metrics(run)[-1]["epoch"], 3)
                    self.assertTrue((run / "config.yaml").exists())
                    self.assertFalse((run / "run.lock").exists(), "its end unlocks it")
                    self.succeed("eval", run)
                    again = self.succeed("train", config, "--output", run, "--resume", "auto")
                    self.assertIn("already trained for 3 epochs", again.stdout)


if __name__ == "__main__":
    main()
