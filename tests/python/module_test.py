#!/usr/bin/env python3
"""The Python module over the library and program of a build folder: answers, training, metrics, mistakes.

usage: module_test.py CONVOY [unittest arguments]
"""
import json
import logging
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "python")]
import convoy  # noqa: E402
import convoy._files  # noqa: E402
from data_files import png  # noqa: E402
from networks import DIGITS, PICTURES, SMALL, STEADY  # noqa: E402
from patience import patience  # noqa: E402

try:
    import numpy
except ImportError:
    numpy = None
CONVOY = ""


class ModuleTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="convoy-module-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)

    @classmethod
    def write(cls, name, text):
        path = cls.folder / name
        path.write_text(text)
        return path


@unittest.skipIf(numpy is None, "no numpy")
class Predict(ModuleTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        try:
            convoy._files.library()
        except convoy.Error as error:
            raise unittest.SkipTest(str(error)) from None
        random = numpy.random.default_rng(1)
        cls.pictures = {}
        for label, name in enumerate(["cat", "dog", "owl"]):
            for part, count in (("train", 4), ("val", 2)):
                for i in range(count):
                    pixels = random.integers(0, 256, (17 + 9 * i + label, 40 - 7 * i, 3), numpy.uint8)
                    path = cls.folder / "images" / part / name / f"{i}.png"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(png(*pixels.shape[:2], lambda y, x, p=pixels.tolist(): p[y][x]))
                    cls.pictures[path] = pixels
        cls.run_folder = cls.folder / "pictures"
        list(convoy.train(cls.write("pictures.yaml", PICTURES.replace("PATH", str(cls.folder / "images"))), output=cls.run_folder))
        list(convoy.train(cls.write("digits.yaml", DIGITS), output=cls.folder / "digits"))
        cls.model = convoy.load(cls.run_folder, device="cpu")
        cls.digits = convoy.load(cls.folder / "digits", device="cpu")

    def test_the_same_as_the_program(self):
        paths = list(self.pictures)
        told = subprocess.run([CONVOY, "predict", self.run_folder, *paths, "--json", "--device", "cpu"], capture_output=True,
                              text=True, check=True).stdout
        answers = self.model.predict(paths)
        self.assertEqual((answers.shape, answers.dtype), ((len(paths), 3), numpy.float32))
        self.assertEqual(self.model.classes, ["cat", "dog", "owl"])
        self.assertGreater(numpy.ptp(answers[:, 0]), 0.01, "the network tells pictures apart")
        for row, line in zip(answers, told.splitlines()):
            for score in json.loads(line)["top"]:
                self.assertAlmostEqual(row[score["label"]], score["probability"], places=6)
                self.assertEqual(self.model.classes[score["label"]], score["class"])

    def test_arrays_answer_as_files_do(self):
        paths, arrays = list(self.pictures), list(self.pictures.values())
        expected = self.model.predict(paths)
        numpy.testing.assert_allclose(self.model.predict(arrays), expected, atol=1e-6)
        numpy.testing.assert_allclose(self.model.predict(arrays[0]), expected[:1], atol=1e-6)
        numpy.testing.assert_allclose(self.model.predict(arrays[0][None] / numpy.float32(255)), expected[:1], atol=1e-6)
        numpy.testing.assert_allclose(self.model.predict(str(paths[1])), expected[1:2], atol=1e-6)
        turned = numpy.asfortranarray(arrays[2])  # the same picture in another order of memory
        numpy.testing.assert_allclose(self.model.predict(turned), expected[2:3], atol=1e-6)

    def test_gray_and_colours(self):
        gray = numpy.arange(28 * 28, dtype=numpy.uint8).reshape(28, 28)
        one = self.digits.predict(gray[..., None])
        numpy.testing.assert_allclose(self.digits.predict([gray]), one)
        numpy.testing.assert_allclose(self.digits.predict(numpy.repeat(gray[..., None], 3, axis=2)), one, atol=1e-6)
        numpy.testing.assert_allclose(self.digits.predict(gray[..., None], resize=False), one, atol=1e-6)
        self.assertAlmostEqual(float(one.sum()), 1, places=5)
        self.assertEqual(self.digits.input, (1, 28, 28, 1))
        self.assertEqual(self.model.predict(gray[..., None]).shape, (1, 3))

    def test_a_forked_child_answers_and_ends(self):
        script = ("import convoy, os, signal, sys\n"
                  "model = convoy.load(sys.argv[1], device='cpu', threads=2)\n"
                  "model.predict(sys.argv[3:])\n"
                  "child = os.fork()\n"
                  "if child == 0: signal.alarm(int(sys.argv[2]))  # ends it where it hangs\n"
                  "if child == 0: model.predict(sys.argv[3:])\n"
                  "else: sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n")
        done = subprocess.run([sys.executable, "-c", script, self.run_folder, str(int(patience(10))), *self.pictures],
                              env=dict(os.environ, PYTHONPATH=str(ROOT / "python")), timeout=patience(60))
        self.assertEqual(done.returncode, 0)

    def test_more_than_a_batch_and_none(self):
        images = numpy.random.default_rng(2).integers(0, 256, (70, 28, 28, 1), numpy.uint8)
        answers = self.digits.predict(images)
        numpy.testing.assert_allclose(answers[50], self.digits.predict(images[50])[0], atol=1e-6)
        numpy.testing.assert_allclose(self.digits.predict(images, resize=False), answers, atol=1e-6)
        self.assertEqual(self.digits.predict(images[:0]).shape, (0, 10))
        self.assertEqual(self.digits.predict([]).shape, (0, 10))

    def refuse(self, pattern, call):
        with self.assertRaisesRegex(convoy.Error, pattern) as caught:
            call()
        self.assertEqual(len(str(caught.exception).splitlines()), 1)

    def test_mistakes(self):
        image = numpy.zeros((28, 28, 1))
        self.refuse("nowhere", lambda: convoy.load(self.folder / "nowhere"))
        self.refuse("device gpu", lambda: convoy.load(self.run_folder, device="gpu"))
        self.refuse("shape .28, 28.; expected", lambda: self.digits.predict(image[..., 0]))
        self.refuse("4.; expected", lambda: self.digits.predict(numpy.zeros((28, 28, 4))))
        self.refuse("0 to 1: divide by 255", lambda: self.digits.predict(image + 200))
        self.refuse("0 to 1", lambda: self.digits.predict(image * float("nan")))
        self.refuse("int64", lambda: self.digits.predict(image.astype(int)))
        self.refuse("leave resize=True", lambda: self.digits.predict(image[:20], resize=False))
        self.refuse("not both", lambda: self.digits.predict(["a.png", image]))
        self.refuse("no pixels", lambda: self.digits.predict(image[:0]))
        for wrong in (0, -1, 2.5, "8", 10 ** 12):
            self.refuse("batch is .*; expected a whole number from 1", lambda wrong=wrong: convoy.load(self.run_folder, batch=wrong))
        self.refuse("device None", lambda: convoy.load(self.run_folder, device=None))
        self.refuse("missing.png", lambda: self.model.predict([next(iter(self.pictures)), self.folder / "missing.png"]))

    def test_a_long_message_is_cut(self):
        with self.assertRaises(convoy.Error):
            convoy.load("x" * 10000)


class Train(ModuleTest):
    def test_epochs_as_they_come(self):
        output = self.folder / "several" / "epochs"
        epochs = list(convoy.train(self.write("small.yaml", SMALL), {"train.epochs": 3}, output=output))
        self.assertEqual([row["epoch"] for row in epochs], [1, 2, 3])
        self.assertGreater(epochs[-1]["val_accuracy"], 0.2)
        rows = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
        self.assertEqual([row for row in rows if "event" not in row], epochs)
        # Again, which moves the first run away: its rows are not those of the second.
        again = list(convoy.train(self.folder / "small.yaml", ["train.epochs=2"], output=output))
        self.assertEqual([row["epoch"] for row in again], [1, 2])
        self.assertNotEqual(again[0]["seconds"], epochs[0]["seconds"])
        # Resumed: only what is new.
        more = list(convoy.train(self.folder / "small.yaml", ["train.epochs=4"], output=output, resume="auto"))
        self.assertEqual([row["epoch"] for row in more], [3, 4])

        records = convoy.runs(self.folder / "several")
        mine = [row for row in records if row["run"] == str(output) and "event" not in row]
        self.assertEqual([row["epoch"] for row in mine], [1, 2, 3, 4])
        self.assertEqual({row["run"] for row in records}, {str(output), f"{output}.1"})

    def test_a_dict(self):
        config = {"name": "small", "data": {"source": "digits", "normalize": {"mean": [0.13], "std": [0.3]}},
                  "model": {"input": [1, 28, 28], "layers": [{"maxpool": 4}, "flatten", {"linear": 10}]},
                  "train": {"epochs": numpy.int64(1) if numpy else 1, "global_batch": 1000}, "device": "cpu"}
        self.assertEqual(len(list(convoy.train(config, output=self.folder / "dict"))), 1)

    @unittest.skipUnless(shutil.which("mpirun"), "no mpirun")
    def test_two_ranks(self):
        list(convoy.train(self.write("ranks.yaml", SMALL), ["train.epochs=1"], ranks=2, output=self.folder / "ranks"))
        summary = [row for row in convoy.runs(self.folder / "ranks") if row.get("event") == "summary"]
        self.assertEqual([row["ranks"] for row in summary], [2])

    def test_failures(self):
        config = self.write("failing.yaml", SMALL)
        with self.assertRaisesRegex(convoy.Error, 'did you mean "epochs"') as caught:
            list(convoy.train(config, ["train.epoch=1"], output=self.folder / "failing"))
        self.assertEqual(caught.exception.exit_code, 2)
        self.assertFalse((self.folder / "failing").exists())
        with self.assertRaisesRegex(convoy.Error, "nowhere") as caught:
            list(convoy.train(config, output=self.folder / "failing", resume=self.folder / "nowhere"))
        self.assertEqual(caught.exception.exit_code, 1)
        with self.assertRaisesRegex(convoy.Error, "one string"):
            convoy.train(config, "train.epochs=1")
        for wrong in (0, -1, "2", None):
            with self.assertRaisesRegex(convoy.Error, "ranks is .*; expected a whole number"):
                convoy.train(config, ranks=wrong)
        with self.assertRaisesRegex(convoy.Error, "no-such-launcher cannot be started"):
            list(convoy.train(config, output=self.folder / "failing", launcher=["no-such-launcher"]))
        with self.assertRaisesRegex(convoy.Error, "set. cannot stand in a configuration"):
            list(convoy.train(config, {"train.epochs": {1}}, output=self.folder / "failing"))
        with self.assertRaisesRegex(convoy.Error, "is not a folder"):
            convoy.runs(self.folder / "nowhere")

    def stopped(self, ranks):
        """Closed after an epoch, it leaves a checkpoint to go on from, and no process."""
        output = self.folder / f"stopped-{ranks}"
        epochs = convoy.train(self.write("steady.yaml", STEADY), ["train.epochs=1000", "device=cpu"], ranks=ranks, output=output)
        with self.assertLogs("convoy", "INFO") as logs:
            self.assertEqual(next(epochs)["epoch"], 1)
            epochs.close()
        self.assertIn("stopped on request", "".join(logs.output))
        self.assertEqual(self.processes(output), [])
        more = convoy.train(self.folder / "steady.yaml", ["train.epochs=1000", "device=cpu"], output=output, resume="auto")
        self.assertGreater(next(more)["epoch"], 1)
        more.close()

    @staticmethod
    def processes(output):
        found = subprocess.run(["pgrep", "-f", str(output)], capture_output=True, text=True).stdout.split()
        return [pid for pid in found if int(pid) != os.getpid()]

    def test_closing_stops_the_run(self):
        self.stopped(1)

    @unittest.skipUnless(shutil.which("mpirun"), "no mpirun")
    def test_closing_stops_two_ranks(self):
        self.stopped(2)


class Command(ModuleTest):
    def test_it_becomes_the_program(self):
        """Output, exit codes and signals are those of the program."""
        environment = dict(os.environ, PYTHONPATH=str(ROOT / "python"))
        command = [sys.executable, "-m", "convoy"]
        direct = subprocess.run([CONVOY, "keys"], capture_output=True, text=True).stdout
        self.assertEqual(subprocess.run([*command, "keys"], env=environment, capture_output=True, text=True).stdout, direct)
        self.assertEqual(subprocess.run([*command, "nonsense"], env=environment, capture_output=True).returncode, 2)
        config, output = self.write("steady.yaml", STEADY), self.folder / "signalled"
        process = subprocess.Popen([*command, "train", config, "train.epochs=1000", "device=cpu", "--output", output],
                                   env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + patience(60)
        while not list((output / "checkpoints").glob("epoch-*")) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.terminate()
        self.assertEqual(process.wait(patience(60)), 75)

    def test_its_configurations(self):
        self.assertTrue((convoy.configs() / "quickstart.yaml").is_file())

    def test_where_nothing_is(self):
        environment = dict(os.environ, PYTHONPATH=str(ROOT / "python"), CONVOY_HOME=str(self.folder))
        result = subprocess.run([sys.executable, "-m", "convoy", "--version"], env=environment, capture_output=True, text=True)
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stderr, f"^error: convoy is .*{self.folder}.* CONVOY_HOME\n$")

    def test_libraries_of_wheels_are_found(self):
        for name in ("nvidia/nccl/lib", "nvidia/cu13/lib", "nvidia/empty"):
            (self.folder / name).mkdir(parents=True)
        sys.path.append(str(self.folder))
        self.addCleanup(sys.path.remove, str(self.folder))
        path = convoy._files.environment()["CONVOY_LIBRARY_PATH"].split(":")
        self.assertEqual([folder for folder in path if folder.startswith(str(self.folder))],
                         [str(self.folder / "nvidia" / name / "lib") for name in ("cu13", "nccl")])


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    CONVOY = str(pathlib.Path(sys.argv.pop(1)).resolve())
    os.environ.setdefault("CONVOY_HOME", str(pathlib.Path(CONVOY).parent))
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    logging.getLogger("convoy").setLevel(logging.ERROR)
    unittest.main()
