#!/usr/bin/env python3
"""Writes dialog.json beside this file: small networks that choose one of some sentences (Bordes, Boureau, Weston 2016)
in PyTorch's float64, dialogue by dialogue and word by word as the equations stand, without padding: answers, loss,
gradients. Memory networks with both tyings, candidates' words of their own and tied, with match types and without.
Words of number VOCABULARY have no vector.

  /usr/bin/python3 tests/reference/make_dialog.py        (PyTorch 1.13)
"""
import json
import os

import torch

VOCABULARY, D, HOPS = 9, 4, 2
STORIES = [[[1, 2, 3], [4, 5, 9], [6, 2, 0], [1, 7, 8]], [[8, 3, 5]], [[2, 2, 4], [7, 0, 0], [3, 1, 6]]]
QUESTIONS = [[5, 2], [8, 0], [3, 9]]
CANDIDATES = [[1, 2, 2], [7, 0, 0], [3, 9, 0], [9, 0, 0], [8, 4, 6], [5, 1, 0]]
MATCH = [[[0, 1, 0, 1, 0, 0], [1, 0, 0, 1, 0, 1]], [[0, 0, 0, 0, 0, 0], [0, 0, 1, 0, 1, 0]],
         [[1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 1]]]
ANSWERS = [4, 0, 3]
CASES = [dict(tying='layer-wise', candidates='own', match=True), dict(tying='layer-wise', candidates='tied', match=False),
         dict(tying='adjacent', candidates='own', match=False), dict(tying='adjacent', candidates='tied', match=True),
         dict(tying='single', candidates='tied', match=False)]


def make_parameters(case):
    table = (VOCABULARY, D)
    if case['tying'] == 'adjacent':
        shapes = {'embed%d.weight' % k: table for k in range(HOPS + 1)}
    elif case['tying'] == 'single':
        shapes = {'embed.weight': table, 'hop.weight': (D, D)}
    else:
        shapes = {'embed_a.weight': table, 'embed_c.weight': table, 'embed_b.weight': table, 'hop.weight': (D, D)}
    if case['candidates'] == 'own':
        shapes['response.weight'] = table
    if case['match']:
        shapes['match.weight'] = (len(MATCH[0]), D)
    return {name: (2 * torch.rand(shape, dtype=torch.float64) - 1).requires_grad_() for name, shape in shapes.items()}


def bag(table, words):
    total = torch.zeros(D, dtype=torch.float64)
    for word in words:
        if 0 < word < VOCABULARY:
            total = total + table[word]
    return total


def answer(p, case, item):
    adjacent = case['tying'] == 'adjacent'
    names = {'adjacent': 'embed0', 'single': 'embed', 'layer-wise': 'embed_b'}
    u = bag(p[names[case['tying']] + '.weight'], QUESTIONS[item])
    for hop in range(HOPS):
        if case['tying'] == 'single':
            a = c = p['embed.weight']
        else:
            a = p['embed%d.weight' % hop] if adjacent else p['embed_a.weight']
            c = p['embed%d.weight' % (hop + 1)] if adjacent else p['embed_c.weight']
        weights = torch.softmax(torch.stack([bag(a, sentence) @ u for sentence in STORIES[item]]), 0)
        read = sum(w * bag(c, sentence) for w, sentence in zip(weights, STORIES[item]))
        u = (u if adjacent else p['hop.weight'] @ u) + read
    table = p['response.weight'] if case['candidates'] == 'own' else c
    y = torch.stack([u @ bag(table, words) for words in CANDIDATES])
    if case['match']:
        y = y + torch.tensor(MATCH[item], dtype=torch.float64).t() @ (p['match.weight'] @ u)
    return y


def numbers(tensor):
    return tensor.detach().reshape(-1).tolist()


def make_case(case):
    p = make_parameters(case)
    logits = torch.stack([answer(p, case, item) for item in range(len(STORIES))])
    loss = torch.nn.functional.cross_entropy(logits, torch.tensor(ANSWERS))
    loss.backward()
    return dict(case, parameters={name: numbers(t) for name, t in p.items()}, logits=numbers(logits), loss=loss.item(),
                gradients={name: numbers(t.grad) for name, t in p.items()})


torch.manual_seed(1)
written = {'vocabulary': VOCABULARY, 'd': D, 'hops': HOPS, 'stories': STORIES, 'questions': QUESTIONS,
           'candidates': CANDIDATES, 'match': MATCH, 'answers': ANSWERS, 'cases': [make_case(case) for case in CASES]}
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'dialog.json'), 'w') as out:
    json.dump(written, out, indent=None, separators=(',', ':'))
    out.write('\n')
