"""A learner of one's own: what it must have, how it is loaded, and how what it gives becomes a row."""

import hashlib
import importlib.util
import inspect
import os
import re
import sys
import sysconfig

import numpy as np

from . import errors, sums

MAX_TENSORS, MAX_RANK, MAX_SCORES, MAX_NAME = 320, 4, 32, 95


class Learner:
    """Derive from it and fill in. Everything is a function of its arguments: workers are many, are killed, and compute the
    same task twice, and all of them must get the same bits.

    scores: name -> "lower" or "higher" (what is better), then "share" for one from 0 to 1 that is told in per cent, or
    "number", then perhaps a unit: {"loss": "lower number nats", "accuracy": "higher share"}. By the first of them thetas are
    compared (evaluate.keep_best).

    version: what else decides the bits, as a digest of the data files; workers that differ in it are of another numeric class."""

    scores = {"loss": "lower"}
    version = ""

    def parameters(self):
        """Theta of step 0: name -> array. Read when the card is written, and by workers for names and shapes."""
        raise NotImplementedError

    def task(self, split, index, seed):
        """Task `index` of "train", "val" or "test", in any form. Draw from mnemo_worker.stream(seed, split, index)."""
        raise NotImplementedError

    def train(self, theta, task):
        """(gradients: name -> array like theta's, scores: name -> number) of a task. theta: name -> float32 array, not to
        be written to. The coordinator averages over the tasks of a meta-step and makes the outer step. What is not finite
        makes the task one that is skipped (outer.nonfinite)."""
        raise NotImplementedError

    def test(self, theta, task):
        """scores: name -> number, or (sum over items, number of items) where tasks differ in these."""
        return self.train(theta, task)[1]


def load(where):
    """An object of the class that "path/file.py:Class" or "package.module:Class" names."""
    path, colon, name = where.rpartition(":")
    if not colon or not path or not name:
        raise errors.Failure(errors.USAGE, f'"{where}" is no learner: expected FILE.py:CLASS, as in my_learner.py:MyLearner')
    try:
        if path.endswith(".py"):
            if not os.path.isfile(path):
                raise errors.Failure(errors.NO_INPUT, f"there is no file {path}")
            sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
            spec = importlib.util.spec_from_file_location(os.path.basename(path)[:-3], path)
            module = importlib.util.module_from_spec(spec)
            sys.modules[spec.name] = module
            spec.loader.exec_module(module)
        else:
            module = importlib.import_module(path)
    except errors.Failure:
        raise
    except Exception as error:  # the user's own code: whatever it raises, it is no learner
        raise errors.Failure(errors.CONFIG, f"{path}: {type(error).__name__}: {error}") from error
    made = getattr(module, name, None)
    if made is None:
        known = [key for key, value in vars(module).items() if inspect.isclass(value) and value.__module__ == module.__name__]
        raise errors.Failure(errors.CONFIG, f"{path} has no class {name}; it has {', '.join(known) or 'none'}")
    if not (inspect.isclass(made) and issubclass(made, Learner)):
        raise errors.Failure(errors.CONFIG, f"{name} of {path} is no class derived from mnemo_worker.Learner")
    try:
        return made()
    except Exception as error:
        raise errors.Failure(errors.CONFIG, f"{where} cannot be made: {type(error).__name__}: {error}") from error


def source_digest():
    """SHA-256 of the source files that are loaded and are the user's: neither Python's, nor of an installed package, nor ours."""
    theirs = [os.path.realpath(path) + os.sep for path in (*(sysconfig.get_path(k) for k in ("stdlib", "platstdlib")),
                                                           os.path.dirname(os.path.abspath(__file__)))]
    digests = set()
    for module in list(sys.modules.values()):
        path = os.path.realpath(getattr(module, "__file__", None) or "")
        if not path.endswith(".py") or any(part in path.split(os.sep) for part in ("site-packages", "dist-packages")):
            continue
        if not path.startswith(tuple(theirs)):
            with open(path, "rb") as file:
                digests.add(hashlib.sha256(file.read()).digest())
    return hashlib.sha256(b"".join(sorted(digests))).hexdigest()


