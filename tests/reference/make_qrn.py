#!/usr/bin/env python3
"""Writes qrn.json beside this file: small query-reduction networks (Seo et al. 2017) in PyTorch's float64, story by
story and sentence by sentence as the paper's equations stand, without padding: gates, queries, answers, loss, gradients.

  /usr/bin/python3 tests/reference/make_qrn.py        (PyTorch 1.13)
"""
import json
import os

import torch

VOCABULARY, D = 9, 4
STORIES = [[[1, 2, 3], [4, 5, 0], [6, 2, 0], [1, 7, 8]], [[8, 3, 5]], [[2, 2, 4], [7, 0, 0], [3, 1, 6]]]
QUESTIONS = [[5, 2], [8, 0], [3, 4]]
ANSWERS = [4, 0, 7]
LONGEST = 3
CASES = [dict(layers=2, gates='scalar', reset_gates=True, bidirectional=True),
         dict(layers=3, gates='vector', reset_gates=True, bidirectional=True),
         dict(layers=2, gates='scalar', reset_gates=False, bidirectional=False)]


def make_parameters(case):
    gate = D if case['gates'] == 'vector' else 1
    shapes = {'embed.weight': (VOCABULARY, D), 'candidate.weight': (D, 2 * D), 'candidate.bias': (D,),
              'update.weight': (gate, D), 'update.bias': (gate,), 'answer.weight': (VOCABULARY, D)}
    if case['reset_gates']:
        n = gate * (2 if case['bidirectional'] else 1)
        shapes.update({'reset.weight': (n, D), 'reset.bias': (n,)})
    return {name: (2 * torch.rand(shape, dtype=torch.float64) - 1).requires_grad_() for name, shape in shapes.items()}


def encode(p, words):
    """sum_j l_j * A[w_j] with l_kj = (1 - k/d) + (j/J)(2k/d - 1), places counted from 1."""
    total = torch.zeros(D, dtype=torch.float64)
    k = torch.arange(1, D + 1, dtype=torch.float64)
    for j, word in enumerate(words, 1):
        if word != 0:
            total = total + (1 - k / D + j / LONGEST * (2 * k / D - 1)) * p['embed.weight'][word]
    return total


def recur(gates, keeps, candidates):
    h, all_h = torch.zeros(D, dtype=torch.float64), []
    for gate, keep, candidate in zip(gates, keeps, candidates):
        h = gate * candidate + keep * h
        all_h.append(h)
    return all_h


def answer(p, case, story, question):
    x = [encode(p, sentence) for sentence in story]
    q = [encode(p, question)] * len(x)
    gate = D if case['gates'] == 'vector' else 1
    queries, updates = [], []
    for layer in range(case['layers']):
        c = [torch.tanh(p['candidate.weight'] @ torch.cat([a, b]) + p['candidate.bias']) for a, b in zip(q, x)]
        z = [torch.sigmoid(p['update.weight'] @ (a * b) + p['update.bias'] - 2.5) for a, b in zip(q, x)]
        keep = [1 - g for g in z]
        queries.append(torch.stack(q))
        updates.append(torch.stack([g.mean() for g in z]))
        if layer + 1 == case['layers']:
            return recur(z, keep, c)[-1] @ p['answer.weight'].t(), queries, updates
        forward, backward = z, z
        if case['reset_gates']:
            r = [torch.sigmoid(p['reset.weight'] @ (a * b) + p['reset.bias']) for a, b in zip(q, x)]
            forward = [g * s[:gate] for g, s in zip(z, r)]
            backward = [g * s[gate:] for g, s in zip(z, r)]
        u = recur(forward, keep, c)
        if case['bidirectional']:
            v = recur(backward[::-1], keep[::-1], c[::-1])[::-1]
            u = [a + b for a, b in zip(u, v)]
        q = u


def numbers(tensor):
    return tensor.detach().reshape(-1).tolist()


def make_case(case):
    p = make_parameters(case)
    answers = [answer(p, case, story, question) for story, question in zip(STORIES, QUESTIONS)]
    logits = torch.stack([one[0] for one in answers])
    loss = torch.nn.functional.cross_entropy(logits, torch.tensor(ANSWERS))
    loss.backward()
    return dict(case, parameters={name: numbers(t) for name, t in p.items()},
                queries=[[numbers(t) for t in one[1]] for one in answers],
                updates=[[numbers(t) for t in one[2]] for one in answers],
                logits=numbers(logits), loss=loss.item(),
                gradients={name: numbers(t.grad) for name, t in p.items()})


torch.manual_seed(1)
written = {'vocabulary': VOCABULARY, 'd': D, 'stories': STORIES, 'questions': QUESTIONS, 'answers': ANSWERS,
           'cases': [make_case(case) for case in CASES]}
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'qrn.json'), 'w') as out:
    json.dump(written, out, indent=None, separators=(',', ':'))
    out.write('\n')
