#!/usr/bin/python3
"""Check a file of `mnemo task --dump` of a conditional neural process against PyTorch's autograd in float64.

    check_cnp.py FILE [--activation relu|tanh]

For model.input identity, memory mean, reasoning concat-mlp, output gaussian, written here from the paper (Garnelo et al.
2018) with torch.distributions. Compares answers, loss and the gradient of every tensor. Exit code 0: all agree within
float32 accuracy; 1: they do not.
"""
import argparse
import sys

import torch
import torch.nn.functional as F

from check_dump import read_safetensors


def perceptron(p, prefix, x, act, to_the_end):
    layer = 1
    while f"{prefix}.fc{layer}.weight" in p:
        x = F.linear(x, p[f"{prefix}.fc{layer}.weight"], p[f"{prefix}.fc{layer}.bias"])
        layer += 1
        if to_the_end or f"{prefix}.fc{layer}.weight" in p:
            x = act(x)
    return x


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("--activation", choices=["relu", "tanh"], default="relu")
    options = parser.parse_args()
    act = torch.relu if options.activation == "relu" else torch.tanh

    dump = read_safetensors(options.file)
    p = {k[6:]: v.double().requires_grad_() for k, v in dump.items() if k.startswith("theta.")}
    data = {k: dump[k].double() for k in ("support.x", "support.y", "query.x", "query.y")}

    r = perceptron(p, "encoder", torch.cat([data["support.x"], data["support.y"]], 1), act, False).mean(0)
    x = torch.cat([data["query.x"], r.expand(len(data["query.x"]), -1)], 1)
    head = F.linear(perceptron(p, "decoder", x, act, True), p["head.weight"], p["head.bias"])
    mean, raw = head.chunk(2, 1)
    deviation = 0.1 + 0.9 * F.softplus(raw)
    loss = -torch.distributions.Normal(mean, deviation).log_prob(data["query.y"]).sum(1).mean()
    gradients = dict(zip(p, torch.autograd.grad(loss, list(p.values()))))

    worst = ("", 0.0)
    pairs = [("answers", dump["query_output"], torch.cat([mean, deviation], 1)), ("loss", dump["query_loss"], loss)]
    ours = {k[14:]: v for k, v in dump.items() if k.startswith("meta_gradient.")}
    if ours.keys() != gradients.keys():
        sys.exit(f"other tensors: {sorted(ours.keys() ^ gradients.keys())}")
    pairs += [("gradient of " + k, ours[k], gradients[k]) for k in gradients]
    for what, got, expected in pairs:
        off = (got.double() - expected.detach()).abs().max() / expected.detach().abs().max().clamp(min=1e-6)
        worst = max(worst, (what, off.item()), key=lambda pair: pair[1])
    print(f"{len(pairs)} things compared, worst {worst[1]:.1e} ({worst[0]})")
    sys.exit(0 if worst[1] < 1e-4 else 1)


if __name__ == "__main__":
    main()
