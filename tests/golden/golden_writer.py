"""Golden files: cases and their tensors, for scripts that make them."""
import json
import pathlib
import struct

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
TYPES = {"float64": "F64", "float32": "F32", "int32": "I32", "uint8": "U8"}


class Golden:
    """Cases and their tensors, named "<case>/<tensor>"."""

    def __init__(self):
        self.cases, self.tensors = [], {}

    def add(self, name, op, attributes, **tensors):
        self.cases.append({"name": name, "op": op, **attributes})
        for key, value in tensors.items():
            if value is not None:
                self.tensors[f"{name}/{key}"] = np.ascontiguousarray(value)

    def write(self, path, **versions):
        header = {"__metadata__": {**versions, "cases": json.dumps(self.cases)}}
        offset = 0
        for key, value in self.tensors.items():
            header[key] = {"dtype": TYPES[value.dtype.name], "shape": list(value.shape),
                           "data_offsets": [offset, offset + value.nbytes]}
            offset += value.nbytes
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        with open(path, "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            for value in self.tensors.values():
                file.write(value.tobytes())
        print(f"{path.name}: {len(self.cases)} cases, {path.stat().st_size} bytes")
