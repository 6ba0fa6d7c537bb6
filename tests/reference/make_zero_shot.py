#!/usr/bin/python3
"""Writes zero_shot.json beside itself: small learners of classes that attributes describe, in PyTorch, float64, with every
weight, input and gradient, for zero_shot_test.c. ESZSL as it is printed: labels of -1 and 1 of the seen classes alone, and
both inverses.

    tests/reference/make_zero_shot.py

Linear weights are [out, in]; labels one-hot; all row-major.
"""
import json
import os

import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
WAY, SEEN, SHOT, QUERY, X, HIDDEN, ATTRIBUTES, DESCRIBER = 5, 3, 4, 7, 4, 6, 8, 5
GAMMA, LAMBDA, SCALE, CALIBRATION = 0.05, 0.3, 3.0, 0.4
CASES = [{'name': 'ridge', 'memory': 'ridge', 'output': 'compatibility', 'all': True},
         {'name': 'ridge, among unseen classes', 'memory': 'ridge', 'output': 'compatibility', 'all': False},
         {'name': 'descriptions, distance', 'memory': 'descriptions', 'output': 'distance', 'all': True},
         {'name': 'descriptions, compatibility', 'memory': 'descriptions', 'output': 'compatibility', 'all': False}]


def shapes_of(case):
    shapes = {'fc1.weight': (HIDDEN, X), 'fc1.bias': (HIDDEN,)}
    if case['memory'] == 'descriptions':
        shapes |= {'describer.fc1.weight': (DESCRIBER, ATTRIBUTES), 'describer.fc1.bias': (DESCRIBER,),
                   'describer.out.weight': (HIDDEN, DESCRIBER), 'describer.out.bias': (HIDDEN,)}
    return shapes


def features(p, x):
    return torch.tanh(F.linear(x, p['fc1.weight'], p['fc1.bias']))


def by_ridge(p, task):
    s = F.normalize(task['shared.description'])
    u, asked = features(p, task['support.x']), features(p, task['query.x'])
    mean, deviation = u.mean(0), torch.sqrt(u.var(0, unbiased=False) + 1e-5)
    x, n = (u - mean) / deviation, len(u)
    y = 2 * task['support.y'][:, :SEEN] - 1
    seen = s[:SEEN]
    left = torch.linalg.inv(x.t() @ x + GAMMA * n * torch.eye(HIDDEN))
    right = torch.linalg.inv(seen.t() @ seen + LAMBDA * torch.eye(ATTRIBUTES))
    v = left @ x.t() @ y @ seen @ right / 2
    return SCALE * (asked - mean) / deviation @ v @ s.t()


def by_network(p, task, output):
    h = torch.tanh(F.linear(F.normalize(task['shared.description']), p['describer.fc1.weight'], p['describer.fc1.bias']))
    c = F.normalize(F.linear(h, p['describer.out.weight'], p['describer.out.bias']))
    u = features(p, task['query.x'])
    if output == 'compatibility':
        return SCALE * u @ c.t()
    return (u * u).sum(1, keepdim=True) - torch.cdist(u, c) ** 2 # the softmax is that of the distances


def numbers(tensor):
    return tensor.detach().reshape(-1).tolist()


def make_case(case):
    p = {name: (0.8 * torch.randn(shape)).requires_grad_() for name, shape in shapes_of(case).items()}
    among = torch.ones(QUERY, WAY)
    if not case['all']:
        among[:, :SEEN] = 0
    labels = torch.arange(QUERY) % WAY if case['all'] else SEEN + torch.arange(QUERY) % (WAY - SEEN)
    task = {'support.x': torch.randn(SEEN * SHOT, X),
            'support.y': F.one_hot(torch.arange(SEEN * SHOT) % SEEN, WAY).double(),
            'query.x': torch.randn(QUERY, X), 'query.y': F.one_hot(labels, WAY).double(), 'query.candidates': among,
            'shared.description': 100 * torch.rand(WAY, ATTRIBUTES),
            'shared.seen': (torch.arange(WAY) < SEEN).double()}
    y = by_ridge(p, task) if case['memory'] == 'ridge' else by_network(p, task, case['output'])
    deviation = y[:, :SEEN].std(1, unbiased=False, keepdim=True)
    y = y - CALIBRATION * deviation * task['shared.seen'] + 1e9 * (among - 1)
    loss = F.cross_entropy(y, labels)
    loss.backward()
    return dict(case, parameters={name: numbers(t) for name, t in p.items()},
                task={name: numbers(t) for name, t in task.items()}, logits=numbers(y), loss=loss.item(),
                gradients={name: numbers(t.grad) for name, t in p.items()})


def main():
    torch.manual_seed(5)
    written = {'way': WAY, 'support': SEEN * SHOT, 'query': QUERY, 'x': X, 'hidden': HIDDEN, 'attributes': ATTRIBUTES,
               'describer': DESCRIBER, 'gamma': GAMMA, 'lambda': LAMBDA, 'scale': SCALE, 'calibration': CALIBRATION,
               'cases': [make_case(case) for case in CASES]}
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'zero_shot.json'), 'w') as out:
        json.dump(written, out, indent=None, separators=(',', ':'))
        out.write('\n')


if __name__ == '__main__':
    main()
