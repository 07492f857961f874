"""uvicorn, with this front as its protocol: it listens, keeps the date, and ends when told to."""

import asyncio
import contextlib
import functools
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from hookline.config import Edge
from hookline.edge.front.connection import Connection
from hookline.edge.front.connections import Connections
from hookline.edge.front.tls import Tls
from hookline.tls.certificates import Certificates


class Server(uvicorn.Server):
    """uvicorn, with signals left to us: it would raise them again after its shutdown."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


def build(
    app: ASGIApp,
    limits: Edge,
    *,
    drain: timedelta,
    connections: Connections | None = None,
    certificates: Certificates | None = None,
) -> Server:
    """A server for one application; it serves listening sockets that it is given.

    Args:
        app: What answers. Who calls starts and stops it.
        limits: What a sender may do.
        drain: How long requests may take to finish on shutdown.
        connections: What bounds them, for who wants to look at it.
        certificates: What clients are shown. None: they speak in the clear.
    """
    protocol: Callable[..., asyncio.Protocol] = functools.partial(
        Connection, connections or Connections(limits)
    )
    return Server(
        uvicorn.Config(
            app,
            http=_over_tls(protocol, certificates) if certificates else protocol,  # type: ignore[arg-type] # called
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,  # who may say for whom it asks is judged by edge.proxies
            timeout_graceful_shutdown=int(drain.total_seconds()),
        )
    )


def _over_tls(protocol: Callable[..., Any], certificates: Certificates) -> Callable[..., asyncio.Protocol]:
    def make(**given: Any) -> Tls:
        return Tls(protocol(**given), certificates.pair.context)

    return make
