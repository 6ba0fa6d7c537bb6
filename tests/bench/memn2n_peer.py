#!/usr/bin/env python3
"""PyTorch at the training step of experiments/babi-1k-joint-memn2n.yaml: an end-to-end memory network, 3 hops, adjacent tying,
positions, ages, empty slots in the softmax, 16 or 64 questions a step, SGD with a clipped norm. Two programs of it:

  memn2n_peer.py padded|ragged|ragged-jit QUESTIONS THREADS SECONDS

padded: as such networks are usually written, all sentences [questions, 50, words], a gather for each table.
ragged: written for speed. Only sentences that there are, their words in one list; all four tables side by side as one, so that a
single weighted embedding_bag reads them all (l_kj = 1 + a_k b_j makes two of it: sums of words, and sums weighted by place);
attention by an index of questions. Batches are ready in memory, as for the other peers; Mnemo draws its own.

The last line of standard output is the JSON object of the peers' driver; a unit is Mnemo's task: a step of 16 questions, or
32 of a step of 64.
"check" instead of a program compares the losses and gradients of the programs.
"""
import glob
import json
import os
import random
import re
import resource
import sys
import time

import torch
import torch.nn.functional as F

HOPS, D, SLOTS, LR, CLIP, N_BATCHES = 3, 50, 50, 0.4, 1.25, 64


def folder():
    for place in os.environ.get('MNEMO_DATA', 'data').split(':'):
        for name in ('en', 'babi/en'):
            if glob.glob(os.path.join(place, name, 'qa1_*_train.txt')):
                return os.path.join(place, name)
    sys.exit('no folder en of bAbI in MNEMO_DATA')


def read_questions():
    """[(sentences, question, answer)], words as numbers from 1, of all training files; how many words."""
    numbers, questions = {}, []

    def number(word):
        return numbers.setdefault(word, len(numbers) + 1)
    for path in sorted(glob.glob(os.path.join(folder(), 'qa*_train.txt'))):
        with open(path) as file:
            for line in file:
                index, _, text = line.strip().lower().partition(' ')
                told, _, rest = text.partition('\t')
                if index == '1':
                    story = []
                words = [number(w) for w in re.split(r'[ .?]+', told) if w]
                if rest:
                    questions.append((story[-SLOTS:], words, number(rest.split('\t')[0])))
                else:
                    story = story + [words]
    return questions, len(numbers) + 1


def places(n):
    return torch.arange(1, n + 1, dtype=torch.float32) - (n + 1) / 2


class Padded:
    def __init__(self, tables, ages, longest):
        self.parameters = [t.clone().requires_grad_() for t in tables + ages]
        self.weights = 1 + 4 / (longest * D) * places(longest)[:, None] * places(D)[None, :]

    def batch(self, questions):
        longest = self.weights.shape[0]
        story = torch.zeros(len(questions), SLOTS, longest, dtype=torch.long)
        age = torch.zeros(len(questions), SLOTS, dtype=torch.long)
        asked = torch.zeros(len(questions), longest, dtype=torch.long)
        for i, (sentences, question, _) in enumerate(questions):
            asked[i, :len(question)] = torch.tensor(question)
            for s, words in enumerate(sentences):
                story[i, s, :len(words)] = torch.tensor(words)
                age[i, s] = len(sentences) - s
        return story, age, asked, torch.tensor([answer for _, _, answer in questions])

    def loss(self, batch):
        story, age, asked, answer = batch
        tables, ages = self.parameters[:HOPS + 1], self.parameters[HOPS + 1:]

        def words(ids, table):
            return (F.embedding(ids, table, padding_idx=0) * (self.weights * (ids > 0)[..., None])).sum(-2)
        rows = [words(story, table) + F.embedding(age, at) * (age > 0)[..., None] for table, at in zip(tables, ages)]
        u = words(asked, tables[0])
        for hop in range(HOPS):
            p = torch.softmax(torch.bmm(rows[hop], u[:, :, None])[..., 0], 1)
            u = u + torch.bmm(p[:, None], rows[hop + 1])[:, 0]
        return F.cross_entropy(u @ tables[HOPS].t(), answer)


def ragged_loss(tables, ages, b, words, places, at, age, owner, slot, asked, asked_places, asked_at, answer):
    # type: (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor) -> Tensor
    n, d = answer.size(0), 50
    all_rows = F.embedding_bag(words, tables, at, mode='sum') + F.embedding(age, ages) + \
        b * F.embedding_bag(words, tables, at, mode='sum', per_sample_weights=places)
    rows = all_rows.view(-1, 4, d).unbind(1)
    table = tables.view(-1, 4, d).unbind(1)
    first = table[0].contiguous()
    u = F.embedding_bag(asked, first, asked_at, mode='sum') + \
        b[:d] * F.embedding_bag(asked, first, asked_at, mode='sum', per_sample_weights=asked_places)
    for hop in range(3):
        scores = (rows[hop] * u.index_select(0, owner)).sum(1)
        p = torch.softmax(torch.zeros(n * 50).index_copy(0, slot, scores).view(n, 50), 1)
        read = rows[hop + 1] * p.view(-1).index_select(0, slot)[:, None]
        u = u.index_add(0, owner, read)
    return F.cross_entropy(u @ table[3].t(), answer)


