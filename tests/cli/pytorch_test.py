#!/usr/bin/env python3
"""Networks by name beside torchvision's and timm's own, where these are installed: weights go there and come from there.

usage: pytorch_test.py CONVOY [unittest arguments]

Each network trains a step, and its exported weights are loaded with strict=True into torchvision's class, which must give the same
logits and, of a step from these weights, the same gradients. Weights of timm's networks must give the logits here that they give
there. Four small networks in the usual run, all in tools/test --deep.
"""
import collections
import gzip
import json
import pathlib
import random
import re
import struct
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from data_files import png  # noqa: E402
from depth import DEEP  # noqa: E402
from launch import ProgramTest, main  # noqa: E402
from run_files import read_tensors  # noqa: E402

try:
    import torch
    import torchvision
except ImportError:
    torch = torchvision = None
try:
    import timm
except ImportError:
    timm = None

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODELS = ROOT / "configs" / "models"
QUICK = ("mobilenet_v2", "squeezenet1_1")  # small, with and without batch normalisation
QUICK_TIMM = ("mobilenet_v3_large", "regnet_y_400mf")
SIDE, CLASSES, IMAGES = 64, 3, 6
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Beside the names of torchvision's own; what is random is off.
CONFIG = """
name: net
data: {{source: folder, path: pictures, resize: {side}}}
model: {{name: {name}, input: [3, {side}, {side}]{quiet}}}
train: {{epochs: 1, global_batch: {images}, tensorboard: false}}
optimizer: {{name: sgd, lr: {lr}}}
device: cpu
"""


def networks():
    return [path.stem for path in sorted(MODELS.glob("*.yaml")) if hasattr(torchvision.models, path.stem)]


def timm_networks():
    """{our name: timm's name} of those with names of their own, from the networks' files."""
    found = {}
    for path in sorted(MODELS.glob("*.yaml")):
        if match := re.search(r"^timm:.*\n  network: (\S+)$", path.read_text(), re.M):
            found[path.stem] = match[1]
    return found


def quiet(name):
    """Parameters that turn off what is random."""
    line = re.search(r"^parameters: \{(.*)\}$", (MODELS / f"{name}.yaml").read_text(), re.M)[1]
    return "".join(f", {key}: 0" for key in re.findall(r"\b(drop\w+):", line))


def torchvision_net(name):
    options = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {}
    net = getattr(torchvision.models, name)(weights=None, num_classes=CLASSES, **options).double()
    for module in net.modules():
        if isinstance(module, (torch.nn.Dropout, torchvision.ops.StochasticDepth)):
            module.p = 0.0
    return net


def load_strictly(net, path):
    """As users do. A plain dict, such as a safetensors file gives, stands for a state_dict from before batches were counted; one
    class of torchvision's wants to know its own version."""
    shapes = {key: value.shape for key, value in net.state_dict().items()}
    state = collections.OrderedDict((key, torch.tensor(values, dtype=torch.double).reshape(shapes.get(key, (-1,))))
                                    for key, values in read_tensors(path).items())
    state._metadata = {"": {"version": 2}}
    net.load_state_dict(state, strict=True)


def write_safetensors(path, state):
    header, contents = {}, []
    at = 0
    for key, tensor in state.items():
        raw = tensor.detach().contiguous().numpy().tobytes()
        kind = {torch.float32: "F32", torch.int64: "I64"}[tensor.dtype]
        header[key] = {"dtype": kind, "shape": list(tensor.shape), "data_offsets": [at, at + len(raw)]}
        at += len(raw)
        contents.append(raw)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(contents))


