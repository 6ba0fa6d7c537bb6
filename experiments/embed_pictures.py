#!/usr/bin/python3
"""Features of pictures, computed outside of Mnemo, as arrays that experiments/cifar-features-5w1s-prototypes.yaml learns from.

    embed_pictures.py FOLDER OUT    FOLDER has CIFAR-100 in its binary form (*.bin) and classes.tsv with a column of splits

Writes OUT/cifar_x.npy [pictures, numbers] float16, OUT/cifar_y.npy (names of classes) and OUT/cifar_splits.tsv (name, split). The
features stand in for those of a pretrained network, which would be written down alike: numpy.save of whatever
model(pixels) gives, a row a picture. Here they are orientations of edges (Dalal and Triggs 2005, "Histograms of oriented
gradients for human detection", without overlapping blocks) and mean colours, in cells of 8 x 8 pixels.
"""
import csv
import glob
import os
import sys

import numpy as np

CELL, BINS = 8, 9


def read(folder):
    """Pixels [n, 32, 32, 3] of 0 to 1 and fine labels [n]."""
    files = sorted(glob.glob(os.path.join(folder, "*.bin")))
    records = np.concatenate([np.fromfile(f, np.uint8).reshape(-1, 3074) for f in files])
    return records[:, 2:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1) / np.float32(255), records[:, 1]


def cells(numbers):
    """Sums over cells: [n, 32, 32, c] -> [n, 4, 4, c]."""
    n, side, _, c = numbers.shape
    return numbers.reshape(n, side // CELL, CELL, side // CELL, CELL, c).sum((2, 4))


def embed(pixels):
    grey = pixels.mean(3)
    down, right = np.gradient(grey, axis=1), np.gradient(grey, axis=2)
    bins = np.floor(np.arctan2(down, right) % np.pi / np.pi * BINS).astype(int) % BINS
    edges = cells(np.hypot(down, right)[..., None] * (bins[..., None] == np.arange(BINS)))
    edges = np.sqrt(edges / (edges.sum(3, keepdims=True) + 1e-2))
    return np.concatenate([edges.reshape(len(pixels), -1), cells(pixels).reshape(len(pixels), -1) / CELL**2], 1)


def main(folder, out):
    pixels, labels = read(folder)
    with open(os.path.join(folder, "classes.tsv"), newline="") as file:
        classes = {int(row["fine_id"]): row for row in csv.DictReader(file, delimiter="\t")}
    x = np.concatenate([embed(part) for part in np.array_split(pixels, 20)])
    os.makedirs(out, exist_ok=True)
    np.save(os.path.join(out, "cifar_x.npy"), x.astype(np.float16))
    np.save(os.path.join(out, "cifar_y.npy"), np.array([classes[k]["fine"] for k in labels]))
    with open(os.path.join(out, "cifar_splits.tsv"), "w") as file:
        file.writelines("%s\t%s\n" % (row["fine"], row["cifar_fs_split"]) for row in classes.values())
    print("%d pictures of %d classes, %d numbers each, in %s" % (len(x), len(classes), x.shape[1], out))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
