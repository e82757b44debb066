#!/usr/bin/env python3
"""Writes models.safetensors beside this script: what torchvision's networks, and those of cifar_networks.py,
answer in double, and the gradients of a step.

    python make_models.py [NAME ...]         # needs torch, torchvision and numpy; default: all of configs/models

Weights, images and labels are functions of names (named_values.py). Stored are the logits (2,10), the loss of a
training step, of each parameter's gradient its norm and its product with a vector that is a function of its name, and
how far PyTorch's own logits and gradients in float are from these, as shares of the largest.
"""
import pathlib
import sys

import cifar_networks
import numpy as np
import torch
import torchvision
from golden_writer import HERE, Golden
from named_values import bits, uniform, value_of

CLASSES, SIDE, IMAGES = 10, 128, 2
# Configurations are kept in float.
IMAGENET = np.float64(np.float32([(0.485, 0.456, 0.406), (0.229, 0.224, 0.225)]))
CIFAR = np.float64(np.float32([(0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)]))


def network(name):
    options = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {}
    if name in cifar_networks.NETWORKS:
        net = cifar_networks.NETWORKS[name](CLASSES).double()
    else:
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


def inputs(mean, std):
    pixels = (bits("images", IMAGES * SIDE * SIDE * 3) >> np.uint64(56)).astype(np.float64)
    x = (pixels.reshape(IMAGES, SIDE, SIDE, 3) / 255 - mean) / std
    return torch.tensor(x).permute(0, 3, 1, 2).contiguous(), torch.tensor([3, 7])


def run(net, x, labels):
    """Logits, and of a training step the loss and the gradient of each parameter."""
    net.eval()
    with torch.no_grad():
        logits = net(x).double()
    net.train()
    loss = torch.nn.functional.cross_entropy(net(x), labels)
    loss.backward()
    return logits, loss.item(), {key: parameter.grad.double() for key, parameter in net.named_parameters()}


def add(golden, name):
    x, labels = inputs(*(CIFAR if name in cifar_networks.NETWORKS else IMAGENET))
    logits, loss, gradients = run(network(name), x, labels)
    norms = [gradient.norm().item() for gradient in gradients.values()]
    products = [np.dot(gradient.numpy().ravel(), uniform("product " + key, gradient.numel()))
                for key, gradient in gradients.items()]
    # Where a sum in float falls to the other side of a kink, or a gate has no more than a few digits, all that comes
    # of it changes: this is no fault.
    rounded, _, rounded_gradients = run(network(name).float(), x.float(), labels)
    noise = max((rounded_gradients[key] - gradient).norm().item() for key, gradient in gradients.items()) / max(norms)
    logit_noise = ((rounded - logits).abs().max() / logits.abs().max()).item()
    golden.add(name, "model", {"loss": loss, "float_noise": noise, "float_noise_of_logits": logit_noise,
                               "parameters": list(gradients)},
               logits=logits.numpy(), norms=np.array(norms), products=np.array(products))
    print(f"{name}: loss {loss:.4f}, logits to {logits.abs().max().item():.3g}, in float {logit_noise:.2g} of it off, "
          f"gradients {min(norms):.3g} to {max(norms):.3g}, in float {noise:.2g} of the largest off", flush=True)


def shipped():
    folder = HERE.parent.parent / "configs" / "models"
    return [path.stem for path in sorted(folder.glob("*.yaml")) 
            if hasattr(torchvision.models, path.stem) or path.stem in cifar_networks.NETWORKS]


if __name__ == "__main__":
    golden = Golden()
    for name in sys.argv[1:] or shipped():
        add(golden, name)
    golden.write(pathlib.Path(HERE) / "models.safetensors", torch=torch.__version__, torchvision=torchvision.__version__)
