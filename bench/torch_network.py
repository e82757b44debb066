"""The network of a Convoy configuration in PyTorch: layers, weights, and the noise that data.source: synthetic makes."""
import json
import re
import sys

import numpy
import torch
import yaml
from torch import nn

import synthetic_noise


class Loader(yaml.SafeLoader):
    """YAML 1.2's numbers: 5e-4 is one, without a point too."""


Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"),
                             list("-+0123456789"))


def load_config(path, overrides=()):
    """The YAML file as plain values, with `key.path=value` on top. Convoy itself is who refuses what is wrong."""
    with open(path, encoding="utf-8") as file:
        config = yaml.load(file, Loader)
    for assignment in overrides:
        keys, value = assignment.split("=", 1)
        *sections, last = keys.split(".")
        place = config
        for section in sections:
            place = place.setdefault(section, {})
        place[last] = yaml.load(value, Loader)
    config["model"]["layers"] = spelled_out(config["model"]["layers"])
    return config


def spelled_out(layers):
    """A list of layers in which every `repeat` has become what it stands for."""
    out = []
    for entry in layers:
        kind, options = (entry, None) if isinstance(entry, str) else next(iter(entry.items()))
        if kind == "repeat":
            out += spelled_out(options["layers"]) * options["times"]
        elif kind == "residual":
            parts = options if isinstance(options, dict) else {"body": options}
            out.append({kind: {name: spelled_out(part) for name, part in parts.items()}})
        else:
            out.append(entry)
    return out


# ---- layers ----

class Residual(nn.Module):
    def __init__(self, body, shortcut):
        super().__init__()
        self.body, self.shortcut = body, shortcut

    def forward(self, x):
        return self.body(x) + self.shortcut(x)


class Linear(nn.Linear):
    """Takes (N,C,1,1) too, which Convoy does not tell from (N,C)."""

    def forward(self, x):
        return super().forward(x.flatten(1))


ACTIVATIONS = {"gelu": nn.GELU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}
IN_PLACE_AFTER = ("conv", "linear", "batchnorm", "residual")  # no backward pass of these reads their output


