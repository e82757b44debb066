#!/usr/bin/env python3
"""Volumes and pictures in a .npz file, as MedMNIST has them.

usage: volumes_test.py CONVOY [unittest arguments]
"""
import io
import pathlib
import random
import sys
import zipfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from launch import ProgramTest, main  # noqa: E402

NET = """
data: {{source: volumes, path: {path}, normalize: {{mean: 0.4, std: 0.25}}}}
model: {{input: {input}, layers: [flatten, linear: 3]}}
train: {{epochs: 40, global_batch: 10, tensorboard: false}}
optimizer: {{name: adam, lr: 0.02}}
device: cpu
"""


def npy(shape, values, kind="|u1"):
    """As numpy.save() writes it."""
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': ({', '.join(map(str, shape))},), }}"
    header += " " * (-(10 + len(header) + 1) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + bytes(values)


class Volumes(ProgramTest):
    def arrays(self, sections, image, label_shape=lambda n: (n, 1)):
        """Images whose brightness is their label."""
        dice, found = random.Random(1), {}
        for name, count in sections.items():
            labels = [i % 3 for i in range(count)]
            size = 1
            for extent in image:
                size *= extent
            pixels = bytes(dice.randrange(40) + 80 * label for label in labels for _ in range(size))
            found[f"{name}_images"] = npy((count, *image), pixels)
            found[f"{name}_labels"] = npy(label_shape(count), labels)
        return found

    def archive(self, arrays, name="set.npz", compression=zipfile.ZIP_DEFLATED):
        text = io.BytesIO()
        with zipfile.ZipFile(text, "w", compression) as file:
            for key, value in arrays.items():
                file.writestr(key + ".npy", value)
        (self.folder / name).write_bytes(text.getvalue())

    def test_volumes_pictures_and_colours(self):
        for image, shape in (((4, 5, 6), "[1, 4, 5, 6]"), ((6, 7), "[1, 6, 7]"), ((6, 7, 3), "[3, 6, 7]"), ((4, 5, 6, 2), "[2, 4, 5, 6]")):
            for compression in (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED):
                with self.subTest(image=image, compression=compression):
                    self.archive(self.arrays({"train": 60, "val": 9, "test": 6}, image), compression=compression)
                    self.write(NET.format(path="set.npz", input=shape))
                    done = self.succeed("train", "net.yaml", "--output", "run")
                    self.assertIn("validation accuracy 100.00 %, test accuracy 100.00 %", done.stdout)
        info = self.succeed("data", "info", "set.npz").stdout
        self.assertIn("60 to train on, 9 for validation, 6 for test", info)

    def test_without_a_part_to_validate_on(self):
        self.archive(self.arrays({"train": 60, "test": 6}, (4, 4)))
        self.write(NET.format(path="set.npz", input="[1, 4, 4]"))
        self.assertIn("test accuracy 100.00 %", self.succeed("train", "net.yaml", "--output", "run").stdout)
        self.archive(self.arrays({"train": 60}, (4, 4)))
        self.refuse(1, ["val_images or test_images", "data.validation"], "train", "net.yaml", "--output", "run2", ranks=(1,))
        self.succeed("train", "net.yaml", "data.validation=0.2", "--output", "run3")

    def test_files_that_are_not_right(self):
        good = self.arrays({"train": 6, "test": 3}, (4, 4))
        self.write(NET.format(path="set.npz", input="[1, 4, 4]"))
        for change, said in (({"train_images": npy((6, 4, 4), bytes(6 * 16 * 4), "<f4")}, "uint8"),
                             ({"train_images": npy((6, 4, 5), bytes(6 * 20))}, "images are"),
                             ({"train_labels": npy((5,), bytes(5))}, "5 labels for 6 images"),
                             ({"train_labels": npy((6, 2), bytes(12))}, "2 labels for each image"),
                             ({"train_labels": npy((6,), b"\xff" * 6, "|i1")}, "the label -1"),
                             ({"train_images": npy((6,), bytes(6))}, "expected the shape"),
                             ({"train_images": npy((6, 4, 4), bytes(5))}, "bytes of numbers"),
                             ({"train_images": b"text"}, "no array of NumPy")):
            with self.subTest(said=said):
                self.archive({**good, **change})
                self.refuse(1, [said], "train", "net.yaml", "--output", "run", ranks=(1,))
        without = dict(good)
        del without["train_labels"]
        self.archive(without)
        self.refuse(1, ["no array train_labels"], "train", "net.yaml", "--output", "run", ranks=(1,))
        whole = (self.folder / "set.npz").read_bytes()
        for cut in (0, 10, len(whole) // 2, len(whole) - 1):
            (self.folder / "set.npz").write_bytes(whole[:cut])
            with self.subTest(cut=cut):
                self.refuse(1, ["set.npz"], "train", "net.yaml", "--output", "run", ranks=(1,))

    def test_any_altered_byte_is_seen_or_of_no_account(self):
        self.archive(self.arrays({"train": 6, "test": 3}, (4, 4)))
        self.write(NET.format(path="set.npz", input="[1, 4, 4]"))
        whole, dice = (self.folder / "set.npz").read_bytes(), random.Random(2)
        for at in dice.sample(range(len(whole)), 25):
            altered = bytearray(whole)
            altered[at] ^= 1 << dice.randrange(8)
            (self.folder / "set.npz").write_bytes(altered)
            done = self.launch("data", "info", "net.yaml")
            with self.subTest(at=at):
                self.assertIn(done.returncode, (0, 1), done.stderr)
                self.assertNotIn("std::", done.stderr)


if __name__ == "__main__":
    main()
