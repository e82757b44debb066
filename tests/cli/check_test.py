#!/usr/bin/env python3
"""`convoy check` on several ranks: what is wrong on one of them is said once, and all end with the same verdict.

usage: check_test.py CONVOY [unittest arguments]
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from data_files import png, write_mnist  # noqa: E402
from launch import ProgramTest, environment, main, mpirun  # noqa: E402
from patience import patience  # noqa: E402
from networks import SMALL  # noqa: E402

NET = SMALL.replace("{source: digits,", "{source: mnist, path: images,").replace("epochs: 2, global_batch: 1000", "epochs: 1, global_batch: 8")


class Check(ProgramTest):
    def at(self, rank, config=NET, label=0, pixel=0):
        """What a rank finds in the folder it starts in: images that are black and of class 0, but the last one's corner."""
        write_mnist(self.folder / f"at.{rank}" / "images", 20, bytes(19) + bytes([label]), bytes(20 * 784 - 1) + bytes([pixel]))
        self.write(config, f"at.{rank}/net.yaml")

    def check(self, ranks, *arguments, bind=""):
        """Runs it, each rank in a folder of its own; (status, stdout)."""
        shell = f'cd "at.$OMPI_COMM_WORLD_RANK"; exec {bind} "$@"'
        result = subprocess.run([*mpirun(ranks), "bash", "-c", shell, "bash", self.program, "check", "net.yaml", *arguments],
                                cwd=self.folder, env=environment(), capture_output=True, text=True, timeout=patience(120))
        self.said = result.stdout + result.stderr
        return result.returncode, result.stdout

    def expect_problem(self, status, verdict, *parts):
        """One check fails, and one line says so."""
        code, out = self.check(2)
        self.assertEqual(code, status, self.said)
        self.assertEqual(out.count("FAIL"), 1, self.said)
        line = next(line for line in out.splitlines() if line.startswith("FAIL"))
        for part in (verdict, *parts):
            self.assertIn(part, line)
        self.assertRegex(out.splitlines()[-1], r"^not ready: 1 of \d+ checks failed$")

    def test_all_is_well(self):
        for ranks in (1, 2, 3):
            if not (self.folder / f"at.{ranks - 1}").exists():
                self.at(ranks - 1)
            code, out = self.check(ranks)
            self.assertEqual(code, 0, self.said)
            self.assertNotIn("FAIL", out)
            self.assertEqual(out.splitlines()[-1], "ready to train" + ("" if ranks == 1 else f" on {ranks} ranks"))
            if ranks == 1:
                continue
            for rank in range(ranks):
                self.assertRegex(out, rf"rank {rank} on \S+: cpu, 1 thread, .*cores")
            self.assertIn("convoy 0.", out)
            self.assertGreater(float(re.search(r"allreduce .* (\d+) MB/s", out)[1]), 0)

    def test_another_configuration(self):
        self.at(0)
        self.at(1, config=NET.replace("lr: 0.1", "lr: 0.2"))
        self.expect_problem(1, "config", "configurations differ", "rank 1 (host")

    def test_a_configuration_that_one_rank_cannot_read(self):
        self.at(0)
        self.at(1, config=NET + "nonsense: 1\n")
        self.expect_problem(2, "config", "rank 1: ", "nonsense")

    def test_other_labels(self):
        self.at(0)
        self.at(1, label=3)
        self.expect_problem(1, "data", "labels differ", "rank 1 (host")

    def test_another_image(self):
        self.at(0)
        self.at(1, pixel=1)
        self.expect_problem(1, "data", "images differ", "rank 1 (host")

    def test_data_that_one_rank_lacks(self):
        self.at(0)
        self.at(1)
        shutil.rmtree(self.folder / "at.1" / "images")
        self.expect_problem(1, "data", "rank 1: ", "images is not a folder")

    def test_a_run_folder_that_cannot_be(self):
        self.at(0)
        self.at(1)
        (self.folder / "at.0" / "runs").write_text("a file")
        self.expect_problem(1, "disk", "not a folder")

    def test_ranks_on_one_core(self):
        core = min(os.sched_getaffinity(0))
        if len(os.sched_getaffinity(0)) < 2:
            self.skipTest("needs two cores")
        self.at(0)
        self.at(1)
        code, out = self.check(2, bind=f"taskset -c {core}")
        self.assertEqual(code, 0, self.said)
        self.assertRegex(out, rf"(?m)^warn  cores .*bound all 2 ranks on host \S+ to core {core}, of")


