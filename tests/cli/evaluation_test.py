#!/usr/bin/env python3
"""Figures of a trained network: in its run's folder and by `convoy eval`, on one and on two ranks.

usage: evaluation_test.py CONVOY [unittest arguments]
"""
import csv
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from data_files import png  # noqa: E402
from launch import ProgramTest, main  # noqa: E402
from run_files import read_metrics, read_tensors  # noqa: E402

NAMES = ["a,b", "bell\a", 'say "x"']  # in the order of labels
PRINTABLE = ["a,b", "bell\\x07", 'say "x"', "3"]
COLOURS = [(220, 30, 30), (30, 220, 30), (30, 30, 220)]
FILES = {"evaluation.json", "evaluation.csv", "confusion.csv"}
# A score more than there are classes: the fourth has no images.
CONFIG = """
name: named
data: {source: folder, path: pictures}
model: {input: [3, 8, 8], spare_scores: true, layers: [globalavgpool, flatten, linear: 4]}
train: {epochs: 2, global_batch: 6, tensorboard: false}
optimizer: {name: adam, lr: 0.05}
device: cpu
"""


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.reader(file))


class EvaluationTest(ProgramTest):
    def setUp(self):
        super().setUp()
        self.make_part("train", 6)
        self.make_part("val", 4)
        self.config, self.run_folder = self.write(CONFIG), self.folder / "run"

    def make_part(self, part, images):
        for label, name in enumerate(NAMES):
            place = self.folder / "pictures" / part / name
            place.mkdir(parents=True)
            for i in range(images + label):  # one of them in another class's colour
                color = COLOURS[(label + (i == 0)) % 3]
                (place / f"{i}.png").write_bytes(png(8, 8, lambda y, x: tuple((c + 9 * i + x + y) % 256 for c in color)))

    def train(self, *overrides, **options):
        return self.succeed("train", self.config, "--output", self.run_folder, *overrides, **options)

    def evaluate(self, *arguments, **options):
        out = self.folder / "out.json"
        self.succeed("eval", self.run_folder, "--json", out, *arguments, **options)
        return json.loads(out.read_text())

    def in_folder(self):
        return json.loads((self.run_folder / "evaluation.json").read_text())

    def test_the_figures_are_those_of_the_logits(self):
        self.train()
        figures = self.evaluate("--logits", "logits")
        tensors = read_tensors(self.folder / "logits")
        labels, classes = tensors["labels"], 4
        rows = [tensors["logits"][classes * i:classes * (i + 1)] for i in range(len(labels))]
        answers = [row.index(max(row)) for row in rows]
        confusion = [[sum(pair == (a, b) for pair in zip(labels, answers)) for b in range(4)] for a in range(4)]
        self.assertEqual(figures["confusion"], confusion)
        self.assertEqual([row["support"] for row in figures["classes"]], [4, 5, 6, 0])
        self.assertEqual(figures["images"], 15)
        self.assertEqual(figures["top_1_accuracy"], sum(a == b for a, b in zip(labels, answers)) / 15)
        self.assertEqual(figures["top_5_accuracy"], 1)
        self.assertEqual([row["class"] for row in figures["classes"]], [*NAMES, "3"])
        self.assertEqual([figures["classes"][3][key] for key in ("precision", "recall", "f1")], [None] * 3)
        self.assertEqual(figures["top_1_accuracy"], read_metrics(self.run_folder)[-1]["val_accuracy"])
        self.assertAlmostEqual(figures["loss"], read_metrics(self.run_folder)[-1]["val_loss"], 6)

    def test_any_number_of_ranks_writes_the_same(self):
        self.train(ranks=2)
        written, printed = [], []
        for ranks in (1, 2):
            json_file, csv_file = (self.folder / f"{kind}-{ranks}" for kind in ("json", "csv"))
            printed.append(self.succeed("eval", "run", "--json", json_file, "--csv", csv_file, ranks=ranks).stdout)
            written.append((json_file.read_bytes(), csv_file.read_bytes()))
        self.assertEqual(written[0], written[1])
        self.assertEqual(printed[0], printed[1])
        self.assertNotIn("\a", printed[0])
        self.assertRegex(printed[0], r"\ntop-1 accuracy .* %, top-5 accuracy 100.00 %, expected calibration error .* %\n")
        for name in PRINTABLE:
            self.assertEqual(printed[0].count(f"  {name}\n"), 2, "in the table of classes and in the matrix")

    def test_a_run_leaves_its_own(self):
        for ranks, part in ((1, "validation"), (2, "validation"), (1, "test")):
            with self.subTest(ranks=ranks, part=part):
                if part == "test":
                    self.make_part("test", 3)
                self.train(ranks=ranks)
                of_run, of_eval = self.in_folder(), self.evaluate("--part", part, "--csv", "out.csv")
                self.assertEqual(of_run.pop("weights"), "after epoch 2")
                self.assertEqual(pathlib.Path(of_eval.pop("weights")).name, "epoch-0002.safetensors")
                self.assertEqual(of_run, of_eval)
                self.assertEqual((of_run["part"], of_run["images"]), (part, 15 if part == "validation" else 12))
                table = rows_of(self.run_folder / "evaluation.csv")
                self.assertEqual(table, rows_of(self.folder / "out.csv"))
                self.assertEqual(table[0], "label class support answers correct precision recall f1".split())
                self.assertEqual([row[1] for row in table[1:]], PRINTABLE)
                self.assertEqual(table[4][5:], ["", "", ""])
                matrix = rows_of(self.run_folder / "confusion.csv")
                self.assertEqual(matrix[0], ["class", *PRINTABLE])
                self.assertEqual([[row[0], *map(int, row[1:])] for row in matrix[1:]],
                                 [[name, *row] for name, row in zip(PRINTABLE, of_run["confusion"])])

    def test_a_run_that_stops_early_and_one_that_goes_on(self):
        # At such a rate the weights stay, and the second epoch is no better.
        self.train("train.epochs=9", "train.early_stop={patience: 1}", "optimizer.lr=1e-30")
        last = len([record for record in read_metrics(self.run_folder) if "event" not in record])
        self.assertLess(last, 9)
        self.assertEqual(self.in_folder()["weights"], f"after epoch {last}")
        self.train("train.epochs=9", "--resume", "auto")
        self.assertEqual(self.in_folder()["weights"], "after epoch 9")

    def test_what_cannot_be_written(self):
        for name in FILES:  # as far as a run's folder goes, a warning
            (self.run_folder / name / "in the way").mkdir(parents=True)
        result = self.train()
        self.assertEqual(result.stderr.count("no evaluation of the run"), 1, result.stderr)
        self.assertEqual(len(read_metrics(self.run_folder)), 3)
        self.refuse(1, ["missing/x.json"], "eval", self.run_folder, "--json", self.folder / "missing" / "x.json")


if __name__ == "__main__":
    main()
