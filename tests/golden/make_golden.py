#!/usr/bin/env python3
"""Writes the golden files beside this script: what PyTorch computes, in double, for every layer and for whole steps.

    python make_golden.py          # needs torch (any build; the CPU is used) and numpy

Deterministic: inputs come from numpy's PCG64 with fixed seeds and are exactly representable in float32; results
are double. A golden file is a safetensors file; its metadata holds torch's version and, as JSON, the list of cases.
Tensors are in this project's layouts: activations (N,D,H,W,C), filters (K,T,R,S,C).
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from golden_writer import HERE, Golden

def random(seed, *shape, low=-1.0, high=1.0):
    """Uniform doubles that float32 holds exactly."""
    values = np.random.Generator(np.random.PCG64(seed)).uniform(low, high, shape)
    return torch.tensor(values.astype(np.float32).astype(np.float64))


def leaf(tensor):
    return tensor.clone().requires_grad_(True)


def ours(tensor):
    """(N,C,H,W) or (N,C,D,H,W) -> channels last; filters (K,C,R,S) alike."""
    array = tensor.detach().numpy()
    return np.moveaxis(array, 1, -1) if array.ndim > 2 else array


def axes(value, rank, absent):
    """Depth, height, width of a number or one per axis; images have no depth."""
    values = [value] * rank if isinstance(value, int) else list(value)
    return [absent] * (3 - rank) + values


def conv(golden, name, x_shape, k, kernel, stride=1, pad=0, dilation=1, bias=True):
    rank = len(x_shape) - 2
    kernel = [kernel] * rank if isinstance(kernel, int) else list(kernel)
    x, w = leaf(random(1, *x_shape)), leaf(random(2, k, x_shape[1], *kernel))
    b = leaf(random(3, k)) if bias else None
    y = (F.conv3d if rank == 3 else F.conv2d)(x, w, b, stride, pad, dilation)
    dy = random(4, *y.shape)
    y.backward(dy)
    golden.add(name, "conv", {"stride": axes(stride, rank, 1), "pad": axes(pad, rank, 0),
                              "dilation": axes(dilation, rank, 1)},
               x=ours(x), w=ours(w), bias=b.detach().numpy() if bias else None, y=ours(y), dy=ours(dy),
               dx=ours(x.grad), dw=ours(w.grad), dbias=b.grad.numpy() if bias else None)


def linear(golden, name, n, c, k, bias=True):
    x, w = leaf(random(1, n, c)), leaf(random(2, k, c))
    b = leaf(random(3, k)) if bias else None
    y = F.linear(x, w, b)
    dy = random(4, *y.shape)
    y.backward(dy)
    golden.add(name, "linear", {}, x=ours(x), w=ours(w), bias=b.detach().numpy() if bias else None, y=ours(y),
               dy=ours(dy), dx=ours(x.grad), dw=ours(w.grad), dbias=b.grad.numpy() if bias else None)


def pool(golden, name, op, x_shape, kernel, stride, pad):
    rank = len(x_shape) - 2
    functions = {("maxpool", 2): F.max_pool2d, ("maxpool", 3): F.max_pool3d,
                 ("avgpool", 2): F.avg_pool2d, ("avgpool", 3): F.avg_pool3d}
    x = leaf(random(1, *x_shape))
    y = functions[op, rank](x, kernel, stride, pad)
    dy = random(4, *y.shape)
    y.backward(dy)
    golden.add(name, op, {"kernel": axes(kernel, rank, 1), "stride": axes(stride, rank, 1),
                          "pad": axes(pad, rank, 0)}, x=ours(x), y=ours(y), dy=ours(dy), dx=ours(x.grad))


def global_average(golden, name, x_shape):
    x = leaf(random(1, *x_shape))
    y = F.adaptive_avg_pool2d(x, 1)
    dy = random(4, *y.shape)
    y.backward(dy)
    golden.add(name, "avgpool", {"kernel": [1, *x_shape[2:]], "stride": [1, 1, 1], "pad": [0, 0, 0]}, x=ours(x),
               y=ours(y), dy=ours(dy), dx=ours(x.grad))


def batchnorm(golden, name, x_shape, group=None):
    """One module call per group, as `batchnorm: {group: N}` means it; the running averages of one call are torch's."""
    n, c = x_shape[:2]
    group = group or n
    momentum, epsilon = float(np.float32(0.1)), float(np.float32(1e-5))
    x, gamma, beta = leaf(random(1, *x_shape)), leaf(random(2, c, low=0.5, high=1.5)), leaf(random(3, c))
    mean0, var0 = random(5, c), random(6, c, low=0.5, high=2)
    parts, means, variances = [], [], []
    for begin in range(0, n, group):
        mean, var = mean0.clone(), var0.clone()
        parts.append(F.batch_norm(x[begin:begin + group], mean, var, gamma, beta, True, momentum, epsilon))
        means.append(mean)
        variances.append(var)
    y = torch.cat(parts)
    dy = random(4, *y.shape)
    y.backward(dy)
    mean1, var1 = torch.stack(means).mean(0), torch.stack(variances).mean(0)
    inference = F.batch_norm(x, mean1, var1, gamma, beta, False, momentum, epsilon)
    golden.add(name, "batchnorm", {"group": group}, x=ours(x), gamma=gamma.detach().numpy(),
               beta=beta.detach().numpy(), running_mean=mean0.numpy(), running_var=var0.numpy(), y=ours(y),
               running_mean_after=mean1.numpy(), running_var_after=var1.numpy(), dy=ours(dy), dx=ours(x.grad),
               dgamma=gamma.grad.numpy(), dbeta=beta.grad.numpy(), inference=ours(inference))


