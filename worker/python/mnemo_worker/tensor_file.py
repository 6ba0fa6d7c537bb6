"""safetensors files of float32 arrays: eight bytes of length, a header of JSON, the numbers. Written so that the same arrays
give the same bytes."""

import json
import os

import numpy as np

MAX_HEADER = 10 << 20


def write(path, arrays, metadata):
    """arrays: name -> float32 array, in this order; metadata: text -> text. Whole or not at all."""
    header, at = {"__metadata__": metadata}, 0
    for name, array in arrays.items():
        size = 4 * array.size
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    part = f"{path}.part"
    with open(part, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for array in arrays.values():
            file.write(np.ascontiguousarray(array, "<f4").tobytes())
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def read(path):
    """(name -> array, metadata) of a file of float32, as of a checkpoint or of `mnemo export`; other types are left out."""
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > MAX_HEADER:
            raise ValueError(f"{path} is no safetensors file")
        header = json.loads(file.read(length))
        data = file.read()
    metadata = header.pop("__metadata__", {})
    arrays = {}
    for name, about in header.items():
        if about["dtype"] == "F32":
            begin, end = about["data_offsets"]
            arrays[name] = np.frombuffer(data[begin:end], "<f4").reshape(about["shape"])
    return arrays, metadata
