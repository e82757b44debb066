#!/usr/bin/env python3
"""Networks by name: their table, their files, their weights from a server, and runs of them.

usage: models_test.py CONVOY [unittest arguments]
"""
import functools
import hashlib
import http.server
import pathlib
import re
import struct
import sys
import threading
import unittest
import zlib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from launch import ProgramTest, main  # noqa: E402

MODELS = pathlib.Path(__file__).resolve().parents[2] / "configs" / "models"
NET = "model: {}\ndata: {{source: digits}}\ntrain: {{epochs: 1, global_batch: 32}}\n"


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


# One grey pixel.
PNG = (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)) +
       chunk(b"IDAT", zlib.compress(b"\0\x80")) + chunk(b"IEND", b""))


class Models(ProgramTest):
    def test_every_file_is_listed_with_its_size_and_shown_as_it_is(self):
        listed = self.succeed("models").stdout
        for path in sorted(MODELS.glob("*.yaml")):
            row = [line for line in listed.splitlines() if line.split()[:1] == [path.stem]]
            self.assertEqual(len(row), 1, listed)
            self.assertEqual(self.succeed("models", "show", path.stem).stdout, path.read_text())
        resnet = [line for line in listed.splitlines() if line.startswith("resnet50 ")][0].split()
        self.assertEqual(resnet[1:5], ["25.56", "M", "8.22", "3x224x224"])  # as torchvision and its papers say

    def test_the_page_of_the_documentation_is_what_the_program_writes(self):
        self.assertEqual(self.succeed("models", "--markdown").stdout, (MODELS.parents[1] / "docs" / "models.md").read_text())

    def test_the_configuration_of_the_page_plans(self):
        page = (MODELS.parents[1] / "docs" / "models.md").read_text()
        for name in ("train/cat", "train/cow", "train/dog", "val/cat", "val/cow", "val/dog"):
            (self.folder / "pictures" / name).mkdir(parents=True)
            for number in range(4):
                (self.folder / "pictures" / name / f"{number}.png").write_bytes(PNG)
        self.write("\n".join(line.strip() for line in re.findall(r"^    (?:model|data): .*$", page, re.M)))
        self.assertIn(f"{23508032 + 3 * 2049} parameters",
                      self.succeed("plan", "net.yaml", "~model.init", "device=cpu", "train.global_batch=4").stdout)

    def test_a_name_that_is_not_known_is_refused_with_the_nearest(self):
        for arguments in (["models", "show", "resnet5"], ["models", "fetch", "resnet5"]):
            self.refuse(2, ['did you mean "resnet50"?'], *arguments)
        self.write(NET.format("resnet5"))
        self.refuse(2, ['unknown network "resnet5" (did you mean "resnet50"?)'], "plan", "net.yaml")

    def test_the_last_layer_has_as_many_outputs_as_there_are_classes(self):
        self.write(NET.format("{name: resnet18, input: [1, 28, 28]}"))
        self.assertIn("11175370 parameters", self.succeed("plan", "net.yaml", "device=cpu").stdout)
        self.assertIn("11181526 parameters",
                      self.succeed("plan", "net.yaml", "model.classes=22", "model.spare_scores=true", "device=cpu").stdout)
        self.refuse(2, ['did you mean "classes"?'], "plan", "net.yaml", "model.clases=22")

    def test_a_layer_of_a_named_network_can_be_changed(self):
        self.write(NET.format("{name: resnet18, input: [1, 28, 28]}"))
        said = self.succeed("plan", "net.yaml", "model.layers.0.conv.kernel=3", "model.layers.0.conv.pad=1", "device=cpu").stdout
        self.assertIn("11172810 parameters", said)

    def test_networks_of_shipped_configurations_are_known_by_name(self):
        for config, name, image in (("mnist_lenet", "lenet", "[1, 28, 28]"), ("mnist_lenet5", "lenet5", "[1, 28, 28]"),
                                    ("cifar10_airbench", "airbench", "[3, 32, 32]"), ("cifar10_vgg", "vgg_cifar", "[3, 32, 32]"),
                                    ("cifar10_vgg11", "vgg11_cifar", "[3, 32, 32]")):
            data = f"data={{source: synthetic, synthetic: {{image: {image}, classes: 10}}, normalize: {{mean: [0.4], std: [0.2]}}}}"
            plan = ["plan", MODELS.parent / f"{config}.yaml", data, "train.global_batch=8", "device=cpu"]
            self.assertEqual(self.succeed(*plan, f"model={name}").stdout, self.succeed(*plan).stdout, name)

    def test_networks_for_small_images(self):
        for model, parameters in (("resnet20", 272474), ("resnet18_cifar", 11173962), ("wrn28_10", 36479194),
                                  ("{name: wrn28_10, width: 2}", 1467610)):
            self.write(f"model: {model}\ndata: {{source: synthetic, synthetic: {{image: [3, 32, 32], classes: 10}}}}\n"
                       "train: {global_batch: 2}\n")
            first = self.succeed("plan", "net.yaml", "device=cpu").stdout.partition(", ")[0]
            self.assertEqual(first, f"run: {parameters} parameters")

    def test_weights_come_from_a_server_and_must_have_the_right_sum(self):
        folder = self.folder / "served"
        folder.mkdir()
        handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        mirror = f"http://127.0.0.1:{server.server_port}"
        (folder / "resnet18-f37072fd.pth").write_bytes(b"not these")
        self.refuse(1, [hashlib.sha256(b"not these").hexdigest(), "expected f37072fd"], "models", "fetch", "resnet18",
                    "--mirror", mirror, ranks=(1,))
        self.assertFalse((self.folder / "resnet18-f37072fd.pth").exists())
        self.refuse(1, ["404"], "models", "fetch", "resnet34", "--mirror", mirror, ranks=(1,))


if __name__ == "__main__":
    main()