def layernorm(golden, name, x_shape):
    """Over the channels of each pixel, as ConvNeXt's LayerNorm2d."""
    c, epsilon = x_shape[1], float(np.float32(1e-5))
    x, gamma, beta = leaf(random(1, *x_shape)), leaf(random(2, c, low=0.5, high=1.5)), leaf(random(3, c))
    y = F.layer_norm(x.movedim(1, -1), (c,), gamma, beta, epsilon).movedim(-1, 1)
    dy = random(4, *y.shape)
    y.backward(dy)
    golden.add(name, "layernorm", {}, x=ours(x), gamma=gamma.detach().numpy(), beta=beta.detach().numpy(), y=ours(y),
               dy=ours(dy), dx=ours(x.grad), dgamma=gamma.grad.numpy(), dbeta=beta.grad.numpy())


def groupnorm(golden, name, x_shape, groups):
    c, epsilon = x_shape[1], float(np.float32(1e-5))
    x, gamma, beta = leaf(random(1, *x_shape)), leaf(random(2, c, low=0.5, high=1.5)), leaf(random(3, c))
    y = F.group_norm(x, groups, gamma, beta, epsilon)
    dy = random(4, *y.shape)
    y.backward(dy)
    golden.add(name, "groupnorm", {"groups": groups}, x=ours(x), gamma=gamma.detach().numpy(),
               beta=beta.detach().numpy(), y=ours(y), dy=ours(dy), dx=ours(x.grad), dgamma=gamma.grad.numpy(),
               dbeta=beta.grad.numpy())


def channel_shuffle(golden, name, x_shape, groups):
    x = leaf(random(1, *x_shape))
    y = F.channel_shuffle(x, groups)
    dy = random(4, *y.shape)
    y.backward(dy)
    golden.add(name, "channel_shuffle", {"groups": groups}, x=ours(x), y=ours(y), dy=ours(dy), dx=ours(x.grad))


def activations(golden):
    parameter = float(np.float32(0.2))
    # F.hardsigmoid has a sixth in float.
    functions = {"relu": F.relu, "leaky_relu": lambda x: F.leaky_relu(x, parameter), "gelu": F.gelu,
                 "tanh": torch.tanh, "sigmoid": torch.sigmoid, "silu": F.silu, "relu6": F.relu6,
                 "hardswish": F.hardswish, "hardsigmoid": lambda x: F.relu6(x + 3) / 6,
                 "elu": lambda x: F.elu(x, parameter)}
    for name, function in functions.items():
        x = random(1, 101, low=-4, high=4)
        x[7] = 0.0  # what the derivative is at the kink
        x = leaf(x)
        y = function(x)
        dy = random(4, 101)
        y.backward(dy)
        golden.add(name, "activation", {"kind": name}, x=ours(x), y=ours(y), dy=ours(dy), dx=ours(x.grad))


def cross_entropy(golden, name, n, classes, smoothing):
    smoothing = float(np.float32(smoothing))
    logits = leaf(random(1, n, classes, low=-4, high=4))
    labels = torch.tensor(np.random.Generator(np.random.PCG64(2)).integers(0, classes, n))
    loss = F.cross_entropy(logits, labels, label_smoothing=smoothing, reduction="none")
    loss.mean().backward()
    golden.add(name, "cross_entropy", {"smoothing": smoothing}, logits=ours(logits),
               labels=labels.numpy().astype(np.int32), loss=loss.detach().numpy(),
               hits=(logits.argmax(1) == labels).numpy().astype(np.int32), dlogits=ours(logits.grad))


