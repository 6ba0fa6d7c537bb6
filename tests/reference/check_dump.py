#!/usr/bin/python3
"""Check a file of `mnemo task --dump` against PyTorch's autograd in float64.

    check_dump.py FILE --inner-lr A --inner-steps N [--order 1|2] [--activation relu|tanh]
                  [--downsampling stride|max-pool] [--readout mean|flatten] [--kind maml|anil]

Reads theta and the data of the task, adapts and differentiates with PyTorch alone, and compares losses, outputs,
adapted theta and the meta-gradient. Exit code 0: all agree within float32 accuracy; 1: they do not.
"""
import argparse
import json
import struct
import sys

import torch
import torch.nn.functional as F

DTYPES = {"F32": torch.float32, "F64": torch.float64, "I64": torch.int64, "I32": torch.int32, "U8": torch.uint8}


def read_safetensors(path):
    with open(path, "rb") as file:
        blob = bytearray(file.read())
    (n,) = struct.unpack("<Q", blob[:8])
    tensors = {}
    for name, entry in json.loads(bytes(blob[8 : 8 + n])).items():
        if name != "__metadata__":
            begin, end = (8 + n + at for at in entry["data_offsets"])
            flat = torch.frombuffer(blob[begin:end], dtype=DTYPES[entry["dtype"]])
            tensors[name] = flat.reshape(entry["shape"]).clone()
    return tensors


def forward(p, x, options):
    layer = 1
    if "conv1.weight" in p:
        while f"conv{layer}.weight" in p:
            stride = 2 if options.downsampling == "stride" else 1
            x = F.conv2d(x, p[f"conv{layer}.weight"], p[f"conv{layer}.bias"], stride=stride, padding=1)
            x = F.batch_norm(x, None, None, p[f"bn{layer}.weight"], p[f"bn{layer}.bias"], training=True, eps=1e-5)
            x = F.relu(x)
            if options.downsampling == "max-pool":
                x = F.max_pool2d(x, 2)
            layer += 1
        x = x.mean(dim=(2, 3)) if options.readout == "mean" else x.flatten(1)
    else:
        x = x.flatten(1)
        while f"fc{layer}.weight" in p:
            x = F.linear(x, p[f"fc{layer}.weight"], p[f"fc{layer}.bias"])
            if f"bn{layer}.weight" in p:
                x = F.batch_norm(x, None, None, p[f"bn{layer}.weight"], p[f"bn{layer}.bias"], training=True, eps=1e-5)
            x = F.relu(x) if options.activation == "relu" else torch.tanh(x)
            layer += 1
    return F.linear(x, p["head.weight"], p["head.bias"])


def loss_of(output, y, classes):
    if not classes:
        return F.mse_loss(output, y.reshape(output.shape))
    labels = y if y.dim() == 1 else y.argmax(dim=1)
    return F.cross_entropy(output, labels.long())


def adapt(theta, data, options):
    p = dict(theta)
    losses = []
    for _ in range(options.inner_steps):
        loss = loss_of(forward(p, data["support.x"], options), data["support.y"], options.classes)
        losses.append(loss.item())
        names = [n for n in p if options.kind != "anil" or n.startswith("head.")]
        grads = torch.autograd.grad(loss, [p[n] for n in names], create_graph=options.order == 2, allow_unused=True)
        p.update({n: p[n] - options.inner_lr * (g if g is not None else 0) for n, g in zip(names, grads)})
    return p, losses


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("--inner-lr", type=float, required=True)
    parser.add_argument("--inner-steps", type=int, required=True)
    parser.add_argument("--order", type=int, default=2)
    parser.add_argument("--kind", default="maml")
    parser.add_argument("--activation", default="relu")
    parser.add_argument("--downsampling", default="stride")
    parser.add_argument("--readout", default="mean")
    parser.add_argument("--tolerance", type=float, default=1e-4, help="of each tensor's 2-norm")
    options = parser.parse_args()

    tensors = read_safetensors(options.file)
    data = {n: t if t.dtype in (torch.int64, torch.int32) else t.double() for n, t in tensors.items()}
    options.classes = "query_logits" in data
    theta = {n[len("theta."):]: t.requires_grad_() for n, t in data.items() if n.startswith("theta.")}
    output_name = "query_logits" if options.classes else "query_output"
    if output_name not in data:
        sys.exit(f"{options.file} has neither query_logits nor query_output; it has {', '.join(sorted(data))}")

    adapted, losses = adapt(theta, data, options)
    output = forward(adapted, data["query.x"], options)
    query_loss = loss_of(output, data["query.y"], options.classes)
    gradient = torch.autograd.grad(query_loss, list(theta.values()), allow_unused=True)

    pairs = [("support_loss", torch.tensor(losses[0]), data["support_loss"]),
             ("query_loss", query_loss, data["query_loss"]),
             (output_name, output, data[output_name])]
    pairs += [(f"adapted.{n}", p, data[f"adapted.{n}"]) for n, p in adapted.items()]
    pairs += [(f"meta_gradient.{n}", torch.zeros_like(theta[n]) if g is None else g, data[f"meta_gradient.{n}"])
              for n, g in zip(theta, gradient)]

    # A gradient that is zero but for rounding is measured against the whole gradient, not against itself.
    floor = 1e-5 * torch.cat([torch.zeros(1).double()] + [g.flatten() for g in gradient if g is not None]).norm().item()
    worst, bad = 0.0, 0
    for name, ours, theirs in pairs:
        ours, theirs = ours.detach().double().flatten(), theirs.detach().double().flatten()
        if ours.shape != theirs.shape:
            sys.exit(f"{name}: {theirs.numel()} numbers instead of {ours.numel()}")
        error = (ours - theirs).norm().item() / max(ours.norm().item(), floor, 1e-12)
        worst = max(worst, error)
        if not error <= options.tolerance:
            bad += 1
            print(f"{name}: relative error {error:.2e}, PyTorch {ours.norm():.6g}, file {theirs.norm():.6g}")
    print(f"{len(pairs) - bad} of {len(pairs)} tensors agree with PyTorch in float64, worst relative error {worst:.1e}")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
