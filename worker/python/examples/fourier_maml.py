"""MAML in NumPy alone, with the meta-gradient written out: a curve is a sum of a few sines and cosines of x, whose weights are
theta, and adapt to a task's support points by one step.

With Phi [n, f] the features and e the errors, the loss of points is |e|^2 / n, its gradient 2/n Phi' e and its Hessian
H = 2/n Phi' Phi, which does not depend on theta. So the gradient of the query loss at theta' = theta - a g_support(theta) is
(I - a H_support) g_query(theta')."""

import numpy as np

from mnemo_worker import Learner, stream

SHOT, FREQUENCIES, RATE = 10, 8, 0.1


class FourierMaml(Learner):
    scores = {"loss": "lower number squared error"}

    def parameters(self):
        return {"sine": np.zeros(FREQUENCIES, np.float32), "cosine": np.zeros(FREQUENCIES, np.float32)}

    def task(self, split, index, seed):
        random = stream(seed, split, index)
        amplitude, phase = random.uniform(0.1, 5), random.uniform(0, np.pi)
        x = random.uniform(-5, 5, 2 * SHOT)
        y = amplitude * np.sin(x - phase)
        angles = np.outer(x, np.arange(1, FREQUENCIES + 1) / 2)
        features = np.hstack([np.sin(angles), np.cos(angles)])
        return (features[:SHOT], y[:SHOT]), (features[SHOT:], y[SHOT:])

    def train(self, theta, task):
        (support, y_support), (query, y_query) = task
        weights = np.concatenate([theta["sine"], theta["cosine"]]).astype(float)

        def gradient(features, y, at):
            return 2 / len(y) * features.T @ (features @ at - y)

        adapted = weights - RATE * gradient(support, y_support, weights)
        outer = gradient(query, y_query, adapted)
        outer -= RATE * 2 / SHOT * support.T @ (support @ outer)
        loss = np.mean((query @ adapted - y_query) ** 2)
        return {"sine": outer[:FREQUENCIES], "cosine": outer[FREQUENCIES:]}, {"loss": loss}
