"""The thread that computes: leases in, results out, one task after the other. The worker's own thread goes on to say that it
lives meanwhile."""

import os
import threading
import time
import traceback
from collections import deque
from dataclasses import dataclass
from typing import Any

from . import errors, learner as learners, sums, wire
from .random import SPLITS


@dataclass
class Result:
    epoch: int
    encoding: int
    n_tasks: int
    n_columns: int
    payload: bytes
    compute_us: int
    sums_us: int
    n_skipped: int
    text: str = ""  # of the first task that was skipped


@dataclass
class Built:
    of: Any  # what build() was given
    failure: Any = None  # errors.Failure


@dataclass
class _Build:
    function: Any
    of: Any


@dataclass
class _Job:
    lease: Any
    theta: dict
    void: bool = False


class Bench:
    """Jobs are done in the order in which they come. What is done is told by a byte in `fd`, and taken by take()."""

    def __init__(self, learner):
        self._learner = learner
        self._who = type(learner).__name__
        self._lock = threading.Condition()
        self._orders, self._done = deque(), deque()
        self._current = None
        self._busy = self._ended = False
        self.shape, self.seed = None, 0
        self.fd, self._bell = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._thread = threading.Thread(target=self._work, name="bench", daemon=True)
        self._thread.start()

    def build(self, function, of):
        """Call function(of), which may take long and may fail; Built follows."""
        with self._lock:
            self._orders.append(_Build(function, of))
            self._lock.notify()

    def submit(self, lease, theta):
        """theta: name -> array, as the lease's version has it."""
        with self._lock:
            self._orders.append(_Job(lease, theta))
            self._lock.notify()

    def keep(self, epochs):
        """Forget all leases but these; what is in hand ends with its task."""
        with self._lock:
            self._orders = deque(o for o in self._orders if not isinstance(o, _Job) or o.lease.epoch in epochs)
            if self._current is not None and self._current.lease.epoch not in epochs:
                self._current.void = True

    def take(self):
        """The next Result, Built or errors.Failure; None: there is none."""
        try:
            os.read(self.fd, 4096)
        except BlockingIOError:
            pass
        with self._lock:
            return self._done.popleft() if self._done else None

    def end(self):
        """Does not wait for what is in hand, which may take any time. true: there is something, so that the process is to end
        at once, and not to take down what the thread still uses."""
        with self._lock:
            self._ended = True
            self._orders.clear()
            if self._current is not None:
                self._current.void = True
            self._lock.notify()
            return self._busy

    # ---- in the thread

    def _work(self):
        while True:
            with self._lock:
                while not self._orders and not self._ended:
                    self._lock.wait()
                if self._ended:
                    return
                order = self._orders.popleft()
                self._current = order if isinstance(order, _Job) else None
                self._busy = True
            try:
                made = self._do(order)
            except errors.Failure as error:
                made = _failed(order, error)
            except MemoryError:
                made = _failed(order, errors.Failure(errors.NOMEM, f"{self._who} has not enough memory"))
            except Exception:  # whatever a user's program may raise
                where = f"at {self._at}" if isinstance(order, _Job) else "in the self-test"
                made = _failed(order, errors.Failure(errors.CONFIG, f"{self._who} failed {where}:\n{traceback.format_exc().rstrip()}"))
            with self._lock:
                self._current, self._busy = None, False
                if made is not None:
                    self._done.append(made)
            if made is not None:
                try:
                    os.write(self._bell, b"!")
                except BlockingIOError:
                    pass  # it has rung often enough

    def _do(self, order):
        if isinstance(order, _Job):
            return self._compute(order)
        order.function(order.of)
        return Built(order.of)

    def _compute(self, job):
        lease, shape = job.lease, self.shape
        training = lease.round.kind == wire.TRAIN_ROUND
        columns = shape.train_columns if training else shape.test_columns
        total = sums.ExactSum(columns) if training else None
        rows, skipped, text = [], 0, ""
        compute = add = 0
        for i in range(lease.n):
            if job.void:
                return None
            index = lease.round.first_task + lease.begin + i
            split = SPLITS[lease.round.split]
            self._at = f"task {index} of {split}"
            began = time.thread_time_ns()
            task = self._learner.task(split, index, self.seed)
            if training:
                row = shape.train_row(self._who, self._learner.train(job.theta, task))
            else:
                row = shape.test_row(self._who, self._learner.test(job.theta, task))
            computed = time.thread_time_ns()
            if training:
                total.add(row)
            else:
                rows.append(row.tobytes())
            compute += computed - began
            add += time.thread_time_ns() - computed
            if learners.is_skipped(row):
                skipped += 1
                text = text or f"{self._at}: a gradient or score is not finite, or larger than 2^24; it is skipped"
        return Result(lease.epoch, wire.PACKED if training else wire.ROWS, lease.n, columns,
                      total.pack() if training else b"".join(rows), compute // 1000, add // 1000, skipped, text)


def _failed(order, failure):
    return failure if isinstance(order, _Job) else Built(order.of, failure)
