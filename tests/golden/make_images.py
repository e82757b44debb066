#!/usr/bin/env python3
"""Writes images.safetensors beside this script: small JPEG and PNG files and what Pillow makes of them.

    python make_images.py          # needs Pillow, and what make_golden.py needs

A case "decode" holds a file and its pixels; "resize" pixels, a box and the resized ones; "part" a file, a box, and what
Pillow makes of the box. Deterministic but for the JPEG encoder's version.
"""

import io
import struct
import zlib

import numpy as np
from PIL import Image, ImageOps
from make_golden import HERE, Golden

golden = Golden()


def picture(height, width, seed=1):
    """Smooth colours, a few edges and a little noise, (H,W,3)."""
    y, x = np.mgrid[0:height, 0:width]
    random = np.random.Generator(np.random.PCG64(seed))
    image = np.stack([128 + 100 * np.sin(x / 7.0 + y / 11.0), 255.0 * x / width, 255.0 * y / height], axis=-1)
    image[(x - width / 2) ** 2 + (y - height / 2) ** 2 < (min(height, width) / 4) ** 2] = (230, 40, 60)
    return np.clip(image + random.normal(0, 6, image.shape), 0, 255).astype(np.uint8)


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def png(height, width, depth, color, rows):
    """A PNG file of what Pillow cannot write; rows as the format packs them."""
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    lines = b"".join(b"\0" + row for row in rows)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


def add_decode(name, data, pixels=None, tolerance=0):
    if pixels is None:
        pixels = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))
    golden.add(name, "decode", {"tolerance": tolerance}, file=np.frombuffer(data, np.uint8), pixels=pixels)


def add_resize(name, pixels, box, size, isolated):
    """box: top, left, height, width; size: height, width."""
    top, left, height, width = box
    source = Image.fromarray(pixels)
    if isolated:
        source = source.crop((left, top, left + width, top + height))
        result = source.resize(size[::-1], Image.BILINEAR)
    else:
        result = source.resize(size[::-1], Image.BILINEAR, box=(left, top, left + width, top + height))
    golden.add(name, "resize", {"box": box, "size": size, "isolated": isolated}, pixels=pixels, result=np.asarray(result))


rgb = Image.fromarray(picture(29, 38))
add_decode("jpeg_420", encoded(rgb, "JPEG", quality=90), tolerance=1)
add_decode("jpeg_444", encoded(rgb, "JPEG", quality=95, subsampling=0), tolerance=1)
add_decode("jpeg_progressive", encoded(rgb, "JPEG", quality=80, progressive=True), tolerance=1)
add_decode("jpeg_gray", encoded(rgb.convert("L"), "JPEG"), tolerance=1)
add_decode("jpeg_inks", encoded(rgb.convert("CMYK"), "JPEG", quality=95), tolerance=2)
for orientation in range(1, 9):
    exif = Image.Exif()
    exif[0x0112] = orientation
    add_decode(f"jpeg_orientation_{orientation}", encoded(rgb.crop((0, 0, 21, 13)), "JPEG", exif=exif), tolerance=1)
small = rgb.crop((3, 2, 20, 15))
add_decode("png_rgb", encoded(small, "PNG"))
add_decode("png_alpha", encoded(Image.merge("RGBA", (*small.split(), small.split()[1])), "PNG"))
add_decode("png_gray", encoded(small.convert("L"), "PNG"))
add_decode("png_gray_alpha", encoded(Image.merge("LA", (small.split()[0], small.split()[2])), "PNG"))
add_decode("png_palette", encoded(small.quantize(13), "PNG"))
add_decode("png_palette_transparent", encoded(small.quantize(5), "PNG", transparency=2))
add_decode("png_bits", encoded(small.convert("1"), "PNG"))
wide = np.random.Generator(np.random.PCG64(5)).integers(0, 65536, (7, 5, 3))
add_decode("png_16", png(7, 5, 16, 2, [row.astype(">u2").tobytes() for row in wide]),
           np.round(wide / 257).astype(np.uint8), tolerance=1)

source = picture(40, 57, 2)
add_resize("same", source, (0, 0, 40, 57), (40, 57), True)
add_resize("half", source, (0, 0, 40, 57), (20, 29), True)
add_resize("smaller", source, (5, 9, 30, 40), (13, 11), True)
add_resize("much_smaller", source, (0, 0, 40, 57), (2, 3), False)
add_resize("larger", source, (11, 4, 9, 20), (23, 31), True)
add_resize("wider_flatter", source, (1, 2, 37, 11), (16, 32), True)
add_resize("one_pixel", source, (6, 7, 1, 1), (5, 4), True)
add_resize("fractions", source, (3.25, 7.5, 20.5, 33.125), (16, 24), False)

# As evaluation looks at a picture: torchvision's Resize and CenterCrop, on Pillow.
for name, height, width, shorter, out in (("centre_wide", 40, 57, 24, 21), ("centre_high", 50, 37, 20, 20)):
    pixels = picture(height, width, 3)
    ratio = max(height, width) / min(height, width)
    to = (shorter, int(shorter * ratio)) if height <= width else (int(shorter * ratio), shorter)
    whole = np.asarray(Image.fromarray(pixels).resize(to[::-1], Image.BILINEAR))
    top, left = round((to[0] - out) / 2), round((to[1] - out) / 2)
    golden.add(name, "centre", {"shorter": shorter, "size": (out, out)}, pixels=pixels,
               result=whole[top:top + out, left:left + out])

golden.write(HERE / "images.safetensors")
