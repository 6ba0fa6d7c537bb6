#!/usr/bin/python3
"""Judge the tasks of an episode list in PyTorch, and compare with what Mnemo says of each.

    mnemo export RUN -o model.safetensors
    mnemo evaluate RUN --write-episodes episodes.tsv --scores scores.csv
    replay_episodes.py model.safetensors episodes.tsv data/omniglot28.mnd scores.csv

Reads the pictures from the packed file and the list alone, classifies each task in float64 by the modules of docs/pytorch
(prototypes, matching, and MAML with a linear head), and compares its accuracy with the one of scores.csv, task by task: of
the point meta.inner_steps where there is an inner loop. Exit code 0: all tasks agree exactly but for at most --allow items,
which float32 may round to the other side of a tie; 1: they do not.
"""
import argparse
import csv
import os
import struct
import sys

import torch

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "pytorch"))
import conv4  # noqa: E402
import exported  # noqa: E402
import maml  # noqa: E402


class Pack:
    """A packed image file, as described in worker/data/image_pack.h."""

    def __init__(self, path):
        with open(path, "rb") as file:
            blob = file.read()
        if blob[:8] != b"MNEMODAT":
            sys.exit(f"{path} is no packed image file")
        version, height, width, channels, n_images, n_classes, n_groups, train, val, test = struct.unpack("<10I", blob[8:48])
        (names_bytes, _) = struct.unpack("<2Q", blob[48:64])
        classes = [struct.unpack_from("<4I", blob, 64 + 16 * i) for i in range(n_classes)]
        at = 64 + 16 * n_classes
        groups = struct.unpack_from(f"<{n_groups}I", blob, at)
        at += 4 * n_groups + 8 * (train + val + test)
        names = blob[at : at + names_bytes]
        name = lambda offset: names[offset : names.index(b"\0", offset)].decode("utf-8", "surrogateescape")
        self.first = {f"{name(groups[group])}/{name(own)}": first for own, group, first, _ in classes}
        pixels = torch.frombuffer(bytearray(blob[at + names_bytes : -32]), dtype=torch.uint8)
        self.images = pixels.reshape(n_images, height, width, channels)

    def picture(self, name, item, turns):
        """[channels, height, width], of 0 to 1."""
        picture = self.images[self.first[name] + item].permute(2, 0, 1).double() / 255
        return torch.rot90(picture, turns, (1, 2))


def read_tasks(path, pack):
    """[{"support": ([n, c, h, w], labels), "query": ...}], in the order of the list."""
    tasks = []
    with open(path, newline="") as file:
        lines = csv.DictReader((line for line in file if not line.startswith("#")), delimiter="\t", quoting=csv.QUOTE_NONE)
        for line in lines:
            if int(line["task"]) == len(tasks):
                tasks.append({"support": [], "query": []})
            picture = pack.picture(line["class"], int(line["item"]), int(line["turns"]))
            tasks[-1][line["set"]].append((int(line["label"]), picture))
    for task in tasks:
        for set_name, items in task.items():
            items.sort(key=lambda item: item[0])
            task[set_name] = torch.stack([x for _, x in items]), torch.tensor([label for label, _ in items])
    return tasks


def classify(module, task):
    """Labels of the query items."""
    (x, y), (query, _) = task["support"], task["query"]
    if isinstance(module, (conv4.Prototypes, conv4.Matching)):
        return module(x, y, query).argmax(1)
    return maml.answer(module, maml.adapt(module, x, y), query).argmax(1)


def their_accuracies(path, settings):
    """{task: accuracy}, at the point that stands for all; None: the task was skipped."""
    steps, found = settings.get("meta.inner_steps"), {}
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            if row["score"] == "accuracy" and row["point"] in ("", steps):
                found[int(row["task"])] = float(row["value"]) if row["value"] else None
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("model", "episodes", "data", "scores"):
        parser.add_argument(name)
    parser.add_argument("--allow", type=int, default=0, metavar="ITEMS")
    options = parser.parse_args()
    settings = exported.settings(exported.read(options.model)[1]["experiment"])
    kinds = {"class-means": conv4.Prototypes, "support": conv4.Matching, "none": conv4.Conv4}
    if settings["model.input"] != "conv4" or settings["model.memory"] not in kinds:
        sys.exit(f"{options.model}: expected model.input conv4 with model.memory {', '.join(kinds)}")
    module = kinds[settings["model.memory"]](options.model).double()
    tasks = read_tasks(options.episodes, Pack(options.data))
    theirs = their_accuracies(options.scores, settings)
    if sorted(theirs) != list(range(len(tasks))):
        sys.exit(f"{options.scores} has {len(theirs)} tasks, {options.episodes} {len(tasks)}")
    off = right = 0
    for number, task in enumerate(tasks):
        labels = task["query"][1]
        ours = (classify(module, task) == labels).sum().item()
        right += ours / len(labels)
        if theirs[number] is None or round(theirs[number] * len(labels)) != ours:
            print(f"task {number}: {ours} of {len(labels)} right, Mnemo says {theirs[number]}")
            off += len(labels) if theirs[number] is None else abs(round(theirs[number] * len(labels)) - ours)
    print(f"{len(tasks)} tasks: accuracy {100 * right / len(tasks):.4f} %, {off} items otherwise than by Mnemo")
    sys.exit(0 if off <= options.allow else 1)


if __name__ == "__main__":
    main()
