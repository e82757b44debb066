#!/usr/bin/env python3
"""`convoy data info`: what it says of a data set, and the contact sheet.

usage: data_info_test.py CONVOY [unittest arguments]
"""
import pathlib
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
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
        self.assertEqual(text.count("40 images (8,6,3)"), 1)
        self.assertIn("30 to train on, 10 for validation", text)

    def test_sheet(self):
        text = self.info("--sheet", "sheet.png", "--columns", "5")
        self.assertIn("sheet.png: 42x42 pixels; a row is a class", text)
        png = (self.folder / "sheet.png").read_bytes()
        self.assertEqual(png[:8], b"\x89PNG\r\n\x1a\n")
        self.assertEqual(struct.unpack(">IIBB", png[16:26]), (5 * 8 + 2, 4 * 10 + 2, 8, 2))
        self.assertIn("nowhere", self.info("--sheet", "nowhere/sheet.png", code=1))


if __name__ == "__main__":
    main()
