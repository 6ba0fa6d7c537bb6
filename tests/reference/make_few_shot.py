#!/usr/bin/env python3
"""Writes few_shot.json: few-shot learners in PyTorch, float64, with every weight, input and gradient,
for few_shot_test.c. Written from the papers' formulas, with autograd through the inner loop.

    python3 tests/reference/make_few_shot.py > tests/reference/few_shot.json

A tensor is {"shape": [...], "data": [...]}, row-major; linear weights [out, in], convolutions
[out, in, 3, 3], images [n, 1, y, x], labels one-hot. Cases:
  support, item, support_prototypes   batch norm by the support set's statistics or each image's own
  proto_maml, proto_anil              an inner loop whose head begins with the prototypes
  update, update_net                  learned rates and momenta, and a network over each element
  full_context                        matching networks with a bidirectional LSTM over the support set
                                      and an attention LSTM for each query item
"""
import json
import sys

import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
EPS = 1e-5
WAY, SHOT, QUERY = 3, 2, 4


def blocks(p, x, sets, mode):
    """Two blocks of convolution (stride 2), batch norm, ReLU; then the mean over pixels. `sets`: how
    many of the first images are the support set, whose statistics mode "support" takes for all."""
    for layer in (1, 2):
        x = F.conv2d(x, p[f"conv{layer}.weight"], p[f"conv{layer}.bias"], stride=2, padding=1)
        if mode == "item":
            mean, var = x.mean((2, 3), keepdim=True), x.var((2, 3), unbiased=False, keepdim=True)
        else:
            of = x[:sets] if mode == "support" else x
            mean = of.mean((0, 2, 3), keepdim=True)
            var = of.var((0, 2, 3), unbiased=False, keepdim=True)
        x = (x - mean) / torch.sqrt(var + EPS)
        x = F.relu(x * p[f"bn{layer}.weight"][:, None, None] + p[f"bn{layer}.bias"][:, None, None])
    return x.mean((2, 3))


def features(p, task, role, mode):
    """Of a set; with mode "support" the query set goes through the net behind the support set."""
    if mode == "support" and role == "query":
        n = len(task["support.x"])
        return blocks(p, torch.cat([task["support.x"], task["query.x"]]), n, mode)[n:]
    return blocks(p, task[role + ".x"], len(task[role + ".x"]), mode)


def perceptron(p, x):
    for layer in (1, 2):
        x = torch.tanh(F.linear(x, p[f"fc{layer}.weight"], p[f"fc{layer}.bias"]))
    return x


def cross_entropy(logits, y):
    return -(y * F.log_softmax(logits, 1)).sum(1).mean()


def means(u, y):
    return (y.t() @ u) / y.sum(0)[:, None]


def prototypes(u, y):
    c = means(u, y)
    return {"head.weight": 2 * c, "head.bias": -(c * c).sum(1)}


def inner_loop(theta, start, moves, answer, loss, steps, step):
    """`start` is what the loop begins with, `moves` the names that it moves. They are made nodes of
    their own, so that a gradient in one is not also one in what another began as a function of."""
    phi, losses, state = {n: t.clone() for n, t in start.items()}, [], {}
    for _ in range(steps):
        value = loss(answer(phi, "support"), "support")
        losses.append(value)
        gradients = torch.autograd.grad(value, [phi[n] for n in moves], create_graph=True)
        for name, gradient in zip(moves, gradients):
            phi[name] = step(theta, state, name, phi[name], gradient)
    return phi, losses


def plain_step(rate):
    return lambda theta, state, name, phi, gradient: phi - rate * gradient