class Ragged:
    def __init__(self, tables, ages, longest, jit=False):
        self.parameters = [torch.cat(t, 1).requires_grad_() for t in (tables, ages)]
        self.a = 4 / (longest * D) * places(longest)
        self.b = places(D).repeat(HOPS + 1)
        self.function = torch.jit.script(ragged_loss) if jit else ragged_loss

    def bag(self, lists):
        flat = torch.tensor([w for words in lists for w in words])
        places = torch.cat([self.a[:len(words)] for words in lists])
        lengths = torch.tensor([len(words) for words in lists])
        return flat, places, torch.cumsum(lengths, 0) - lengths

    def batch(self, questions):
        owner = torch.tensor([i for i, q in enumerate(questions) for _ in q[0]])
        slot = torch.tensor([i * SLOTS + s for i, q in enumerate(questions) for s in range(len(q[0]))])
        age = torch.tensor([len(q[0]) - s for q in questions for s in range(len(q[0]))])
        return (*self.bag([words for q in questions for words in q[0]]), age, owner, slot,
                *self.bag([q[1] for q in questions]), torch.tensor([q[2] for q in questions]))

    def loss(self, batch):
        return self.function(self.parameters[0], self.parameters[1], self.b, *batch)


def make(name, questions, n_words, seed=0):
    torch.manual_seed(seed)
    tables = [0.1 * torch.randn(n_words, D) for _ in range(HOPS + 1)]
    ages = [0.1 * torch.randn(SLOTS + 1, D) for _ in range(HOPS + 1)]
    longest = max(max(len(w) for s, q, _ in questions for w in s + [q]), 1)
    return Padded(tables, ages, longest) if name == 'padded' else Ragged(tables, ages, longest, name == 'ragged-jit')


def step(program, batch):
    loss = program.loss(batch)
    gradients = torch.autograd.grad(loss, program.parameters)
    with torch.no_grad():
        norm = torch.sqrt(sum((g * g).sum() for g in gradients))
        factor = -LR * min(1.0, CLIP / (float(norm) + 1e-6))
        for p, g in zip(program.parameters, gradients):
            p.add_(g, alpha=factor)


def cpu_s():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def measure(program, batches, seconds):
    windows, i = [], 0
    for length in [0.5] + [seconds / 3] * 3: # the first warms up
        wall, cpu, steps = time.perf_counter(), cpu_s(), 0
        while steps == 0 or time.perf_counter() - wall < length:
            step(program, batches[i % len(batches)])
            i, steps = i + 1, steps + 1
        windows.append({'steps': steps, 'wall': time.perf_counter() - wall, 'cpu': cpu_s() - cpu})
    return windows[1:]


def check(questions, n_words):
    of = {}
    for name in ('padded', 'ragged', 'ragged-jit'):
        program = make(name, questions, n_words)
        loss = program.loss(program.batch(questions[::293]))
        gradients = torch.autograd.grad(loss, program.parameters)
        if name == 'padded': # side by side, as the others have them
            gradients = [torch.cat(gradients[:HOPS + 1], 1), torch.cat(gradients[HOPS + 1:], 1)]
        of[name] = float(loss), gradients
    for name, (loss, gradients) in of.items():
        apart = max(float((g - w).abs().max()) for g, w in zip(gradients, of['padded'][1]))
        print('%-12s loss %.6f, largest difference of a gradient %.1e' % (name, loss, apart))
        if abs(loss - of['padded'][0]) > 1e-5 or apart > 1e-5:
            sys.exit('the programs differ')


def main():
    questions, n_words = read_questions()
    if sys.argv[1] == 'check':
        return check(questions, n_words)
    name, n, threads, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    torch.set_num_threads(threads)
    program, draw = make(name, questions, n_words), random.Random(0)
    batches = [program.batch(draw.sample(questions, n)) for _ in range(N_BATCHES)]
    print(json.dumps({'impl': 'torch-' + name, 'workload': 'babi-memn2n' if n == 16 else 'babi-memn2n-%d' % n,
                      'threads': threads, 'units_per_step': max(1, n // 32),
                      'windows': measure(program, batches, seconds),
                      'peak_rss_mib': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 'torch': torch.__version__}))


if __name__ == '__main__':
    main()
