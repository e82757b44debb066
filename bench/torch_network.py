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
        elif kind == "scale":
            out.append({kind: {"branch": spelled_out(options["branch"] if isinstance(options, dict) else options)}})
        elif kind == "concat":
            parts = options if isinstance(options, dict) else {"branches": options}
            out.append({kind: {**parts, "branches": [spelled_out(branch) for branch in parts["branches"]]}})
        else:
            out.append(entry)
    return out


def lists_in(kind, options):
    """The lists of layers inside an entry that spelled_out() made."""
    if kind == "residual":
        return list(options.values())
    return options["branches"] if kind == "concat" else [options["branch"]] if kind == "scale" else []


# ---- layers ----

class Residual(nn.Module):
    def __init__(self, body, shortcut):
        super().__init__()
        self.body, self.shortcut = body, shortcut

    def forward(self, x):
        return self.body(x) + self.shortcut(x)


class Concat(nn.Module):
    def __init__(self, branches, split):
        super().__init__()
        self.branches, self.split = nn.ModuleList(branches), split

    def forward(self, x):
        parts = x.chunk(len(self.branches), 1) if self.split else [x] * len(self.branches)
        return torch.cat([branch(part) for branch, part in zip(self.branches, parts)], 1)


class Scale(nn.Module):
    def __init__(self, branch):
        super().__init__()
        self.branch = branch

    def forward(self, x):
        factors = self.branch(x)
        return x * factors.reshape(*factors.shape[:2], *factors.shape[2:] or [1] * (x.dim() - 2))


class SqueezeExcite(nn.Module):
    def __init__(self, fc1, activation, fc2, gate):
        super().__init__()
        self.fc1, self.activation, self.fc2, self.gate = fc1, activation, fc2, gate

    def forward(self, x):
        mean = x.mean(tuple(range(2, x.dim())), keepdim=True)
        return x * self.gate(self.fc2(self.activation(self.fc1(mean))))


class LayerScale(nn.Module):
    def __init__(self, channels, initial):
        super().__init__()
        self.factors, self.initial = nn.Parameter(torch.empty(channels)), initial

    def reset_parameters(self):
        nn.init.constant_(self.factors, self.initial)

    def forward(self, x):
        return x * self.factors.reshape(-1, *[1] * (x.dim() - 2))


class LayerNorm(nn.LayerNorm):
    """Over the channels of each pixel."""

    def forward(self, x):
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class DropPath(nn.Module):
    def __init__(self, rate):
        super().__init__()
        self.rate = rate

    def forward(self, x):
        if not self.training:
            return x
        kept = torch.rand(len(x), *[1] * (x.dim() - 1), device=x.device) >= self.rate
        return x * kept / (1 - self.rate)


class ChannelShuffle(nn.Module):
    def __init__(self, groups):
        super().__init__()
        self.groups = groups

    def forward(self, x):
        return x.unflatten(1, (self.groups, -1)).transpose(1, 2).flatten(1, 2)


class Linear(nn.Linear):
    """Takes (N,C,1,1) too, which Convoy does not tell from (N,C)."""

    def forward(self, x):
        return super().forward(x.flatten(1))


ACTIVATIONS = {"relu": nn.ReLU, "leaky_relu": nn.LeakyReLU, "gelu": nn.GELU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid,
               "silu": nn.SiLU, "relu6": nn.ReLU6, "hardswish": nn.Hardswish, "hardsigmoid": nn.Hardsigmoid, "elu": nn.ELU}
# The key that `layer: value` sets, where it is not the kernel.
SHORT_KEYS = {"linear": "out", "dropout": "rate", "leaky_relu": "slope", "residual": "body", "elu": "alpha", "drop_path": "rate",
              "layer_scale": "initial", "groupnorm": "groups", "channel_shuffle": "groups", "squeeze_excite": "squeeze"}
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
        if kind == "concat":
            branches, split = options["branches"], options.get("split", False)
            taken = (shape[0] // len(branches), *shape[1:]) if split else shape
            return Concat([self.chain(branch, taken)[0] for branch in branches], split)
        if kind == "scale":
            return Scale(self.chain(options["branch"], shape)[0])
        if kind == "squeeze_excite":
            channels, conv = options["squeeze"], self.of("Conv")
            return SqueezeExcite(conv(shape[0], channels, 1), ACTIVATIONS[options.get("activation", "relu")](),
                                 conv(channels, shape[0], 1), ACTIVATIONS[options.get("gate", "sigmoid")]())
        if kind == "layer_scale":
            return LayerScale(shape[0], options.get("initial", 1e-6))
        if kind == "layernorm":
            return LayerNorm(shape[0], options.get("epsilon", 1e-5))
        if kind == "groupnorm":
            return nn.GroupNorm(options["groups"], shape[0], options.get("epsilon", 1e-5))
        if kind == "drop_path":
            return DropPath(options.get("rate", 0.1))
        if kind == "channel_shuffle":
            return ChannelShuffle(options["groups"])
        if kind == "elu":
            return nn.ELU(options.get("alpha", 1.0))
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
                options = {SHORT_KEYS.get(kind, "kernel"): options}
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
        if any(has_batch_groups(part) for part in lists_in(kind, options)):
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
    for name, module in network.named_modules():
        if isinstance(module, LayerScale):  # whose one parameter has the layer's name
            tensors[f"{name}.factors"] = tensors.pop(name).flatten()
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