def weighted_loss(golden, name, n, classes, smoothing=0.0, gamma=0.0, share=1.0):
    """Weights of classes, focus, and labels blended with partners', as targets that are probabilities."""
    smoothing, share = float(np.float32(smoothing)), float(np.float32(share))
    logits, weights = leaf(random(1, n, classes, low=-4, high=4)), random(3, classes, low=0.25, high=2)
    draw = np.random.Generator(np.random.PCG64(2))
    labels, partners = (torch.tensor(draw.integers(0, classes, n)) for _ in range(2))
    hot = share * F.one_hot(labels, classes).double() + (1 - share) * F.one_hot(partners, classes).double()
    target = (1 - smoothing) * hot + smoothing / classes
    if gamma == 0:
        mean = torch.nn.CrossEntropyLoss(weight=weights)(logits, target)
        loss = F.cross_entropy(logits, target, weight=weights, reduction="none")
    else:
        p = logits.softmax(1)
        loss = -(weights * target * (1 - p) ** gamma * p.log()).sum(1)
        mean = loss.mean()
    if gamma == 0 and share == 1:  # with labels, the same but for what the mean is divided by
        torch.testing.assert_close(
            loss, F.cross_entropy(logits, labels, weight=weights, label_smoothing=smoothing, reduction="none"))
    mean.backward()
    golden.add(name, "weighted_loss", {"smoothing": smoothing, "gamma": gamma, "share": share}, logits=ours(logits),
               labels=labels.numpy().astype(np.int32), partners=partners.numpy().astype(np.int32),
               weights=weights.numpy(), loss=loss.detach().numpy(),
               hits=(logits.argmax(1) == (labels if share >= 0.5 else partners)).numpy().astype(np.int32),
               dlogits=ours(logits.grad))


def optimizer(golden, name, attributes, make):
    """Three steps on one parameter of 96 values, of which the first 64 have no decay."""
    flat = random(1, 96)
    free, decayed = nn.Parameter(flat[:64].clone()), nn.Parameter(flat[64:].clone())
    decay, rate = float(np.float32(0.01)), float(np.float32(0.05))
    optimizer = make([{"params": [free], "weight_decay": 0.0}, {"params": [decayed], "weight_decay": decay}], rate)
    gradients, after = [], []
    for step in range(3):
        gradient = random(10 + step, 96)
        free.grad, decayed.grad = gradient[:64].clone(), gradient[64:].clone()
        optimizer.step()
        gradients.append(gradient.numpy())
        after.append(torch.cat([free, decayed]).detach().numpy().copy())
    golden.add(name, "optimizer", attributes, parameters=flat.numpy(), gradients=np.stack(gradients),
               after=np.stack(after), decay=np.array([0.0, decay]), rate=np.array([rate]))


