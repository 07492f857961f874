"""The keep-alive connections, and what they were answered."""

import select
import socket
from collections import Counter
from collections.abc import Callable

from bench.loadgen import answer

LOST = 0
"""Stands for the status of a request whose connection broke."""
OK = b"HTTP/1.1 200"
READ = 65536


class Connections:
    """Non-blocking sockets under one epoll, each with at most one request outstanding."""

    def __init__(self, port: int, count: int) -> None:
        self._port = port
        self._epoll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        self._partial: dict[int, bytes] = {}
        self.poll = self._epoll.poll
        # Bound methods, ready for the closed loop: what the generator saves is left to what it measures.
        self.send: dict[int, Callable[[bytes], int]] = {}
        self.receive: dict[int, Callable[[int], bytes]] = {}
        self.statuses: Counter[int] = Counter()
        self.whole_ok: set[int] = set()
        """Lengths that a whole 200 answer has had. A read of such a length needs no parsing.

        Should a read by chance stop at such a length, the rest of that answer is unreadable: a loud mistake.
        """
        for _ in range(count):
            self.open()

    def open(self) -> int:
        """Add a connection; answers its file descriptor."""
        connection = socket.create_connection(("127.0.0.1", self._port), timeout=5)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setblocking(False)
        descriptor = connection.fileno()
        self._sockets[descriptor] = connection
        self._epoll.register(descriptor, select.EPOLLIN)
        self.send[descriptor] = connection.send
        self.receive[descriptor] = connection.recv
        return descriptor

    def descriptors(self) -> list[int]:
        return list(self._sockets)

    def read(self, descriptor: int) -> bytes:
        """What has come; nothing if the connection is lost."""
        try:
            return self.receive[descriptor](READ)
        except ConnectionError:
            return b""

    def take(self, descriptor: int, data: bytes) -> bool:
        """Count what was read; answers whether the connection may send again.

        A lost connection is counted and not replaced: its absence shows.
        """
        if not data:
            self.statuses[LOST] += 1
            self._epoll.unregister(descriptor)
            self._sockets.pop(descriptor).close()
            self._partial.pop(descriptor, None)
            return False
        raw = self._partial.pop(descriptor, b"") + data
        status = answer.status(raw)
        if status is None:
            self._partial[descriptor] = raw
            return False
        if status == 200 and len(raw) == len(data):
            self.whole_ok.add(len(data))
        self.statuses[status] += 1
        return True
