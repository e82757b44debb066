#!/usr/bin/env python3
"""Folders of pictures through the program: trained on, packed, broken.

usage: folder_test.py CONVOY [unittest arguments]
"""
import json
import pathlib
import shutil
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from data_files import png  # noqa: E402
from launch import ProgramTest, finish, main  # noqa: E402
from run_files import checkpoints, read_metrics, read_tensors  # noqa: E402

CONFIG = """
name: folder
seed: 3
data:
  source: folder
  path: {path}
  normalize: {{mean: [0.5], std: [0.25]}}
  augment: [{{random_resized_crop: {{scale: [0.5, 1]}}}}, {{flip: horizontal}}]
model:
  input: [3, 16, 16]
  layers:
    - conv: {{out: 8, kernel: 3, pad: same}}
    - relu
    - globalavgpool
    - flatten
    - linear: 3
train: {{epochs: 3, global_batch: 12}}
optimizer: {{name: adam, lr: 0.02}}
device: cpu
"""


def striped(height, width, color, stripes):
    """Stripes of one colour on black, as a PNG file."""
    return png(height, width, lambda y, x: color if (x + y) // 4 % 2 == stripes else (0, 0, 0))


def make_pictures(folder, train=16, validation=6):
    """Three classes that differ by colour."""
    for label, color in enumerate([(220, 30, 30), (30, 220, 30), (30, 30, 220)]):
        for part, first, count in (("train", 0, train), ("val", train, validation)):
            place = folder / part / ("red", "green", "blue")[label]
            place.mkdir(parents=True)
            for i in range(first, first + count):
                (place / f"{i}.png").write_bytes(striped(20 + i % 7, 18 + i % 11, color, i % 2))


class FolderTest(ProgramTest):
    def setUp(self):
        super().setUp()
        self.pictures = self.folder / "pictures"
        make_pictures(self.pictures)
        self.config = self.write(CONFIG.format(path=self.pictures))

    def train(self, *overrides, name="run", ranks=1):
        return self.launch("train", self.config, "--output", name, *overrides, ranks=ranks)

    def epochs(self, name="run"):
        return [record for record in read_metrics(self.folder / name) if "event" not in record]

    def weights(self, name):
        """Of the newest checkpoint."""
        run = self.folder / name
        return read_tensors(run / "checkpoints" / checkpoints(run)[-1])

    def test_trains_above_chance_and_evaluates_the_same(self):
        done = self.train()
        self.assertEqual(done.returncode, 0, done.stderr)
        last = self.epochs()[-1]
        self.assertGreater(last["val_accuracy"], 0.6)  # a third is chance
        self.assertNotIn("bad_images", last)
        done = self.launch("eval", self.folder / "run")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f"validation accuracy {100 * last['val_accuracy']:.2f} %", done.stdout)
        self.refuse(2, ["no test part"], "eval", self.folder / "run", "--part", "test", ranks=(1,))

    def test_a_test_part_is_measured_at_the_end(self):
        (self.pictures / "val").rename(self.pictures / "test")
        for ranks in (1, 2):
            done = self.train("data.validation=0.25", "train.epochs=2", name=f"ranks{ranks}", ranks=ranks)
            self.assertEqual(done.returncode, 0, done.stderr)
            summary = read_metrics(self.folder / f"ranks{ranks}")[-1]
            self.assertRegex(done.stdout, rf"validation accuracy .* %, test accuracy {100 * summary['test_accuracy']:.2f} %")
            self.assertIn(round(18 * summary["test_accuracy"], 6), range(19))
            self.assertGreater(summary["test_loss"], 0)
            done = self.launch("eval", self.folder / f"ranks{ranks}", "--part", "test")
            self.assertIn(f"test accuracy {100 * summary['test_accuracy']:.2f} % ", done.stdout)
            self.assertRegex(done.stdout, r"\(\d+ of 18 correct\)")
            done = self.launch("eval", self.folder / f"ranks{ranks}")
            self.assertRegex(done.stdout, r"^validation accuracy .* of 12 correct\)")
        done = self.train("data.validation=0.25", "data.test=none", "train.epochs=1", name="untested")
        self.assertNotIn("test_loss", read_metrics(self.folder / "untested")[-1])
        self.assertNotIn("test accuracy", done.stdout)

    def test_a_test_folder_that_is_validated_on(self):
        (self.pictures / "val").rename(self.pictures / "test")
        done = self.train("train.epochs=1", "checkpoint.best=true")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stderr.count("checkpoint.best chooses by the test images"), 1, done.stderr)
        self.assertIn("test accuracy", done.stdout)
        done = self.launch("eval", self.folder / "run", "--part", "test")
        self.assertRegex(done.stdout, r"^test accuracy .* of 18 correct\)")

    def test_a_flat_folder(self):
        flat = self.pictures / "train"
        self.refuse(2, ["data.validation", "its folders are classes", "data.validation: 0.1"], "train", self.config,
                    f"data.path={flat}", "data.validation=test")
        done = self.train(f"data.path={flat}", "train.epochs=1", name="tenth")
        self.assertRegex(done.stderr, r"a tenth of each class is for validation.*\(data.validation: 0.1\)")
        self.assertIn("of 5 correct", self.succeed("eval", "tenth").stdout)
        done = self.train(f"data.path={flat}", "data.validation=0.25")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertGreater(self.epochs()[-1]["val_accuracy"], 0.6)
        packed = self.folder / "flat.packed"
        self.succeed("data", "pack", flat, packed, "--size", 20)
        from_packed = ["data.source=packed", f"data.path={packed}"]
        self.refuse(2, ["packed from a folder without val/", "data.validation: 0.1"], "train", self.config, *from_packed,
                    "data.validation=test", ranks=(1,))
        self.assertIn("(data.validation: 0.1)", self.train(*from_packed, "train.epochs=1", name="packed-tenth").stderr)
        done = self.train(*from_packed, "data.validation=0.25", name="packed")
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_pictures_of_every_format(self):
        try:
            from PIL import Image
        except ImportError:
            self.skipTest("needs Pillow")
        version = self.succeed("--version").stdout
        for i, (ending, options) in enumerate([("webp", {}), ("bmp", {}), ("tif", {"compression": "tiff_lzw"}), ("jpg", {})]):
            if ending in ("webp", "tif") and {"webp": "WebP", "tif": "TIFF"}[ending] not in version:
                continue
            old = self.pictures / "train" / "red" / f"{i}.png"
            Image.open(old).save(old.with_suffix("." + ending), **options)
            old.unlink()
        done = self.train("train.epochs=2")
        self.assertEqual(done.returncode, 0, done.stderr)
        run = self.folder / "run"
        names = [next((self.pictures / "train" / "red").glob(f"{i}.*")) for i in range(3)]
        answers = [json.loads(line) for line in self.succeed("predict", run, *names, "--json").stdout.splitlines()]
        self.assertEqual([len(answer["top"]) for answer in answers], [3, 3, 3])
        whole = self.succeed("predict", run, self.pictures / "train" / "red", "--json").stdout
        self.assertEqual(len(whole.splitlines()), 16)
        done = self.launch("data", "pack", self.pictures, "all.packed")
        self.assertIn("48 training", done.stdout)

    def test_ranks_train_to_the_same_bits(self):
        for ranks in (1, 2):
            done = self.train("train.reproducible_across_ranks=4", "train.epochs=1", name=f"ranks{ranks}", ranks=ranks)
            self.assertEqual(done.returncode, 0, done.stderr)
        one, two = self.weights("ranks1"), self.weights("ranks2")
        self.assertEqual(one.keys(), two.keys())
        self.assertEqual([key for key in one if one[key] != two[key]], [])

    def test_an_interrupted_run_goes_on_to_the_same_bits(self):
        self.assertEqual(self.train("train.epochs=2", name="whole").returncode, 0)
        self.assertEqual(self.train("train.epochs=1", "schedule.name=constant", name="half").returncode, 0)
        done = self.train("train.epochs=2", "--resume", "auto", name="half")
        self.assertEqual(done.returncode, 0, done.stderr)
        whole, half = self.weights("whole"), self.weights("half")
        self.assertEqual([key for key in whole if whole[key] != half[key]], [])

    def test_a_broken_picture(self):
        broken = self.pictures / "train" / "red" / "5.png"
        broken.write_bytes(broken.read_bytes()[:60])
        for ranks in (1, 2):
            done = self.train(ranks=ranks)
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn("train/red/5.png: a damaged PNG file", done.stderr)
            self.assertIn("data.max_bad allows 0", done.stderr)
        done = self.train("data.max_bad=1", "train.epochs=1", ranks=2, name="replaced")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("another of its class takes its place", done.stderr)
        self.assertEqual(self.epochs("replaced")[0]["bad_images"], 1)

    def test_broken_pictures_on_ranks_together(self):
        for name in ("red/5.png", "green/7.png", "blue/2.png", "blue/9.png"):
            (self.pictures / "train" / name).write_bytes(b"GIF89a")
        done = self.train("data.max_bad=3", "train.epochs=1", ranks=2)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertRegex(done.stderr, r"4 broken pictures .*data\.max_bad allows 3")
        self.assertFalse(list((self.folder / "run" / "checkpoints").glob("*.safetensors")))

    def test_folders_that_are_wrong(self):
        shutil.rmtree(self.pictures / "val" / "red")
        done = self.train()
        self.assertEqual(done.returncode, 1)
        self.assertIn("train and val have different classes; only in train: red", done.stderr)
        (self.pictures / "val" / "red").mkdir()
        self.assertIn("val/red: the folder of a class without a .jpg, .jpeg, .png, .webp", self.train().stderr)

    def test_configurations_that_are_wrong(self):
        for overrides, message in [
                (["model.input=[2,16,16]"], "model.input: [2, 16, 16]: pictures have 3 channels"),
                (["data.resize=15"], "data.resize: 15 is less than model.input's larger side, 16"),
                (["data.resident=true"], "data.resident: true: pictures are read batch by batch"),
                (["data.source=digits"], "random_resized_crop: only with source: folder | packed"),
                (["data.source=packed", "data.max_bad=1"], "data.max_bad: only with source: folder"),
                (["data.augment=[random_resized_crop: [0.5, 0.1]]"], "give the smaller value first"),
                (["data.augment=[random_resized_crop]"], "scale: missing")]:
            done = self.launch("check", self.config, *overrides)
            self.assertEqual(done.returncode, 2, overrides)
            self.assertIn(message, done.stderr + done.stdout)

    def test_packed(self):
        packed = self.folder / "all.packed"
        done = self.launch("data", "pack", self.pictures, packed, "--size", 20)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("48 training and 18 validation images of 3 classes, 20 x 20", done.stdout)
        from_packed = ["data.source=packed", f"data.path={packed}"]
        done = self.train(*from_packed)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertGreater(self.epochs()[-1]["val_accuracy"], 0.6)
        done = self.launch("plan", self.config, *from_packed)
        self.assertIn("staged batch by batch", done.stdout)
        done = self.launch("bench", "data", self.config, *from_packed, "--seconds", "0.2", "--json", "rates.json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertGreater(json.loads((self.folder / "rates.json").read_text())["images_per_second"], 1)
        packed.write_bytes(packed.read_bytes()[:-1])
        done = self.train(*from_packed)
        self.assertEqual(done.returncode, 1)
        self.assertIn("all.packed: a damaged packed file", done.stderr)
        (self.pictures / "train" / "red" / "1.png").write_bytes(b"")
        done = self.launch("data", "pack", self.pictures, self.folder / "other.packed")
        self.assertEqual(done.returncode, 1)
        self.assertIn("red/1.png: the file is empty", done.stderr)
        self.assertEqual([path.name for path in self.folder.glob("other*")], [])
        self.refuse(1, ["nowhere is not a folder that can be read", "train/CLASS/*"], "data", "pack", "nowhere", "other.packed")
        self.refuse(1, ["~/nowhere: ~ is not expanded here"], "train", self.config, "data.path=~/nowhere", ranks=(1,))
        self.refuse(1, ["pictures: a folder, where"], "data", "pack", self.pictures, "pictures", ranks=(1,))

    def test_packing_that_is_interrupted_leaves_nothing(self):
        for part in ("train", "val"):  # enough to be interrupted
            for i in range(3000):
                (self.pictures / part / "red" / f"more-{i}.png").symlink_to("2.png" if part == "train" else "16.png")
        process = self.start("data", "pack", self.pictures, "other.packed", "--size", 512)
        while process.poll() is None and not list(self.folder.glob("other.packed.*.tmp")):
            time.sleep(0.001)
        process.send_signal(signal.SIGINT)
        stopped = finish(process)
        self.assertEqual(stopped.returncode, 75, stopped.stderr)
        self.assertIn("stopped on request; nothing is written", stopped.stderr)
        self.assertEqual([path.name for path in self.folder.glob("other*")], [])


if __name__ == "__main__":
    main()