class Builder:
    """Modules for layer lists, on PyTorch's meta device: shapes follow from running each, which costs nothing there."""

    def __init__(self, axes):
        self.axes = axes  # 2 for images, 3 for volumes

    def of(self, name):
        return getattr(nn, f"{name}{self.axes}d")

    def per_axis(self, value):
        return (value,) * self.axes if isinstance(value, int) else tuple(value)

    def conv(self, channels, options):
        kernel, dilation = self.per_axis(options["kernel"]), self.per_axis(options.get("dilation", 1))
        pad = options.get("pad", 0)
        pad = tuple(d * (k - 1) // 2 for k, d in zip(kernel, dilation)) if pad == "same" else self.per_axis(pad)
        return self.of("Conv")(channels, options["out"], kernel, self.per_axis(options.get("stride", 1)), pad, dilation,
                               groups=options.get("groups", 1), bias=options.get("bias", True))

    def module(self, kind, options, shape, before):
        if kind == "conv":
            return self.conv(shape[0], options)
        if kind == "linear":
            return Linear(shape[0], options["out"], bias=options.get("bias", True))
        if kind in ("maxpool", "avgpool"):
            kernel = self.per_axis(options["kernel"])
            more = {} if kind == "maxpool" else {"count_include_pad": options.get("count_padding", True)}
            return self.of("MaxPool" if kind == "maxpool" else "AvgPool")(
                kernel, self.per_axis(options.get("stride") or kernel), self.per_axis(options.get("pad", 0)),
                ceil_mode=options.get("ceil", False), **more)
        if kind == "adaptive_avgpool":
            return self.of("AdaptiveAvgPool")(self.per_axis(options["size"]))
        if kind == "globalavgpool":
            return self.of("AdaptiveAvgPool")(1)
        if kind == "batchnorm":
            return self.of("BatchNorm")(shape[0], options.get("epsilon", 1e-5), options.get("momentum", 0.1))
        if kind == "dropout":
            return nn.Dropout(options.get("rate", 0.5))
        if kind == "flatten":
            return nn.Flatten()
        if kind == "residual":
            return Residual(self.chain(options["body"], shape)[0], self.chain(options.get("shortcut", []), shape)[0])
        in_place = before in IN_PLACE_AFTER
        if kind == "relu":
            return nn.ReLU(inplace=in_place)
        if kind == "leaky_relu":
            return nn.LeakyReLU(options.get("slope", 0.01), inplace=in_place)
        if kind not in ACTIVATIONS:
            sys.exit(f"no module of PyTorch is known here for the layer {kind}")
        return ACTIVATIONS[kind]()

    def chain(self, layers, shape):
        """nn.Sequential whose i-th module is the i-th layer, so that parameters have Convoy's names; and the shape
        (C,...) of what leaves it."""
        modules, before = [], ""
        for entry in layers:
            kind, options = (entry, {}) if isinstance(entry, str) else next(iter(entry.items()))
            if not isinstance(options, dict):  # `linear: 10` is `linear: {out: 10}`
                short = {"linear": "out", "dropout": "rate", "leaky_relu": "slope", "residual": "body"}
                options = {short.get(kind, "kernel"): options}
            module = self.module(kind, options, shape, before)
            modules.append(module)
            shape = tuple(module(torch.empty(2, *shape)).shape[1:])
            before = kind
        return nn.Sequential(*modules), shape


def build_network(model, device="cpu"):
    """nn.Sequential for a configuration's `model`, and its number of classes. Its output may be (N,C,1,1): flatten it."""
    shape = tuple(model["input"])
    with torch.device("meta"), torch.no_grad():
        network, out = Builder(len(shape) - 1).chain(model["layers"], shape)
    network = network.to_empty(device=device)
    for module in network.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
    return network, out[0]


def has_batch_groups(layers):
    """Whether a batchnorm normalises parts of a batch, which PyTorch does not."""
    for entry in layers:
        kind, options = (entry, {}) if isinstance(entry, str) else next(iter(entry.items()))
        if kind == "batchnorm" and options.get("group", 0):
            return True
        if kind == "residual":
            parts = options if isinstance(options, dict) else {"body": options}
            if any(has_batch_groups(part) for part in parts.values()):
                return True
    return False


# ---- files of Convoy ----

DTYPES = {"F64": numpy.float64, "F32": numpy.float32, "F16": numpy.float16, "I32": numpy.int32, "U8": numpy.uint8}


def read_safetensors(path):
    """{name: array}"""
    with open(path, "rb") as file:
        data = file.read()
    begin = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:begin])
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            first, last = entry["data_offsets"]
            array = numpy.frombuffer(data[begin + first:begin + last], DTYPES[entry["dtype"]])
            tensors[name] = array.reshape(entry["shape"])
    return tensors


def load_weights(network, path):
    """Puts a checkpoint's parameters and running averages into the network; both must have the same names."""
    tensors = {name: torch.from_numpy(array.copy()) for name, array in read_safetensors(path).items()
               if not name.startswith("optimizer.")}
    missing, unexpected = network.load_state_dict(tensors, strict=False)
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing or unexpected:
        raise ValueError(f"{path}: missing {missing}, unexpected {unexpected}")


# ---- data ----

def noise(seed, first, count, shape, classes):
    """Images `first` and on of data.source: synthetic: bytes (count,C,...) and labels (count)."""
    return (torch.from_numpy(synthetic_noise.images(seed, first, count, shape)),
            torch.from_numpy(synthetic_noise.labels(seed, first, count, classes)))


def normalize(images, data):
    """Bytes (N,C,...) to what the network sees, float32, by the configuration's `data`."""
    options = data.get("normalize", {})

    def per_channel(key, default):
        values = torch.tensor(options.get(key, default), dtype=torch.float32, device=images.device)
        return values.reshape(1, -1, *[1] * (images.dim() - 2))

    return (images.float() / 255 - per_channel("mean", 0.0)) / per_channel("std", 1.0)
