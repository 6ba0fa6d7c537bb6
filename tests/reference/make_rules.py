#!/usr/bin/env python3
"""Writes rules.json: rules of meta-learning in PyTorch, float64, with every weight, input and gradient, for
rules_test.c. Written from the papers' formulas, with autograd through the inner loop.

    python3 tests/reference/make_rules.py > tests/reference/rules.json

Tensors are as in few_shot.json, and so is a case; its gradient is that of what training makes small, its
query_loss that after the last inner step. Cases:
  boil            the body adapts, the head does not (Oh et al. 2021)
  cavia           context parameters beside the input, from zero, adapt alone (Zintgraf et al. 2019)
  imaml           a short proximal loop, and conjugate gradients on Hessian-vector products (Rajeswaran et
                  al. 2019), in as many steps as the test is told
  imaml_closed    a linear model: minimum and meta-gradient in closed form
  step_losses     the weighted losses after all inner steps, between the first and the last of the meta-steps
  step_rates      a rate for each tensor and inner step
  curvature       matrices that turn the gradient, by mode (Park and Oliva 2019): of a perceptron
  curvature_images  the same of convolutions, whose taps are a mode
  imaml_body      imaml of the body alone: the head has its gradient by the mixed second derivative
  mamlpp          both, and scales and shifts of batch norm for each step (Antoniou et al. 2019)
"""
import json
import sys

import torch
import torch.nn.functional as F

from make_few_shot import (WAY, blocks, conv_shapes, cross_entropy, draw, head_shapes, image_task, inner_loop,
                           mlp_shapes, perceptron, plain_step, point_task, written)

HORIZON, META_STEP = 10, 4
LAMBDA, CG_STEPS = 2.0, 4
CLOSED_LAMBDA, CLOSED_STEPS = 20.0, 20


def squared_error(y, target):
    return ((y - target) ** 2).mean()


def line(p, x):
    return F.linear(x, p["head.weight"], p["head.bias"])


def case(name, theta, task, gradient, query_loss, output, losses):
    return {"name": name, "parameters": written(theta), "task": written(task),
            "support_losses": [v.item() for v in losses], "query_loss": query_loss.item(),
            "query_output": written({"y": output})["y"], "gradient": written(gradient)}


def gradient_of(objective, theta):
    found = torch.autograd.grad(objective, list(theta.values()), allow_unused=True)
    return {n: torch.zeros_like(t) if g is None else g for (n, t), g in zip(theta.items(), found)}


def boil(steps, generator):
    theta = draw(generator, mlp_shapes(1, (4, 5)) | head_shapes(1, 5))
    task = point_task(generator)

    def answer(p, role):
        return line(p, perceptron(p, task[role + ".x"]))

    def loss(y, role):
        return squared_error(y, task[role + ".y"])

    body = [n for n in theta if n.startswith("fc")]
    phi, losses = inner_loop(theta, theta, body, answer, loss, steps, plain_step(0.1))
    y = answer(phi, "query")
    value = loss(y, "query")
    return case("boil", theta, task, gradient_of(value, theta), value, y, losses)


def cavia(steps, generator):
    """In theta the context is zero and stays so: its gradient is nobody's."""
    n = 3
    shapes = mlp_shapes(1 + n, (4, 5)) | head_shapes(1, 5)
    drawn, task = draw(generator, shapes), point_task(generator)
    net = {("decoder." + k if k.startswith("fc") else k): t for k, t in drawn.items()}
    zero = torch.zeros(n, requires_grad=True)

    def answer(p, role):
        x = task[role + ".x"]
        h = torch.cat([x, p["context"].expand(len(x), n)], 1)
        for layer in (1, 2):
            h = torch.tanh(F.linear(h, p[f"decoder.fc{layer}.weight"], p[f"decoder.fc{layer}.bias"]))
        return line(p, h)

    def loss(y, role):
        return squared_error(y, task[role + ".y"])

    phi, losses = inner_loop(net, net | {"context": zero}, ["context"], answer, loss, steps, plain_step(1.0))
    y = answer(phi, "query")
    value = loss(y, "query")
    gradient = gradient_of(value, net) | {"memory.context": torch.zeros(n)}
    return case("cavia", net | {"memory.context": zero}, task, gradient, value, y, losses)


def flat(tensors):
    return torch.cat([t.reshape(-1) for t in tensors])


def unflat(vector, like):
    out, at = {}, 0
    for n, t in like.items():
        out[n] = vector[at:at + t.numel()].reshape(t.shape)
        at += t.numel()
    return out


def conjugate_gradients(multiply, b, steps):
    x, r, p = torch.zeros_like(b), b.clone(), b.clone()
    for _ in range(steps):
        product = multiply(p)
        curvature = p @ product
        assert curvature > 0
        length, before = (r @ r) / curvature, r @ r
        x, r = x + length * p, r - length * product
        p = r + (r @ r) / before * p
    return x


