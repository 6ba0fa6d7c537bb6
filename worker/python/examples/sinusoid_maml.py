"""MAML on sinusoids in PyTorch: the tasks, the network and the settings of Finn, Abbeel, Levine 2017 (arXiv:1703.03400)."""

from types import SimpleNamespace

import numpy as np
import torch
from torch.nn.functional import mse_loss

from mnemo_worker import stream
from mnemo_worker.torch_learner import TorchLearner, functional_call, grad

SHOT, INNER_STEPS, INNER_LR = 10, 5, 0.01


class SinusoidMaml(TorchLearner):
    scores = {"loss": "lower number squared error", "before": "lower number squared error"}

    def network(self):
        return torch.nn.Sequential(
            torch.nn.Linear(1, 40), torch.nn.ReLU(), torch.nn.Linear(40, 40), torch.nn.ReLU(), torch.nn.Linear(40, 1))

    def task(self, split, index, seed):
        random = stream(seed, split, index)
        amplitude, phase = random.uniform(0.1, 5), random.uniform(0, np.pi)
        x = random.uniform(-5, 5, (2 * SHOT, 1)).astype(np.float32)
        x, y = torch.from_numpy(x), torch.from_numpy(amplitude * np.sin(x - np.float32(phase))).float()
        return SimpleNamespace(support=(x[:SHOT], y[:SHOT]), query=(x[SHOT:], y[SHOT:]))

    def loss_of(self, theta, points):
        return mse_loss(functional_call(self.model, theta, points[0]), points[1])

    def loss(self, theta, task):
        before = self.loss_of(theta, task.query)
        for _ in range(INNER_STEPS):
            gradients = grad(self.loss_of)(theta, task.support)
            theta = {name: theta[name] - INNER_LR * gradients[name] for name in theta}
        return self.loss_of(theta, task.query), {"before": float(before)}
