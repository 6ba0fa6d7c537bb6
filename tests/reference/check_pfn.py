#!/usr/bin/python3
"""Prior-fitted networks against PyTorch in float64, and beside plain classifiers.

    check_pfn.py FILE --heads N            a file of `mnemo task --dump`: answers, loss and gradient of every tensor
    check_pfn.py RUN [--mnemo PATH] [--tasks N] [--letter FILE] [--leaves FILE]
                                           accuracy on the run's test tables, and on real ones of 64 + 64 rows

The classifiers know the support rows alone: the most frequent label, the nearest neighbour by squared distance, and
logistic regression with a penalty of half the squares of all weights. Real tables, given as UCI's files letter-recognition.data
and data_Mar_64.txt: rows of five classes, standardised by the support rows, with all features and with some drawn
at random, as many as the network was trained on. Intervals are 1.96 standard errors over tables.
"""
import argparse
import glob
import os
import re
import subprocess
import sys
import tempfile

import torch
import torch.nn.functional as F

from check_dump import read_safetensors
from make_pfn import answer

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)
ACTIVATIONS = {"relu": torch.relu, "tanh": torch.tanh}
ROLES = ("support.x", "support.y", "query.x", "query.y")


def task_of(dump):
    """Of a dump, with labels one-hot again, and mnemo's answers."""
    task = {k: dump[k].double() for k in ROLES}
    task["answers"] = dump["query_logits" if "query_logits" in dump else "query_output"].double()
    for k in ("support.y", "query.y"):
        if "query_logits" in dump:
            task[k] = F.one_hot(dump[k].long(), task["answers"].shape[1]).double()
    return {k: v.flatten(1) for k, v in task.items()}


def check(dump, heads, act):
    p = {k[6:]: v.double().requires_grad_() for k, v in dump.items() if k.startswith("theta.")}
    task = task_of(dump)
    y, target = answer(p, task, heads, act), task["query.y"]
    if y.shape[1] == 2 * target.shape[1]:  # model.output gaussian
        mean, raw = y.chunk(2, 1)
        deviation = 0.1 + 0.9 * F.softplus(raw)
        loss = -torch.distributions.Normal(mean, deviation).log_prob(target).sum(1).mean()
        y = torch.cat([mean, deviation], 1)
    elif target.shape[1] > 1:
        loss = -(target * F.log_softmax(y, 1)).sum(1).mean()
    else:
        loss = ((y - target) ** 2).mean()
    gradients = dict(zip(p, torch.autograd.grad(loss, list(p.values()))))
    pairs = [("answers", task["answers"], y), ("loss", dump["query_loss"], loss)]
    pairs += [("gradient of " + k, dump["meta_gradient." + k], gradients[k]) for k in gradients]
    worst = max(((got.double() - expected.detach()).abs().max() / expected.detach().abs().max().clamp(min=1e-6)
                 ).item() for _, got, expected in pairs)
    print(f"{len(pairs)} things compared, worst {worst:.1e}")
    return worst < 2e-4


def majority(task):
    return task["support.y"].sum(0).argmax().expand(len(task["query.x"]))


def nearest(task):
    return task["support.y"].argmax(1)[torch.cdist(task["query.x"], task["support.x"]).argmin(1)]


@torch.enable_grad()
def logistic(task):
    x, y = task["support.x"], task["support.y"]
    w = torch.zeros(y.shape[1], x.shape[1] + 1, requires_grad=True)
    optimiser = torch.optim.LBFGS([w], max_iter=100, line_search_fn="strong_wolfe")

    def closure():
        optimiser.zero_grad()
        seen = y.sum(0) > 0  # the others are not answers
        logits = F.linear(x, w[:, :-1], w[:, -1]).masked_fill(~seen, -1e9)
        loss = -(y * F.log_softmax(logits, 1)).sum() + 0.5 * (w ** 2).sum()
        loss.backward()
        return loss

    optimiser.step(closure)
    seen = y.sum(0) > 0
    return F.linear(task["query.x"], w[:, :-1], w[:, -1]).masked_fill(~seen, -1e9).argmax(1).detach()