def proximal_loop(theta, loss, steps, rate, strength):
    phi, losses = {n: t.detach().clone().requires_grad_() for n, t in theta.items()}, []
    for _ in range(steps):
        value = loss(phi)
        losses.append(value)
        gradients = torch.autograd.grad(value, list(phi.values()))
        phi = {n: (p - rate * (g + strength * (p - theta[n]))).detach().requires_grad_()
               for (n, p), g in zip(phi.items(), gradients)}
    return phi, losses


def imaml(steps, generator):
    theta = draw(generator, mlp_shapes(1, (4, 5)) | head_shapes(1, 5))
    task = point_task(generator)

    def loss(p, role="support"):
        return squared_error(line(p, perceptron(p, task[role + ".x"])), task[role + ".y"])

    phi, losses = proximal_loop(theta, loss, steps, 0.1, LAMBDA)
    leaves = list(phi.values())
    inner = torch.autograd.grad(loss(phi), leaves, create_graph=True)
    value = loss(phi, "query")
    b = flat(torch.autograd.grad(value, leaves))

    def multiply(v):
        return v + flat(torch.autograd.grad(flat(inner) @ v, leaves, retain_graph=True)) / LAMBDA

    gradient = unflat(conjugate_gradients(multiply, b, CG_STEPS), theta)
    return case("imaml", theta, task, gradient, value, line(phi, perceptron(phi, task["query.x"])), losses)


def imaml_closed(generator):
    """phi* = argmin mean (x w + b - y)^2 + lambda/2 |phi - theta|^2 by its normal equations, and autograd
    through their solution."""
    theta, task = draw(generator, head_shapes(1, 1)), point_task(generator)

    def features(role):
        x = task[role + ".x"]
        return torch.cat([x, torch.ones_like(x)], 1)

    a, n = features("support"), len(task["support.x"])
    start = flat(theta.values())
    phi = torch.linalg.solve(2 / n * a.t() @ a + CLOSED_LAMBDA * torch.eye(2),
                             2 / n * a.t() @ task["support.y"][:, 0] + CLOSED_LAMBDA * start)
    y = (features("query") @ phi)[:, None]
    value = squared_error(y, task["query.y"])

    def loss(p):
        return squared_error(line(p, task["support.x"]), task["support.y"])

    walked, losses = proximal_loop(theta, loss, CLOSED_STEPS, 1 / (CLOSED_LAMBDA + 2), CLOSED_LAMBDA)
    assert (flat(walked.values()) - phi).abs().max() < 1e-12
    return case("imaml_closed", theta, task, gradient_of(value, theta), value, y, losses)


def weights(steps):
    """By steps, at META_STEP of HORIZON, as the authors' code has them."""
    share = 1 / steps
    other = max(share - META_STEP * share / HORIZON, 0.03 * share)
    return [other] * (steps - 1) + [1 - (steps - 1) * other]


def step_by_step(theta, moves, answer, loss, steps, rates):
    """rates(name, step); answer(p, role, step). Returns losses, the answer in the end, and the losses of the
    query set after each step."""
    phi, losses, judged, y = {n: t.clone() for n, t in theta.items()}, [], [], None
    for step in range(steps):
        value = loss(answer(phi, "support", step), "support")
        losses.append(value)
        gradients = torch.autograd.grad(value, [phi[n] for n in moves], create_graph=True)
        for name, gradient in zip(moves, gradients):
            phi[name] = phi[name] - rates(name, step) * gradient
        y = answer(phi, "query", step)
        judged.append(loss(y, "query"))
    return losses, y, judged


def points_by_step(name, has_rates, has_losses, steps, generator):
    net = mlp_shapes(1, (4, 5)) | head_shapes(1, 5)
    theta = draw(generator, net | ({"step_rates." + n: (steps,) for n in net} if has_rates else {}))
    task = point_task(generator)

    def answer(p, role, step):
        return line(p, perceptron(p, task[role + ".x"]))

    def loss(y, role):
        return squared_error(y, task[role + ".y"])

    def rates(name, step):
        return theta["step_rates." + name][step] if has_rates else 0.1

    losses, y, judged = step_by_step(theta, list(net), answer, loss, steps, rates)
    objective = sum(w * v for w, v in zip(weights(steps), judged)) if has_losses else judged[-1]
    return case(name, theta, task, gradient_of(objective, theta), judged[-1], y, losses)


