"""The numeric class of a worker: workers of one class give the same bits, as far as can be told before they compute.

It is the SHA-256 of these lines: the digest of the learner's source files and of all others of the
user's that it has loaded, what it says of itself (version), the versions of Python, NumPy and PyTorch (where it
is loaded), the processor's model and its vector instructions, the number of threads (one), what the environment tells the
numerical libraries (OPENBLAS_CORETYPE, MKL_CBWR and the like), and a self-test: the digest of the rows that the first training
task and the first test task give at theta of step 0."""

import hashlib
import os
import platform
import sys

from . import learner as learners

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
_TOLD = ("OPENBLAS_CORETYPE", "MKL_CBWR", "MKL_DEBUG_CPU_TYPE", "ATEN_CPU_CAPABILITY", "DNNL_MAX_CPU_ISA", "NPY_DISABLE_CPU_FEATURES")


def lines(learner, shape, start, seed):
    """What the class is made of, in words. start: theta of step 0, [shape.size]. Computes two tasks."""
    import numpy

    # First, for it may load more of the user's modules, or PyTorch.
    theta = shape.arrays(start)
    who = type(learner).__name__
    train = shape.train_row(who, learner.train(theta, learner.task("train", 0, seed)))
    test = shape.test_row(who, learner.test(theta, learner.task("test", 0, seed)))
    out = [f"learner {learners.source_digest()[:16]}", f"python {platform.python_version()}", f"numpy {numpy.__version__}"]
    if learner.version:
        out.append(f"version {learner.version}")
    torch = sys.modules.get("torch")
    if torch is not None:
        out.append(f"torch {torch.__version__} threads {torch.get_num_threads()}")
    out.append(f"processor {_processor()}")
    out += [f"{name} {os.environ[name]}" for name in THREAD_VARIABLES + _TOLD if name in os.environ]
    out.append(f"self-test {hashlib.sha256(train.tobytes() + test.tobytes()).hexdigest()[:16]}")
    return out


def digest(made_of):
    return hashlib.sha256("\n".join(made_of).encode()).digest()


def short():
    """For the coordinator's log, at most 31 characters."""
    torch = sys.modules.get("torch")
    library = f"torch {torch.__version__}" if torch is not None else f"numpy {sys.modules['numpy'].__version__}"
    return f"python {platform.python_version()} {library}"[:31]


def _processor():
    """The model, and a digest of its instructions: a virtual machine may hide some."""
    model, flags = platform.machine(), ""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                key, _, value = line.partition(":")
                if key.strip() == "model name":
                    model = value.strip()
                elif key.strip() in ("flags", "Features"):
                    flags = " ".join(sorted(value.split()))
                if not line.strip():
                    break
    except OSError:
        pass
    return f"{model}, instructions {hashlib.sha256(flags.encode()).hexdigest()[:8]}"
