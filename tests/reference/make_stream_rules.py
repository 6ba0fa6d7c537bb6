#!/usr/bin/env python3
"""Writes stream_rules.json: streams in PyTorch, float64, with every weight, input and gradient, for stream_rules_test.c.
Written from the papers' formulas, with autograd through all steps.

    python3 tests/reference/make_stream_rules.py > tests/reference/stream_rules.json

Tensors are as in few_shot.json, and so is a case. Cases, where step k reads its own support items alone:
  head_from_zero  a body that stands still and a head of zeros, moved item by item (the inner loop of online-aware
                  meta-learning: Javed and White 2019)
  all_in_pairs    all parameters move, two items a step
and of a sequence, of which each item is predicted, then learned from, and the mean of these losses is judged:
  online_all, online_body
"""
import json
import sys

import torch
import torch.nn.functional as F

from make_few_shot import cross_entropy, draw, head_shapes, image_task, mlp_shapes, perceptron, written

RATE, LENGTH = 0.1, 6


def move(phi, moves, value):
    gradients = torch.autograd.grad(value, [phi[n] for n in moves], create_graph=True)
    return phi | {n: phi[n] - RATE * g for n, g in zip(moves, gradients)}


def gradient_of(objective, theta):
    found = torch.autograd.grad(objective, list(theta.values()), allow_unused=True)
    return {n: torch.zeros_like(t) if g is None else g for (n, t), g in zip(theta.items(), found)}


def answer(p, x):
    return F.linear(perceptron(p, x.flatten(1)), p["head.weight"], p["head.bias"])


def stream(name, items, from_zero, generator):
    task = image_task(generator)
    way, inputs = task["support.y"].shape[1], task["support.x"].flatten(1).shape[1]
    theta = draw(generator, mlp_shapes(inputs, (4, 5)) | ({} if from_zero else head_shapes(way, 5)))
    phi, losses = {n: t.clone() for n, t in theta.items()}, []
    if from_zero:
        phi |= {"head.weight": torch.zeros(way, 5, requires_grad=True),
                "head.bias": torch.zeros(way, requires_grad=True)}
    moves = [n for n in phi if n.startswith("head")] if from_zero else list(phi)
    for at in range(0, len(task["support.x"]), items):
        value = cross_entropy(answer(phi, task["support.x"][at:at + items]), task["support.y"][at:at + items])
        losses.append(value)
        phi = move(phi, moves, value)
    y = answer(phi, task["query.x"])
    value = cross_entropy(y, task["query.y"])
    return {"name": name, "parameters": written(theta), "task": written(task),
            "support_losses": [v.item() for v in losses], "query_loss": value.item(),
            "query_output": written({"y": y})["y"], "gradient": written(gradient_of(value, theta))}


def online(name, moves_head, generator):
    theta = draw(generator, mlp_shapes(1, (4, 5)) | head_shapes(1, 5))
    task = {"query." + k: torch.randn(LENGTH, 1, generator=generator) for k in "xy"}
    phi, losses, outputs = {n: t.clone() for n, t in theta.items()}, [], []
    moves = [n for n in phi if moves_head or not n.startswith("head")]
    for k in range(LENGTH):
        y = answer(phi, task["query.x"][k:k + 1])
        outputs.append(y)
        losses.append(((y - task["query.y"][k:k + 1]) ** 2).mean())
        phi = move(phi, moves, losses[-1])
    value = sum(losses) / LENGTH
    return {"name": name, "parameters": written(theta), "task": written(task), "loss": value.item(),
            "output": written({"y": torch.cat(outputs)})["y"], "gradient": written(gradient_of(value, theta))}


def main():
    generator = torch.Generator().manual_seed(1905)
    cases = [stream("head_from_zero", 1, True, generator), stream("all_in_pairs", 2, False, generator)]
    sequences = [online("online_all", True, generator), online("online_body", False, generator)]
    json.dump({"made_by": "tests/reference/make_stream_rules.py", "torch": torch.__version__, "cases": cases,
               "sequences": sequences}, sys.stdout)
    print()


if __name__ == "__main__":
    main()
