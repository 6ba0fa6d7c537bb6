#!/usr/bin/python3
"""Do the modules of this folder answer as Mnemo does?

    mnemo export RUN -o model.safetensors
    mnemo task RUN --split test --dump task.safetensors
    compare.py model.safetensors task.safetensors [MODEL TASK]... [--tolerance X]

Loads the model by its family, adapts it in float64 to the task's support set where it has an inner loop, answers the query
items and compares with the dump's answers: the largest difference, as a share of the largest answer (default tolerance:
1e-4; Mnemo computes in float32). Exit code 0: within the tolerance; 1: not; 2: no module of this folder is of this family.
"""
import argparse
import sys

import cnp
import conv4
import entnet
import exported
import mann
import maml
import memn2n
import perceptron
import qrn
import stories
import torch


def story(module, task):
    return module(*stories.fields(task))


def few_shot(module, task):
    return module(task["support.x"], task["support.y"], task["query.x"])


def adapted(module, task):
    items = {role: tuple(task[f"{role}.{name}"] for name in ("x", "id") if f"{role}.{name}" in task)
             for role in ("support", "query")}
    return maml.answer(module, maml.adapt(module, items["support"], task["support.y"]), items["query"])


def sequence(module, task):
    return module(task["query.x"], task["query.label_before"])


FAMILIES = {  # model.input, memory, reasoning, output
    ("mlp", "none", "none", "linear"): (perceptron.Perceptron, adapted),
    ("mlp", "table", "concat-linear", "linear"): (perceptron.Perceptron, adapted),
    ("linear", "table", "concat-linear", "linear"): (perceptron.Perceptron, adapted),
    ("linear", "none", "concat-linear", "linear"): (perceptron.Perceptron, adapted),
    ("linear", "none", "none", "linear"): (perceptron.Perceptron, adapted),
    ("conv4", "none", "none", "linear"): (conv4.Conv4, adapted),
    ("conv4", "class-means", "none", "distance"): (conv4.Prototypes, few_shot),
    ("conv4", "support", "none", "match"): (conv4.Matching, few_shot),
    ("identity", "mean", "concat-mlp", "gaussian"): (cnp.NeuralProcess, few_shot),
    ("identity", "lrua", "lstm", "linear"): (mann.MemoryAugmented, sequence),
    ("identity", "none", "lstm", "linear"): (mann.MemoryAugmented, sequence),
    ("sentences", "story", "hops", "words"): (memn2n.MemN2N, story),
    ("sentences", "sentences", "query-reduction", "words"): (qrn.QueryReduction, story),
    ("sentences", "entities", "prelu-hops", "words"): (entnet.EntityNetwork, story),
}


def difference(model, task):
    """Answers one task and prints how far off it is; None: there is no module for this model."""
    settings = exported.settings(exported.read(model)[1]["experiment"])
    family = tuple(settings[f"model.{part}"] for part in ("input", "memory", "reasoning", "output"))
    if family not in FAMILIES or settings.get("model.full_context") == "true":
        print(f"{model}: no module for {', '.join(family)}; there are: {'; '.join(', '.join(f) for f in FAMILIES)}")
        return None
    kind, ask = FAMILIES[family]
    module = kind(model).double()
    task = {name: t.double() if t.is_floating_point() else t for name, t in exported.read(task)[0].items()}
    theirs = task["query_logits"] if "query_logits" in task else task["query_output"]
    ours = ask(module, task).detach()
    if ours.shape != theirs.shape:
        sys.exit(f"{model}: {tuple(ours.shape)} answers instead of {tuple(theirs.shape)}")
    off = ((ours - theirs).abs().max() / theirs.abs().max()).item()
    print(f"{model}: {kind.__name__}: {ours.numel()} numbers, largest difference {off:.1e} of the largest")
    return off


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", metavar="MODEL TASK")
    parser.add_argument("--tolerance", type=float, default=1e-4)
    options = parser.parse_args()
    if len(options.files) % 2 != 0:
        parser.error("expected pairs of a model and a task")
    offs = [difference(model, task) for model, task in zip(options.files[::2], options.files[1::2])]
    sys.exit(2 if None in offs else 1 if any(not off <= options.tolerance for off in offs) else 0)


if __name__ == "__main__":
    main()
