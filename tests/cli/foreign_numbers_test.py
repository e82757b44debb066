#!/usr/bin/env python3
"""Numbers and texts of files that others wrote: what no run comes to is refused by name, whatever the checksum says.

usage: foreign_numbers_test.py CONVOY [unittest arguments]
"""
import json
import pathlib
import struct
import sys
from random import Random

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from depth import DEEP  # noqa: E402
from launch import ProgramTest, main  # noqa: E402
from run_files import parts_of, write_safetensors  # noqa: E402

TINY = """name: tiny
data: {source: synthetic, synthetic: {image: [1, 28, 28], classes: 10, train: 1000, test: 50}}
model: {input: [1, 28, 28], layers: [avgpool: {kernel: 7, stride: 7}, flatten, linear: 10]}
train: {epochs: 1, global_batch: 500, autotune: false}
optimizer: {lr: 0.1}
"""


class ForeignNumbers(ProgramTest):
    def setUp(self):
        super().setUp()
        self.config = self.write(TINY, "tiny.yaml")
        self.succeed("train", self.config, "--output", "run")
        self.checkpoint = next((self.folder / "run" / "checkpoints").glob("epoch*"))
        self.altered = self.folder / "altered.safetensors"

    def expect_refusal(self, words, *command):
        result = self.launch(*command)
        self.assertEqual(result.returncode, 1, result.stdout + result.stderr)
        self.assertIn("altered.safetensors", result.stderr)
        for word in words:
            self.assertIn(word, result.stderr)

    def test_progress(self):
        for key, texts in {"epochs_done": ["-1", "x", "", "1.5", "99999999999", "2147483647", "1 "],
                           "steps_done": ["-1", "9223372036854775807"],
                           "images_done": ["-1", "9223372036854775807"],
                           "epochs_since_best": ["-2"],
                           "best_value": ["nan", "?"],
                           "seconds": ["nan", "-1", "inf", "1e300"]}.items():
            for text in texts:
                with self.subTest(key=key, text=text):
                    header, values = parts_of(self.checkpoint)
                    header["__metadata__"][key] = text
                    write_safetensors(self.altered, header, values)
                    self.expect_refusal([key], "train", self.config, "--resume", self.altered, "train.epochs=3", "--output", "other")

    def test_weights_that_are_not_finite(self):
        header, values = parts_of(self.checkpoint)
        at = header["2.weight"]["data_offsets"][0]
        for number in (float("nan"), float("inf")):
            write_safetensors(self.altered, header, values[:at] + struct.pack("<f", number) + values[at + 4:])
            for command in (["predict", self.altered, self.config], ["eval", self.altered], ["export", self.altered, "--output", "x.onnx"],
                            ["train", self.config, "--init", self.altered, "--output", "other"],
                            ["train", self.config, "--resume", self.altered, "train.epochs=3", "--output", "other"]):
                with self.subTest(number=number, command=command[0]):
                    self.expect_refusal(["2.weight", "not finite"], *command)
        self.assertFalse((self.folder / "x.onnx").exists())

    def test_random_metadata(self):
        """With a checksum that is right, and up to 1 MiB: refused, or resumed from; never anything else."""
        self.succeed("train", self.config, "--output", "steps", "checkpoint.every_steps=1")
        random = Random(7)
        numbers = ["-1", "0", "1", "2147483648", "-9223372036854775808", "18446744073709551616", "1e999", "-inf", "nan", "0x1p-9",
                   "00", "+1", " 1", "1 ", "1,5", "\u0661", ""]
        files = [parts_of(path) for path in sorted((self.folder / "steps" / "checkpoints").iterdir())]
        for number in range(2000 if DEEP else 20):
            header, values = random.choice(files)
            header = json.loads(json.dumps(header))
            metadata = header["__metadata__"]
            for _ in range(random.randint(1, 3)):
                key, other = random.choice(sorted(metadata)), random.choice(sorted(metadata))
                kind = random.randrange(5)
                if kind == 0:
                    metadata[key] = random.choice(numbers)
                elif kind == 1:
                    metadata[key] = metadata[other]
                elif kind == 2 and len(metadata) > 1:
                    del metadata[key]
                elif kind == 3:
                    at = random.randrange(len(metadata[key]) + 1)
                    metadata[key] = metadata[key][:at] + random.choice("\n{[\x1b&9\u00e9") + metadata[key][at:]
                else:
                    metadata[key] += random.choice("x 0[{\n") * random.randrange(1 << 20)
            write_safetensors(self.altered, header, values)
            for command in (["train", self.config, "--resume", self.altered, "train.epochs=2", "--output", "other"],
                            ["eval", self.altered]):
                with self.subTest(number=number, command=command[0]):
                    result = self.launch(*command)
                    self.assertIn(result.returncode, (0, 1, 2), result.stderr[-2000:])
                    for word in ("internal error", "\x1b", "std::"):
                        self.assertNotIn(word, result.stderr)
                    self.assertLess(len(result.stderr), 10000)

    def test_long_texts_are_not_printed_whole(self):
        for key, text, said in (("data_image", "(28,28,1)" + "x" * 900000, "900009 characters"), ("data_kind", "m" * 900000, "900000 characters")):
            header, values = parts_of(self.checkpoint)
            header["__metadata__"][key] = text
            write_safetensors(self.altered, header, values)
            result = self.launch("train", self.config, "--resume", self.altered, "train.epochs=3", "--output", "other")
            with self.subTest(key=key):
                self.assertIn(result.returncode, (1, 2), result.stderr[-300:])
                self.assertIn(said, result.stderr[:3000])
                self.assertLess(len(result.stderr), 10000)

    def test_weights_that_are_there_but_otherwise(self):
        """Under longer names, as torch.compile() and DataParallel save them, or of integers."""
        header, values = parts_of(self.checkpoint)
        weights = [name for name in header if name[0].isdigit()]
        for prefix in ("module.", "_orig_mod.", "module._orig_mod.", "backbone.net."):
            with self.subTest(prefix=prefix):
                renamed = {(prefix if name in weights else "") + name: entry for name, entry in header.items()}
                write_safetensors(self.altered, dict(renamed, __metadata__={}), values)
                command = ["train", self.config, "--init", self.altered, "--output", "prefixed"]
                if prefix == "backbone.net.":
                    self.expect_refusal([f"each name begins with {prefix}: save them without"], *command)
                else:
                    self.assertIn(f"their names are without {prefix} here", self.succeed(*command).stdout)
        integers, size = {"__metadata__": {}}, 0
        for name in weights:
            begin, end = header[name]["data_offsets"]
            integers[name] = {"dtype": "I8", "shape": header[name]["shape"], "data_offsets": [size, size + (end - begin) // 4]}
            size += (end - begin) // 4
        write_safetensors(self.altered, integers, bytes(size))
        self.expect_refusal(["tensor 2.", "holds I8, no floating-point numbers"], "train", self.config, "--init", self.altered)

    def test_a_name_twice(self):
        header, values = parts_of(self.checkpoint)
        entry = '"2.bias":' + json.dumps(header["2.bias"], separators=(",", ":"))
        twice = {"tensor": lambda h: json.dumps(h, separators=(",", ":"))[:-1] + "," + entry + "}",
                 "metadata": lambda h: json.dumps(h, separators=(",", ":")).replace('"epochs_done"', '"epochs_done":"7","epochs_done"')}
        for what, text in twice.items():
            with self.subTest(what=what):
                write_safetensors(self.altered, header, values, text)
                self.expect_refusal(["twice"], "eval", self.altered)

    def test_metrics_of_any_kind(self):
        odd = ['{"epoch": "x"}', '{"epoch": 1e300}', '{"event": "step", "step": "x"}', '{"epoch": 1, "val_accuracy": "x"}',
               '{"epoch": -5, "val_accuracy": 7}', '{"event": 3}', "[" * 100000, "", "null"]
        (self.folder / "run" / "metrics.jsonl").write_text("\n".join(odd) + "\n")
        self.succeed("train", self.config, "--resume", "auto", "train.epochs=2", "--output", "run")

    def test_long_keys(self):
        result = self.launch("check", self.config, "a." * 60000 + "b=1")
        self.assertEqual(result.returncode, 2)
        self.assertIn("this is longer than any key", result.stdout)
        self.assertLess(len(result.stdout), 300)

    def test_text_is_taken_as_the_shell_gave_it(self):
        for word in ("set #2", "a: b", "@home", "%d", "*", "&x", "[a]", "{a}", "true", "12", "-", "'a"):
            with self.subTest(word=word):
                result = self.launch("check", self.config, "data.source=folder", f"data.path={word}")
                self.assertIn(f"{word}", result.stdout)
                self.assertNotIn("YAML", result.stdout)

    def test_no_break_space(self):
        self.write(TINY.replace("lr: 0.1", "lr:\u00a00.1"), "space.yaml")
        self.assertIn("no-break space", self.launch("check", "space.yaml").stdout)

    def test_variables_of_launchers(self):
        for value in ("-1", "abc", "", "0", "99999999999999"):
            with self.subTest(value=value):
                result = self.launch("check", self.config, variables={"OMPI_COMM_WORLD_SIZE": value})
                self.assertEqual(result.returncode, 2, result.stderr)
                self.assertIn("OMPI_COMM_WORLD_SIZE", result.stderr)


if __name__ == "__main__":
    main()
