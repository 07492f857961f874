"""uvicorn, with this front as its protocol: it listens, keeps the date, and ends when told to."""

import contextlib
import functools
from collections.abc import Iterator
from datetime import timedelta

import uvicorn
from starlette.types import ASGIApp

from hookline.config import Edge
from hookline.edge.front.connection import Connection
from hookline.edge.front.connections import Connections


class Server(uvicorn.Server):
    """uvicorn, with signals left to us: it would raise them again after its shutdown."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


def build(app: ASGIApp, limits: Edge, *, drain: timedelta) -> Server:
    """A server for one application; it serves listening sockets that it is given.

    Args:
        app: What answers. Who calls starts and stops it.
        limits: What a sender may do.
        drain: How long requests may take to finish on shutdown.
    """
    return Server(
        uvicorn.Config(
            app,
            http=functools.partial(Connection, Connections(limits)),  # type: ignore[arg-type] # called, and no more
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,  # nobody asks for the client's address
            timeout_graceful_shutdown=int(drain.total_seconds()),
        )
    )
