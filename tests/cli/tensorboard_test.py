#!/usr/bin/env python3
"""TensorBoard's own package reads what a run has written for it.

usage: tensorboard_test.py CONVOY [unittest arguments]
"""
import logging
import pathlib
import shutil
import struct
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from launch import ProgramTest, main  # noqa: E402
from run_files import checkpoints, differing, read_metrics, read_tensors  # noqa: E402

try:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.backend.event_processing import plugin_event_accumulator
    MISSING = ""
except ImportError as error:
    MISSING = str(error).replace("'", "")  # which tools/test_report takes for the reason's own

EPOCHS, STEPS, IMAGES = 3, 10, 50  # steps of an epoch, images to validate with
NET = f"""
name: net
data:
  source: synthetic
  synthetic: {{image: [3, 8, 8], classes: 4, train: {STEPS * 16}, test: {IMAGES}}}
model:
  input: [3, 8, 8]
  layers:
    - conv: {{out: 6, kernel: 3}}
    - relu
    - flatten
    - linear: 4
train: {{epochs: {EPOCHS}, global_batch: 16}}
optimizer: {{name: sgd, lr: 0.05, momentum: 0.9}}
schedule: cosine
device: cpu
checkpoint: {{every_steps: 4, keep: 0}}
"""
PARAMETERS = {"0.weight": 6 * 3 * 3 * 3, "0.bias": 6, "3.weight": 4 * 6 * 6 * 6, "3.bias": 4}


def event_files(run):
    return sorted((run / "tensorboard").iterdir())


def read(run):
    everything = {"scalars": 0, "histograms": 0, "images": 0, "tensors": 0}
    accumulator = EventAccumulator(str(run / "tensorboard"), size_guidance=everything)
    accumulator.Reload()
    return accumulator


def texts(run, tag):
    """The steps of texts, by TensorBoard's newer reader: the other takes back none of a run that was resumed."""
    accumulator = plugin_event_accumulator.EventAccumulator(str(run / "tensorboard"), tensor_size_guidance={"text": 0})
    accumulator.Reload()
    return [event.step for event in accumulator.Tensors(tag)]


def steps_of(accumulator, tag):
    return [event.step for event in accumulator.Scalars(tag)]


logging.getLogger("tensorboard").setLevel(logging.ERROR)  # it tells of every step that it takes back


