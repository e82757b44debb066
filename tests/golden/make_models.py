#!/usr/bin/env python3
"""Writes models.safetensors beside this script: what torchvision's networks answer in double, and the gradients of a step.

    python make_models.py [NAME ...]         # needs torch, torchvision and numpy; default: all of configs/models

Weights, images and labels are functions of names (named_values.py). Stored are the logits (2,10), the loss of a
training step, of each parameter's gradient its norm and its product with a vector that is a function of its name, and
how far PyTorch's own gradients in float are from these, as a share of the largest.
"""
import pathlib
import sys

import numpy as np
import torch
import torchvision
from golden_writer import HERE, Golden
from named_values import bits, uniform, value_of

CLASSES, SIDE, IMAGES = 10, 128, 2
# Configurations are kept in float.
MEAN, STD = np.float64(np.float32([(0.485, 0.456, 0.406), (0.229, 0.224, 0.225)]))


def network(name):
    options = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {}
    net = getattr(torchvision.models, name)(weights=None, num_classes=CLASSES, **options).double()
    with torch.no_grad():
        for key, tensor in net.state_dict().items():
            if tensor.is_floating_point():
                tensor.copy_(torch.tensor(value_of(key, tensor.shape)))
    for module in net.modules():
        if isinstance(module, (torch.nn.Dropout, torchvision.ops.StochasticDepth)):
            module.p = 0.0
        if hasattr(module, "eps"):
            module.eps = float(np.float32(module.eps))
    return net


def inputs():
    pixels = (bits("images", IMAGES * SIDE * SIDE * 3) >> np.uint64(56)).astype(np.float64)
    x = (pixels.reshape(IMAGES, SIDE, SIDE, 3) / 255 - MEAN) / STD
    return torch.tensor(x).permute(0, 3, 1, 2).contiguous(), torch.tensor([3, 7])


def step(net, x, labels):
    """The loss of a training step and the gradient of each parameter."""
    net.train()
    loss = torch.nn.functional.cross_entropy(net(x), labels)
    loss.backward()
    return loss.item(), {key: parameter.grad.double() for key, parameter in net.named_parameters()}


def add(golden, name):
    net, (x, labels) = network(name), inputs()
    net.eval()
    with torch.no_grad():
        logits = net(x)
    loss, gradients = step(net, x, labels)
    norms = [gradient.norm().item() for gradient in gradients.values()]
    products = [np.dot(gradient.numpy().ravel(), uniform("product " + key, gradient.numel()))
                for key, gradient in gradients.items()]
    # Where a sum in float falls to the other side of a kink, all gradients before it change: this is no fault.
    rounded = step(network(name).float(), x.float(), labels)[1]
    noise = max((rounded[key] - gradient).norm().item() for key, gradient in gradients.items()) / max(norms)
    golden.add(name, "model", {"loss": loss, "float_noise": noise, "parameters": list(gradients)},
               logits=logits.numpy(), norms=np.array(norms), products=np.array(products))
    print(f"{name}: loss {loss:.4f}, logits to {logits.abs().max().item():.3g}, gradients {min(norms):.3g} to "
          f"{max(norms):.3g}, in float {noise:.2g} of the largest off", flush=True)


def shipped():
    folder = HERE.parent.parent / "configs" / "models"
    return [path.stem for path in sorted(folder.glob("*.yaml")) if hasattr(torchvision.models, path.stem)]


if __name__ == "__main__":
    golden = Golden()
    for name in sys.argv[1:] or shipped():
        add(golden, name)
    golden.write(pathlib.Path(HERE) / "models.safetensors", torch=torch.__version__, torchvision=torchvision.__version__)
