"""All connections of the front: how many there may be, and how long each may keep us waiting."""

import asyncio
from collections import Counter
from itertools import takewhile
from typing import TYPE_CHECKING

import structlog

from hookline.config import Edge
from hookline.edge.proxies import Proxies

if TYPE_CHECKING:
    from hookline.edge.front.connection import Connection

_log = structlog.get_logger(__name__)

_LEAVING_SECONDS = 2.0
"""How long a client may take to read its last answer, once it was told that the connection ends."""
_LEAVING_CONNECTIONS = 256
"""How many may do so at a time, beside those that are counted."""
_TICKS = 8
"""How often the shortest wait is looked at while it lasts."""
_SLOWEST_TICK = 0.5
_REPORT_EVERY = 60.0
"""Seconds between two log lines about refusals: one each would be a flood of its own."""

HEADROOM = _LEAVING_CONNECTIONS
"""Open files that connections need beyond their greatest number."""


class Waiting(dict["Connection", float]):
    """Connections that we wait for, the longest wait first; with the loop's time at which each wait began."""

    def __init__(self, allowance: float | None) -> None:
        super().__init__()
        self.allowance = allowance
        """Seconds that a wait may take; None where the application has a deadline of its own."""

    def late(self, now: float) -> list["Connection"]:
        """Those whose wait has been too long."""
        if self.allowance is None:
            return []
        since = now - self.allowance
        return [connection for connection, _ in takewhile(lambda item: item[1] <= since, self.items())]


class Connections:
    """Every connection is in at most one queue: that of what we wait for from its client.

    A connection with a request under way, which waits for us, is in none.
    """

    def __init__(self, limits: Edge) -> None:
        self.limits = limits
        self.idle = Waiting(limits.keep_alive.total_seconds())
        """Answered, and nothing came since."""
        self.heads = Waiting(limits.header_deadline.total_seconds())
        """The first or next request's head is not complete."""
        self.bodies = Waiting(None)
        """A request's body is not complete."""
        self.unread = Waiting(limits.send_deadline.total_seconds())
        """The client does not read its answers."""
        self.leaving = Waiting(_LEAVING_SECONDS)
        """They had their last answer."""
        self._queues = (self.idle, self.heads, self.bodies, self.unread, self.leaving)
        self._open: set[Connection] = set()
        """Those that aren't leaving."""
        self._proxies = Proxies(limits.trusted_proxies)
        self._addresses: Counter[str] = Counter()
        self._refusals: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()
        """Connections that we ended, or refused to answer properly, by cause; since the start."""
        self._tick = min(
            _SLOWEST_TICK, *(queue.allowance / _TICKS for queue in self._queues if queue.allowance)
        )
        self._timer: asyncio.TimerHandle | None = None
        self._reported = 0.0

    @property
    def open(self) -> int:
        """How many there are, beside those that had their last answer."""
        return len(self._open)

    def admit(self, connection: "Connection", address: str) -> bool:
        """Take a new connection in; answers whether it may send requests.

        When there are too many, one goes from which we only wait for something: first one that is idle, then the one
        whose request has been incomplete for the longest. So slow senders can't keep the others out. Only when
        every connection waits for us is a new one turned away.
        """
        loop = asyncio.get_running_loop()
        self._open.add(connection)
        self._addresses[address] += 1
        if self._timer is None:
            self._reported = loop.time()
            self._timer = loop.call_later(self._tick, self._sweep)
        most_of_one = self.limits.max_connections_per_address
        is_too_many = most_of_one is not None and self._addresses[address] > most_of_one
        if is_too_many and not self._proxies.trusts(address):  # whose address all clients share
            return False
        if len(self._open) > self.limits.max_connections:
            for queue in (self.idle, self.heads, self.bodies, self.unread):
                if queue:
                    self.count("evicted")
                    next(iter(queue)).evict()
                    return True
            return False
        return True

    def forget(self, connection: "Connection", address: str) -> None:
        """A connection is closed."""
        self.place(connection, None)
        self._open.discard(connection)
        self._addresses[address] -= 1
        if not self._addresses[address]:
            del self._addresses[address]

    def place(self, connection: "Connection", queue: Waiting | None) -> None:
        """Begin to wait for a connection's client, or stop to."""
        if connection.queue is not None:
            del connection.queue[connection]
        connection.queue = queue
        if queue is not None:
            queue[connection] = connection.loop.time()
            if queue is self.leaving:
                self._open.discard(connection)
                if len(queue) > _LEAVING_CONNECTIONS:
                    first = next(iter(queue))
                    self.place(first, None)
                    first.abort()

    def count(self, code: str) -> None:
        """Count a refusal."""
        self._refusals[code] += 1
        self.ended[code] += 1

    def _sweep(self) -> None:
        """End every wait that has been too long."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        # The timer lives no longer than the connections, so that a server that ends leaves nothing behind.
        self._timer = loop.call_later(self._tick, self._sweep) if self._addresses else None
        for queue in self._queues:
            for connection in queue.late(now):
                connection.expire()
        if self._refusals and now - self._reported >= _REPORT_EVERY:
            _log.warning("requests refused before they reached the application", causes=dict(self._refusals))
            self._refusals.clear()
            self._reported = now
