"""Values that are a function of a name, so that networks can be compared without storing their weights."""
import numpy as np

MASK = (1 << 64) - 1


def hash_of(name):
    """FNV-1a, 64 bits."""
    value = 0xCBF29CE484222325
    for byte in name.encode():
        value = ((value ^ byte) * 0x100000001B3) & MASK
    return value


def bits(name, count):
    """splitmix64 (Steele, Lea and Flood, 2014) of hash + index, one uint64 each."""
    with np.errstate(over="ignore"):
        z = np.uint64(hash_of(name)) + (np.arange(count, dtype=np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def uniform(name, count):
    """In [-1, 1), multiples of 2^-19."""
    return (bits(name, count) >> np.uint64(44)).astype(np.float64) * 2.0**-19 - 1


def value_of(name, shape):
    """Of a parameter or a running average, exact in float32. A weight is as large as keeps what passes through it."""
    count = int(np.prod(shape))
    u = uniform(name, count)
    last = name.rsplit(".", 1)[-1]
    if last in ("running_var", "layer_scale") or (len(shape) == 1 and last == "weight"):
        u = 1 + u / 4
    elif last != "weight":
        u = u / 8
    else:
        fan_in = int(np.prod(shape[1:]))
        u = u * 2.0 ** round(0.5 * np.log2(6 / fan_in))
    return u.reshape(shape)
