"""Messages of proto/mnemo.proto over ZeroMQ, as proto/wire.h has them: a header frame, then the payload in frames of at most
1 MB. What comes from outside is checked here: sizes, kinds, the checksum."""

import os
from dataclasses import dataclass
from typing import Any

import zmq
from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory

from . import errors, sums

PROTOCOL = 4  # MN_PROTOCOL_VERSION of proto/message.h
FRAME_BYTES = 1 << 20
MAX_INTERVAL_MS = 86400000
ROWS, PACKED = 0, 1
TRAIN_ROUND, TEST_ROUND = 0, 1
MAX_ROUND_TASKS = 100000


def _envelope():
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "mnemo.desc")
    try:
        with open(path, "rb") as file:
            files = descriptor_pb2.FileDescriptorSet.FromString(file.read())
    except OSError as error:
        raise ImportError(f"{error}; Mnemo's build makes it: see mnemo_worker/sums.py") from error
    pool = descriptor_pool.DescriptorPool()
    for one in files.file:
        pool.Add(one)
    wanted = pool.FindMessageTypeByName("mnemo.Envelope")
    if hasattr(message_factory, "GetMessageClass"):
        return message_factory.GetMessageClass(wanted)
    return message_factory.MessageFactory(pool).GetPrototype(wanted)


Envelope = _envelope()


class Nonsense(Exception):
    """Something came that is no message for a worker."""


@dataclass
class Received:
    message: Any  # Envelope
    payload: bytes = b""


def dial(context, address, server_key="", secret_key="", monitored=None):
    """A DEALER that tries to connect until it is closed. Keys are Z85 text; none: no encryption. monitored: called with the
    socket before it connects."""
    socket = context.socket(zmq.DEALER)
    try:
        for option, value in (
            (zmq.LINGER, 1000), (zmq.SNDHWM, 0), (zmq.RCVHWM, 1024), (zmq.HANDSHAKE_IVL, 10000), (zmq.HEARTBEAT_IVL, 2000),
            (zmq.HEARTBEAT_TIMEOUT, 10000), (zmq.MAXMSGSIZE, FRAME_BYTES), (zmq.RECONNECT_IVL, 100),
            (zmq.RECONNECT_IVL_MAX, 2000),
        ):
            socket.setsockopt(option, value)
        if server_key:
            secret = secret_key.encode()
            socket.curve_publickey = zmq.curve_public(secret)
            socket.curve_secretkey = secret
            socket.curve_serverkey = server_key.encode()
        if monitored is not None:
            monitored(socket)
        socket.connect(address)
    except (zmq.ZMQError, ValueError) as error:
        socket.close(0)
        raise errors.Failure(errors.CONFIG, f"cannot dial {address}: {error}; expected tcp://HOST:PORT or ipc://FILE, and "
                             "keys of 40 characters of Z85") from error
    return socket


def send(socket, envelope, payload=b""):
    """May raise zmq.ZMQError: the queue is full or the connection gone; silence will tell."""
    if payload:
        envelope.payload_bytes = len(payload)
        envelope.payload_checksum = sums.checksum(payload)
    frames = [envelope.SerializeToString()]
    view = memoryview(payload)
    frames += [view[at:at + FRAME_BYTES] for at in range(0, len(payload), FRAME_BYTES)]
    socket.send_multipart(frames, zmq.DONTWAIT)


def receive(socket, max_payload):
    """The next message; None: none is waiting. Nonsense: one came that is none."""
    try:
        frames = socket.recv_multipart(zmq.DONTWAIT)
    except zmq.Again:
        return None
    header, body = frames[0], frames[1:]
    try:
        envelope = Envelope.FromString(header)
    except message.DecodeError as error:
        raise Nonsense(f"a header of {len(header)} bytes that is none: {error}") from error
    payload = b"".join(body)
    if len(payload) != envelope.payload_bytes or len(payload) > max_payload:
        raise Nonsense(f"{len(payload)} bytes behind a header that announces {envelope.payload_bytes}, of which at most "
                       f"{max_payload} are expected")
    if payload and sums.checksum(payload) != envelope.payload_checksum:
        raise Nonsense("a payload whose checksum is another")
    _check(envelope)
    return Received(envelope, payload)


