#!/usr/bin/env python3
"""Prototypical networks in PyTorch, as its users would write them for speed: the peer of `proto20` and `proto60`.

  prototypes_peer.py LAYOUT WORKLOAD THREADS SECONDS        LAYOUT: contiguous, or channels-last

The model of experiments/omniglot-20w1s-prototypes.yaml (Snell, Swersky and Zemel 2017): four blocks of 3x3 convolution, 64
filters, batch norm with running statistics, ReLU and 2x2 max-pooling on 28 x 28 pixels; logits are minus the squared distances to
the class means. A step is one episode: forwards and backwards on support and query together, and Adam. The images
lie ready in memory. The last line of standard output is the JSON object that tests/bench/workload prints too.
"""
import json
import resource
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

WAYS = {'proto20': 20, 'proto60': 60}
QUERIES, FILTERS, SIDE, WINDOWS, EPISODES = 5, 64, 28, 3, 4


def block(c_in):
    return [nn.Conv2d(c_in, FILTERS, 3, padding=1, bias=False), nn.BatchNorm2d(FILTERS), nn.ReLU(inplace=True), nn.MaxPool2d(2)]


def episode(way, memory_format):
    images = torch.rand(way * (1 + QUERIES), 1, SIDE, SIDE)
    return images.contiguous(memory_format=memory_format), torch.arange(way).repeat_interleave(QUERIES)


def cpu_s():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def measure(step, seconds):
    """Windows of whole steps, after as long a time of warming up as one of them."""
    windows = []
    for window in range(1 + WINDOWS):
        steps, began, cpu = 0, time.perf_counter(), cpu_s()
        while steps == 0 or time.perf_counter() < began + seconds / WINDOWS:
            step()
            steps += 1
        windows.append({'steps': steps, 'wall': time.perf_counter() - began, 'cpu': cpu_s() - cpu})
    return windows[1:]


def main():
    layout, workload, threads, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    if workload not in WAYS:
        sys.exit(print('unsupported') or 1)
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    way, memory_format = WAYS[workload], torch.channels_last if layout == 'channels-last' else torch.contiguous_format
    model = nn.Sequential(*block(1), *block(FILTERS), *block(FILTERS), *block(FILTERS), nn.Flatten()).to(memory_format=memory_format)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.001)
    episodes = [episode(way, memory_format) for _ in range(EPISODES)]
    turn = 0

    def step():
        nonlocal turn
        images, target = episodes[turn % EPISODES]
        turn += 1
        features = model(images)
        prototypes, queries = features[:way], features[way:]  # the square of a query is the same for all classes
        loss = F.cross_entropy(2 * queries @ prototypes.t() - prototypes.square().sum(1), target)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()

    windows = measure(step, seconds)
    print(json.dumps({'impl': 'torch-prototypes-' + layout, 'workload': workload, 'threads': threads, 'units_per_step': 1,
                      'windows': windows, 'peak_rss_mib': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                      'torch_threads': torch.get_num_threads()}))


if __name__ == '__main__':
    main()
