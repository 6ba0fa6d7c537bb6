"""What a benchmark ran on. All of it is read, nothing is guessed: what cannot be read is said."""
import ctypes
import glob
import os
import re
import subprocess
import sys
import time

from workloads import BUILD, ROOT, program


def says(*command):
    try:
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60).stdout.strip()
    except (OSError, subprocess.TimeoutExpired) as e:
        return 'not there (%s)' % e


def first(pattern, text, otherwise='unknown'):
    found = re.search(pattern, text, re.M)
    return found.group(1).strip() if found else otherwise


def read(path, otherwise=''):
    try:
        return open(path).read()
    except OSError:
        return otherwise


def load():
    return [float(x) for x in read('/proc/loadavg', '0 0 0').split()[:3]]


def torch_version(python=sys.executable):
    """('1.13.0', None), or (None, why not)."""
    answer = says(python, '-c', 'import torch; print("torch", torch.__version__)').splitlines() or ['no answer']
    return (answer[-1][6:], None) if answer[-1].startswith('torch ') else (None, '%s: %s' % (python, answer[-1]))


def openblas():
    try:
        library = ctypes.CDLL('libopenblas.so.0')
        library.openblas_get_config.restype = library.openblas_get_corename.restype = ctypes.c_char_p
        return '%s, core %s' % (library.openblas_get_config().decode().strip(), library.openblas_get_corename().decode())
    except (OSError, AttributeError) as e:
        return 'not there (%s)' % e


def caches():
    sizes = {}
    for index in sorted(glob.glob('/sys/devices/system/cpu/cpu0/cache/index*')):
        if read(index + '/type').strip() != 'Instruction':
            sizes['L' + read(index + '/level').strip()] = read(index + '/size').strip()
    return ', '.join('%s %s' % pair for pair in sizes.items()) or 'not readable'


def describe():
    cpu = read('/proc/cpuinfo')
    cache = read(os.path.join(BUILD, 'CMakeCache.txt'))
    compiler = first(r'^CMAKE_C_COMPILER:\w+=(.*)', cache, 'cc')
    build = first(r'^CMAKE_BUILD_TYPE:\w+=(.*)', cache)
    governor = read('/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor', 'not readable').strip()
    return {
        'date': time.strftime('%Y-%m-%dT%H:%MZ', time.gmtime()),
        'commit': first(r'^(\w{7,})$', says('git', '-C', ROOT, 'rev-parse', 'HEAD')),
        'changed files': len(says('git', '-C', ROOT, 'status', '--porcelain', '-uno').splitlines()),
        'cpu': '%s, family %s, model %s' % tuple(first(r'^%s\s*: (.*)' % key, cpu) for key in
                                                 ('model name', 'cpu family', 'model')),
        'instruction sets': ' '.join(f for f in ('avx2', 'fma', 'avx512f', 'avx512_bf16') if re.search(r'\b%s\b' % f, cpu)),
        'virtual machine': 'yes' if re.search(r'\bhypervisor\b', cpu) else 'no',
        'cores': os.cpu_count(), 'caches': caches(), 'governor': governor,
        'system': says('uname', '-sr') + ', ' + says('getconf', 'GNU_LIBC_VERSION'),
        'compiler': says(compiler, '--version').splitlines()[0],
        'build': '%s, %s' % (build, first(r'^CMAKE_C_FLAGS_%s:\w+=(.*)' % build.upper(), cache)),
        'mnemo': says(program('mnemo'), '--version'),
        'Open MPI': first(r'(\d+\.\d+\.\d+)', says('mpirun', '--version')),
        'OpenBLAS': openblas(), 'OPENBLAS_CORETYPE': os.environ.get('OPENBLAS_CORETYPE', 'unset'),
        'python': '%d.%d.%d' % sys.version_info[:3],
    }
