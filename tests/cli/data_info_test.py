#!/usr/bin/env python3
"""`convoy data info`: what it says of a data set, and the contact sheet.

usage: data_info_test.py CONVOY [unittest arguments]
"""
import pathlib
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from data_files import png, write_mnist  # noqa: E402
from launch import ProgramTest, main  # noqa: E402

CONFIG = """
data: {source: synthetic, synthetic: {image: [3, 8, 6], classes: 4, train: 40, test: 12}}
model: {input: [3, 8, 6], layers: [flatten, linear: 4]}
"""


class DataInfo(ProgramTest):
    def setUp(self):
        super().setUp()
        self.write(CONFIG)

    def info(self, *arguments, code=0, ranks=1):
        result = self.launch("data", "info", "net.yaml", *arguments, ranks=ranks)
        self.assertEqual(result.returncode, code, result.stderr)
        return result.stdout if code == 0 else result.stderr

    def test_counts_and_statistics(self):
        text = self.info()
        self.assertIn("52 images (8,6,3) in 4 classes: 40 to train on, 12 for test", text)
        rows = [line.split() for line in text.splitlines() if len(line.split()) == 3]
        counts = [[int(word) for word in row] for row in rows if row[0].isdigit()]
        self.assertEqual([row[0] for row in counts], [0, 1, 2, 3])
        self.assertEqual([sum(row[i] for row in counts) for i in (1, 2)], [40, 12])
        line = next(line for line in text.splitlines() if "normalize" in line)
        values = [float(word) for word in line.translate(str.maketrans("{}[],:", "      ")).split() if word[0].isdigit()]
        self.assertEqual(len(values), 6)
        for i, value in enumerate(values):  # uniform noise
            self.assertAlmostEqual(value, 0.5 if i < 3 else 0.2887, delta=0.03)
        # The line can be used as it stands.
        self.write(CONFIG.replace("data: {", "data: {" + line.strip() + ", "))
        self.assertEqual(self.info(), text)

    def test_overrides_and_ranks(self):
        text = self.info("data.validation=0.25", ranks=2)
        self.assertEqual(text.count("52 images (8,6,3)"), 1)
        self.assertIn("30 to train on, 10 for validation, 12 for test", text)
        text = self.info("data.validation=0.25", "data.test=none")
        self.assertIn("40 images (8,6,3) in 4 classes: 30 to train on, 10 for validation\n", text)

    def test_sheet(self):
        text = self.info("--sheet", "sheet.png", "--columns", "5")
        self.assertIn("sheet.png: 51x42 pixels; a row is a class", text)  # with numbers of 5 pixels in front
        png = (self.folder / "sheet.png").read_bytes()
        self.assertEqual(png[:8], b"\x89PNG\r\n\x1a\n")
        self.assertEqual(struct.unpack(">IIBB", png[16:26]), (2 + 5 + 4 + 5 * 8, 4 * 10 + 2, 8, 2))
        self.assertIn("nowhere", self.info("--sheet", "nowhere/sheet.png", code=1))


class Files(ProgramTest):
    """Without a configuration."""

    def pictures(self, *parts):
        for part, count in parts:
            for kind in ("cat", "dog"):
                place = self.folder / "pets" / part / kind
                place.mkdir(parents=True)
                for i in range(count):
                    (place / f"{i}.png").write_bytes(png(10 + i, 20, lambda y, x: (255, 0, 51)))

    def section(self, text):
        """The section `data` that is printed makes a configuration that can be used."""
        lines = text.splitlines()
        first = lines.index("data:")
        section = "\n".join([lines[first], *[line for line in lines[first + 1:] if line.startswith("  ")]])
        return section + "\n"

    def test_a_folder_of_parts(self):
        self.pictures(("train", 11), ("val", 3), ("test", 2))
        broken = self.folder / "pets" / "train" / "dog" / "2.png"
        broken.write_bytes(broken.read_bytes()[:40])
        for ranks in (1, 2):
            text = self.succeed("data", "info", "pets", ranks=ranks).stdout
            self.assertIn("source: folder, 32 images in 2 classes: 22 to train on, 6 for validation, 4 for test", text)
            self.assertRegex(text, r"(?m)^ +class +train +validation +test\n +cat +11 +3 +2\n +dog +11 +3 +2$")
            self.assertIn("looked at 32 of 32 pictures: 31 PNG", text)
            self.assertIn("width 20 to 20, median 20; height 10 to 20, median 13 pixels", text)
            self.assertRegex(text, r"1 broken:\n +pets/train/dog/2\.png: a damaged PNG file")
            self.assertEqual(self.section(text), 'data:\n  source: folder\n  path: "pets"\n'
                             "  normalize: {mean: [1.0000, 0.0000, 0.2000], std: [1.0000, 1.0000, 1.0000]}\n")

    def test_a_flat_folder(self):
        self.pictures(("", 20))
        text = self.succeed("data", "info", "pets", "--sheet", "sheet.png").stdout
        self.assertIn("36 to train on, 4 for validation", text)
        section = self.section(text)
        self.assertIn("  validation: 0.1\n", section)
        self.write(section + "model: {input: [3, 8, 8], layers: [flatten, linear: 2]}\ntrain: {global_batch: 4}\n")
        self.assertIn("ready to train", self.succeed("check", "net.yaml").stdout)
        self.succeed("data", "pack", "pets", "pets.packed", "--size", 16)
        text = self.succeed("data", "info", "pets.packed").stdout
        self.assertIn("source: packed, 40 images in 2 classes", text)
        self.assertIn("mean: [1.0000, 0.0000, 0.2000]", text)

    def test_files_of_known_sets(self):
        write_mnist(self.folder / "digits" / "MNIST" / "raw", 20)
        text = self.succeed("data", "info", "digits").stdout
        self.assertIn("source: mnist, 40 images (28,28,1) in 10 classes: 20 to train on, 20 for test", text)
        self.assertIn('source: mnist\n  path: "digits/MNIST/raw"', self.section(text))
        write_mnist(self.folder / "fashion", 20)
        self.assertIn("source: fashion-mnist", self.succeed("data", "info", "fashion").stdout)
        cifar = self.folder / "cifar"
        cifar.mkdir()
        for name in [*[f"data_batch_{i}.bin" for i in range(1, 6)], "test_batch.bin"]:
            (cifar / name).write_bytes(bytes([3]) + bytes(3072))
        self.assertIn("source: cifar10, 6 images (32,32,3) in 10 classes", self.succeed("data", "info", "cifar").stdout)

    def test_what_is_no_data(self):
        (self.folder / "empty").mkdir()
        self.refuse(1, ["empty: no folders of classes there"], "data", "info", "empty")
        self.refuse(2, ["no keys to replace", "data.path=x"], "data", "info", "empty", "data.path=x")
        self.refuse(2, ["nowhere"], "data", "info", "nowhere")
        for label in "ab":
            (self.folder / "few" / label).mkdir(parents=True)
            (self.folder / "few" / label / "1.png").write_bytes(b"one")
        self.refuse(2, ["error few: data.validation: 0.1 of 2 training images leaves 0 to validate"], "data", "info", "few")


if __name__ == "__main__":
    main()
