"""The workloads of the comparison with PyTorch (shapes, inner steps and rates as in the peers' README), and how
`mnemo bench` is asked for one."""
import json
import os
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get('MNEMO_BUILD', os.path.join(ROOT, 'build', 'release'))
DATA = os.environ.get('MNEMO_DATA', os.path.join(ROOT, '..', 'shared', 'data'))

FIRST = ['meta.order=1']
CONV = ['model.input=conv4', 'model.filters=64', 'model.downsampling=stride', 'model.readout=mean']
FC = ['model.input=mlp', 'model.hidden=[256,128,64,64]', 'model.batch_norm=true']
SINE = ['outer.batch=25', 'meta.inner_steps=5', 'meta.inner_lr=0.01', 'tasks.shot=10', 'tasks.query=10']


def images(way, query, steps, lr, batch):
    return ['tasks.way=%d' % way, 'tasks.shot=1', 'tasks.query=%d' % query, 'meta.inner_steps=%d' % steps,
            'meta.inner_lr=%g' % lr, 'outer.batch=%d' % batch]


def prototypes(way):
    """One episode a step, five queries a class; batch norm by the statistics of the set at hand, and a running estimate."""
    return ['tasks.way=%d' % way, 'tasks.shot=1', 'tasks.query=5', 'tasks.warp=0', 'outer.batch=1', 'outer.average=0']


OM5, OM20 = images(5, 1, 1, 0.4, 32), images(20, 1, 5, 0.1, 16)
OM5Q15, OM20Q15 = images(5, 15, 1, 0.4, 32), images(20, 15, 1, 0.4, 16)

WORKLOADS = {
    'sine10-maml': ('sinusoid', SINE),
    'sine10-fomaml': ('sinusoid', SINE + FIRST),
    'om5-maml': ('omniglot', OM5 + CONV),
    'om5-fomaml': ('omniglot', OM5 + CONV + FIRST),
    'om5q15-maml': ('omniglot', OM5Q15 + CONV),
    'om5q15-fomaml': ('omniglot', OM5Q15 + CONV + FIRST),
    'om20-maml': ('omniglot', OM20 + CONV),
    'om20-fomaml': ('omniglot', OM20 + CONV + FIRST),
    'om20q15-maml': ('omniglot', OM20Q15 + CONV),
    'om20q15-fomaml': ('omniglot', OM20Q15 + CONV + FIRST),
    'omfc5-maml': ('omniglot', OM5 + FC),
    'omfc5-fomaml': ('omniglot', OM5 + FC + FIRST),
    'om5-metasgd': ('omniglot', OM5 + CONV + ['meta.kind=meta-sgd']),
    'om5-anil': ('omniglot', OM5 + CONV + ['meta.kind=anil']),
    # five steps on all ten images of a task: two shots to adapt on; the query image only measures
    'om5-reptile': ('omniglot', images(5, 1, 5, 0.1, 32) + CONV + ['meta.kind=reptile', 'tasks.shot=2']),
    # conv4-64 with max-pooling on 28 x 28, once forwards and back; the peer is prototypes_peer.py
    'proto20': ('prototypes', prototypes(20)),
    'proto60': ('prototypes', prototypes(60)),
    # sequences of 50 drawings of 20 x 20 pixels, 16 side by side in a task: a unit is a sequence
    'mann5': ('sequences', ['tasks.bundle=16', 'outer.batch=1']),
    # 16 questions a step, as the experiment has them; and 64, as two tasks of 32
    'babi-memn2n': ('stories', ['tasks.bundle=16', 'outer.batch=1']),
    'babi-memn2n-64': ('stories', ['tasks.bundle=32', 'outer.batch=2']),
}
UNITS = {'mann5': 16}  # of a task, where that is not the unit that the peer counts
# An experiment file, and what takes its place (with its settings) without Omniglot's archives.
EXPERIMENT = {
    'sinusoid': ('sinusoid-maml.yaml', None),
    'omniglot': ('omniglot-5w1s-maml.yaml', ('glyphs-5w1s-maml.yaml', [])),
    'prototypes': ('omniglot-20w1s-prototypes.yaml', ('glyphs-5w1s-prototypes.yaml', ['model.downsampling=max-pool'])),
    'sequences': ('omniglot-mann-5.yaml', ('glyph-sequences-mann.yaml', [])),
    'stories': ('babi-1k-joint-memn2n.yaml', None),
}


MEMN2N = ('padded', 'ragged', 'ragged-jit')
# Peers that stand beside this file: programs, and what they are told before threads and seconds.
PEERS = {
    'proto20': [['prototypes_peer.py', layout, 'proto20'] for layout in ('contiguous', 'channels-last')],
    'proto60': [['prototypes_peer.py', layout, 'proto60'] for layout in ('contiguous', 'channels-last')],
    'babi-memn2n': [['memn2n_peer.py', program, '16'] for program in MEMN2N],
    'babi-memn2n-64': [['memn2n_peer.py', program, '64'] for program in MEMN2N],
}


def has_omniglot():
    files = ('omniglot/images_background.zip', 'images_background.zip', 'omniglot28.mnd')
    return any(os.path.exists(os.path.join(folder, file)) for folder in DATA.split(':') for file in files)


def experiment(name):
    """The experiment file of a workload and its --set options. Without Omniglot's archives: drawn glyphs."""
    kind, settings = WORKLOADS[name]
    file, instead = EXPERIMENT[kind]
    if instead and not has_omniglot():
        file, settings = instead[0], instead[1] + settings
    return [os.path.join(ROOT, 'experiments', file)] + [word for s in settings for word in ('--set', s)]


def environment(**more):
    return dict(os.environ, MNEMO_DATA=DATA, OMP_NUM_THREADS='1', OPENBLAS_NUM_THREADS='1',
                OMPI_ALLOW_RUN_AS_ROOT='1', OMPI_ALLOW_RUN_AS_ROOT_CONFIRM='1',
                OMPI_MCA_rmaps_base_oversubscribe='1', **more)


def peer_environment(threads):
    """As the peers' run_all.py has it: so many threads for OpenMP and BLAS, and freed memory stays in the process, without
    which PyTorch is up to three times as slow."""
    return {'OMP_NUM_THREADS': threads, 'OPENBLAS_NUM_THREADS': threads, 'MKL_NUM_THREADS': threads,
            'MALLOC_MMAP_THRESHOLD_': str(1 << 32), 'MALLOC_TRIM_THRESHOLD_': str(1 << 34), 'MALLOC_TOP_PAD_': str(1 << 26)}


def program(name):
    return os.path.join(BUILD, 'bin', name)


def bench(name, threads, seconds, *settings, profile=False):
    """What `mnemo bench --json` says of a workload, changed by more settings; raises CalledProcessError."""
    command = [program('mnemo'), 'bench', *experiment(name), '--threads', str(threads), '--seconds', str(seconds), '--json']
    for setting in settings:
        command += ['--set', setting]
    done = subprocess.run(command + ['--profile'] * profile, stdout=subprocess.PIPE, text=True, check=True, env=environment())
    figures = json.loads(done.stdout)
    figures.update(impl='mnemo', workload=name, threads=int(threads))
    figures['units_per_step'] *= UNITS.get(name, 1)
    return figures
