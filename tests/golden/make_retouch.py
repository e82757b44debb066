#!/usr/bin/env python3
"""Writes retouch.safetensors beside this script: what torchvision's transforms.v2 make of pictures in u8.

    python make_retouch.py          # needs torch, torchvision and numpy

A picture is a function of its shape and its range (`picture_of`), so that results alone are stored. A case "change" is one
functional with its arguments. A case "auto" holds, of TrivialAugmentWide's or RandAugment's list, a hash of the picture that
each operation makes at each of 31 magnitudes, upwards and downwards: (operations, magnitudes, 2).

Deterministic on CPUs with AVX-512: torch.linspace, which makes the magnitudes, depends on the width of vectors, and matrix
products of torch, which make the grid of affine motions, on the library beneath.
"""
import numpy as np
import torch
import torchvision
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from golden_writer import HERE, Golden
from named_values import bits

golden = Golden()


def picture_of(shape, low=0, high=255):
    """Ramps and noise in [low, high], (C,H,W): a function that retouch_test.cpp has, too."""
    channels, height, width = shape
    c, h, w = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    noise = (bits("retouch", channels * height * width) >> np.uint64(56)).astype(np.int64).reshape(shape)
    value = (3 * ((5 * h + 3 * w + 40 * c) % 256) + noise) // 4
    return torch.from_numpy((low + value * (high - low) // 255).astype(np.uint8))


def add(name, shape, function, low=0, high=255, **attributes):
    result = function(picture_of(shape, low, high)).permute(1, 2, 0).numpy()
    golden.add(name, "change", {"shape": shape, "low": low, "high": high, **attributes}, result=result)


COLOURS, GRAY, WIDE = (3, 20, 17), (1, 19, 23), (3, 24, 37)

for bit in range(9):
    add(f"posterize_{bit}", (3, 5, 7), lambda x, bit=bit: F.posterize(x, bit), effect="posterize", bits=bit)
for threshold in (0, 0.5, 100, 127.5, 128, 255):
    add(f"solarize_{threshold}", (3, 5, 7), lambda x, t=threshold: F.solarize(x, t), effect="solarize", threshold=threshold)
for shape, word in ((COLOURS, "colours"), (GRAY, "gray")):
    if shape[0] == 3:
        add("grayscale_colours", shape, lambda x: F.rgb_to_grayscale(x, 3), effect="grayscale")
    else:
        add("grayscale_gray", shape, lambda x: F.rgb_to_grayscale(x, 1), effect="grayscale")
    for low, high in ((0, 255), (30, 200), (77, 77), (250, 255)):
        add(f"autocontrast_{word}_{low}_{high}", shape, F.autocontrast, low, high, effect="autocontrast")
        add(f"equalize_{word}_{low}_{high}", shape, F.equalize, low, high, effect="equalize")
    for effect, function in (("brightness", F.adjust_brightness), ("contrast", F.adjust_contrast),
                             ("saturation", F.adjust_saturation), ("sharpness", F.adjust_sharpness)):
        for factor in (0.0, 0.37, 1.0, 1.9, 6.5):
            add(f"{effect}_{word}_{factor}", shape, lambda x, f=function, a=factor: f(x, a), effect=effect, factor=factor)
add("equalize_of_few_pixels", (3, 5, 7), F.equalize, effect="equalize")
add("equalize_of_two_channels", (2, 21, 20), F.equalize, effect="equalize")
add("sharpness_of_two_rows", (3, 2, 9), lambda x: F.adjust_sharpness(x, 2.0), effect="sharpness", factor=2.0)
add("sharpness_of_three_rows", (3, 3, 3), lambda x: F.adjust_sharpness(x, 2.0), effect="sharpness", factor=2.0)


def autos(name, kind, transform, shape):
    """Hashes: FNV-1a, 32 bits, of the bytes in (H,W,C)."""
    def hash_of(picture):
        value = 0x811C9DC5
        for byte in picture.permute(1, 2, 0).numpy().tobytes():
            value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
        return value
    space = list(transform._AUGMENTATION_SPACE.items())
    hashes = np.zeros((len(space), 31, 2), np.uint32)
    picture = picture_of(shape)
    for i, (operation, (magnitudes, signed)) in enumerate(space):
        values = magnitudes(31, *shape[1:])
        for bin in range(31):
            magnitude = 0.0 if values is None else float(values[bin])
            for sign in range(2):
                changed = transform._apply_image_or_video_transform(
                    picture, operation, -magnitude if signed and sign else magnitude, transform.interpolation, transform._fill)
                hashes[i, bin, sign] = hash_of(changed)
    golden.add(name, "auto", {"shape": shape, "wide": kind == "wide"}, hashes=hashes.view(np.int32))


autos("trivial_augment", "wide", v2.TrivialAugmentWide(), WIDE)
autos("trivial_augment_square", "wide", v2.TrivialAugmentWide(), (3, 21, 21))
autos("trivial_augment_gray", "wide", v2.TrivialAugmentWide(), (1, 19, 23))
autos("rand_augment", "narrow", v2.RandAugment(), WIDE)
autos("rand_augment_gray", "narrow", v2.RandAugment(), (1, 28, 28))

for shape, word in ((COLOURS, "wide"), ((3, 16, 16), "square"), (GRAY, "gray"), ((2, 11, 9), "two_channels")):
    for angle in (0.0, 45.0, -30.0, 12.3, 90.0, -90.0, 180.0, 135.5):
        add(f"rotate_{word}_{angle}", shape, lambda x, a=angle: F.rotate(x, a, fill=0), effect="rotate", degrees=angle)
    for i, (angle, translate, scale, shear) in enumerate((
            (0.0, (3, -2), 1.0, (0.0, 0.0)), (0.0, (0, 0), 1.7, (0.0, 0.0)), (20.5, (0, 0), 0.6, (0.0, 0.0)),
            (0.0, (0, 0), 1.0, (15.0, 0.0)), (0.0, (0, 0), 1.0, (0.0, -25.25)), (-70.0, (-1, 4), 1.21, (9.5, 33.0)),
            (0.0, (400, 0), 1.0, (0.0, 0.0)))):
        add(f"affine_{word}_{i}", shape, lambda x, a=(angle, translate, scale, shear): F.affine(x, *map(
            lambda v: list(v) if isinstance(v, tuple) else v, a), fill=0), effect="affine", degrees=angle, translate=translate,
            scale=scale, shear=shear)

for shape, word in ((COLOURS, "colours"), (GRAY, "gray"), ((3, 24, 40), "larger")):
    for kernel, sigma in ((3, 0.1), (3, 1.0), (5, 0.5), (5, 2.0), (9, 1.7), (23, 4.0)):
        if kernel // 2 < min(shape[1:]):
            add(f"blur_{word}_{kernel}_{sigma}", shape, lambda x, k=kernel, s=sigma: F.gaussian_blur(x, [k, k], [s, s]),
                effect="blur", kernel=kernel, sigma=sigma)

golden.write(HERE / "retouch.safetensors", torch=torch.__version__, torchvision=torchvision.__version__)
