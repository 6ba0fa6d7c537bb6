#!/usr/bin/python3
"""Check a file of `mnemo task --dump` of a memory-augmented network against PyTorch's autograd in float64.

    check_mann.py FILE --sequences N [--heads N] [--slots N] [--decay X]

For model.input identity, reasoning lstm or feedforward (tanh), output linear, and memory lrua or none, written here from the
paper (Santoro et al. 2016); with memory.sharpness.* among the tensors, reads are 1 + softplus(z + ln slots) as sharp. Labels
are classes, or strings of letters. Compares answers, loss and the gradient of every tensor. Exit code 0: all agree within
float32 accuracy; 1: they do not.
"""
import argparse
import math
import sys

import torch
import torch.nn.functional as F

from check_dump import read_safetensors


class Memory:
    """Of B sequences: slots [B, S, D], weights of reads [B, R, S], usage [B, S]."""

    def __init__(self, p, sequences, heads, slots, decay):
        self.p, self.heads, self.decay = p, heads, decay
        width = p["memory.key.bias"].numel() // heads
        self.slots = torch.full((sequences, slots, width), 1e-6, dtype=torch.float64)
        self.read_weights = torch.zeros(sequences, heads, slots, dtype=torch.float64)
        self.read_weights[:, :, 0] = 1
        self.usage = self.read_weights[:, 0].clone()

    def linear(self, name, h):
        return F.linear(h, self.p[f"memory.{name}.weight"], self.p[f"memory.{name}.bias"])

    def step(self, h):
        n, slots = self.usage.shape
        keys = torch.tanh(self.linear("key", h)).view(n, self.heads, -1)
        gates = torch.sigmoid(self.linear("gate", h)).unsqueeze(2)
        least = F.one_hot(self.usage.sort(dim=1, stable=True).indices[:, :self.heads], slots).double()
        writes = gates * self.read_weights + (1 - gates) * least
        kept = self.slots * (1 - least[:, 0]).unsqueeze(2)
        self.slots = kept + torch.einsum("brs,brd->bsd", writes, keys)
        lengths = keys.norm(dim=2).unsqueeze(2) * self.slots.norm(dim=2).unsqueeze(1)
        like = torch.einsum("brd,bsd->brs", keys, self.slots) / (lengths + 1e-6)
        if "memory.sharpness.weight" in self.p:
            like = like * (1 + F.softplus(self.linear("sharpness", h) + math.log(slots))).unsqueeze(2)
        self.read_weights = torch.softmax(like, 2)
        self.usage = (self.decay * self.usage + (self.read_weights + writes).sum(1)).detach()
        return torch.einsum("brs,bsd->brd", self.read_weights, self.slots).flatten(1)


def answers(p, u, options):
    n = options.sequences
    memory = Memory(p, n, options.heads, options.slots, options.decay) if "memory.key.bias" in p else None
    known, cell, rows = None, None, []
    for now in u.view(-1, n, u.shape[1]):
        if "lstm.weight_ih" in p:
            z = F.linear(now, p["lstm.weight_ih"], p["lstm.bias_ih"])
            if known is not None:
                z = z + F.linear(known, p["lstm.weight_hh"])
            i, f, g, o = z.chunk(4, 1)
            new = torch.sigmoid(i) * torch.tanh(g)
            cell = new if cell is None else torch.sigmoid(f) * cell + new
            h = torch.sigmoid(o) * torch.tanh(cell)
        else:
            z = F.linear(now, p["layer.weight_ih"], p["layer.bias_ih"])
            h = torch.tanh(z if known is None else z + F.linear(known, p["layer.weight_rh"]))
        r = memory.step(h) if memory else None
        rows.append(h if r is None else torch.cat([h, r], 1))
        known = h if r is None else torch.cat([r, h], 1) if "lstm.weight_ih" in p else r
    return F.linear(torch.cat(rows), p["head.weight"], p["head.bias"])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("--sequences", type=int, required=True, help="side by side: tasks.bundle")
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--slots", type=int, default=128)
    parser.add_argument("--decay", type=float, default=0.99)
    options = parser.parse_args()

    dump = read_safetensors(options.file)
    p = {k[6:]: v.double().requires_grad_() for k, v in dump.items() if k.startswith("theta.")}
    x = dump["query.x"].double()
    logits = answers(p, torch.cat([x.flatten(1), dump["query.label_before"].double()], 1), options)
    y = dump["query.y"].long()
    symbols = 1 if y.dim() == 1 else y.shape[1]
    loss = F.cross_entropy(logits.view(len(y) * symbols, -1), y.flatten()) * symbols
    gradients = dict(zip(p, torch.autograd.grad(loss, list(p.values()))))

    ours = {k[14:]: v for k, v in dump.items() if k.startswith("meta_gradient.")}
    if ours.keys() != gradients.keys():
        sys.exit(f"other tensors: {sorted(ours.keys() ^ gradients.keys())}")
    pairs = [("answers", dump["query_logits"], logits), ("loss", dump["query_loss"], loss)]
    pairs += [("gradient of " + k, ours[k], gradients[k]) for k in gradients]
    worst = ("", 0.0)
    for what, got, expected in pairs:
        off = (got.double() - expected.detach()).abs().max() / expected.detach().abs().max().clamp(min=1e-6)
        worst = max(worst, (what, off.item()), key=lambda pair: pair[1])
    print(f"{len(pairs)} things compared, worst {worst[1]:.1e} ({worst[0]})")
    sys.exit(0 if worst[1] < 1e-4 else 1)


if __name__ == "__main__":
    main()
