"""Exact sums of rows, their packed form and the checksum of frames, by libmnemo_sums.so (worker/python/sums.h)."""

import ctypes
import os

import numpy as np

VERSION = 1
MAX_ROWS = 32768  # of one sum

_path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "libmnemo_sums.so")
try:
    _library = ctypes.CDLL(_path)
except OSError as error:
    raise ImportError(
        f"{error}. Mnemo's build makes this library: cmake --preset release && cmake --build --preset release; then "
        "install the folder build/release/python, or put it on PYTHONPATH"
    ) from error
_library.mnemo_sums_version.restype = ctypes.c_uint32
if _library.mnemo_sums_version() != VERSION:
    raise ImportError(
        f"{_path} is of version {_library.mnemo_sums_version()}, but this package needs {VERSION}: install both from one build"
    )
_library.mnemo_sums_accepts.argtypes = [ctypes.c_size_t, ctypes.c_void_p]
_library.mnemo_sums_add.argtypes = [ctypes.c_size_t, ctypes.c_void_p, ctypes.c_void_p]
_library.mnemo_sums_add.restype = None
_library.mnemo_sums_most.argtypes = [ctypes.c_size_t]
_library.mnemo_sums_most.restype = ctypes.c_size_t
_library.mnemo_sums_pack.argtypes = [ctypes.c_size_t, ctypes.c_void_p, ctypes.c_void_p]
_library.mnemo_sums_pack.restype = ctypes.c_size_t
_library.mnemo_sums_checksum.argtypes = [ctypes.c_size_t, ctypes.c_void_p]
_library.mnemo_sums_checksum.restype = ctypes.c_uint64


def accepts(row):
    """Is each number of a contiguous float32 vector finite and below 2^24 in size, so that it may be added?"""
    return bool(_library.mnemo_sums_accepts(row.size, row.ctypes.data))


class ExactSum:
    """A sum of float32 rows of n columns that does not depend on their order."""

    def __init__(self, n):
        self.n = n
        self._digits = np.zeros(2 * n, np.int64)

    def add(self, row):
        """row: contiguous float32 [n] that `accepts` took; at most MAX_ROWS of them."""
        assert row.dtype == np.float32 and row.shape == (self.n,) and row.flags.c_contiguous
        _library.mnemo_sums_add(self.n, row.ctypes.data, self._digits.ctypes.data)

    def pack(self):
        """The bytes of a RESULT of encoding PACKED."""
        out = np.empty(_library.mnemo_sums_most(self.n), np.uint8)
        size = _library.mnemo_sums_pack(self.n, self._digits.ctypes.data, out.ctypes.data)
        return out[:size].tobytes()


def checksum(data):
    """XXH3-64 of bytes."""
    view = np.frombuffer(data, np.uint8)
    return int(_library.mnemo_sums_checksum(view.size, view.ctypes.data))
