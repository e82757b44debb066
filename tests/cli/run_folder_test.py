#!/usr/bin/env python3
"""A folder that is given for a run stays where it is, and what is not the run's stays in it.

usage: run_folder_test.py CONVOY [unittest arguments]
"""
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from launch import ProgramTest, main  # noqa: E402

NET = """
name: net
data: {source: synthetic, synthetic: {image: [1, 4, 4], classes: 3, train: 12, test: 6}}
model: {input: [1, 4, 4], layers: [flatten, linear: 3]}
train: {epochs: 1, global_batch: 6}
optimizer: {name: sgd, lr: 0.1}
device: cpu
"""
OURS = {"checkpoints", "config.yaml", "metrics.jsonl", "train.log", "tensorboard", "evaluation.json", "evaluation.csv",
        "confusion.csv"}


def names_in(folder):
    return {path.name for path in folder.iterdir()}


class RunFolder(ProgramTest):
    def setUp(self):
        super().setUp()
        self.config = self.write(NET)
        self.home = self.folder / "home"
        self.home.mkdir()

    def train(self, *arguments, where=None):
        process = subprocess.run([self.program, "train", self.config, *map(str, arguments)], cwd=where or self.folder,
                                 capture_output=True, text=True)
        self.assertEqual(process.returncode, 0, process.stderr)
        return process.stdout

    def expect_aside(self, said, aside, folder):
        self.assertIn(f"the earlier run of this name is now in {aside}\n", said)
        self.assertEqual(names_in(aside if aside.is_absolute() else self.folder / aside), OURS)
        self.assertLessEqual(OURS, names_in(folder))

    def test_an_earlier_run_is_kept(self):
        runs = self.home / "net"
        self.train("--output", "home/net")
        (runs / "notes.txt").write_text("mine")
        self.expect_aside(self.train("--output", "home/net/"), pathlib.Path("home/net.1"), runs)
        (self.home / "net.2").write_text("taken")
        self.expect_aside(self.train("--output", "home/net"), pathlib.Path("home/net.3"), runs)
        self.assertEqual((runs / "notes.txt").read_text(), "mine")
        self.assertEqual(names_in(self.home), {"net", "net.1", "net.2", "net.3"})

    def test_the_folder_where_people_are(self):
        (self.home / "my.py").write_text("mine")
        (self.home / "config.yaml").write_text(NET + "# mine\n")
        process = subprocess.run([self.program, "train", "config.yaml", "--output", "."], cwd=self.home, capture_output=True,
                                 text=True)
        self.assertEqual(process.returncode, 0, process.stderr)
        self.assertIn("# mine", (self.folder / "home.1" / "config.yaml").read_text(), "not replaced")
        self.expect_aside(self.train("--output", ".", where=self.home), self.folder / "home.2", self.home)
        (self.home / "inner").mkdir()
        self.expect_aside(self.train("--output", "..", where=self.home / "inner"), self.folder / "home.3", self.home)
        self.assertEqual(names_in(self.home), OURS | {"my.py", "inner"})

    def test_a_link(self):
        self.train("--output", "home/real")
        (self.folder / "link").symlink_to("home/real")
        self.expect_aside(self.train("--output", "link"), pathlib.Path("link.1"), self.home / "real")
        self.assertTrue((self.folder / "link").is_symlink())

    def test_a_mount_point(self):
        disk = self.folder / "disk"
        disk.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "convoy-test", str(disk)], capture_output=True,
                                 text=True)
        if mounted.returncode != 0:
            self.skipTest(f"no small disk: {mounted.stderr.strip()}")
        self.addCleanup(lambda: subprocess.run(["umount", "--lazy", str(disk)]))
        self.train("--output", "disk")
        for number in (1, 2):
            self.expect_aside(self.train("--output", "disk"), pathlib.Path(f"disk/earlier-run.{number}"), disk)
        self.assertEqual(names_in(disk), OURS | {"earlier-run.1", "earlier-run.2"})
        self.assertFalse((self.folder / "disk.1").exists())


if __name__ == "__main__":
    main()
