"""Two workers against one, threads and processes: whole training runs of `mnemo train`, by wall clock and by CPU time.

The CPU time of a task is that of a long run less that of a short one, so that starting counts for nothing; it is of
all processes, mpirun too. The wall clock is that of metrics.jsonl while all workers are there.
"""
import json
import os
import statistics
import subprocess
import tempfile
import time

from workloads import bench, environment, experiment, program

SHAPES = {  # name: ranks, threads of each, worker processes of one thread
    'one thread': (1, 1, 0),
    'two threads': (1, 2, 0),
    'two ranks': (2, 1, 0),
    'a rank and a worker process': (1, 1, 1),
}
QUIET = ['evaluate.every=0', 'evaluate.tasks=1', 'evaluate.val_tasks=1', 'evaluate.keep_best=false', 'run.pictures=false',
         'run.checkpoint_every=1000000']


def end(process, patience_s):
    """Wait for a process; one that takes longer is told to stop. CPU seconds of it and of those it waited for."""
    until = time.monotonic() + patience_s
    while True:
        pid, state, usage = os.wait4(process.pid, os.WNOHANG)
        if pid != 0:
            process.returncode = os.waitstatus_to_exitcode(state)
            return usage.ru_utime + usage.ru_stime
        if time.monotonic() > until:
            process.terminate()
            until = float('inf')
        time.sleep(0.02)


def train(workload, shape, steps, settings=()):
    """CPU seconds of a run of so many steps by (ranks, threads of each, worker processes), and its metrics."""
    ranks, threads, workers = shape
    launcher = ['mpirun', '--bind-to', 'none', '-n', str(ranks)] if ranks > 1 else []
    with tempfile.TemporaryDirectory() as folder:
        run = os.path.join(folder, 'run')
        command = launcher + [program('mnemo'), 'train', *experiment(workload), '--run-dir', run, '--quiet']
        for setting in [*QUIET, *settings, 'outer.steps=%d' % steps, 'pool.threads=%d' % threads]:
            command += ['--set', setting]
        helper = [program('mnemo-worker'), '--threads', '1', '--patience', '60', run]
        silent = dict(env=environment(), stdout=subprocess.DEVNULL)
        leader = subprocess.Popen(command, **silent)
        give_up = time.monotonic() + 60
        while workers and not os.path.exists(os.path.join(run, 'endpoint')) and time.monotonic() < give_up:
            time.sleep(0.01)  # workers that dialled in vain would pause, and come long after one another
        helpers = [subprocess.Popen(helper, stderr=subprocess.DEVNULL, **silent) for _ in range(workers)]
        cpu_s = end(leader, 600)
        cpu_s += sum(end(h, 5) for h in helpers)  # one that came too late never hears that the run is over
        if leader.returncode != 0:
            raise subprocess.CalledProcessError(leader.returncode, command)
        return cpu_s, [json.loads(line) for line in open(os.path.join(run, 'metrics.jsonl'))]


def measure(workload, shape, steps, batch):
    """One of Mnemo's shapes: CPU seconds a task, and tasks a second while all are there."""
    ranks, threads, workers = SHAPES[shape]
    everyone = ranks * threads + workers
    short = steps // 4
    short_s, _ = train(workload, SHAPES[shape], short)
    long_s, metrics = train(workload, SHAPES[shape], steps)
    there = [m for m in metrics if m['step'] > short and m['threads'] >= everyone]
    wall_s = there[-1]['wall_s'] - there[0]['wall_s'] if len(there) > 1 else float('nan')
    return {'program': 'mnemo', 'shape': shape, 'workers': everyone, 'wall': batch * (len(there) - 1) / wall_s,
            'cpu': batch * (steps - short) / (long_s - short_s)}


def measure_gloo(workload, peers, python, world, seconds):
    """PyTorch's: the same figures of the peers' bench_ddp.py."""
    command = [python, 'bench_ddp.py', 'loop', workload, str(world), str(seconds), 'gloo']
    done = subprocess.run(command, cwd=peers, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          text=True, check=True, timeout=300)
    run = json.loads(done.stdout.splitlines()[-1])
    rate = {clock: statistics.median(run['units_per_step'] * w['steps'] / w[clock] for w in run['windows'])
            for clock in ('wall', 'cpu')}
    return {'program': 'PyTorch, gloo', 'shape': '%d process%s' % (world, 'es' * (world > 1)), 'workers': world, **rate}


def measure_all(workload, rounds, seconds, peers, python):
    """Round robin, so that all see the same drift of the machine. peers: folder with bench_ddp.py, or None; python: its."""
    rows, failures = [], []
    for _ in range(rounds):
        one, two = (bench(workload, threads, seconds) for threads in (1, 2))
        peaks = {'one': max(one['peak_gflops'], two['peak_gflops']), 'two': two['peak_gflops_together']}
        rows.append({'program': 'SGEMM', 'shape': 'one core', 'workers': 1, 'wall': peaks['one']})
        rows.append({'program': 'SGEMM', 'shape': 'two cores at once', 'workers': 2, 'wall': peaks['two']})
        batch = one['units_per_step']
        steps = max(8, int(4 * seconds * one['tasks_per_second'] / batch))
        todo = [(measure, workload, shape, steps, batch) for shape in SHAPES]
        todo += [(measure_gloo, workload, peers, python, world, 2 * seconds) for world in (1, 2) if peers]
        for call, *arguments in todo:
            try:
                rows.append(call(*arguments))
                print('%-14s %-28s %8.1f tasks/s, %8.1f a CPU second' % tuple(
                    rows[-1][key] for key in ('program', 'shape', 'wall', 'cpu')), flush=True)
            except (subprocess.SubprocessError, OSError, ValueError) as e:
                failures.append('%s %s: %s' % (call.__name__, ' '.join(map(str, arguments)), e))
                print('FAIL', failures[-1], flush=True)
    return {'workload': workload, 'rows': rows, 'failures': failures}
