#!/usr/bin/env python3
"""Which pictures a folder or a list stands for: the same for training, evaluation and predict.

usage: listing_test.py CONVOY [unittest arguments]
"""
import json
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from data_files import png  # noqa: E402
from launch import ProgramTest, environment, main  # noqa: E402
from patience import patience  # noqa: E402
from run_files import read_tensors  # noqa: E402

CONFIG = """
name: listing
data: {source: folder, path: pictures, resize: 16}
model: {input: [3, 16, 16], layers: [conv: {out: 2, kernel: 3}, relu, globalavgpool, linear: 2]}
train: {epochs: 1, global_batch: 2, autotune: false}
device: cpu
"""


class ListingTest(ProgramTest):
    def setUp(self):
        super().setUp()
        self.pictures = self.folder / "pictures"
        for part in ("train", "val"):
            for name in "ab":
                for i in range(2):
                    self.put(f"{part}/{name}/{i}.png")
        self.config = self.write(CONFIG)

    def put(self, name):
        path = self.pictures / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(16, 16, lambda y, x: (4 * x, 4 * y, len(name))))

    def predict(self, *names, returncode=0, **options):
        done = subprocess.run([self.program, "predict", "run", *map(str, names), "--json"], cwd=self.folder, env=environment(),
                              capture_output=True, timeout=patience(60), **options)
        self.assertEqual(done.returncode, returncode, done.stderr.decode())
        return [json.loads(line)["file"] for line in done.stdout.decode().splitlines()], done.stderr.decode()

    def test_evaluation_and_predict_see_the_same_pictures(self):
        for name in ("val/a/more/2.png", "val/a/more/deep/3.PNG", "val/b/x.JPeG", "val/b/.hidden.png", "val/b/.cache/4.png",
                     "val/b/note.txt", "elsewhere/5.png"):
            self.put(name)
        (self.pictures / "val/b/link.png").symlink_to("0.png")
        (self.pictures / "val/b/gone.png").symlink_to("nothing")
        (self.pictures / "elsewhere").rename(self.folder / "elsewhere")
        (self.pictures / "val/b/linked").symlink_to(self.folder / "elsewhere")
        (self.pictures / "val/b/round").symlink_to("..")
        (self.pictures / "val/b").rename(self.folder / "b")
        (self.pictures / "val/b").symlink_to(self.folder / "b")
        said = self.succeed("train", self.config, "--output", "run").stderr
        self.assertIn("3 of the pictures lie deeper than their class folder", said)
        self.assertIn("1 .png that is a link to nothing", said)
        self.succeed("eval", "run", "--logits", "logits")
        files, _ = self.predict("pictures/val")
        self.assertEqual(files, [f"pictures/val/{name}" for name in (
            "a/0.png", "a/1.png", "a/more/2.png", "a/more/deep/3.PNG", "b/0.png", "b/1.png", "b/link.png", "b/linked/5.png",
            "b/x.JPeG")])
        self.assertEqual(len(read_tensors(self.folder / "logits")["labels"]), len(files))

    def test_lists(self):
        self.succeed("train", self.config, "--output", "run")
        odd = "pictures/val/a/line\nbreak.png"
        self.put("val/a/line\nbreak.png")
        names = ["pictures/val/a/0.png", "pictures/val/b/1.png"]
        for text in ("\n".join(names), "\r\n".join(names) + "\r\n", "\ufeff" + "\n".join(names) + "\n", "\0".join(names),
                     "\ufeff" + "\0".join(names) + "\0", "\0".join(names) + "\0\n"):
            with self.subTest(text=text):
                self.assertEqual(self.predict("-", input=text.encode())[0], names)
        self.assertEqual(self.predict("-", input="\0".join([*names, odd, ""]).encode())[0], [*names, odd])
        self.assertIn("UTF-16", self.predict("-", input="\n".join(names).encode("utf-16"), returncode=1)[1])

    def test_what_cannot_be_read_costs_itself_alone(self):
        self.succeed("train", self.config, "--output", "run")
        self.put("val/b/locked/9.png")
        self.put("val/b/7.png")
        (self.folder / "empty").mkdir()
        locked = [self.pictures / "val/b/locked", self.pictures / "val/b/7.png"]
        for path in [self.folder, *self.folder.rglob("*")]:
            path.chmod(0o755)
        for path in locked:
            path.chmod(0)
        self.addCleanup(locked[0].chmod, 0o755)
        options = {"user": 65534} if os.getuid() == 0 else {}  # whom permissions concern
        files, said = self.predict("empty", "pictures/val", returncode=1, **options)
        self.assertEqual(files, [f"pictures/val/{name}" for name in ("a/0.png", "a/1.png", "b/0.png", "b/1.png", "b/7.png")])
        self.assertIn("cannot read the folder pictures/val/b/locked: Permission denied", said)
        self.assertIn("cannot read pictures/val/b/7.png: Permission denied", said)
        self.assertIn("1 of 5 images could not be read", said)
        self.assertIn("2 folders could not be read or held no picture", said)
        self.assertNotIn("filesystem error", said)
        done = self.launch("check", self.config, **options)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stdout, "FAIL +data +cannot read the folder pictures/val/b/locked: Permission denied")

    def test_names_that_look_the_same(self):
        (self.pictures / "train/a").rename(self.pictures / "train/caf\u00e9")
        (self.pictures / "val/a").rename(self.pictures / "val/cafe\u0301")
        self.refuse(1, ["only in train: caf\u00e9 (caf\\u00e9)", "only in val: cafe\u0301 (cafe\\u0301)"], "train", self.config,
                    ranks=(1,))


if __name__ == "__main__":
    main()