def layers():
    golden = Golden()
    conv(golden, "conv_3x3_same", (2, 3, 6, 5), 4, 3, pad=1)
    conv(golden, "conv_stride_2", (2, 3, 9, 8), 4, 3, stride=2, pad=1)
    conv(golden, "conv_stride_3_no_bias", (2, 2, 11, 11), 3, 5, stride=3, pad=2, bias=False)
    conv(golden, "conv_dilation_2", (2, 3, 9, 9), 4, 3, pad=2, dilation=2)
    conv(golden, "conv_axes_differ", (2, 3, 10, 7), 5, (4, 2), stride=(3, 1), pad=(2, 1), dilation=(1, 3))
    conv(golden, "conv_gray_5x5", (2, 1, 8, 8), 6, 5)
    conv(golden, "conv_1x1_shortcut", (2, 4, 6, 6), 8, 1, stride=2, bias=False)
    conv(golden, "conv3d_same", (1, 2, 4, 5, 6), 3, 3, pad=1)
    conv(golden, "conv3d_axes_differ", (2, 2, 6, 5, 6), 3, (3, 2, 1), stride=(2, 1, 2), pad=(1, 0, 0),
         dilation=(1, 2, 1))
    linear(golden, "linear", 5, 7, 4)
    linear(golden, "linear_no_bias", 3, 9, 6, bias=False)
    pool(golden, "maxpool_2", "maxpool", (2, 3, 7, 6), 2, 2, 0)
    pool(golden, "maxpool_overlap", "maxpool", (2, 3, 7, 8), 3, 2, 1)
    pool(golden, "maxpool3d", "maxpool", (1, 2, 5, 6, 7), (2, 3, 2), (2, 2, 1), (1, 1, 0))
    pool(golden, "avgpool_2", "avgpool", (2, 3, 7, 6), 2, 2, 0)
    pool(golden, "avgpool_padded", "avgpool", (2, 3, 7, 8), 3, 2, 1)
    pool(golden, "avgpool3d", "avgpool", (1, 2, 5, 6, 7), 3, 2, 1)
    global_average(golden, "global_average", (3, 5, 6, 7))
    batchnorm(golden, "batchnorm", (4, 3, 5, 6))
    batchnorm(golden, "batchnorm_groups", (7, 3, 3, 4), group=3)
    batchnorm(golden, "batchnorm3d", (2, 3, 3, 4, 5))
    layernorm(golden, "layernorm", (2, 6, 3, 4))
    layernorm(golden, "layernorm_flat", (5, 13))
    groupnorm(golden, "groupnorm", (3, 6, 4, 5), 3)
    groupnorm(golden, "groupnorm3d", (2, 8, 2, 3, 4), 2)
    channel_shuffle(golden, "channel_shuffle", (2, 12, 2, 3), 3)
    activations(golden)
    cross_entropy(golden, "cross_entropy", 9, 10, 0.0)
    cross_entropy(golden, "cross_entropy_smoothed", 9, 7, 0.1)
    weighted_loss(golden, "class_weights", 9, 7)
    weighted_loss(golden, "class_weights_smoothed", 9, 7, smoothing=0.1)
    weighted_loss(golden, "class_weights_blended", 9, 7, smoothing=0.1, share=0.3)
    weighted_loss(golden, "focal", 9, 7, gamma=2.0)
    weighted_loss(golden, "focal_smoothed", 9, 7, smoothing=0.1, gamma=0.5)
    weighted_loss(golden, "focal_blended", 9, 7, gamma=1.5, share=0.3)
    momentum = float(np.float32(0.9))
    betas, epsilon = (float(np.float32(0.9)), float(np.float32(0.999))), float(np.float32(1e-8))
    optimizer(golden, "sgd", {"kind": "sgd", "momentum": 0.0, "nesterov": False},
              lambda groups, rate: torch.optim.SGD(groups, rate))
    optimizer(golden, "sgd_momentum", {"kind": "sgd", "momentum": momentum, "nesterov": False},
              lambda groups, rate: torch.optim.SGD(groups, rate, momentum=momentum))
    optimizer(golden, "sgd_nesterov", {"kind": "sgd", "momentum": momentum, "nesterov": True},
              lambda groups, rate: torch.optim.SGD(groups, rate, momentum=momentum, nesterov=True))
    optimizer(golden, "adam", {"kind": "adam"},
              lambda groups, rate: torch.optim.Adam(groups, rate, betas, epsilon))
    optimizer(golden, "adamw", {"kind": "adamw"},
              lambda groups, rate: torch.optim.AdamW(groups, rate, betas, epsilon))
    golden.write(HERE / "layers.safetensors", torch=torch.__version__)


class Residual(nn.Module):
    def __init__(self, body, shortcut):
        super().__init__()
        self.body, self.shortcut = body, shortcut

    def forward(self, x):
        return self.body(x) + self.shortcut(x)


def lenet():
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
                         nn.Conv2d(4, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
                         nn.Flatten(), nn.Linear(54, 16), nn.ReLU(), nn.Linear(16, 10))


def residual_net():
    body = nn.Sequential(nn.Conv2d(4, 6, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU(),
                         nn.Conv2d(6, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6))
    shortcut = nn.Sequential(nn.Conv2d(4, 6, 1, stride=2, bias=False), nn.BatchNorm2d(6))
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(),
                         Residual(body, shortcut), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(6, 5))


