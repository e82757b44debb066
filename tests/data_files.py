"""Files as data sets have them: MNIST's IDX files and PNG pictures."""
import gzip
import struct
import zlib


def idx(values, *sizes):
    """Bytes of an array of these sizes, in MNIST's format."""
    return struct.pack(f">{1 + len(sizes)}I", 0x800 + len(sizes), *sizes) + bytes(values)


def png(height, width, pixel, channels=3):
    """The bytes of a PNG; pixel(row, column) gives as many channels."""
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    rows = b"".join(b"\0" + b"".join(bytes(pixel(y, x)) for x in range(width)) for y in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, {1: 0, 3: 2}[channels], 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def write_mnist(folder, images=20, labels=None, pixels=None):
    """MNIST's files, the same images to train and to test on; returns what makes a configuration read them. By default
    the labels are 0 to 9 in turn and no two images are equal."""
    folder.mkdir(parents=True)
    labels = labels or [i % 10 for i in range(images)]
    pixels = pixels or (i * i // 97 % 256 for i in range(images * 28 * 28))
    contents = idx(pixels, images, 28, 28)
    for part in ("train", "t10k"):
        (folder / f"{part}-images-idx3-ubyte").write_bytes(contents)
        (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(labels, len(labels))))
    return f"data={{source: mnist, path: {folder}}}"
