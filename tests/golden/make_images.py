#!/usr/bin/env python3
"""Writes images.safetensors and formats.safetensors beside this script: small JPEG and PNG files, then WebP, BMP and
TIFF, and what Pillow makes of them.

    python make_images.py          # needs Pillow and numpy

A case "decode" holds a file and its pixels; "resize" pixels, a box and the resized ones; "part" a file, a box, and what
Pillow makes of the box. Deterministic but for the JPEG encoder's version.
"""

import io
import struct
import zlib

import numpy as np
import PIL
from PIL import Image, ImageOps

from golden_writer import HERE, Golden

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


def add_decode(name, data, pixels=None, tolerance=0, into=golden):
    if pixels is None:
        pixels = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))
    into.add(name, "decode", {"tolerance": tolerance}, file=np.frombuffer(data, np.uint8), pixels=pixels)


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

golden.write(HERE / "images.safetensors", pillow=PIL.__version__)

# Formats beside JPEG and PNG, and what few PNG files hold.
formats = Golden()


def add_format(name, image, kind, pixels=None, tolerance=0, **options):
    add_decode(name, encoded(image, kind, **options), pixels, tolerance, into=formats)


def exif_of(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def bmp(width, height, bits, rows, masks=(), palette=b"", header=40):
    """A BMP file of what Pillow does not write; rows as they are stored, from below where height > 0."""
    compression = 3 if masks else 0
    extra = struct.pack(f"<{len(masks)}I", *masks) + palette
    lines = b"".join(row + b"\0" * (-len(row) % 4) for row in rows)
    start = 14 + header + len(extra)
    if header == 12:
        info = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, len(lines), 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", start + len(lines), 0, 0, start) + info + extra + lines


gray = small.convert("L")
alpha = Image.merge("RGBA", (*small.split(), small.split()[1]))
add_format("webp_lossy", small, "WEBP", quality=80, tolerance=2)  # colours are upsampled in more than one way
add_format("webp_lossless", small, "WEBP", lossless=True)
add_format("webp_alpha", alpha, "WEBP", lossless=True, exact=True)
for orientation in (3, 6):
    add_format(f"webp_orientation_{orientation}", small, "WEBP", lossless=True, exif=exif_of(orientation))
    add_format(f"png_orientation_{orientation}", small, "PNG", exif=exif_of(orientation))
for orientation in range(1, 9):
    add_format(f"tiff_orientation_{orientation}", small, "TIFF", exif=exif_of(orientation))
for compression in ("raw", "packbits", "tiff_lzw", "tiff_adobe_deflate"):
    add_format(f"tiff_{compression}", small, "TIFF", compression=compression)
add_format("tiff_jpeg", small, "TIFF", compression="jpeg", quality=95, tolerance=2)
add_format("tiff_bits", small.convert("1"), "TIFF", compression="group4")
add_format("tiff_gray", gray, "TIFF")
add_format("tiff_palette", small.quantize(13), "TIFF")
add_format("tiff_alpha", alpha, "TIFF")
add_format("tiff_inks", small.convert("CMYK"), "TIFF", tolerance=1)
add_format("bmp_rgb", small, "BMP")
add_format("bmp_gray", gray, "BMP")
add_format("bmp_palette", small.quantize(13), "BMP")
add_format("bmp_bits", small.convert("1"), "BMP")
add_format("bmp_alpha", alpha, "BMP")
# Gray of 16 bits: divided by 257 and rounded. (Pillow cuts it off at 255.)
deep = np.random.Generator(np.random.PCG64(6)).integers(0, 65536, (7, 5)).astype(np.uint16)
as_bytes = np.repeat(np.round(deep / 257).astype(np.uint8)[..., None], 3, axis=2)
add_format("png_gray_16", Image.fromarray(deep), "PNG", as_bytes, tolerance=1)
add_format("tiff_gray_16", Image.fromarray(deep), "TIFF", as_bytes, tolerance=1)
pixels = np.asarray(small)
height, width = pixels.shape[:2]
bgr = pixels[..., ::-1]
add_decode("bmp_top_down", bmp(width, -height, 24, [row.tobytes() for row in bgr]), pixels, into=formats)
add_decode("bmp_os2", bmp(width, height, 24, [row.tobytes() for row in bgr[::-1]], header=12), pixels, into=formats)
words = (pixels[..., 0].astype(np.uint16) >> 3) << 11 | (pixels[..., 1].astype(np.uint16) >> 2) << 5 | pixels[..., 2] >> 3
levels = np.stack([words >> 11 & 31, words >> 5 & 63, words & 31], axis=-1) / np.array([31, 63, 31]) * 255
add_decode("bmp_565", bmp(width, height, 16, [row.astype("<u2").tobytes() for row in words[::-1]], masks=(0xF800, 0x7E0, 0x1F)),
           np.round(levels).astype(np.uint8), into=formats)
nibbles = np.arange(6 * 5).reshape(6, 5) % 16
colours = np.random.Generator(np.random.PCG64(7)).integers(0, 256, (16, 3), dtype=np.uint8)
rows = [bytes(int(a) << 4 | int(b) for a, b in zip(row[::2], [*row[1::2], 0])) for row in nibbles[::-1]]
palette = b"".join(bytes(colour[::-1]) + b"\0" for colour in colours)
add_decode("bmp_16_colours", bmp(5, 6, 4, rows, palette=palette), colours[nibbles], into=formats)
# Not decoded: what they are is said.
animation = encoded(small, "WEBP", save_all=True, append_images=[small.rotate(90), small.rotate(180)])
formats.add("webp_animated", "refuse", {"says": "an animated WebP file"}, file=np.frombuffer(animation, np.uint8))
formats.write(HERE / "formats.safetensors", pillow=PIL.__version__)