def steps(golden, name, net, yaml, image, classes, mean, std):
    """Two whole SGD steps: batches are images 0..n-1, then n..2n-1; then an evaluation of the first batch.

    Tensors keep PyTorch's names, shapes and order ("0.weight", [out, in, kh, kw]); images are (N,H,W,C).
    """
    n = 6
    net = net.double()
    with torch.no_grad():
        for i, (key, parameter) in enumerate(net.named_parameters()):
            fan_in = parameter[0].numel() if parameter.ndim > 1 else 4
            bound = fan_in ** -0.5 * 1.5
            values = random(100 + i, *parameter.shape, low=-bound, high=bound)
            is_gamma = parameter.ndim == 1 and key.endswith("weight")
            parameter.copy_((values + (1 if is_gamma else 0)).float().double())
        for module in net.modules():  # constants as our configuration holds them, in float32
            if isinstance(module, nn.BatchNorm2d):
                module.momentum, module.eps = float(np.float32(0.1)), float(np.float32(1e-5))
    generator = np.random.Generator(np.random.PCG64(7))
    c, h, w = image
    images = generator.integers(0, 256, (2 * n, h, w, c), dtype=np.uint8)
    labels = generator.integers(0, classes, 2 * n).astype(np.int32)
    mean32, std32 = np.float32(mean).astype(np.float64), np.float32(std).astype(np.float64)
    x = torch.tensor(np.moveaxis((images / 255.0 - mean32) / std32, -1, 1))
    tensors = {f"before/{key}": value.numpy().copy() for key, value in net.state_dict().items()
               if "num_batches" not in key}
    rate, momentum, decay = (float(np.float32(v)) for v in (0.1, 0.9, 0.01))
    weights = [p for key, p in net.named_parameters() if p.ndim > 1]
    others = [p for key, p in net.named_parameters() if p.ndim == 1]
    sgd = torch.optim.SGD([{"params": weights, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}],
                          rate, momentum=momentum)
    losses = []
    for step in range(2):
        batch = slice(step * n, (step + 1) * n)
        sgd.zero_grad()
        loss = F.cross_entropy(net(x[batch]), torch.tensor(labels[batch]).long())
        loss.backward()
        tensors |= {f"gradient{step}/{key}": p.grad.numpy().copy() for key, p in net.named_parameters()}
        sgd.step()
        losses.append(loss.item())
    net.eval()
    with torch.no_grad():
        logits = net(x[:n])
        evaluation_loss = F.cross_entropy(logits, torch.tensor(labels[:n]).long()).item()
        hits = int((logits.argmax(1).numpy() == labels[:n]).sum())
    tensors |= {f"after/{key}": value.numpy().copy() for key, value in net.state_dict().items()
                if "num_batches" not in key}
    golden.add(name, "steps", {"yaml": yaml, "rate": rate, "batch": n, "losses": losses,
                               "evaluation_loss": evaluation_loss, "evaluation_hits": hits},
               images=images, labels=labels, **tensors)


OPTIMIZER_YAML = """
optimizer: {name: sgd, lr: 0.1, momentum: 0.9, weight_decay: 0.01}
train: {global_batch: 6, epochs: 1}
"""

LENET_YAML = """
data:
  source: digits
  normalize: {mean: [0.1307], std: [0.3081]}
model:
  input: [1, 12, 12]
  layers:
    - conv: {out: 4, kernel: 3, pad: same}
    - relu
    - maxpool: 2
    - conv: {out: 6, kernel: 3, pad: same}
    - relu
    - maxpool: 2
    - flatten
    - linear: 16
    - relu
    - linear: 10
""" + OPTIMIZER_YAML

RESIDUAL_YAML = """
data:
  source: cifar10
  path: unused
  normalize: {mean: [0.49, 0.48, 0.45], std: [0.25, 0.24, 0.26]}
model:
  input: [3, 8, 8]
  layers:
    - conv: {out: 4, kernel: 3, pad: same, bias: false}
    - batchnorm
    - relu
    - residual:
        body:
          - conv: {out: 6, kernel: 3, stride: 2, pad: 1, bias: false}
          - batchnorm
          - relu
          - conv: {out: 6, kernel: 3, pad: same, bias: false}
          - batchnorm
        shortcut:
          - conv: {out: 6, kernel: 1, stride: 2, bias: false}
          - batchnorm
    - relu
    - globalavgpool
    - flatten
    - linear: 5
""" + OPTIMIZER_YAML


def whole_steps():
    golden = Golden()
    steps(golden, "lenet", lenet(), LENET_YAML, (1, 12, 12), 10, [0.1307], [0.3081])
    steps(golden, "residual", residual_net(), RESIDUAL_YAML, (3, 8, 8), 5, [0.49, 0.48, 0.45], [0.25, 0.24, 0.26])
    golden.write(HERE / "steps.safetensors", torch=torch.__version__)


if __name__ == "__main__":
    torch.set_num_threads(1)
    layers()
    whole_steps()