@unittest.skipIf(torch is None, "needs torch and torchvision")
class PyTorch(ProgramTest):
    def setUp(self):
        super().setUp()
        pixels = {}
        for part, count in (("train", IMAGES), ("val", IMAGES)):
            for i in range(count):
                at = random.Random(1000 * (part == "val") + i)
                rows = [at.randbytes(3 * SIDE) for _ in range(SIDE)]
                place = self.folder / "pictures" / part / f"class{i % CLASSES}"
                place.mkdir(parents=True, exist_ok=True)
                (place / f"{i:02}.png").write_bytes(png(SIDE, SIDE, lambda y, x: rows[y][3 * x:3 * x + 3]))
                pixels[part, i % CLASSES, i] = rows
        self.images = {part: self.tensors([key for key in sorted(pixels) if key[0] == part], pixels) for part in ("train", "val")}

    def tensors(self, keys, pixels):
        """(images, labels) in the order in which folders are read."""
        images = torch.stack([torch.tensor(list(b"".join(pixels[key]))).reshape(SIDE, SIDE, 3) for key in keys]).double() / 255
        images = (images - torch.tensor(MEAN).double()) / torch.tensor(STD).double()
        return images.permute(0, 3, 1, 2).contiguous(), torch.tensor([key[1] for key in keys])

    def config(self, name, lr, more=""):
        return self.write(CONFIG.format(name=name, side=SIDE, images=IMAGES, lr=lr, quiet=quiet(name) + more), f"{name}.yaml")

    def logits(self, run):
        self.succeed("eval", run, "--logits", "logits.safetensors", threads=2)
        return torch.tensor(read_tensors(self.folder / "logits.safetensors")["logits"]).double().reshape(IMAGES, -1)

    def export(self, run, name):
        self.succeed("export", run, "--format", "safetensors", "--output", name)
        return self.folder / name

    def compare(self, name):
        config = self.config(name, 1e-3)
        self.succeed("train", config, "--output", "first", threads=2)
        net = torchvision_net(name)
        load_strictly(net, self.export("first", "first.safetensors"))
        net.eval()
        with torch.no_grad():
            expected = net(self.images["val"][0])
        self.assertLessEqual((self.logits("first") - expected).abs().max().item(), 1e-4 * expected.abs().max().item())

        # A step of plain gradient descent at lr 1 moves weights by their gradients.
        self.succeed("train", config, "optimizer.lr=1", "--init", "first.safetensors", "--output", "second", threads=2)
        after = read_tensors(self.export("second", "second.safetensors"))
        before = {key: parameter.detach().clone() for key, parameter in net.named_parameters()}
        gradients = self.gradients(net)
        largest = max(gradient.norm().item() for gradient in gradients.values())
        rounded = self.gradients(net.float())
        noise = max((rounded[key] - gradient).norm().item() for key, gradient in gradients.items()) / largest
        for key, gradient in gradients.items():
            moved = before[key] - torch.tensor(after[key]).double().reshape(gradient.shape)
            self.assertLessEqual((moved - gradient).norm().item(), max(1e-3, 4 * noise) * largest, key)

    def gradients(self, net):
        """Of a step on the training images."""
        images, labels = self.images["train"]
        net.train()
        net.zero_grad()
        dtype = next(net.parameters()).dtype
        torch.nn.functional.cross_entropy(net(images.to(dtype)), labels).backward()
        return {key: parameter.grad.double() for key, parameter in net.named_parameters()}

    def test_torchvision_takes_exported_weights_and_agrees(self):
        for name in networks() if DEEP else QUICK:
            with self.subTest(network=name):
                self.compare(name)

    @unittest.skipIf(timm is None, "needs timm")
    def test_weights_of_timm_give_its_answers(self):
        for name, theirs in timm_networks().items():
            if not DEEP and name not in QUICK_TIMM:
                continue
            with self.subTest(network=name):
                torch.manual_seed(1)
                net = timm.create_model(theirs, pretrained=False, num_classes=CLASSES)
                for key, tensor in net.state_dict().items():  # not all zeros and ones
                    if key.endswith(("running_mean", "bias")):
                        tensor.normal_(0, 0.1)
                    elif key.endswith("running_var") or tensor.dim() == 1 and tensor.is_floating_point():
                        tensor.uniform_(0.5, 1.5)
                write_safetensors(self.folder / "timm.safetensors", net.state_dict())
                more = ", epsilon: 0.00001" if "epsilon" in (MODELS / f"{name}.yaml").read_text().partition("timm:")[2] else ""
                # All is frozen but the bias of the last layer, which does not move.
                names = [line.split()[0] for line in self.stored(name)]
                head = list(torchvision_net(name).named_parameters())[-1][0]
                frozen = ", ".join(f'"{key}"' for key in names if "running" not in key and key != head)
                config = self.config(name, 1e-30, f"{more}, init: timm.safetensors")
                said = self.succeed("train", config, f"train.freeze=[{frozen}]", "--output", "timm", threads=2).stdout
                self.assertIn(f"named as those of timm's {theirs}", said)
                with torch.no_grad():
                    expected = net.double().eval()(self.images["val"][0])
                self.assertLessEqual((self.logits("timm") - expected).abs().max().item(), 1e-4 * expected.abs().max().item())

    @unittest.skipIf(timm is None, "needs timm")
    def test_the_stored_names_are_those_of_timm(self):
        for name, theirs in timm_networks().items():
            state = timm.create_model(theirs, pretrained=False).state_dict()
            shapes = {key: ",".join(map(str, tensor.shape)) for key, tensor in state.items() if "tracked" not in key}
            self.assertEqual(shapes, {line.split()[1]: line.split()[2] for line in self.stored(name)}, name)

    @staticmethod
    def stored(name):
        """Of tests/golden/timm_names.txt.gz, a network's lines "ours theirs shape"."""
        text = gzip.decompress((ROOT / "tests" / "golden" / "timm_names.txt.gz").read_bytes()).decode()
        return [line.partition(" ")[2] for line in text.splitlines() if line.startswith(name + " ")]


if __name__ == "__main__":
    main()
