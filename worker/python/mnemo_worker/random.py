"""Random numbers of a task: a function of (seed, split, index) and of nothing else."""

import numpy as np

SPLITS = ("train", "val", "test")


def stream(seed, split, index, purpose=0):
    """A numpy Generator for task `index` of a split. Counter-based (Philox 4x64, Salmon et al. 2011), keyed by seed and
    split, with the index in the counter's upper half: so any worker draws the same task at once, without those before it,
    and streams do not overlap for 2^128 numbers. purpose: another stream of the same task."""
    key = np.array([seed, SPLITS.index(split)], np.uint64)
    counter = np.array([0, 0, index, purpose], np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))
