#!/usr/bin/python3
"""Writes pfn.json beside itself: small prior-fitted networks in PyTorch, float64, with every weight, input and
gradient, for pfn_test.c. Support items and questions go through the layers as one sequence, with a mask so
that all attend to the support set alone, by PyTorch's own multi-head attention.

    tests/reference/make_pfn.py

Linear weights are [out, in]; labels one-hot; all row-major.
"""
import json
import os

import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
D, HEADS, MLP, LAYERS, SUPPORT, QUERY = 8, 2, 6, 2, 6, 4
CASES = [{'name': 'row, values', 'tokens': 'row', 'features': 2, 'y': 1},
         {'name': 'row, classes', 'tokens': 'row', 'features': 3, 'y': 3},
         {'name': 'cell, values', 'tokens': 'cell', 'features': 1, 'y': 1},
         {'name': 'cell, classes', 'tokens': 'cell', 'features': 3, 'y': 3}]


def shapes_of(case):
    by_cell, f, y = case['tokens'] == 'cell', case['features'], case['y']
    shapes = {'tokens.unknown': (1, D)} if by_cell else {}
    shapes |= {'tokens.x.weight': (D, 1 if by_cell else f), 'tokens.x.bias': (D,), 'tokens.y.weight': (D, y)}
    if by_cell:
        shapes['tokens.y.bias'] = (D,)
    for layer in range(1, LAYERS + 1):
        for kind in ('cells', 'rows') if by_cell else ('rows',):
            at = f'layer{layer}.{kind}.'
            shapes[at + 'norm.weight'] = (D,)
            shapes |= {f'{at}{part}.weight': (D, D) for part in ('query', 'key', 'value', 'out')}
            shapes[at + 'out.bias'] = (D,)
        at = f'layer{layer}.mlp.'
        shapes |= {at + 'norm.weight': (D,), at + 'fc1.weight': (MLP, D), at + 'fc1.bias': (MLP,),
                   at + 'fc2.weight': (D, MLP), at + 'fc2.bias': (D,)}
    return shapes | {'norm.weight': (D,), 'head.weight': (y, D), 'head.bias': (y,)}


def norm(p, name, t):
    return p[name + '.weight'] * t / torch.sqrt((t * t).mean(-1, keepdim=True) + 1e-5)


def attend(p, at, heads, t, mask):
    """t [tokens, sets, d], as multi_head_attention_forward has it."""
    stacked = torch.cat([p[f'{at}.{part}.weight'] for part in ('query', 'key', 'value')])
    return F.multi_head_attention_forward(t, t, t, t.shape[-1], heads, stacked, None, None, None, False, 0.0,
                                          p[at + '.out.weight'], p[at + '.out.bias'], attn_mask=mask)[0]


def answer(p, task, heads, act):
    """The head's answers to the questions; p tells the kind of tokens and the layers. Tokens are [items, columns, d]."""
    x, shown = torch.cat([task['support.x'], task['query.x']]), len(task['support.x'])
    asked, by_cell = len(task['query.x']), 'tokens.unknown' in p
    if by_cell:
        y = torch.cat([F.linear(task['support.y'], p['tokens.y.weight'], p['tokens.y.bias']),
                       p['tokens.unknown'].expand(asked, -1)])
        t = torch.cat([F.linear(x[:, :, None], p['tokens.x.weight'], p['tokens.x.bias']), y[:, None]], 1)
    else:
        y = task['support.y'] @ p['tokens.y.weight'].t()
        t = (F.linear(x, p['tokens.x.weight'], p['tokens.x.bias']) + F.pad(y, (0, 0, 0, asked)))[:, None]
    hidden = torch.zeros(shown + asked, shown + asked, dtype=torch.bool)
    hidden[:, shown:] = True
    layer = 1
    while f'layer{layer}.rows.norm.weight' in p:
        at = f'layer{layer}.'
        if by_cell:
            cells = norm(p, at + 'cells.norm', t).transpose(0, 1)
            t = t + attend(p, at + 'cells', heads, cells, None).transpose(0, 1)
        t = t + attend(p, at + 'rows', heads, norm(p, at + 'rows.norm', t), hidden)
        h = act(F.linear(norm(p, at + 'mlp.norm', t), p[at + 'mlp.fc1.weight'], p[at + 'mlp.fc1.bias']))
        t = t + F.linear(h, p[at + 'mlp.fc2.weight'], p[at + 'mlp.fc2.bias'])
        layer += 1
    return F.linear(norm(p, 'norm', t[shown:, -1]), p['head.weight'], p['head.bias'])


def numbers(tensor):
    return tensor.detach().reshape(-1).tolist()


def make_case(case):
    p = {name: (0.7 * torch.randn(shape)).requires_grad_() for name, shape in shapes_of(case).items()}
    task = {}
    for role, n in (('support', SUPPORT), ('query', QUERY)):
        task[role + '.x'] = torch.randn(n, case['features'])
        task[role + '.y'] = (torch.randn(n, 1) if case['y'] == 1
                             else F.one_hot(torch.randint(case['y'], (n,)), case['y']).double())
    y = answer(p, task, HEADS, torch.tanh)
    loss = (((y - task['query.y']) ** 2).mean() if case['y'] == 1
            else -(task['query.y'] * F.log_softmax(y, 1)).sum(1).mean())
    loss.backward()
    return dict(case, parameters={name: numbers(t) for name, t in p.items()},
                task={name: numbers(t) for name, t in task.items()}, logits=numbers(y), loss=loss.item(),
                gradients={name: numbers(t.grad) for name, t in p.items()})


def main():
    torch.manual_seed(3)
    written = {'token_size': D, 'heads': HEADS, 'mlp_size': MLP, 'layers': LAYERS, 'support': SUPPORT, 'query': QUERY,
               'cases': [make_case(case) for case in CASES]}
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'pfn.json'), 'w') as out:
        json.dump(written, out, indent=None, separators=(',', ':'))
        out.write('\n')


if __name__ == '__main__':
    main()
