"""The inner loop of MAML, FOMAML, ANIL, BOIL, Reptile, implicit MAML and Meta-Curvature: a module of this folder adapted to a support set."""
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
    if module.settings["meta.kind"] in ("meta-sgd", "episodic") or module.settings.get("meta.update", "gradient") not in ("gradient", "curvature"):
        raise ValueError("rates that are learned, or no inner loop: this one has the rate meta.inner_lr")
    steps = int(module.number("meta.inner_steps")) if steps is None else steps
    lr = module.number("meta.inner_lr") if lr is None else lr
    moves = MOVES["output" if module.settings["meta.kind"] == "anil" else module.settings.get("meta.adapts", "all")]
    weights = {n: w for n, w in module.named_parameters() if not n.startswith("w.curvature.")}
    start, hold = dict(weights), module.number("meta.lambda") if module.settings["meta.kind"] == "imaml" else 0
    turn = turned if module.settings.get("meta.update") == "curvature" else lambda module, name, g: g
    for _ in range(steps):
        answers = answer(module, weights, x)
        loss = mse_loss(answers, y) if y.is_floating_point() else cross_entropy(answers, y)
        names = [name for name in weights if moves(name)]
        steepest = torch.autograd.grad(loss, [weights[name] for name in names], create_graph=True, allow_unused=True)
        weights.update({n: weights[n] - lr * (turn(module, n, g) + hold * (weights[n] - start[n]))
                        for n, g in zip(names, steepest) if g is not None})
    return weights


def turned(module, name, g):
    """A gradient as the matrices of its tensor's modes turn it: [out, in, taps], a vector number by number."""
    def of(mode):
        return module.get_parameter(f"w.curvature.{mode}.{name[2:]}")

    if g.dim() == 1:
        return of("scale") * g
    inputs = of("in").shape[0]
    u = torch.einsum("po,qi,oit->pqt", of("out"), of("in"), g.reshape(len(g), inputs, -1))
    return (u if u.shape[2] == 1 else torch.einsum("st,oit->ois", of("taps"), u)).reshape(g.shape)


def answer(module, weights, x):
    """The module's answers with other parameters."""
    return functional_call(module, weights, x if isinstance(x, tuple) else (x,))
