#!/usr/bin/python3
"""Plain linear models of the School data in NumPy, to know what its "explained variance" means before comparing, and how
much of it a linear model of each school can reach.

    school_ridge.py SCHOOL.CSV [SPLITS]

Random splits of each school's rows (75 % for training). "pooled" and "each school" are ridge regression over all schools
at once and one for each school; the penalty is the best of several on the test rows, which flatters them. "mixed" has a model
for each school whose weights are normal around common ones, with mean, covariance and noise by expectation maximisation
from the training rows alone: what meta-learning of a linear model can find. "mixed, levels known" is moved by each school's
mean error on its own test rows, which no model can know: what is left are the slopes. Four measures, per cent:
  over all   1 - squared errors / squared distances from the mean of the training rows
  within     the same from the mean of the same school's own test rows, both summed over all test rows
  unbiased   1 - mean over schools of mean squared error / mean over schools of the variance by n - 1
  by school  mean over schools of each school's own 1 - squared errors / squared distances from its mean
"""
import csv
import sys

import numpy as np


def ridge(x, y, penalty):
    centre, mean = x.mean(0), y.mean()
    z = x - centre
    weights = np.linalg.solve(z.T @ z + penalty * np.eye(x.shape[1]), z.T @ (y - mean))
    return lambda q: (q - centre) @ weights + mean


def mixed(rows, x, y, rounds=15):
    """rows: of each school. Its weights, the mean of a normal posterior: [schools, d]."""
    d, n = x.shape[1], sum(map(len, rows))
    squares, products = [x[i].T @ x[i] for i in rows], [x[i].T @ y[i] for i in rows]
    common = np.linalg.solve(sum(squares) + 0.01 * np.eye(d), sum(products))
    covariance, noise = 0.3 * np.eye(d), 100.0
    for _ in range(rounds):
        precision = np.linalg.inv(covariance)
        spread = [np.linalg.inv(a / noise + precision) for a in squares]
        weights = np.array([v @ (b / noise + precision @ common) for v, b in zip(spread, products)])
        common = weights.mean(0)
        apart = weights - common
        covariance = apart.T @ apart / len(rows) + np.mean(spread, 0) + 1e-6 * np.eye(d)
        noise = sum(((y[i] - x[i] @ w) ** 2).sum() + np.trace(a @ v)
                    for i, w, a, v in zip(rows, weights, squares, spread)) / n
    return weights


def measures(errors, y, test, mean):
    """errors: of the rows of each school's test."""
    left = np.array([(e ** 2).sum() for e in errors])
    there = np.array([((y[i] - y[i].mean()) ** 2).sum() for i in test])
    n = np.array([len(i) for i in test])
    return (1 - left.sum() / sum(((y[i] - mean) ** 2).sum() for i in test), 1 - left.sum() / there.sum(),
            1 - (left / n).mean() / (there / (n - 1)).mean(), (1 - left / there).mean())


def main(path, splits=10):
    with open(path, newline="") as file:
        data = np.array(list(csv.reader(file))[1:], float)
    school, x, y = data[:, 0], data[:, 1:-1], data[:, -1]
    x = x[:, x.std(0) > 0]
    standard = np.c_[np.ones(len(x)), (x - x.mean(0)) / x.std(0)]
    random = np.random.default_rng(0)
    scores = {}
    for _ in range(splits):
        train, test = [], []
        for one in np.unique(school):
            rows = random.permutation(np.flatnonzero(school == one))
            cut = round(0.75 * len(rows))
            train.append(rows[:cut])
            test.append(rows[cut:])
        every = np.concatenate(train)

        def note(what, errors):
            scores.setdefault(what, []).append(measures(errors, y, test, y[every].mean()))

        for penalty in (1, 3, 10, 30):
            pooled = ridge(x[every], y[every], penalty)
            note(("pooled", penalty), [pooled(x[q]) - y[q] for q in test])
            note(("each school", penalty), [ridge(x[s], y[s], penalty)(x[q]) - y[q] for s, q in zip(train, test)])
        errors = [standard[q] @ w - y[q] for w, q in zip(mixed(train, standard, y), test)]
        note(("mixed", 0), errors)
        note(("mixed, levels known", 0), [e - e.mean() for e in errors])
    for what in ("pooled", "each school", "mixed", "mixed, levels known"):
        best = 100 * max((np.array(v) for (name, _), v in scores.items() if name == what), key=lambda v: v[:, 1].mean())
        told = zip(("over all", "within", "unbiased", "by school"), best.mean(0), best.std(0, ddof=1))
        print("%-20s %s (mean and sd over %d splits)" % (what, ", ".join("%s %.1f +- %.1f" % one for one in told), splits),
              flush=True)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
