"""A worker: the socket, the clock, signals and the log around the core, and the bench that computes."""

import os
import random
import secrets
import signal
import socket as sockets
import sys
import time

import numpy as np
import zmq
from zmq.utils.monitor import recv_monitor_message

from . import errors, learner as learners, numeric_class, wire
from .bench import Bench, Built, Result
from .core import Core

_LEVELS = {"debug": 0, "info": 1, "warning": 2, "error": 3}
_WATCHED = zmq.EVENT_DISCONNECTED | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | \
    zmq.EVENT_HANDSHAKE_FAILED_AUTH


class Worker:
    """options: learner ("FILE.py:CLASS"), endpoint, name, key, secret (a file's path), patience, once, level."""

    def __init__(self, options):
        self.options = options
        self.name = options.name or f"{sockets.gethostname()}:{os.getpid()}"
        self.uuid = secrets.randbits(64), secrets.randbits(64)
        self.secret = wire.read_secret(options.secret) if options.secret else ""
        self.learner = learners.load(options.learner)
        self.own, self.start = learners.Shape.of(self.learner)
        self.context = zmq.Context()
        self.socket = self.monitor = None
        self.encrypted = False
        self.dials = 0
        self.key = ""  # of the place that we were given
        self.made_of, self.join, self.welcome, self.built = [], None, None, None
        self.thetas = {}  # version -> name -> array; at most two
        self.bench = Bench(self.learner)
        self.ended = None
        self.busy = False  # at the end: the bench still is
        self.core = Core(now=time.monotonic(), patience_s=options.patience, jitter=lambda: random.uniform(0.5, 1), once=options.once)
        self.core.theta_size = self.own.size

    def run(self):
        """Until the run is over, or it is asked to leave: the exit code."""
        reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(writer)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: None)
        try:
            self._feed("tick")
            while self.ended is None:
                self._wait(reader)
                self._take_signal(reader)
                self._take_connection_event()
                self._take_messages()
                self._take_results()
                self._feed("tick")
        finally:
            self.busy = self.bench.end()
            self._hang_up()
            self.context.term()  # waits, but no longer than the sockets linger
        code, text = self.ended
        if code == 0:
            self.log("info", text)
        else:
            print(f"mnemo_worker: {text}", file=sys.stderr, flush=True)
        return code

    def log(self, level, text):
        if _LEVELS[level] >= _LEVELS[self.options.level]:
            mark = "" if level in ("info", "debug") else f" {level}:"
            print(f"{time.strftime('%H:%M:%S')} worker {os.getpid()}{mark} {text}", file=sys.stderr, flush=True)

    # ---- what comes in

    def _wait(self, signals):
        poller = zmq.Poller()
        for item in (signals, self.bench.fd, self.socket, self.monitor):
            if item is not None:
                poller.register(item, zmq.POLLIN)
        poller.poll(min(max(self.core.wake() - time.monotonic(), 0) * 1000 + 1, 60000))

    def _take_signal(self, reader):
        """The first asks the core to leave; after it they have their usual effect again."""
        try:
            number = os.read(reader, 1)[0]
        except BlockingIOError:
            return
        self.log("info", f"signal {number}: leaving; a second one ends at once")
        for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(each, signal.SIG_DFL)
        self._feed("quit")

    def _take_messages(self):
        """Are all taken that have come?"""
        for _ in range(32):
            if self.socket is None or self.ended is not None:
                return True
            try:
                received = wire.receive(self.socket, 4 * self.own.size)
            except wire.Nonsense as error:
                self._feed("nonsense", text=str(error))
                continue
            if received is None:
                return True
            self._feed("message", what=received)
        return False

    def _take_results(self):
        while self.ended is None:
            made = self.bench.take()
            if made is None:
                return
            if isinstance(made, Result):
                self._feed("result", what=made.epoch, result=made)
            elif isinstance(made, Built) and made.of is not self.welcome:
                continue  # another WELCOME came since
            elif isinstance(made, Built) and made.failure is None:
                self._feed("built")
            elif isinstance(made, Built):
                self._feed("not built", code=made.failure.code, text=str(made.failure))
            else:  # the learner is wrong: others may have the tasks
                self._perform_say("LEAVE")
                self.ended = made.code, str(made)

    def _take_connection_event(self):
        if self.monitor is None or not self.monitor.poll(0):
            return
        event = recv_monitor_message(self.monitor)
        what, value = event["event"], event["value"]
        if what == zmq.EVENT_DISCONNECTED:  # what was said before may be that the run is over
            dials = self.dials
            while not self._take_messages():
                pass
            if self.ended is None and self.dials == dials:
                self._feed("lost")
        else:  # a word against our key stands; all else may pass, as when the run moves
            self._feed("dial failed", code=errors.PERMISSION if what == zmq.EVENT_HANDSHAKE_FAILED_AUTH else errors.UNAVAILABLE,
                       text=self._refusal(what, value))

    def _refusal(self, event, value):
        if event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
            return ("the coordinator refused this worker's key: it is not on the allow-list; have the line of its .public file "
                    "added to workers.allow in the run's folder of keys, and start again")
        if not self.encrypted:
            return ("the coordinator does not take our greeting; if the run takes workers with keys only, use its endpoint file, "
                    "or --key, and --secret FILE")
        if event == zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL and value == zmq.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH:
            return "we were given a key of the coordinator, but it uses none: is the endpoint file, or --key, of another run?"
        return "the coordinator has another key than we were told: is the endpoint file, or --key, of another run?"

    # ---- one step of the core, and what it wants done

    def _feed(self, event, what=None, text="", code=0, result=None):
        follow = [(event, what, text, code)]
        while follow and self.ended is None:
            event, what, text, code = follow.pop(0)
            for action in self.core.step(time.monotonic(), event, what, text, code):
                try:
                    self._perform(action, result)
                except errors.Failure as failure:
                    if action.kind != "dial":
                        raise
                    follow.append(("dial failed", None, str(failure), failure.code))

    def _perform(self, action, result):
        kind = action.kind
        if kind == "dial":
            self._dial(action.text)
        elif kind == "hang up":
            self._hang_up()
        elif kind == "say":
            self._perform_say(action.text)
        elif kind == "build":
            self.welcome = action.what
            self.bench.keep(())
            self.bench.build(self._build, self.welcome)
        elif kind == "theta":
            self._set_theta(action.what)
        elif kind == "submit":
            self.bench.submit(action.what, self.thetas[action.what.round.step])
        elif kind == "clear":
            self.bench.keep(())
        elif kind == "send result":
            self._send_result(result)
        elif kind == "log":
            self.log(action.level, action.text)
        elif kind == "end":
            text = action.text
            if action.code == errors.PROTOCOL and "numeric class" in text:
                text += "\nThe class of this worker is made of:\n  " + "\n  ".join(self.made_of)
            self.ended = action.code, text

    def _build(self, welcome):
        """In the bench's thread: compare the learner with the run's, and find the numeric class. What is there for such a run
        is kept."""
        if not welcome.learner:
            raise errors.Failure(errors.CONFIG, "this run computes with a learner of Mnemo's own (tasks.kind is not external): join it "
                                 "with mnemo-worker")
        shape = learners.Shape.read(welcome.learner)
        difference = shape.differs(self.own)
        if difference:
            self.log("error", f"{type(self.learner).__name__} is not the learner of this run: {difference}")
            self.built, self.join = None, (bytes(32), self.own.digest())  # so that the coordinator says no, and why
            return
        seed = _seed_of(welcome.experiment)
        if self.built == (welcome.learner, seed):
            self.join = self.join[0], welcome.data
            return
        start = np.concatenate([self.start[name].ravel() for name, _ in shape.tensors])
        self.made_of = numeric_class.lines(self.learner, shape, start, seed)
        self.join = numeric_class.digest(self.made_of), welcome.data
        self.bench.shape, self.bench.seed = shape, seed
        self.built = welcome.learner, seed
        self.log("info", f"{type(self.learner).__name__}: {shape.size} numbers in {len(shape.tensors)} tensors, numeric class "
                 f"{self.join[0].hex()[:16]}")

    def _set_theta(self, received):
        version = received.message.theta.version
        theta = self.bench.shape.arrays(np.frombuffer(received.payload, "<f4"))
        self.thetas = {known: self.thetas[known] for known in self.core.versions if known in self.thetas and known != version}
        self.thetas[version] = theta
        self.bench.keep(self.core.leases)

    # ---- the connection

    def _dial(self, away):
        """away: a run to which a sweep's door has sent us, and which has the door's key; "": none."""
        address, key = wire.read_endpoint(away or self.options.endpoint, self.uuid[0])
        if not away:
            self.key = key or self.options.key
        key = self.key
        if key and not self.secret:
            raise errors.Failure(errors.PERMISSION, "this run takes workers with keys only, and this worker has none: give it --secret "
                                 "FILE or MNEMO_WORKER_SECRET=FILE. Who started the run makes one with `mnemo keys worker NAME` in "
                                 "its folder of keys")
        self.encrypted = bool(key)
        self.dials += 1
        self.socket = wire.dial(self.context, address, key, self.secret, self._monitor)
        self.log("debug", f"dialing {address}")

    def _monitor(self, socket):
        self.monitor = socket.get_monitor_socket(_WATCHED, f"inproc://connection-{self.dials}")

    def _hang_up(self):
        if self.socket is not None:
            self.socket.disable_monitor()
            self.socket.close()
        if self.monitor is not None:  # be it that of a dial that failed
            self.monitor.close(0)
        self.socket = self.monitor = None

    def _perform_say(self, kind):
        envelope = wire.Envelope()
        if kind == "HELLO":
            hello = envelope.hello
            hello.protocol, hello.version, hello.name, hello.threads = wire.PROTOCOL, "python", self.name[:95], 1
            hello.uuid_high, hello.uuid_low = self.uuid
            if not self.core.away:
                hello.visits, hello.refused = self.core.visits, self.core.refused
        elif kind == "JOIN":
            envelope.join.numeric_class, envelope.join.data = self.join
            envelope.join.kernels = numeric_class.short()
        else:
            getattr(envelope, kind.lower()).SetInParent()
        self._send(envelope)

    def _send_result(self, result):
        if result.n_skipped:
            self.log("warning", f"{result.text} ({result.n_skipped} of {result.n_tasks} tasks of this lease)")
        envelope = wire.Envelope()
        said = envelope.result
        said.epoch, said.encoding, said.n_tasks, said.n_columns = result.epoch, result.encoding, result.n_tasks, result.n_columns
        said.compute_us, said.sums_us = min(result.compute_us, 2**32 - 1), min(result.sums_us, 2**32 - 1)
        self._send(envelope, result.payload)

    def _send(self, envelope, payload=b""):
        if self.socket is None:
            return
        try:
            wire.send(self.socket, envelope, payload)
        except zmq.ZMQError as error:
            self.log("warning", f"not sent: {error}")  # silence will tell the core


def _seed_of(experiment):
    for line in experiment.splitlines():
        if line.startswith("seed: "):
            return int(line[len("seed: "):])
    raise errors.Failure(errors.PROTOCOL, "the coordinator's experiment has no seed")


