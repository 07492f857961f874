"""The status address of a process: what it counts, whether it is alive, and whether it can do its work.

An HTTP server of its own, apart from the one that providers call, and in the same event loop: `/healthz` answers only
if that loop turns.

check       what must be so for a process to do its work
listener    the socket
app         what is answered
server      to few connections, each for one request
"""
# ruff: noqa: PLC0415  (without a status address nobody needs the server, and a relay has no other)

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from hookline.status.check import Check, Readiness
from hookline.status.listener import address_of, listen, listen_by_default
from hookline.telemetry.metrics import Metrics

__all__ = [
    "EDGE_DEFAULT",
    "INHERITED",
    "RELAY_DEFAULT",
    "Check",
    "Readiness",
    "address_of",
    "listen_by_default",
    "serving",
]

_log = structlog.get_logger(__name__)

EDGE_DEFAULT = "127.0.0.1:9464"
"""Where `hookline run` answers for the edge, if nothing is configured and it is free."""
RELAY_DEFAULT = "127.0.0.1:9465"
INHERITED = "HOOKLINE_STATUS_SOCKET"
"""The listening socket, as an open file of the process: `hookline run` opens it, so that its address can be told before
there is a child, and stays the same when the child is started again."""


@asynccontextmanager
async def serving(
    where: str | None, *, setting: str, service: str, readiness: Readiness, metrics: Metrics
) -> AsyncIterator[None]:
    """Answer at a status address while the block runs; nowhere if there is none.

    Args:
        where: Host and port.
        setting: Who says so, such as "edge.status".
        service: What this process is, such as "hookline-edge".
        readiness: Asked on each `/readyz`: the process is ready if all is ok.
        metrics: What `/metrics` shows.

    Raises:
        ConfigError: Nothing can listen there.
    """
    inherited = os.environ.get(INHERITED)
    if where is None and inherited is None:
        yield
        return
    from hookline.status.app import StatusApp
    from hookline.status.server import build

    listener = socket.socket(fileno=int(inherited)) if inherited else listen(where or "", setting)
    listener.setblocking(False)
    server = build(StatusApp(service, readiness, metrics))
    at = address_of(listener)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    _log.info("status listening", http=at)
    try:
        yield
    finally:
        server.should_exit = True
        await task