class Shape:
    """Names and shapes of theta and the scores, in the coordinator's order: how vectors become arrays, and gradients rows."""

    def __init__(self, tensors, scores):
        self.tensors = list(tensors.items())  # (name, shape)
        self.scores = list(scores.items())  # (name, "lower number nats")
        self.size = sum(int(np.prod(shape, dtype=np.int64)) for _, shape in self.tensors)
        self.train_columns = self.size + len(self.scores) + 2
        self.test_columns = 2 * len(self.scores) + 2

    @classmethod
    def of(cls, learner):
        """The learner's own, checked. Also theta of step 0: (shape, name -> float32 array)."""
        who = type(learner).__name__
        start = {}
        for name, array in learner.parameters().items():
            array = np.asarray(array)
            if array.dtype not in (np.float32, np.float64):
                raise errors.Failure(errors.CONFIG, f"{who}.parameters(): {name} is of {array.dtype}; expected float32")
            if not re.fullmatch(r"[^\s\x00-\x1f\x7f]{1,%d}" % MAX_NAME, name) or name == "__metadata__":
                raise errors.Failure(errors.CONFIG, f"{who}.parameters(): {name!r} is no name: expected up to {MAX_NAME} "
                                     "characters without spaces")
            if name.startswith(("optimiser.", "average.", "best.")):
                raise errors.Failure(errors.CONFIG, f"{who}.parameters(): {name}: names that begin so are of other vectors in a "
                                     "checkpoint; call it otherwise")
            if array.ndim > MAX_RANK or array.size == 0:
                raise errors.Failure(errors.CONFIG, f"{who}.parameters(): {name} has shape {array.shape}; expected at most "
                                     f"{MAX_RANK} dimensions, and some numbers")
            if not np.isfinite(array).all():
                raise errors.Failure(errors.CONFIG, f"{who}.parameters(): {name} has numbers that are not finite")
            start[name] = np.array(array, np.float32, order="C")
        if not 1 <= len(start) <= MAX_TENSORS:
            raise errors.Failure(errors.CONFIG, f"{who}.parameters() has {len(start)} arrays; expected 1 to {MAX_TENSORS}")
        return cls({name: array.shape for name, array in start.items()}, _check_scores(who, learner.scores)), start

    @classmethod
    def read(cls, text):
        """From the card's text that came with WELCOME (common/learner_card.h)."""
        tensors, scores = {}, {}
        for line in text.splitlines():
            kind, name, *rest = line.split(" ")
            if kind == "tensor":
                tensors[name] = tuple(int(extent) for extent in rest)
            elif kind == "score":
                scores[name] = " ".join(rest)
        return cls(tensors, scores)

    def text(self):
        lines = [" ".join(["tensor", name, *map(str, shape)]) for name, shape in self.tensors]
        lines += [f"score {name} {words}" for name, words in self.scores]
        return "".join(line + "\n" for line in lines)

    def scores_text(self):
        """The metadata mnemo.scores of a card."""
        return "".join(f"{name} {words}\n" for name, words in self.scores)

    def digest(self):
        return hashlib.sha256(self.text().encode()).digest()

    def differs(self, mine):
        """In what another learner's shape is not this run's, as a sentence; "": the same, be it in another order."""
        run, own = dict(self.tensors), dict(mine.tensors)
        for name, shape in run.items():
            if name not in own:
                return f"the run has a tensor {name} {list(shape)}, which this learner lacks (it has {', '.join(own)})"
            if own[name] != shape:
                return f"{name} has shape {list(shape)} in the run, but {list(own[name])} in this learner"
        for name, shape in own.items():
            if name not in run:
                return f"this learner has a tensor {name} {list(shape)}, which the run lacks (it has {', '.join(run)})"
        run, own = dict(self.scores), dict(mine.scores)
        if run != own:
            return f"the run has the scores {_list(run)}, but this learner {_list(own)}"
        return ""

    def arrays(self, vector):
        """Views of theta [size], by name, that cannot be written to."""
        out, at = {}, 0
        for name, shape in self.tensors:
            n = int(np.prod(shape, dtype=np.int64))
            view = vector[at:at + n].reshape(shape)
            view.flags.writeable = False
            out[name] = view
            at += n
        return out

    def train_row(self, who, made):
        """The row of a training task, float32 [train_columns]; blank and skipped if it is not finite."""
        try:
            gradients, scores = made
        except (TypeError, ValueError) as error:
            raise errors.Failure(errors.CONFIG, f"{who}.train() gave {type(made).__name__}; expected (gradients, scores)") from error
        row = np.zeros(self.train_columns, np.float32)
        at = 0
        strange = set(gradients) - {name for name, _ in self.tensors}
        if strange:
            raise errors.Failure(errors.CONFIG, f"{who}.train(): there is a gradient of {', '.join(sorted(strange))}, which theta lacks")
        for name, shape in self.tensors:
            if name not in gradients:
                raise errors.Failure(errors.CONFIG, f"{who}.train(): there is no gradient of {name}; give zeros if nothing moves it")
            gradient = np.asarray(gradients[name])
            if gradient.shape != shape:
                raise errors.Failure(errors.CONFIG, f"{who}.train(): the gradient of {name} has shape {list(gradient.shape)}; "
                                     f"expected {list(shape)}")
            row[at:at + gradient.size] = gradient.ravel()
            at += gradient.size
        for name, _ in self.scores:
            row[at] = self._score(who, "train", scores, name)[0]
            at += 1
        return _finish(row)

    def test_row(self, who, scores):
        """The row of a test task, float32 [test_columns]: scores, then their weights."""
        row = np.zeros(self.test_columns, np.float32)
        for i, (name, _) in enumerate(self.scores):
            row[i], row[i + len(self.scores)] = self._score(who, "test", scores, name)
        return _finish(row)

    @staticmethod
    def _score(who, which, scores, name):
        try:
            value = scores[name]
            value, weight = value if isinstance(value, tuple) else (value, 1.0)
            return float(value), float(weight)
        except (KeyError, TypeError, ValueError) as error:
            raise errors.Failure(errors.CONFIG, f"{who}.{which}(): the score {name} is missing or no number") from error


def is_skipped(row):
    return row[-1] != 0


def _finish(row):
    """As a learner of Mnemo's own: right, or blank with skipped = 1, so that the decision is the same everywhere."""
    row[-2], row[-1] = 1, 0
    if not sums.accepts(row):
        row[:] = 0
        row[-1] = 1
    return row


def _check_scores(who, scores):
    out = {}
    for name, words in scores.items():
        better, kind, *unit = (words.split() + ["number"])[:2] + words.split()[2:]
        if (not re.fullmatch("[A-Za-z0-9_]{1,31}", name) or better not in ("lower", "higher") or
                kind not in ("number", "share") or len(" ".join(unit)) > 23):
            raise errors.Failure(errors.CONFIG, f'{who}.scores: {name!r}: {words!r} is no score; expected a name of letters, digits '
                                 'and "_", and "lower|higher", then perhaps "number|share" and a unit of up to 23 characters')
        out[name] = " ".join([better, kind, *unit])
    if not 1 <= len(out) <= MAX_SCORES:
        raise errors.Failure(errors.CONFIG, f"{who}.scores has {len(out)} scores; expected 1 to {MAX_SCORES}")
    return out


def _list(scores):
    return ", ".join(f"{name} ({words})" for name, words in scores.items())