PICTURES = """
name: pictures
data: {source: folder, path: pictures}
model: {input: [3, 8, 8], layers: [flatten, linear: 2]}
train: {epochs: 1, global_batch: 4}
device: cpu
"""


class Pictures(ProgramTest):
    def setUp(self):
        super().setUp()
        for part, count in (("train", 6), ("val", 2)):
            for kind in ("a", "b"):
                place = self.folder / "pictures" / part / kind
                place.mkdir(parents=True)
                for i in range(count):
                    (place / f"{i}.png").write_bytes(png(9, 9, lambda y, x: (y, x, i)))
        self.write(PICTURES)

    def check(self, *arguments, code=0, ranks=1):
        result = self.launch("check", "net.yaml", *arguments, ranks=ranks)
        self.assertEqual(result.returncode, code, result.stdout + result.stderr)
        return result.stdout

    def spoil(self, *names):
        for name in names:
            path = self.folder / "pictures" / name
            path.write_bytes(path.read_bytes()[:50])

    def test_pictures_are_decoded(self):
        out = self.check()
        self.assertRegex(out, r"(?m)^ok    pictures   16 of 16 pictures decoded, none is broken$")
        self.assertRegex(out, r"(?m)^ok    batch      3 steps per epoch: 12 images, global_batch 4$")
        self.assertEqual(out.splitlines()[-1], "ready to train")

    def test_broken_pictures_are_named(self):
        self.spoil("train/a/3.png", "val/b/1.png")
        for ranks in (1, 2):
            out = self.check(code=1, ranks=ranks)
            self.assertRegex(out, r"(?m)^FAIL  pictures   16 of 16 pictures decoded, 2 of them broken; data\.max_bad allows 0")
            self.assertIn("train/a/3.png: a damaged PNG file", out)
            self.assertIn("val/b/1.png: a damaged PNG file", out)
            self.assertRegex(out.splitlines()[-1], r"^not ready: 1 of \d+ checks failed$")
        out = self.check("data.max_bad=2")
        self.assertRegex(out, r"(?m)^ok    pictures .*2 of them broken; data\.max_bad allows 2")

    def test_the_first_ten_are_named(self):
        self.spoil(*[f"train/{kind}/{i}.png" for kind in "ab" for i in range(6)])
        for ranks in (1, 2):
            out = self.check(code=1, ranks=ranks)
            self.assertEqual(out.count("a damaged PNG file"), 10)
            self.assertIn("and 2 more", out)

    def test_a_sample_or_all(self):
        for i in range(6, 600):  # up to 512 pictures are all looked at
            (self.folder / "pictures" / "train" / "a" / f"{i:03}.png").symlink_to("5.png")
        self.spoil("train/a/4.png")  # not in the sample
        out = self.check()
        self.assertRegex(out, r"pictures   \d{2,3} of 610 pictures decoded, none is broken \(--all-images: every one\)")
        self.assertIn("610 of 610 pictures decoded, 1 of them broken", self.check("--all-images", code=1))

    def test_more_scores_than_classes(self):
        three = ["model.layers=[flatten, linear: 3]"]
        self.assertRegex(self.check(*three, code=2), r"(?m)^FAIL  fit .*gives 3 scores, but the data set has 2 classes: give the "
                         r"last linear layer 2 outputs, or set model\.spare_scores: true")
        self.refuse(2, ["gives 3 scores, but the data set has 2 classes"], "train", "net.yaml", *three)
        self.check(*three, "model.spare_scores=true")
        self.assertIn("gives 1 scores, but", self.check("model.layers=[flatten, linear: 1]", "model.spare_scores=true", code=2))

    def test_what_is_mostly_a_mistake(self):
        out = self.check("train.global_batch=256")
        self.assertRegex(out, r"(?m)^warn  steps      1 step per epoch: 12 images, global_batch 256; with train\.global_batch: 1 ")
        self.assertEqual(out.splitlines()[-1], "ready to train")
        self.assertNotIn("warn", self.check("checkpoint.best=true"))
        (self.folder / "pictures" / "val").rename(self.folder / "pictures" / "test")
        out = self.check("checkpoint.best=true")
        self.assertRegex(out, r"(?m)^warn  validation checkpoint\.best chooses by the test images")
        self.assertIn("12 training and 4 test images", out)


if __name__ == "__main__":
    main()