@unittest.skipIf(MISSING, MISSING)
class TensorBoard(ProgramTest):
    def setUp(self):
        super().setUp()
        self.write(NET)

    def train(self, output, *arguments, ranks=1):
        self.log = self.succeed("train", "net.yaml", "--output", output, *arguments, ranks=ranks).stderr
        return self.folder / output

    def kill_in_second_epoch(self, run):
        """As if the run had been killed after the first checkpoint within its second epoch; what it has shown stays."""
        names = checkpoints(run)
        last = next(i for i, name in enumerate(names) if name.startswith("epoch-0002-"))
        for name in names[last + 1:]:
            (run / "checkpoints" / name).unlink()

    def test_scalars_are_those_of_the_metrics(self):
        run = self.train("run")
        self.assertEqual(len(event_files(run)), 1)
        shown, records = read(run), [record for record in read_metrics(run) if "event" not in record]
        for tag, key in (("loss/train", "train_loss"), ("loss/val", "val_loss"), ("accuracy/train", "train_accuracy"),
                         ("accuracy/val", "val_accuracy")):
            self.assertEqual(steps_of(shown, tag), [record["step"] for record in records])
            for event, record in zip(shown.Scalars(tag), records):
                self.assertAlmostEqual(event.value, record[key], delta=1e-6 * abs(record[key]))
        every_step = list(range(1, EPOCHS * STEPS + 1))
        self.assertEqual(steps_of(shown, "loss/step"), every_step)
        self.assertEqual(steps_of(shown, "learning_rate"), every_step)
        rates = [event.value for event in shown.Scalars("learning_rate")]
        self.assertAlmostEqual(rates[0], 0.05, places=6)
        self.assertAlmostEqual(rates[-1], records[-1]["lr"], places=6)
        first_epoch = [event.value for event in shown.Scalars("loss/step")][:STEPS]
        self.assertAlmostEqual(sum(first_epoch) / STEPS, records[0]["train_loss"], places=5)
        self.assertTrue(all(event.value > 0 for event in shown.Scalars("speed/images_per_second")))

    def test_histograms_are_those_of_the_weights(self):
        run = self.train("run", "checkpoint={every_steps: 0, keep: 0}")
        shown = read(run)
        for epoch, name in enumerate(checkpoints(run)):
            tensors = read_tensors(run / "checkpoints" / name)
            for parameter, count in PARAMETERS.items():
                event = shown.Histograms("weights/" + parameter)[epoch]
                values, histogram = tensors[parameter], event.histogram_value
                self.assertEqual(event.step, (epoch + 1) * STEPS)
                self.assertEqual((histogram.num, len(values), sum(histogram.bucket)), (count, count, count))
                self.assertAlmostEqual(histogram.min, min(values))
                self.assertAlmostEqual(histogram.max, max(values))
                self.assertAlmostEqual(histogram.sum, sum(values), places=4)
                self.assertEqual(list(histogram.bucket_limit), sorted(set(histogram.bucket_limit)))
                below = 0
                for limit, number in zip(histogram.bucket_limit, histogram.bucket):
                    below += number
                    self.assertLessEqual(sum(value < limit for value in values), below)
                    self.assertGreaterEqual(sum(value <= limit for value in values), below)
        for parameter, count in PARAMETERS.items():
            self.assertEqual([event.histogram_value.num for event in shown.Histograms("gradients/" + parameter)],
                             [count] * EPOCHS)
        for epoch, norm in enumerate(shown.Scalars("gradients/norm")):
            squares = sum(shown.Histograms("gradients/" + parameter)[epoch].histogram_value.sum_squares
                          for parameter in PARAMETERS)
            self.assertGreater(squares, 0)
            self.assertAlmostEqual(norm.value ** 2, squares, delta=1e-4 * squares)

    def test_gradients_move_the_weights_as_the_optimizer_says(self):
        """Two epochs of one step: the second one's gradients are what the weights moved by."""
        for clip in (0, 0.1):
            run = self.train(f"clip{clip}", f"train={{epochs: 2, global_batch: {STEPS * 16}, clip_norm: {clip}}}",
                             "optimizer={name: sgd, lr: 0.5}", "schedule=constant", "checkpoint={keep: 0}")
            before, after = (read_tensors(run / "checkpoints" / name) for name in checkpoints(run))
            shown, squares = read(run), 0
            for parameter in PARAMETERS:
                gradients = shown.Histograms("gradients/" + parameter)[1].histogram_value
                moved = [(a - b) / 0.5 for a, b in zip(before[parameter], after[parameter])]
                self.assertAlmostEqual(gradients.sum, sum(moved), places=4)
                self.assertAlmostEqual(gradients.max, max(moved), places=5)
                squares += gradients.sum_squares
            norm = shown.Scalars("gradients/norm")[1].value  # before clipping
            self.assertGreater(norm, 0.1)
            self.assertAlmostEqual(squares ** 0.5, clip or norm, delta=1e-4 * norm)

    def test_pictures_are_there(self):
        shown = read(self.train("run"))
        tags = {"first_layer/filters", "validation/confusion", "validation/worst_mistakes"}
        self.assertEqual(set(shown.Tags()["images"]), tags)
        for tag in tags:
            events = shown.Images(tag)
            self.assertEqual([event.step for event in events], [STEPS * (i + 1) for i in range(EPOCHS)])
            for event in events:
                self.assertTrue(event.encoded_image_string.startswith(b"\x89PNG\r\n\x1a\n"))
                self.assertEqual(struct.unpack(">II", event.encoded_image_string[16:24]), (event.width, event.height))
        filters, confusion = shown.Images("first_layer/filters")[0], shown.Images("validation/confusion")[0]
        self.assertEqual((filters.width, filters.height), (3 * 48 + 2, 2 * 48 + 1))  # six of 3x3, each pixel 16 wide
        self.assertEqual((confusion.width, confusion.height), (17 + 4 * 32 + 3, 17 + 4 * 32 + 3))  # beside the names
        (text,) = shown.Tensors("validation/worst_mistakes_list")[-1].tensor_proto.string_val
        lines = text.decode().splitlines()[2:]
        wrong = IMAGES - round(shown.Scalars("accuracy/val")[-1].value * IMAGES)
        self.assertEqual(len(lines), min(wrong, 36))
        for line in lines:
            _, _, _, label, answer, certainty, _ = (part.strip() for part in line.split("|"))
            self.assertNotEqual(label, answer)
            self.assertTrue(0.25 <= float(certainty) <= 1)

    def test_a_resumed_run_is_drawn_once(self):
        run = self.train("run")
        straight = read(run)
        self.kill_in_second_epoch(run)
        self.train("run", "--resume", "auto")
        self.assertEqual(len(event_files(run)), 2)
        shown = read(run)
        for tag in ("loss/step", "learning_rate", "loss/train", "loss/val", "gradients/norm"):
            self.assertEqual([(event.step, event.value) for event in shown.Scalars(tag)],
                             [(event.step, event.value) for event in straight.Scalars(tag)], tag)
        for tag in ("weights/0.weight", "gradients/3.bias"):
            self.assertEqual(len(shown.Histograms(tag)), EPOCHS)
        self.assertEqual(len(shown.Images("validation/confusion")), EPOCHS)
        newer = plugin_event_accumulator.EventAccumulator(str(run / "tensorboard"), tensor_size_guidance={"scalars": 0})
        newer.Reload()
        for tag in ("loss/step", "loss/val", "weights/0.weight", "validation/confusion"):
            steps = [event.step for event in newer.Tensors(tag)]
            self.assertEqual(steps, sorted(set(steps)), tag)

    def test_a_record_that_a_crash_cut_off_is_left_out(self):
        run = self.train("run")
        straight = read(run)
        (file,) = event_files(run)
        file.write_bytes(file.read_bytes()[:-7])
        shown = read(run)
        self.assertEqual(steps_of(shown, "loss/train"), steps_of(straight, "loss/train"))
        ends = [STEPS * (i + 1) for i in range(EPOCHS)]
        self.assertEqual(texts(run, "validation/worst_mistakes_list"), ends[:-1])
        self.kill_in_second_epoch(run)
        self.train("run", "--resume", "auto")
        shown = read(run)
        self.assertEqual(steps_of(shown, "loss/step"), steps_of(straight, "loss/step"))
        self.assertEqual(texts(run, "validation/worst_mistakes_list"), ends)

    def test_two_ranks_show_the_same(self):
        one, two = self.train("one"), self.train("two", ranks=2)
        self.assertEqual(len(event_files(two)), 1)
        a, b = read(one), read(two)
        self.assertEqual(a.Tags(), b.Tags())
        for tag in a.Tags()["scalars"]:
            if tag.startswith("speed/"):
                continue
            for x, y in zip(a.Scalars(tag), b.Scalars(tag)):
                self.assertEqual(x.step, y.step)
                self.assertAlmostEqual(x.value, y.value, delta=1e-3 * max(abs(x.value), 1), msg=tag)
        for tag in a.Tags()["histograms"]:
            x, y = a.Histograms(tag)[0].histogram_value, b.Histograms(tag)[0].histogram_value
            self.assertAlmostEqual(x.sum_squares, y.sum_squares, delta=1e-3 * x.sum_squares, msg=tag)

    def test_without_it_nothing_is_written_and_weights_are_the_same(self):
        one, two = self.train("one"), self.train("two", "train.tensorboard=false")
        self.assertFalse((two / "tensorboard").exists())
        last = checkpoints(one)[-1]
        self.assertEqual(differing(one / "checkpoints" / last, two / "checkpoints" / last), [])
        self.assertEqual(read_metrics(one), read_metrics(two))

    def test_what_cannot_be_written_does_not_end_a_run(self):
        run = self.train("run")
        self.kill_in_second_epoch(run)
        shutil.rmtree(run / "tensorboard")
        (run / "tensorboard").write_text("in the way")
        self.train("run", "--resume", "auto")
        self.assertEqual(self.log.count("nothing for TensorBoard"), 1, self.log)
        self.assertEqual(len([record for record in read_metrics(run) if "event" not in record]), EPOCHS)


if __name__ == "__main__":
    main()
