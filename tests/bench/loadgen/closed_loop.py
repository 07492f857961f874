"""Closed loop: every connection sends its next request as soon as the last is answered."""

import time
from collections.abc import Iterator

from bench.loadgen.connections import OK, READ, Connections

_GRACE = 10.0
"""Seconds that outstanding answers may take after the last request."""


def run(connections: Connections, requests: Iterator[bytes], seconds: float) -> tuple[int, list[int]]:
    """Offer load for `seconds`, or until the requests are used up.

    Returns:
        How many requests were sent, and the latency of each answer in nanoseconds.

    Raises:
        TimeoutError: Answers are missing.
    """
    clock = time.monotonic_ns
    poll, receive, send, whole_ok = (
        connections.poll,
        connections.receive,
        connections.send,
        connections.whole_ok,
    )
    latencies: list[int] = []
    sent_at: dict[int, int] = {}
    sent = ok = 0
    end = clock() + int(seconds * 1e9)
    for descriptor, request in zip(connections.descriptors(), requests, strict=False):
        sent_at[descriptor] = clock()
        send[descriptor](request)
        sent += 1
    while sent_at:
        ready = poll(_GRACE)
        if not ready:
            raise TimeoutError(f"{len(sent_at)} requests got no answer in {_GRACE:.0f} s")
        for descriptor, _ in ready:
            try:
                data = receive[descriptor](READ)
            except ConnectionError:
                data = b""
            # The common case is written out: a call less per request. A request is always sent whole, for the
            # socket's buffer is empty.
            if len(data) in whole_ok and data.startswith(OK):
                ok += 1
            elif not connections.take(descriptor, data):
                if not data:
                    sent_at.pop(descriptor, None)
                continue
            now = clock()
            latencies.append(now - sent_at[descriptor])
            if now < end and (following := next(requests, None)) is not None:
                sent_at[descriptor] = now
                send[descriptor](following)
                sent += 1
            else:
                del sent_at[descriptor]
    connections.statuses[200] += ok
    return sent, latencies
