#!/usr/bin/env python3
"""What is wrong with a configuration, its data or a checkpoint is said in one line, by one rank, and nothing is
half-written.

usage: mistakes_test.py CONVOY [unittest arguments]
"""
import json
import pathlib
import pickle
import shutil
import struct
import subprocess
import sys
import zipfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from data_files import write_mnist  # noqa: E402
from launch import ProgramTest, environment, main  # noqa: E402
from networks import SMALL  # noqa: E402


class Mistakes(ProgramTest):
    # --- bad configurations: exit code 2 ---

    def test_configuration_mistakes_name_file_line_and_key(self):
        self.refuse(2, ["bad.yaml:10", "global_batch"], "train", self.write(SMALL.replace("global_batch", "globl_batch"), "bad.yaml"))
        self.refuse(2, ["bad.yaml:10", "epochs"], "train", self.write(SMALL.replace("epochs: 2", "epochs: two"), "bad.yaml"), ranks=(1,))
        self.refuse(2, ["bad.yaml:10", "epochs"], "train", self.write(SMALL.replace("epochs: 2", "epochs: -2"), "bad.yaml"), ranks=(1,))
        self.refuse(2, ["bad.yaml:11", "lr"], "train", self.write(SMALL.replace("lr: 0.1", "lr: 0.1, lr: 0.2"), "bad.yaml"), ranks=(1,))
        self.refuse(2, ["bad.yaml:8", "flat"], "train", self.write(SMALL.replace("    - flatten\n", ""), "bad.yaml"))

    def test_overrides_are_as_strict(self):
        config = self.write(SMALL)
        self.refuse(2, ["train.epoch"], "train", config, "train.epoch=3")
        self.refuse(2, ["train.epochs"], "train", config, "train.epochs=1.5", ranks=(1,))

    def test_what_cannot_be_printed(self):
        config = self.write(SMALL)
        for command in (["--help"], ["keys"], ["keys", "--markdown"], ["check", config], ["plan", config]):
            with self.subTest(command=command), open("/dev/full", "w", encoding="utf-8") as full:
                result = subprocess.run([self.program, *command], cwd=self.folder, stdout=full, stderr=subprocess.PIPE, text=True,
                                        env=environment(), check=False)
                self.assertRegex(result.stderr, r"error cannot write everything to standard output: .+\n$")
                self.assertEqual(result.returncode, 1)

    def test_training_goes_on_where_nothing_can_be_printed(self):
        config = self.write(SMALL)
        for where in (">/dev/full", ">&-", "<&- >&- 2>&-"):
            with self.subTest(where=where):
                subprocess.run(["sh", "-c", f'exec "$0" train "$1" train.epochs=1 --output run {where}', self.program, config],
                               cwd=self.folder, env=environment(), check=True)
                self.assertIn("\nepoch 1/1 ", (self.folder / "run" / "train.log").read_text())
                shutil.rmtree(self.folder / "run")

    def test_missing_configuration(self):
        self.refuse(2, ["nowhere.yaml"], "train", "nowhere.yaml")

    def test_unknown_command_line_option(self):
        self.assertEqual(self.launch("train", "--nonsense").returncode, 2)
        self.assertEqual(self.launch().returncode, 2)

    def test_batch_smaller_than_the_ranks(self):
        self.refuse(2, ["global_batch", "2 ranks"], "train", self.write(SMALL), "train.global_batch=1", ranks=(2,))

    def test_nothing_to_train_on(self):
        config = self.write(SMALL)
        for command in ("train", "plan"):
            self.refuse(2, ["drop_last", "60000 images"], command, config, "train.drop_last=true",
                        "train.global_batch=70000", ranks=(1,))
        check = self.launch("check", config, "train.drop_last=true", "train.global_batch=70000")
        self.assertEqual(check.returncode, 2)
        self.assertIn("FAIL  batch", check.stdout)

    def test_a_device_that_is_not_there_is_said_once(self):
        if "without CUDA" in self.launch("train", self.write(SMALL), "device=cuda").stderr:
            self.refuse(1, ["built without CUDA"], "train", self.write(SMALL), "device=cuda")

    def test_double_precision_needs_the_reference(self):
        self.refuse(2, ["fp64", "reference"], "train", self.write(SMALL), "train.precision=fp64")

    def test_other_precisions_need_cuda(self):
        for precision in ("tf32", "fp16", "bf16"):
            self.refuse(2, [precision, "device: cuda"], "train", self.write(SMALL), f"train.precision={precision}")

    def test_image_shape_of_another_data_set(self):
        config = self.write(SMALL.replace("[1, 28, 28]", "[3, 32, 32]"))
        self.refuse(2, ["model.input", "(28,28,1)"], "train", config)

    def test_labels_beyond_the_last_layer(self):
        self.refuse(2, ["7 scores", "10 classes"], "train", self.write(SMALL.replace("linear: 10", "linear: 7")))

    # --- bad data: exit code 1 ---

    def test_missing_data(self):
        self.refuse(1, ["nowhere"], "train", self.write(SMALL), "data={source: mnist, path: nowhere}")

    def test_truncated_data_names_file_and_offset(self):
        data, images = write_mnist(self.folder / "mnist"), self.folder / "mnist" / "train-images-idx3-ubyte"
        images.write_bytes(images.read_bytes()[:-100])
        self.refuse(1, ["train-images-idx3-ubyte", "byte"], "train", self.write(SMALL), data)

    def test_foreign_data(self):
        data, images = write_mnist(self.folder / "mnist"), self.folder / "mnist" / "train-images-idx3-ubyte"
        images.write_bytes(b"\0\0\x12\x34" + images.read_bytes()[4:])
        self.refuse(1, ["train-images-idx3-ubyte"], "train", self.write(SMALL), data, ranks=(1,))

    def test_label_out_of_range(self):
        data = write_mnist(self.folder / "mnist", labels=[77] * 20)
        self.refuse(1, ["labels", "77"], "train", self.write(SMALL), data, ranks=(1,))

    # --- what cannot be written or read back ---

    def test_output_that_cannot_be_written(self):
        (self.folder / "taken").write_text("a file, not a folder")
        self.refuse(1, ["taken"], "train", self.write(SMALL), "--output", self.folder / "taken" / "run")

    def test_damaged_checkpoint(self):
        config, run = self.write(SMALL), self.folder / "run"
        self.succeed("train", config, write_mnist(self.folder / "mnist"), "--output", run)
        checkpoint = run / "checkpoints" / "epoch-0002.safetensors"
        whole = checkpoint.read_bytes()
        checkpoint.write_bytes(whole[:-10])
        self.refuse(1, ["epoch-0002", "truncated"], "eval", checkpoint)
        checkpoint.write_bytes(whole[:-10] + b"x" * 10)
        self.refuse(1, ["epoch-0002", "altered"], "eval", checkpoint, ranks=(1,))
        checkpoint.write_bytes(b"not a checkpoint at all")
        self.refuse(1, ["epoch-0002"], "eval", checkpoint, ranks=(1,))

    # --- files of another kind ---

    def test_files_of_pytorch_are_told_how_to_convert(self):
        config, zipped, legacy = self.write(SMALL), self.folder / "net.pth", self.folder / "old.pt"
        with zipfile.ZipFile(zipped, "w") as archive:  # what torch.save has written since 1.6
            archive.writestr("archive/data.pkl", pickle.dumps({"conv1.weight": [0.0] * 100}))
        legacy.write_bytes(pickle.dumps(0x1950a86a20f9469cfc6c, protocol=2) + pickle.dumps({"fc.weight": [0.0] * 100}, protocol=2))
        self.refuse(1, ["net.pth: holds no state_dict", "torch.save(model.state_dict(), FILE)"], "train", config, "--init", zipped)
        for path in (zipped, legacy):
            parts = [path.name, "not a safetensors file but one of PyTorch", "save_file(torch.load(", f"{path.stem}.safetensors"]
            if path == legacy:
                self.refuse(1, parts, "train", config, "--init", path)
            self.refuse(1, parts, "eval", path, ranks=(1,))
            self.refuse(1, parts, "predict", path, "x.png", ranks=(1,))

    def test_weights_of_another_network_are_told_by_their_names(self):
        config, path = self.write(SMALL), self.folder / "resnet.safetensors"
        names = ["bn1.weight", "bn1.bias", "conv1.weight", "fc.bias", "fc.weight"]
        header = json.dumps({name: {"dtype": "F32", "shape": [1], "data_offsets": [4 * i, 4 * i + 4]} for i, name in enumerate(names)}).encode()
        path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(4 * len(names)))
        for part in ("resnet.safetensors: does not match this network: 0 of 2 names found",
                     "missing: 2.weight (nearest: fc.weight), 2.bias (nearest: fc.bias)",
                     "left over: bn1.bias, bn1.weight, conv1.weight, fc.bias, fc.weight"):
            self.refuse(1, [part], "train", config, "--init", path)
        for command in (["eval", path], ["predict", path, "x.png"], ["export", path, "--output", "y"]):
            self.refuse(1, ["not a Convoy checkpoint", "--init FILE"], *command, ranks=(1,))
        self.refuse(2, ["resnet.safetensors", "a file of weights; give a configuration (YAML)"], "train", path)

    def test_another_optimizer_cannot_go_on(self):
        config, data, run = self.write(SMALL), write_mnist(self.folder / "mnist"), self.folder / "run"
        self.succeed("train", config, data, "optimizer.momentum=0.9", "--output", run)
        self.refuse(1, ["does not match this optimizer: 0 of 4 names found", "the file has optimizer.velocity."], "train", config, data, "optimizer.name=adamw",
                    "train.epochs=3", "--resume", "auto", "--output", run, ranks=(1,))

    def test_a_configuration_and_a_run_are_told_apart(self):
        config, data, run = self.write(SMALL), write_mnist(self.folder / "mnist"), self.folder / "run"
        for command in (["eval", config], ["predict", config, "x.png"], ["export", config, "--output", "y"]):
            self.refuse(1, ["net.yaml: not a safetensors file but a configuration", "runs/NAME"], *command, ranks=(1,))
        self.succeed("train", config, data, "--output", run)
        for command in ("train", "plan"):
            self.refuse(2, ["a run folder; give its configuration", "run/config.yaml", "--resume auto"], command, run, ranks=(1,))

    def test_what_an_override_leaves_out_is_said_once(self):
        config = self.write(SMALL.replace("name: sgd, lr: 0.1", "name: sgd, lr: 0.1, momentum: 0.9, nesterov: true"))
        result = self.succeed("plan", config, "optimizer.name=adamw", ranks=2)
        for key in ("momentum", "nesterov"):
            self.assertEqual(result.stderr.count(f"optimizer.name=adamw: ignores {key} of the file"), 1, result.stderr)

    def test_missing_run(self):
        self.refuse(1, ["nowhere"], "eval", "nowhere")


if __name__ == "__main__":
    main()