def report(what, tasks, network):
    rows = {"prior-fitted network": network, "logistic regression": logistic, "nearest neighbour": nearest,
            "most frequent label": majority}
    print(what)
    for name, classify in rows.items():
        right = torch.tensor([(classify(task) == task["query.y"].argmax(1)).double().mean() for task in tasks])
        print(f"  {name:22} {100 * right.mean():6.2f} +- {196 * right.std() / len(right) ** 0.5:.2f} %", flush=True)


def test_tables(run, mnemo, n):
    """Tables of the run's test, each with mnemo's own answers."""
    tasks = []
    with tempfile.TemporaryDirectory() as folder:
        for index in range(n):
            path = os.path.join(folder, "task.safetensors")
            subprocess.run([mnemo, "task", run, "--index", str(index), "--dump", path], check=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            dump = read_safetensors(path)
            tasks.append(task_of(dump))
    return tasks


def read_table(path):
    """Rows of a label and numbers -> x, labels 0 .."""
    with open(path) as file:
        rows = [line.strip().split(",") for line in file if line.strip()]
    names = sorted({row[0] for row in rows})
    return torch.tensor([[float(v) for v in row[1:]] for row in rows]), torch.tensor([names.index(r[0]) for r in rows])


def real_tables(path, n, way, n_features, generator):
    """Each of `way` random classes, shown at least once; 64 support rows and up to 64 others."""
    x, labels = read_table(path)
    tasks = []
    while len(tasks) < n:
        classes = torch.randperm(int(labels.max()) + 1, generator=generator)[:way]
        rows = torch.cat([torch.nonzero(labels == c)[:, 0] for c in classes])
        rows = rows[torch.randperm(len(rows), generator=generator)][:128]
        columns = torch.randperm(x.shape[1], generator=generator)[:n_features or x.shape[1]]
        y = (labels[rows][:, None] == classes).double()
        if (y[:64].sum(0) == 0).any():
            continue
        shown = x[rows[:64]][:, columns]
        z = ((x[rows][:, columns] - shown.mean(0)) / shown.std(0, unbiased=False).clamp(min=1e-6)).clamp(-10, 10)
        tasks.append({"support.x": z[:64], "support.y": y[:64], "query.x": z[64:], "query.y": y[64:]})
    return tasks


def option(run, key):
    with open(os.path.join(run, "experiment.yaml")) as file:
        return re.search(rf"^\s+{key}:\s*(\S+)", file.read(), re.M).group(1)


@torch.no_grad()
def judge(run, options):
    heads, act = int(option(run, "heads")), ACTIVATIONS[option(run, "activation")]
    newest = sorted(glob.glob(os.path.join(run, "checkpoints", "*.safetensors")))[-1]
    checkpoint = read_safetensors(newest)
    tables = test_tables(run, options.mnemo, options.tasks)
    report(f"{len(tables)} test tables", tables, lambda task: task["answers"].argmax(1))
    some, way = int(option(run, "features")), int(option(run, "way"))
    p = {name.removeprefix("theta."): t.double() for name, t in checkpoint.items() if t.dtype == torch.float32}
    generator = torch.Generator().manual_seed(1)
    for name in ("letter", "leaves"):
        path = getattr(options, name)
        for n_features in (some, None) if "tokens.unknown" in p else (some,):
            if path:
                report(f"{options.tasks} tables of {name}, {n_features or 'all'} features",
                       real_tables(path, options.tasks, way, n_features, generator),
                       lambda task: answer(p, task, heads, act).argmax(1))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what")
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--activation", choices=sorted(ACTIVATIONS), default="relu")
    parser.add_argument("--mnemo", default="mnemo")
    parser.add_argument("--tasks", type=int, default=300)
    parser.add_argument("--letter")
    parser.add_argument("--leaves")
    options = parser.parse_args()
    if os.path.isdir(options.what):
        judge(options.what, options)
        return
    sys.exit(0 if check(read_safetensors(options.what), options.heads, ACTIVATIONS[options.activation]) else 1)


if __name__ == "__main__":
    main()
