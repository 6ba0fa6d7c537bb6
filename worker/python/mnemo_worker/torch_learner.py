"""A learner whose network is a PyTorch module: one loss is all that is to be written.

    class MyLearner(TorchLearner):
        def network(self):
            return torch.nn.Linear(4, 1)
        def task(self, split, index, seed): ...
        def loss(self, theta, task):      # theta: name -> tensor; with autograd at hand
            return ((functional_call(self.model, theta, task.x) - task.y) ** 2).mean()
"""

import numpy as np
import torch

from .learner import Learner

try:
    from torch.func import functional_call, grad, vmap  # PyTorch 2
except ImportError:
    from functorch import grad, vmap  # PyTorch 1.13
    from torch.nn.utils.stateless import functional_call

__all__ = ["TorchLearner", "functional_call", "grad", "vmap"]


class TorchLearner(Learner):
    """Fill in network(), task() and loss(). One thread, deterministic algorithms. Buffers of the module (running statistics
    of batch norm) are not part of theta and would be other on each worker, so a module that has some is refused."""

    init_seed = 0  # of the module's own initialisation, which draws from torch's global generator

    def __init__(self):
        torch.set_num_threads(1)
        torch.use_deterministic_algorithms(True)
        torch.manual_seed(self.init_seed)
        self.model = self.network()
        buffers = [name for name, _ in self.model.named_buffers()]
        if buffers:
            raise ValueError(f"{type(self).__name__}.network() has buffers ({', '.join(buffers)}), which no meta-step would move and "
                             "each worker would have its own of; use batch norm with track_running_stats=False, or group norm")

    def network(self):
        """The torch.nn.Module; its named parameters, of float32, are theta."""
        raise NotImplementedError

    def loss(self, theta, task):
        """The meta-loss, a tensor of one number that depends on theta, or (loss, scores: name -> number). Called for tests
        too, of which only the numbers are taken. The score "loss" is the loss, unless scores say otherwise."""
        raise NotImplementedError

    def parameters(self):
        return {name: p.detach().numpy() for name, p in self.model.named_parameters()}

    def train(self, theta, task):
        own = {name: torch.tensor(array, requires_grad=True) for name, array in theta.items()}
        loss, scores = self._judge(own, task)
        gradients = torch.autograd.grad(loss, list(own.values()), allow_unused=True)
        return {name: np.zeros(own[name].shape, np.float32) if g is None else g.numpy()
                for name, g in zip(own, gradients)}, scores

    def test(self, theta, task):
        return self._judge({name: torch.tensor(array, requires_grad=True) for name, array in theta.items()}, task)[1]

    def _judge(self, theta, task):
        made = self.loss(theta, task)
        loss, scores = made if isinstance(made, tuple) else (made, {})
        return loss, {"loss": float(loss.detach()), **scores}
