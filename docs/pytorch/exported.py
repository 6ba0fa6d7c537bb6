"""A file of `mnemo export` as a PyTorch module: its parameters have the names and shapes of the file.

    module = MemN2N("RUN/model.safetensors")       # or any other class of this folder
    module.w.embed0.weight, module.metadata["step"], module.settings["model.hops"], module.words

Needs PyTorch alone; safetensors.torch.load_file(path) gives the same tensors. Use `.double()` for float64, `.state_dict()`
to save what you have trained on: w.conv1.weight is conv1.weight of the file.
"""
import json
import struct

import torch

DTYPES = {"F32": torch.float32, "F64": torch.float64, "I64": torch.int64, "I32": torch.int32, "U8": torch.uint8}


def read(path):
    """Tensors and metadata of a safetensors file: {name: tensor}, {key: text}."""
    with open(path, "rb") as file:
        blob = bytearray(file.read())
    (n,) = struct.unpack("<Q", blob[:8])
    header = json.loads(bytes(blob[8 : 8 + n]))
    metadata, tensors = header.pop("__metadata__", {}), {}
    for name, entry in header.items():
        begin, end = (8 + n + at for at in entry["data_offsets"])
        tensors[name] = torch.frombuffer(blob[begin:end], dtype=DTYPES[entry["dtype"]]).reshape(entry["shape"]).clone()
    return tensors, metadata


def settings(experiment):
    """Keys of an experiment as Mnemo prints it, as text: {"model.hops": "3", ...}."""
    found, section = {}, ""
    for line in experiment.splitlines():
        key, _, value = (part.strip() for part in line.partition(":"))
        section = section if line.startswith(" ") else "" if value else key + "."
        found[section + key] = value.strip('"')
    return found


class Exported(torch.nn.Module):
    def __init__(self, path):
        super().__init__()
        tensors, self.metadata = read(path)
        self.settings = settings(self.metadata["experiment"])
        self.words = self.metadata.get("words", "").split("\n")  # number i of a story is words[i]; 0 is none
        self.w = torch.nn.Module()
        for name, tensor in tensors.items():
            *folders, last = name.split(".")
            place = self.w
            for folder in folders:
                if not hasattr(place, folder):
                    place.add_module(folder, torch.nn.Module())
                place = getattr(place, folder)
            if last.startswith("running_"):
                place.register_buffer(last, tensor)
            else:
                place.register_parameter(last, torch.nn.Parameter(tensor))

    def linear(self, name, x):
        """x W' + b with <name>.weight and, where there is one, <name>.bias."""
        layer = self.w.get_submodule(name)
        return torch.nn.functional.linear(x, layer.weight, getattr(layer, "bias", None))

    def layers(self, name):
        """<name>1, <name>2, ... as far as the file has them."""
        parent, _, stem = name.rpartition(".")
        have, n = self.w.get_submodule(parent), 1
        while hasattr(have, f"{stem}{n}"):
            yield f"{name}{n}"
            n += 1

    def number(self, key):
        return float(self.settings[key])
