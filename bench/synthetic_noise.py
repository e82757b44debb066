"""The noise that data.source: synthetic makes."""
import numpy

SYNTHETIC = 7  # Purpose::synthetic of core/random.h
LABEL_STREAM = 0xFFFFFFFF


def philox(counter, key):
    """Philox4x32-10 (Salmon et al., 2011) of counters (n,4), as core/random.h has it; gives (n,4)."""
    c = [counter[:, i].astype(numpy.uint64) for i in range(4)]
    low = numpy.uint64(0xFFFFFFFF)
    half = numpy.uint64(32)
    for turn in range(10):
        k = [numpy.uint64((key[i] + turn * (0x9E3779B9, 0xBB67AE85)[i]) & 0xFFFFFFFF) for i in range(2)]
        p0, p1 = c[0] * numpy.uint64(0xD2511F53), c[2] * numpy.uint64(0xCD9E8D57)
        c = [(p1 >> half) ^ c[1] ^ k[0], p1 & low, (p0 >> half) ^ c[3] ^ k[1], p0 & low]
    return numpy.stack(c, 1).astype(numpy.uint32)


def draws(seed, stream, count):
    counter = numpy.zeros((count, 4), numpy.uint32)
    counter[:, 0] = numpy.arange(count)
    counter[:, 2], counter[:, 3] = stream, SYNTHETIC
    return philox(counter, (seed & 0xFFFFFFFF, seed >> 32))


def images(seed, first, count, shape):
    """Images `first` and on: bytes (count,C,...)."""
    pixels = int(numpy.prod(shape))
    made = numpy.stack([draws(seed, first + i, -(-pixels // 16)).view(numpy.uint8).reshape(-1)[:pixels]
                        for i in range(count)])
    made = made.reshape(count, *shape[1:], shape[0])  # channels last
    return numpy.ascontiguousarray(numpy.moveaxis(made, -1, 1))


def labels(seed, first, count, classes):
    """(count) of the same images."""
    made = draws(seed, LABEL_STREAM, first + count)[first:, 0].astype(numpy.uint64) * numpy.uint64(classes)
    return (made >> numpy.uint64(32)).astype(numpy.int64)