def _check(envelope):
    kind = envelope.WhichOneof("body")
    if kind is None:
        raise Nonsense(f"a header of no kind that protocol {PROTOCOL} has")
    body = getattr(envelope, kind)
    if kind == "welcome":
        fits = 1 <= body.heartbeat_ms <= MAX_INTERVAL_MS and 1 <= body.silence_ms <= MAX_INTERVAL_MS
    elif kind == "theta":
        fits = body.n >= 1 and envelope.payload_bytes == 4 * body.n
    elif kind == "lease":
        round_ = body.round
        fits = (body.epoch > 0 and round_.id > 0 and round_.kind in (TRAIN_ROUND, TEST_ROUND) and 0 <= round_.split <= 2 and
                1 <= round_.n_tasks <= MAX_ROUND_TASKS and body.n >= 1 and body.begin + body.n <= round_.n_tasks and
                round_.first_task + round_.n_tasks < 2**64)
        fits = fits and (round_.kind == TEST_ROUND or body.n <= sums.MAX_ROWS)
    elif kind == "visit":  # places, never a file
        fits = (1 <= body.for_ms <= MAX_INTERVAL_MS and len(body.endpoint.encode()) < 256 and
                (not body.endpoint or body.endpoint.startswith(("tcp://", "ipc://"))))
    else:
        fits = True
    if not fits or (kind != "theta" and envelope.payload_bytes):
        raise Nonsense(f"{kind.upper()} with numbers that make no sense")


def missing_endpoint(where):
    """What to say if neither an endpoint file is there, nor the folder of a run in which it may be yet to come; else None."""
    folder, name = os.path.split(where)
    if "://" in where or os.path.exists(where) or (name == "endpoint" and os.path.isdir(folder or ".")):
        return None
    return (f"there is no {where}: is it mistyped? Expected the folder of a run, its endpoint file, or tcp://HOST:PORT. "
            "It is waited for, in case the run has yet to begin")


def read_endpoint(where, chosen):
    """(address, key) of "tcp://...", of a run's endpoint file or of its folder; `chosen` picks one of several ranks."""
    if "://" in where:
        return where, ""
    path = os.path.join(where, "endpoint") if os.path.isdir(where) else where
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = file.read(1 << 20).splitlines()
    except FileNotFoundError as error:
        raise errors.Failure(errors.NO_INPUT, f"there is no {path}: has the run begun, or is it over?") from error
    except OSError as error:
        raise errors.Failure(errors.IO, str(error)) from error
    addresses = [line[len("endpoint: "):] for line in lines if line.startswith("endpoint: ")]
    keys = [line[len("key: "):] for line in lines if line.startswith("key: ")]
    if not addresses:
        raise errors.Failure(errors.DATA, f'{path} has no line "endpoint: tcp://HOST:PORT"; expected the endpoint file of a '
                             "run, or tcp://HOST:PORT")
    key = keys[-1] if keys and keys[-1] != "-" else ""
    return addresses[chosen % len(addresses)], key


def read_secret(path):
    """The key of a NAME.secret as `mnemo keys` makes it; refused if others may read it, as mnemo-worker does."""
    try:
        about = os.stat(path)
        if about.st_mode & 0o077 and not (about.st_uid == 0 and about.st_mode & 0o037 == 0):
            raise errors.Failure(errors.PERMISSION, f"{path} is open to others, and a secret key must not be: chmod 600 {path}")
        with open(path, encoding="utf-8", errors="replace") as file:
            keys = [line.split()[1] for line in file.read(1 << 16).splitlines() if line.startswith("secret: ") and line.split()[1:]]
    except OSError as error:
        raise errors.Failure(errors.NO_INPUT, f"{error}") from error
    if len(keys) != 1 or len(keys[0]) != 40:
        raise errors.Failure(errors.DATA, f"{path} holds no secret key: expected a file NAME.secret as `mnemo keys` makes it")
    return keys[0]
