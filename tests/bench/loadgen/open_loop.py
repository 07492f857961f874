"""Open loop: requests leave at a fixed rate, whether or not earlier ones are answered."""

import select
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from bench.loadgen.connections import Connections

_GRACE = 10.0
"""Seconds that outstanding answers may take after the last request."""


@dataclass(slots=True)
class OpenLoop:
    """What happened, in nanoseconds of the monotonic clock."""

    send_times: list[int] = field(default_factory=list)
    lateness: list[int] = field(default_factory=list)
    """From a request's due time to its sending: how far the loop was from its rate."""
    latencies: list[int] = field(default_factory=list)


def run(connections: Connections, requests: Iterator[bytes], seconds: float, per_second: int) -> OpenLoop:
    """Send `seconds * per_second` requests, evenly spaced, each on a connection that is free.

    Raises:
        TimeoutError: Answers are missing.
    """
    clock = time.monotonic_ns
    done = OpenLoop()
    free = deque(connections.descriptors())
    sent_at: dict[int, int] = {}
    count, gap = int(seconds * per_second), 1_000_000_000 // per_second
    start = clock()
    while len(done.send_times) < count or sent_at:
        due = start + len(done.send_times) * gap
        now = clock()
        if len(done.send_times) < count and now >= due:
            descriptor = free.popleft() if free else connections.open()
            sent_at[descriptor] = now
            connections.send[descriptor](next(requests))
            done.send_times.append(now)
            done.lateness.append(now - due)
            continue
        last = len(done.send_times) == count
        # select waits to the microsecond, epoll only to the millisecond.
        ready, _, _ = select.select(sent_at, (), (), _GRACE if last else (due - now) / 1e9)
        if last and not ready:
            raise TimeoutError(f"{len(sent_at)} requests got no answer in {_GRACE:.0f} s")
        for descriptor in ready:
            data = connections.read(descriptor)
            whole = connections.take(descriptor, data)
            if whole:
                done.latencies.append(clock() - sent_at[descriptor])
                free.append(descriptor)
            if whole or not data:
                del sent_at[descriptor]
    return done
