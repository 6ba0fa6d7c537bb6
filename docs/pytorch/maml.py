"""The inner loop of MAML, FOMAML, ANIL, BOIL and Reptile: a module of this folder adapted to a support set."""
import torch
from torch.nn.functional import cross_entropy, mse_loss

try:
    from torch.func import functional_call
except ImportError:  # PyTorch 1.13
    from torch.nn.utils.stateless import functional_call

MOVES = {"all": lambda name: True, "output": lambda name: name.startswith("w.head."),
         "body": lambda name: not name.startswith("w.head."), "memory": lambda name: name.startswith("w.memory.")}


def adapt(module, x, y, steps=None, lr=None):
    """Adapted parameters {name: tensor}. x: what the module takes, several as a tuple. y: labels [n], or values [n, y].
    Differentiable, so that it trains on too."""
    if module.settings["meta.kind"] in ("meta-sgd", "episodic") or module.settings.get("meta.update") == "learned":
        raise ValueError("rates that are learned, or no inner loop: this one has the rate meta.inner_lr")
    steps = int(module.number("meta.inner_steps")) if steps is None else steps
    lr = module.number("meta.inner_lr") if lr is None else lr
    moves = MOVES["output" if module.settings["meta.kind"] == "anil" else module.settings.get("meta.adapts", "all")]
    weights = dict(module.named_parameters())
    for _ in range(steps):
        answers = answer(module, weights, x)
        loss = mse_loss(answers, y) if y.is_floating_point() else cross_entropy(answers, y)
        names = [name for name in weights if moves(name)]
        steepest = torch.autograd.grad(loss, [weights[name] for name in names], create_graph=True, allow_unused=True)
        weights.update({n: weights[n] - lr * g for n, g in zip(names, steepest) if g is not None})
    return weights


def answer(module, weights, x):
    """The module's answers with other parameters."""
    return functional_call(module, weights, x if isinstance(x, tuple) else (x,))
