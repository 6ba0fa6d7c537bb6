#!/usr/bin/python3
"""Tasks of rows of a table, beside plain NumPy: is what is drawn what the table holds, and what does a nearest neighbour make of it?

    check_rows.py EXPERIMENT TABLE [--mnemo PATH] [--tasks N] [--set KEY=VALUE]...

Draws N test tasks with `mnemo task --dump` and finds each of their rows in TABLE (a text without a header whose first
column is the class): labels must be of one class each, and numbers those of the table, less one mean and by one scale a column.
Then it prints the accuracy of the nearest neighbour by squared distance, standardised and raw, with 1.96 standard errors.
"""
import argparse
import csv
import json
import os
import struct
import subprocess
import tempfile

import numpy as np


def read_safetensors(path):
    with open(path, "rb") as file:
        data = file.read()
    n = struct.unpack("<Q", data[:8])[0]
    types = {"F32": "<f4", "F64": "<f8", "I64": "<i8", "I32": "<i4", "U8": "u1"}
    return {name: np.frombuffer(data[8 + n + t["data_offsets"][0]:8 + n + t["data_offsets"][1]], types[t["dtype"]]).reshape(t["shape"])
            for name, t in json.loads(data[8:8 + n]).items() if name != "__metadata__"}


def draw(args, split, index, more=()):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "task.safetensors")
        sets = [word for one in args.set + list(more) for word in ("--set", one)]
        subprocess.run([args.mnemo, "task", args.experiment, "--split", split, "--index", str(index), "--dump", path] + sets,
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        task = read_safetensors(path)
    return {k: v.reshape(len(v), -1).astype(float) if k.endswith("x") else v for k, v in task.items() if k[-2:] in (".x", ".y")}


def nearest(task):
    distance = ((task["query.x"][:, None] - task["support.x"][None]) ** 2).sum(2)
    return (task["support.y"][distance.argmin(1)] == task["query.y"]).mean()


def tell(what, shares):
    print("%s: %.2f +- %.2f %% over %d tasks" % (what, 100 * np.mean(shares), 196 * np.std(shares, ddof=1) / len(shares) ** 0.5, len(shares)))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("experiment")
    parser.add_argument("table")
    parser.add_argument("--mnemo", default="mnemo")
    parser.add_argument("--tasks", type=int, default=100)
    parser.add_argument("--set", action="append", default=[])
    args = parser.parse_args()
    with open(args.table, newline="") as file:
        rows = [row for row in csv.reader(file) if row]
    names = np.array([row[0] for row in rows])
    numbers = np.array([[float(cell) for cell in row[1:]] for row in rows])
    place = {}
    for i, row in enumerate(np.float32(numbers)):
        place.setdefault(row.tobytes(), []).append(i)
    shares = {"nearest neighbour, standardised": [], "nearest neighbour, raw": []}
    found = []
    for index in range(args.tasks):
        raw = draw(args, "test", index, ["tasks.standardise=false"])
        task = draw(args, "test", index)
        shares["nearest neighbour, standardised"].append(nearest(task))
        shares["nearest neighbour, raw"].append(nearest(raw))
        of = {}
        for role in ("support", "query"):
            for x, y, z in zip(np.float32(raw[role + ".x"]), raw[role + ".y"], task[role + ".x"]):
                rows_alike = place[x.tobytes()]  # a KeyError: no such row in the table
                of.setdefault(int(y), set(names[rows_alike])).intersection_update(names[rows_alike])
                found.append((rows_alike[0], z))
        assert all(of.values()), "rows of one label are of several classes"
    # z = (x - mean) / scale for one mean and scale of each column: fitted, then compared with the table's own.
    x = np.array([numbers[i] for i, _ in found])
    z = np.array([z for _, z in found])
    scale = x.std(0) / np.maximum(z.std(0), 1e-12)
    worst = np.abs(x - (z * scale + (x.mean(0) - z.mean(0) * scale))).max()
    print("rows are those of the table, labels of one class each; standardised by one mean and scale a column: off by at most %.1e" % worst)
    assert worst < 1e-3 * np.abs(x).max()
    for what, share in shares.items():
        tell(what, share)


if __name__ == "__main__":
    main()
