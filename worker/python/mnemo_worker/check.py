"""Try a learner before it is trained: is a task the same task when it is drawn again, does it give the same bits, is the
gradient that of the first score, and of which numeric class is it?"""

import time

import numpy as np

from . import learner as learners, numeric_class


def run(learner, shape, start, seed):
    """Prints what it finds. 0: all is well, 65: a row was not the same again or is not finite."""
    who = type(learner).__name__
    theta = shape.arrays(np.concatenate([start[name].ravel() for name, _ in shape.tensors]))
    wrong = 0
    for split in ("train", "val", "test"):
        rows = []
        for index in (3, 0, 3):  # another one in between, for what it may leave behind
            task = learner.task(split, index, seed)
            rows.append(shape.train_row(who, learner.train(theta, task)) if split == "train" else
                        shape.test_row(who, learner.test(theta, task)))
        same = rows[0].tobytes() == rows[2].tobytes()
        finite = not learners.is_skipped(rows[0])
        print(f"{split}: task 3 {'gives the same bits again' if same else 'GIVES OTHER BITS when it is computed again'}"
              f"{'' if finite else ', and is NOT FINITE'}; task 0 {'is another' if rows[1].tobytes() != rows[0].tobytes() else 'IS THE SAME'}")
        wrong += not same or not finite
    _compare_gradient(learner, shape, theta, learner.task("train", 3, seed))
    _time(learner, theta, seed)
    made_of = numeric_class.lines(learner, shape, np.concatenate([theta[name].ravel() for name, _ in shape.tensors]), seed)
    print(f"numeric class {numeric_class.digest(made_of).hex()}, made of\n  " + "\n  ".join(made_of))
    return 65 if wrong else 0


def _compare_gradient(learner, shape, theta, task):
    """Along one direction, in float32: a hint, as first-order rules give other gradients on purpose."""
    gradients, _ = learner.train(theta, task)
    score = shape.scores[0][0]
    random = np.random.Generator(np.random.Philox(7))
    direction = {name: random.standard_normal(extent).astype(np.float32) for name, extent in shape.tensors}
    length = np.sqrt(sum(float((d.astype(float) ** 2).sum()) for d in direction.values()))
    size = 1e-3 * max(1.0, np.sqrt(sum(float((t.astype(float) ** 2).sum()) for t in theta.values()))) / length
    ahead, behind = ({name: theta[name] + np.float32(sign * size) * direction[name] for name in theta} for sign in (1, -1))
    slope = (float(learner.train(ahead, task)[1][score]) - float(learner.train(behind, task)[1][score])) / (2 * size)
    told = sum(float((np.asarray(gradients[name], float) * direction[name]).sum()) for name in theta)
    print(f"gradient along a direction: {told:.5g}; by differences of {score}: {slope:.5g}")


def _time(learner, theta, seed):
    """Of the learner alone, for as many tasks as take half a second."""
    n, began = 0, time.thread_time()
    while time.thread_time() - began < 0.5:
        learner.train(theta, learner.task("train", n, seed))
        n += 1
    print(f"{n / (time.thread_time() - began):.3g} training tasks a second of this processor")
