"""The C functions of libconvoy.so (include/convoy/c_api.h)."""
import ctypes
import functools
import os

from . import _files
from ._errors import Error

CAPACITY = 4096  # bytes of a message
_floats, _bytes, _shape = (ctypes.POINTER(kind) for kind in (ctypes.c_float, ctypes.c_uint8, ctypes.c_int))
_message = [ctypes.c_char_p, ctypes.c_size_t]
_int, _count, _text, _handle = ctypes.c_int, ctypes.c_int64, ctypes.c_char_p, ctypes.c_void_p
FUNCTIONS = {
    "convoy_open": (_handle, [_text, _text, _int, _int, _int, *_message]),
    "convoy_close": (None, [_handle]),
    "convoy_checkpoint": (_text, [_handle]),
    "convoy_device": (_text, [_handle]),
    "convoy_classes": (_int, [_handle]),
    "convoy_class_name": (_text, [_handle, _int]),
    "convoy_input": (None, [_handle, _shape]),
    "convoy_predict": (_int, [_handle, _bytes, _count, _floats, *_message]),
    "convoy_predict_resized": (_int, [_handle, _bytes, _count, _int, _int, _int, _floats, *_message]),
    "convoy_predict_files": (_int, [_handle, ctypes.POINTER(_text), _count, _floats, *_message]),
}


@functools.lru_cache(maxsize=None)
def library():
    path = _files.library()
    # The library looks for cuBLAS in the wheels of this Python.
    os.environ.update({key: value for key, value in _files.environment().items() if key == "CONVOY_LIBRARY_PATH"})
    try:
        loaded = ctypes.CDLL(str(path))
    except OSError as error:
        raise Error(f"{path} cannot be loaded: {error}") from None
    for name, (result, arguments) in FUNCTIONS.items():
        function = getattr(loaded, name)
        function.restype, function.argtypes = result, arguments
    return loaded


def call(name, *arguments):
    """Calls a function whose last arguments are (message, capacity). Raises Error if it returns NULL or -1."""
    message = ctypes.create_string_buffer(CAPACITY)
    result = getattr(library(), name)(*arguments, message, CAPACITY)
    if result is None or result == -1:
        raise Error(message.value.decode("utf-8", "replace"))
    return result
