#!/usr/bin/env python3
"""What workers in Python are compared with.

    python_worker.py closed EXAMPLES THETA STEPS BATCH LR SEED   theta as a plain loop of fourier_maml.py's own gradients makes it
    python_worker.py gradient EXAMPLES DUMP                      sinusoid_maml.py on a task of `mnemo task --dump`, against its numbers

Exit code 0: they agree within float32 accuracy; 1: they do not."""

import sys

import numpy as np

from mnemo_worker import tensor_file

sys.path.insert(0, sys.argv[2])


def closed(theta, steps, batch, rate, seed):
    """In double, without coordinator, rows or exact sums."""
    from fourier_maml import FourierMaml

    learner = FourierMaml()
    own = {name: array.astype(float) for name, array in learner.parameters().items()}
    for step in range(steps):
        made = [learner.train(own, learner.task("train", step * batch + i, seed))[0] for i in range(batch)]
        own = {name: own[name] - rate * np.mean([gradients[name] for gradients in made], axis=0) for name in own}
    return compare("theta", theta, own)


def gradient(dump):
    import torch
    from sinusoid_maml import SinusoidMaml
    from types import SimpleNamespace

    learner = SinusoidMaml()
    there = list(learner.parameters())  # 0.weight, 0.bias, ...: the same order as fc1, fc2, head

    def of(prefix):
        return dict(zip(there, (array for name, array in dump.items() if name.startswith(prefix))))

    task = SimpleNamespace(**{role: (torch.tensor(dump[role + ".x"]), torch.tensor(dump[role + ".y"])) for role in ("support", "query")})
    gradients, scores = learner.train(of("theta."), task)
    return compare("the meta-gradient of MAML", of("meta_gradient."), gradients)


def compare(what, first, second):
    """Relative to the largest number of each tensor."""
    assert first.keys() == second.keys() and first, (first.keys(), second.keys())
    worst = max(np.abs(first[name] - second[name]).max() / np.abs(first[name]).max() for name in first)
    print(f"{what} agrees to {worst:.1e} of its largest number")
    return 0 if worst < 1e-4 else 1


if sys.argv[1] == "closed":
    arrays, _ = tensor_file.read(sys.argv[3])
    sys.exit(closed(arrays, *map(int, sys.argv[4:6]), float(sys.argv[6]), int(sys.argv[7])))
sys.exit(gradient(tensor_file.read(sys.argv[3])[0]))
