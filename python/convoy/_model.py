"""Prediction with a trained network."""
import ctypes
import os
import threading
import weakref

from . import _library
from ._errors import Error


def load(run, *, best=False, device="auto", batch=32, threads=0):
    """Loads a trained network and returns a Model.

    run      a run folder, or one checkpoint
    best     of a run folder, load the checkpoint with the best validation instead of the newest one
    device   auto, cpu or cuda
    batch    images that are computed at once
    threads  on the CPU; 0 is one per core
    """
    return Model(run, best=best, device=device, batch=batch, threads=threads)


class Model:
    """A trained network. `convoy.load` makes it.

    classes     names of the classes, in the order of a prediction's columns
    input       shape of the network's input: (depth, height, width, channels); for images the depth is 1
    checkpoint  the file that was read
    device      description of the device that computes
    """

    def __init__(self, run, *, best, device, batch, threads):
        _expect_number("batch", batch, 1)
        _expect_number("threads", threads, 0)
        self._lock = threading.Lock()
        self._handle = _library.call("convoy_open", os.fsencode(run), str(device).encode(), bool(best), int(batch), int(threads))
        self._close = weakref.finalize(self, _library.library().convoy_close, self._handle)
        read = _library.library()
        self.classes = [read.convoy_class_name(self._handle, label).decode("utf-8", "replace")
                        for label in range(read.convoy_classes(self._handle))]
        shape = (ctypes.c_int * 4)()
        read.convoy_input(self._handle, shape)
        self.input = tuple(shape)
        self.checkpoint = os.fsdecode(read.convoy_checkpoint(self._handle))
        self.device = read.convoy_device(self._handle).decode()

    def __repr__(self):
        return f"<convoy.Model {self.checkpoint}: {self.input} to {len(self.classes)} classes, {self.device}>"

    def predict(self, images, *, resize=True):
        """Returns probabilities (N, classes), float32. The columns are in the order of `classes`.

        `images` is one of

        - a path or a list of paths;
        - an array (N,H,W,C) or (H,W,C);
        - a list of arrays (H,W,C) of any sizes; gray ones may be (H,W).

        Values are uint8, or floats from 0 to 1, which are rounded to multiples of 1/255. Three channels are red, green, blue. Arrays are
        resized and cropped as files are. With resize=False they must have the network's size and are used as they are. Volumes
        (N,D,H,W,C) are never resized.
        """
        import numpy

        if isinstance(images, (str, os.PathLike)):
            images = [images]
        if isinstance(images, (list, tuple)):
            paths = [isinstance(image, (str, os.PathLike)) for image in images]
            if not images:
                return numpy.empty((0, len(self.classes)), numpy.float32)
            if all(paths):
                return self._predict_files(numpy, images)
            if any(paths):
                raise Error("a list of images holds paths or arrays, not both")
            return numpy.concatenate([self._predict_one(numpy, image, resize) for image in images])
        images = numpy.asarray(images)
        if images.ndim == 5 or (images.ndim == 4 and self.input[0] > 1):
            return self._predict_array(numpy, images, resize=False)
        return self._predict_array(numpy, images, resize)

    def _predict_one(self, numpy, image, resize):
        image = numpy.asarray(image)
        return self._predict_array(numpy, image[..., None] if image.ndim == 2 else image, resize)

    def _predict_array(self, numpy, images, resize):
        whole = self.input[1:] if self.input[0] == 1 else self.input
        if images.ndim == 3 or (images.ndim == 4 and len(whole) == 4):
            images = images[None]
        if images.ndim != 1 + len(whole) or images.shape[-1] not in (1, 3, self.input[3]):
            raise Error(f"an array of shape {images.shape}; expected (N,H,W,C) or (H,W,C) with C 1 or 3, e.g. images[..., None]")
        count = images.shape[0]
        out = numpy.empty((count, len(self.classes)), numpy.float32)
        if count == 0:
            return out
        if images.size == 0:
            raise Error(f"an array of shape {images.shape}, whose images have no pixels")
        pixels = numpy.ascontiguousarray(_as_bytes(numpy, images))
        data, probabilities = pixels.ctypes.data_as(_library._bytes), out.ctypes.data_as(_library._floats)
        with self._lock:
            if resize:
                _library.call("convoy_predict_resized", self._handle, data, count, *images.shape[1:], probabilities)
                return out
            if images.shape[1:] != whole:
                raise Error(f"images of {images.shape[1:]}, and the network takes {whole}; leave resize=True to resize them")
            _library.call("convoy_predict", self._handle, data, count, probabilities)
        return out

    def _predict_files(self, numpy, paths):
        out = numpy.empty((len(paths), len(self.classes)), numpy.float32)
        names = (ctypes.c_char_p * len(paths))(*map(os.fsencode, paths))
        with self._lock:
            _library.call("convoy_predict_files", self._handle, names, len(paths), out.ctypes.data_as(_library._floats))
        return out


def _expect_number(name, value, least):
    most = 2 ** 31 - 1  # of a C int
    if not hasattr(value, "__index__") or not least <= value <= most:
        raise Error(f"{name} is {value!r}; expected a whole number from {least} to {most}")


def _as_bytes(numpy, images):
    if images.dtype == numpy.uint8:
        return images
    if images.dtype.kind != "f":
        raise Error(f"images of type {images.dtype}; expected uint8, or floats from 0 to 1")
    if not (images.min() >= 0 and images.max() <= 1):  # NaN fails both
        raise Error(f"float images reach from {images.min():g} to {images.max():g}; expected 0 to 1: divide by 255, or pass uint8")
    return numpy.rint(images * 255).astype(numpy.uint8)
