"""libmnemo from Python by ctypes alone: adapt a trained model to a few examples, and ask it.

    import mnemo
    model = mnemo.Model("model.safetensors")                  # a file of mnemo export, a checkpoint, or a run's folder
    adapted = model.adapt(x, labels=[0, 0, 1, 1])             # or, of curves, y=[...]; x: all numbers, one after the other
    adapted.predict(x)                                        # a list of rows: probabilities, or values
    mnemo.Model("stories.safetensors").ask("mary went home.\n", "where is mary?")   # [("home", 0.98), ...]

x, y and answers are flat sequences of floats (lists, array.array, numpy arrays with .ravel()). Failures are mnemo.Error.
MNEMO_LIBRARY names the library where the loader does not find it. Models may be shared by threads; calls release Python's lock.
"""
import ctypes
import os

_lib = ctypes.CDLL(os.environ.get("MNEMO_LIBRARY", "libmnemo.so.0.1"))
_floats, _labels = ctypes.POINTER(ctypes.c_float), ctypes.POINTER(ctypes.c_uint32)
AS_TRAINED = 2**32 - 1


class Error(Exception):
    """.code: one of mnemo_code in mnemo.h."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class _Error(ctypes.Structure):
    _fields_ = [("code", ctypes.c_int), ("message", ctypes.c_char * 1024)]


class _Answer(ctypes.Structure):
    _fields_ = [("word", ctypes.c_char * 64), ("probability", ctypes.c_float)]


class _Examples(ctypes.Structure):
    _fields_ = [("n", ctypes.c_size_t), ("x", _floats), ("n_x", ctypes.c_size_t), ("labels", _labels),
                ("n_labels", ctypes.c_size_t), ("n_classes", ctypes.c_uint32), ("y", _floats), ("n_y", ctypes.c_size_t)]


def _declare(name, result, *arguments):
    function = getattr(_lib, name)
    function.restype, function.argtypes = result, arguments
    return function


_handle, _out, _error = ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p), ctypes.POINTER(_Error)
for _name in ("model_classes", "model_values", "model_steps", "adapted_classes", "adapted_columns", "adapted_steps"):
    _declare("mnemo_" + _name, ctypes.c_uint32, _handle)
for _name in ("model_any_classes", "model_judges_together", "model_reads_stories"):
    _declare("mnemo_" + _name, ctypes.c_int, _handle)
for _name in ("model_free", "adapted_free"):
    _declare("mnemo_" + _name, None, _handle)
for _name in ("model_load", "adapted_load"):
    _declare("mnemo_" + _name, ctypes.c_int, ctypes.c_char_p, _out, _error)
for _name in ("predict", "outputs"):
    _declare("mnemo_" + _name, ctypes.c_int, _handle, ctypes.c_size_t, _floats, ctypes.c_size_t, _floats, ctypes.c_size_t, _error)
_declare("mnemo_ask", ctypes.c_int, _handle, ctypes.c_char_p, ctypes.c_char_p, ctypes.POINTER(_Answer), ctypes.c_size_t,
         ctypes.POINTER(ctypes.c_size_t), _error)
_declare("mnemo_version", ctypes.c_char_p)
_declare("mnemo_model_name", ctypes.c_char_p, _handle)
_declare("mnemo_model_step", ctypes.c_uint64, _handle)
_declare("mnemo_model_item", ctypes.c_size_t, _handle, ctypes.POINTER(ctypes.c_uint32))
_declare("mnemo_adapted_item", ctypes.c_size_t, _handle)
_declare("mnemo_adapted_save", ctypes.c_int, _handle, ctypes.c_char_p, _error)
_declare("mnemo_adapt", ctypes.c_int, _handle, ctypes.POINTER(_Examples), ctypes.c_uint32, _out, _error)


def version():
    return _lib.mnemo_version().decode()


def _call(function, *arguments):
    error = _Error()
    if function(*arguments, ctypes.byref(error)) != 0:
        raise Error(error.code, error.message.decode(errors="replace"))


def _floats_of(numbers):
    numbers = list(numbers)
    return (ctypes.c_float * len(numbers))(*numbers)


class Adapted:
    def __init__(self, handle):
        self._handle = handle
        self.classes, self.steps = _lib.mnemo_adapted_classes(handle), _lib.mnemo_adapted_steps(handle)
        self.item, self.columns = _lib.mnemo_adapted_item(handle), _lib.mnemo_adapted_columns(handle)

    @classmethod
    def load(cls, path):
        handle = ctypes.c_void_p()
        _call(_lib.mnemo_adapted_load, os.fsencode(path), ctypes.byref(handle))
        return cls(handle)

    def save(self, path):
        _call(_lib.mnemo_adapted_save, self._handle, os.fsencode(path))

    def _ask(self, function, x):
        x = _floats_of(x)
        n = len(x) // self.item if self.item else 0
        answers = (ctypes.c_float * (n * self.columns))()
        _call(function, self._handle, n, x, len(x), answers, len(answers))
        return [list(answers[i * self.columns : (i + 1) * self.columns]) for i in range(n)]

    def predict(self, x):
        """Of each item: a probability of each class; or values, and their deviations where they are told."""
        return self._ask(_lib.mnemo_predict, x)

    def outputs(self, x):
        """The network's own numbers, as logits."""
        return self._ask(_lib.mnemo_outputs, x)

    def __del__(self):
        if getattr(self, "_handle", None):
            _lib.mnemo_adapted_free(self._handle)


class Model:
    def __init__(self, path):
        self._handle, size = ctypes.c_void_p(), (ctypes.c_uint32 * 3)()
        _call(_lib.mnemo_model_load, os.fsencode(path), ctypes.byref(self._handle))
        self.item = _lib.mnemo_model_item(self._handle, size)
        self.size = tuple(size)  # height, width, channels of an item; channels of a pixel lie side by side
        self.name = _lib.mnemo_model_name(self._handle).decode()
        for what in ("classes", "any_classes", "values", "steps", "step", "judges_together", "reads_stories"):
            setattr(self, what, getattr(_lib, "mnemo_model_" + what)(self._handle))

    def adapt(self, x, labels=None, y=None, classes=None, steps=AS_TRAINED):
        """classes: how many there are (default: the largest label and one)."""
        x, examples, handle = _floats_of(x), _Examples(), ctypes.c_void_p()
        examples.x, examples.n_x = x, len(x)
        examples.n = len(x) // self.item if self.item else 0
        if labels is not None:
            labels = list(labels)
            examples.n_labels, examples.n_classes = len(labels), classes or max(labels, default=0) + 1
            examples.labels = (ctypes.c_uint32 * len(labels))(*labels)
        if y is not None:
            y = _floats_of(y)
            examples.y, examples.n_y = y, len(y)
        _call(_lib.mnemo_adapt, self._handle, ctypes.byref(examples), steps, ctypes.byref(handle))
        return Adapted(handle)

    def ask(self, story, question, answers=3):
        """Of a model of stories: the most probable answers, as (word, probability)."""
        found, unknown = (_Answer * answers)(), ctypes.c_size_t()
        _call(_lib.mnemo_ask, self._handle, story.encode(), question.encode(), found, answers, ctypes.byref(unknown))
        return [(one.word.decode(), one.probability) for one in found]

    def __del__(self):
        if getattr(self, "_handle", None):
            _lib.mnemo_model_free(self._handle)