def mamlpp(steps, generator):
    shapes = conv_shapes() | head_shapes(WAY, 3)
    net = {n: s for n, s in shapes.items() if not n.startswith("bn")}
    theta = draw(generator, net | {"step_rates." + n: (steps,) for n in net} |
                 {n: (steps, *s) for n, s in shapes.items() if n.startswith("bn")})
    task = image_task(generator)

    def answer(p, role, step):
        x = task[role + ".x"]
        q = p | {n: theta[n][step] for n in theta if n.startswith("bn")}
        return line(q, blocks(q, x, len(x), "batch"))

    def loss(y, role):
        return cross_entropy(y, task[role + ".y"])

    def rates(name, step):
        return theta["step_rates." + name][step]

    losses, y, judged = step_by_step(theta, list(net), answer, loss, steps, rates)
    objective = sum(w * v for w, v in zip(weights(steps), judged))
    return case("mamlpp", theta, task, gradient_of(objective, theta), judged[-1], y, losses)


def matrices(net):
    """Of a weight [out, in], or [out, in, taps] as one array of its nine taps; of a vector a number each."""
    found = {}
    for name, shape in net.items():
        if len(shape) == 1:
            found["curvature.scale." + name] = tuple(shape)
            continue
        found["curvature.out." + name] = (shape[0], shape[0])
        found["curvature.in." + name] = (shape[1], shape[1])
        if len(shape) == 4:
            found["curvature.taps." + name] = (9, 9)
    return found


def turned(theta, name, g):
    if g.dim() == 1:
        return theta["curvature.scale." + name] * g
    g = torch.einsum("po,oi...->pi...", theta["curvature.out." + name], g)
    g = torch.einsum("qi,oi...->oq...", theta["curvature.in." + name], g)
    if g.dim() == 4:
        g = torch.einsum("ts,ois->oit", theta["curvature.taps." + name], g.flatten(2)).reshape(g.shape)
    return g


def curvature(name, net, task, answer, loss, steps, generator):
    theta = draw(generator, net | matrices(net))
    phi, losses = {n: theta[n] for n in net}, []
    for _ in range(steps):
        value = loss(answer(phi, "support"), "support")
        losses.append(value)
        gradients = torch.autograd.grad(value, list(phi.values()), create_graph=True, allow_unused=True)
        phi = {n: p if g is None else p - 0.1 * turned(theta, n, g) for (n, p), g in zip(phi.items(), gradients)}
    y = answer(phi, "query")
    value = loss(y, "query")
    return case(name, theta, task, gradient_of(value, theta), value, y, losses)


def curvature_of_points(steps, generator):
    task = point_task(generator)
    return curvature("curvature", mlp_shapes(1, (4, 5)) | head_shapes(1, 5), task,
                     lambda p, role: line(p, perceptron(p, task[role + ".x"])),
                     lambda y, role: squared_error(y, task[role + ".y"]), steps, generator)


def curvature_of_images(steps, generator):
    task = image_task(generator)
    return curvature("curvature_images", conv_shapes() | head_shapes(WAY, 3), task,
                     lambda p, role: line(p, blocks(p, task[role + ".x"], len(task[role + ".x"]), "batch")),
                     lambda y, role: cross_entropy(y, task[role + ".y"]), steps, generator)


def imaml_body(steps, generator):
    theta = draw(generator, mlp_shapes(1, (4, 5)) | head_shapes(1, 5))
    task = point_task(generator)
    body = {n: t for n, t in theta.items() if n.startswith("fc")}
    head = {n: t for n, t in theta.items() if n not in body}

    def loss(p, role="support"):
        q = head | p
        return squared_error(line(q, perceptron(q, task[role + ".x"])), task[role + ".y"])

    phi, losses = proximal_loop(body, loss, steps, 0.1, LAMBDA)
    leaves, still = list(phi.values()), list(head.values())
    inner = flat(torch.autograd.grad(loss(phi), leaves, create_graph=True))
    value = loss(phi, "query")
    b = flat(torch.autograd.grad(value, leaves, retain_graph=True))

    def multiply(v):
        return v + flat(torch.autograd.grad(inner @ v, leaves, retain_graph=True)) / LAMBDA

    v = conjugate_gradients(multiply, b, CG_STEPS)
    direct = torch.autograd.grad(value, still)
    mixed = torch.autograd.grad(inner @ v, still, allow_unused=True)
    rest = {n: d if m is None else d - m / LAMBDA for n, d, m in zip(head, direct, mixed)}
    q = head | phi
    return case("imaml_body", theta, task, unflat(v, body) | rest, value, line(q, perceptron(q, task["query.x"])), losses)


def main():
    generator = torch.Generator().manual_seed(20202)
    cases = [boil(3, generator), cavia(2, generator), imaml(3, generator), imaml_closed(generator),
             points_by_step("step_losses", False, True, 3, generator),
             points_by_step("step_rates", True, False, 3, generator), mamlpp(3, generator),
             curvature_of_points(3, generator), curvature_of_images(2, generator), imaml_body(3, generator)]
    json.dump({"made_by": "tests/reference/make_rules.py", "torch": torch.__version__, "cases": cases}, sys.stdout)
    print()


if __name__ == "__main__":
    main()
