#!/usr/bin/python3
"""Does libmnemo, by ctypes, answer tasks as `mnemo task NAME --dump NAME.task` has dumped them, bit by bit?

    library_answers.py NAME...      with NAME.safetensors of `mnemo export`; MNEMO_LIBRARY, PYTHONPATH: where mnemo.py is

Threads adapt the same model at the same time. Exit code 0: all answers are equal.
"""
import array
import json
import math
import struct
import sys
import threading

import mnemo

TYPES = {"F32": "f", "F64": "d", "I64": "q"}


def read(path):
    """{name: (shape, numbers)}"""
    with open(path, "rb") as file:
        blob = file.read()
    (n,) = struct.unpack("<Q", blob[:8])
    header = json.loads(blob[8 : 8 + n])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        begin, end = (8 + n + at for at in entry["data_offsets"])
        tensors[name] = entry["shape"], list(array.array(TYPES[entry["dtype"]], blob[begin:end]))
    return tensors


def check(name):
    task, model = read(name + ".task"), mnemo.Model(name + ".safetensors")
    shape = task["support.x"][0]
    assert math.prod(shape[1:]) == model.item, (shape, model.item)
    assert len(shape) == 2 or shape[1] == 1, "one channel: channels first and last are the same"
    assert (model.classes > 0) == ("query_logits" in task)
    truth = {"labels" if model.classes else "y": task["support.y"][1]}
    (n, columns), expected = task["query_logits" if model.classes else "query_output"]
    answers = [None] * 4

    def adapt(i):
        adapted = model.adapt(task["support.x"][1], **truth)
        answers[i] = sum(adapted.outputs(task["query.x"][1]), []), adapted.predict(task["query.x"][1])

    threads = [threading.Thread(target=adapt, args=(i,)) for i in range(len(answers))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for outputs, predicted in answers:
        assert len(predicted) == n and len(outputs) == n * columns
        assert outputs == expected, max(abs(a - b) for a, b in zip(outputs, expected))
        if model.classes:
            assert all(abs(sum(row) - 1) < 1e-5 and row.index(max(row)) == logits.index(max(logits))
                       for row, logits in zip(predicted, (expected[i * columns : (i + 1) * columns] for i in range(n))))
        else:
            assert sum(predicted, []) == expected
    print(f"{name}: {len(answers)} threads, {n * columns} numbers equal to those of mnemo task")


for name in sys.argv[1:]:
    check(name)
