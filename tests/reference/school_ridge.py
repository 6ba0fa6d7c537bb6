#!/usr/bin/python3
"""Plain linear models of the School data in NumPy, to know what its "explained variance" means before comparing.

    school_ridge.py SCHOOL.CSV [SPLITS]

Ridge regression over all schools at once, and one for each school, on random splits of each school's rows (75 % for training);
the penalty is the best of several on the test rows, which flatters them. For each two numbers: 1 - squared errors / squared
distances from the mean of the training rows ("over all"), and from the mean of the same school's own test rows ("within").
"""
import csv
import sys

import numpy as np


def ridge(x, y, penalty):
    centre, mean = x.mean(0), y.mean()
    z = x - centre
    weights = np.linalg.solve(z.T @ z + penalty * np.eye(x.shape[1]), z.T @ (y - mean))
    return lambda q: (q - centre) @ weights + mean


def main(path, splits=10):
    with open(path, newline="") as file:
        data = np.array(list(csv.reader(file))[1:], float)
    school, x, y = data[:, 0], data[:, 1:-1], data[:, -1]
    random = np.random.default_rng(0)
    scores = {}
    for _ in range(splits):
        train = np.zeros(len(y), bool)
        for one in np.unique(school):
            rows = random.permutation(np.flatnonzero(school == one))
            train[rows[:round(0.75 * len(rows))]] = True
        test = [(np.flatnonzero(train & (school == s)), np.flatnonzero(~train & (school == s))) for s in np.unique(school)]
        over_all = ((y[~train] - y[train].mean()) ** 2).sum()
        within = sum(((y[rows] - y[rows].mean()) ** 2).sum() for _, rows in test)
        for penalty in (1, 3, 10, 30):
            pooled = ridge(x[train], y[train], penalty)
            errors = {"pooled": sum(((pooled(x[q]) - y[q]) ** 2).sum() for _, q in test),
                      "each school": sum(((ridge(x[s], y[s], penalty)(x[q]) - y[q]) ** 2).sum() for s, q in test)}
            for what, error in errors.items():
                scores.setdefault((what, penalty), []).append((1 - error / over_all, 1 - error / within))
    for what in ("pooled", "each school"):
        best = max((np.array(v) for (name, _), v in scores.items() if name == what), key=lambda v: v[:, 1].mean())
        print("%-11s  over all %.1f +- %.1f %%, within %.1f +- %.1f %% (mean and sd over %d splits)"
              % ((what,) + tuple(100 * v for pair in zip(best.mean(0), best.std(0, ddof=1)) for v in pair) + (splits,)))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