def learned_step(rate, units):
    def step(theta, state, name, phi, gradient):
        v = torch.tanh(theta["update.momentum." + name]) * state.get(name, torch.zeros_like(phi)) + gradient
        state[name] = v
        factor = torch.ones_like(v)
        if units:
            x = torch.stack([v / torch.sqrt(v * v + 1), torch.log(v * v + torch.exp(torch.tensor(-20.0))) / 20], -1)
            h = torch.tanh(F.linear(x, theta["update.fc1.weight"], theta["update.fc1.bias"]))
            factor = 1 + F.linear(h, theta["update.fc2.weight"], theta["update.fc2.bias"])[..., 0]
        return phi - rate * torch.exp(theta["update.log_rate." + name]) * v * factor
    return step


def cell(p, lstm, z, hidden, c):
    """One step of an LSTM whose share of the input is z."""
    i, f, g, o = (z + hidden @ p[lstm].t()).chunk(4, 1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def full_context(p, task, steps):
    u, x = perceptron(p, task["support.x"]), perceptron(p, task["query.x"])
    d = u.shape[1]
    g = u
    for suffix, order in (("", range(len(u))), ("_reverse", reversed(range(len(u))))):
        z = F.linear(u, p["support_lstm.weight_ih" + suffix], p["support_lstm.bias_ih" + suffix])
        h = c = torch.zeros(1, d)
        outputs = [None] * len(u)
        for i in order:
            h, c = cell(p, "support_lstm.weight_hh" + suffix, z[i:i + 1], h, c)
            outputs[i] = h
        g = g + torch.cat(outputs)
    z = F.linear(x, p["query_lstm.weight_ih"], p["query_lstm.bias_ih"])
    h = c = torch.zeros_like(x)
    for _ in range(steps):
        r = torch.softmax(h @ g.t(), 1) @ g
        out, c = cell(p, "query_lstm.weight_hh", z, torch.cat([h, r], 1), c)
        h = out + x
    cosines = F.normalize(h, dim=1) @ F.normalize(g, dim=1).t()
    return torch.log(torch.softmax(torch.exp(p["match.log_scale"]) * cosines, 1) @ task["support.y"])


def draw(generator, shapes):
    return {n: (0.6 * torch.randn(s, generator=generator)).requires_grad_() for n, s in shapes.items()}


def conv_shapes():
    shapes, c = {}, 1
    for layer in (1, 2):
        shapes |= {f"conv{layer}.weight": (3, c, 3, 3), f"conv{layer}.bias": (3,),
                   f"bn{layer}.weight": (3,), f"bn{layer}.bias": (3,)}
        c = 3
    return shapes


def mlp_shapes(n_in, widths):
    shapes = {}
    for layer, width in enumerate(widths, 1):
        shapes |= {f"fc{layer}.weight": (width, n_in), f"fc{layer}.bias": (width,)}
        n_in = width
    return shapes


def head_shapes(out, n_in):
    return {"head.weight": (out, n_in), "head.bias": (out,)}


def image_task(generator):
    labels = torch.arange(WAY).repeat_interleave(SHOT)
    return {"support.x": torch.randn(WAY * SHOT, 1, 6, 6, generator=generator),
            "support.y": F.one_hot(labels, WAY).double(),
            "query.x": torch.randn(QUERY, 1, 6, 6, generator=generator),
            "query.y": F.one_hot(torch.arange(QUERY) % WAY, WAY).double()}


def point_task(generator):
    return {n + part: torch.randn(k, 1, generator=generator)
            for n, k in (("support", 5), ("query", 4)) for part in (".x", ".y")}


def written(tensors):
    return {n: {"shape": list(t.shape), "data": t.detach().flatten().tolist()} for n, t in tensors.items()}


def case(name, theta, task, query_loss, output, losses=()):
    gradients = torch.autograd.grad(query_loss, list(theta.values()), allow_unused=True)
    found = {n: torch.zeros_like(t) if g is None else g for (n, t), g in zip(theta.items(), gradients)}
    return {"name": name, "parameters": written(theta), "task": written(task),
            "support_losses": [v.item() for v in losses], "query_loss": query_loss.item(),
            "query_output": written({"y": output})["y"], "gradient": written(found)}


def norm_case(name, mode, steps, generator):
    theta, task = draw(generator, conv_shapes() | head_shapes(WAY, 3)), image_task(generator)

    def answer(p, role):
        return F.linear(features(p, task, role, mode), p["head.weight"], p["head.bias"])

    def loss(y, role):
        return cross_entropy(y, task[role + ".y"])

    phi, losses = inner_loop(theta, theta, list(theta), answer, loss, steps, plain_step(0.2))
    y = answer(phi, "query")
    return case(name, theta, task, loss(y, "query"), y, losses)


def distances_case(generator):
    theta, task = draw(generator, conv_shapes()), image_task(generator)
    c = means(features(theta, task, "support", "support"), task["support.y"])
    y = 2 * features(theta, task, "query", "support") @ c.t() - (c * c).sum(1)
    return case("support_prototypes", theta, task, cross_entropy(y, task["query.y"]), y)


def prototypes_case(name, head_only, steps, generator):
    theta, task = draw(generator, conv_shapes()), image_task(generator)

    def answer(p, role):
        return F.linear(features(p, task, role, "batch"), p["head.weight"], p["head.bias"])

    def loss(y, role):
        return cross_entropy(y, task[role + ".y"])

    head = prototypes(features(theta, task, "support", "batch"), task["support.y"])
    moves = list(head) if head_only else list(theta) + list(head)
    phi, losses = inner_loop(theta, theta | head, moves, answer, loss, steps, plain_step(0.2))
    y = answer(phi, "query")
    return case(name, theta, task, loss(y, "query"), y, losses)


def update_case(name, units, steps, generator):
    net = mlp_shapes(1, (4, 5)) | head_shapes(1, 5)
    shapes = net | {f"update.{kind}.{n}": (1,) for kind in ("log_rate", "momentum") for n in net}
    if units:
        shapes |= {"update.fc1.weight": (units, 2), "update.fc1.bias": (units,),
                   "update.fc2.weight": (1, units), "update.fc2.bias": (1,)}
    theta, task = draw(generator, shapes), point_task(generator)

    def answer(p, role):
        return F.linear(perceptron(p, task[role + ".x"]), p["head.weight"], p["head.bias"])

    def loss(y, role):
        return ((y - task[role + ".y"]) ** 2).mean()

    phi, losses = inner_loop(theta, theta, list(net), answer, loss, steps, learned_step(0.1, units))
    y = answer(phi, "query")
    return case(name, theta, task, loss(y, "query"), y, losses)


def context_case(steps, generator):
    d = 4
    shapes = mlp_shapes(2, (5, d))
    for suffix in ("", "_reverse"):
        shapes |= {"support_lstm.weight_ih" + suffix: (4 * d, d), "support_lstm.weight_hh" + suffix: (4 * d, d),
                   "support_lstm.bias_ih" + suffix: (4 * d,)}
    shapes |= {"query_lstm.weight_ih": (4 * d, d), "query_lstm.weight_hh": (4 * d, 2 * d),
               "query_lstm.bias_ih": (4 * d,), "match.log_scale": (1, 1)}
    theta, task = draw(generator, shapes), image_task(generator)
    task["support.x"] = torch.randn(WAY * SHOT, 2, generator=generator)
    task["query.x"] = torch.randn(QUERY, 2, generator=generator)
    y = full_context(theta, task, steps)
    return case("full_context", theta, task, cross_entropy(y, task["query.y"]), y)


def main():
    generator = torch.Generator().manual_seed(20201)
    cases = [norm_case("support", "support", 2, generator), norm_case("item", "item", 2, generator),
             distances_case(generator), prototypes_case("proto_maml", False, 2, generator),
             prototypes_case("proto_anil", True, 3, generator), update_case("update", 0, 3, generator),
             update_case("update_net", 3, 3, generator), context_case(3, generator)]
    json.dump({"made_by": "tests/reference/make_few_shot.py", "torch": torch.__version__, "cases": cases}, sys.stdout)
    print()


if __name__ == "__main__":
    main()
