"""uvicorn for a status address: few connections, each for one request."""

import asyncio
import contextlib
from collections.abc import Iterator
from operator import itemgetter

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

_MOST_CONNECTIONS = 32
"""The next one ends the oldest: whoever asks is answered at once, so who hangs on is no loss."""
_PATIENCE = 15.0
"""Seconds that a connection may last: longer than a scrape takes, whatever its client does."""
_STOP_PATIENCE = 1
"""Seconds that answers under way may take at the end."""


def build(app: ASGIApp) -> "Server":
    """A server for one application; it serves a listening socket that it is given."""
    return Server(
        uvicorn.Config(
            app,
            http=_Connection,
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            log_level="error",  # what strangers send wrongly is no news
            server_header=False,
            proxy_headers=False,
            # One request for each connection, so that none has to be kept for who might ask again.
            headers=[("connection", "close")],
            timeout_graceful_shutdown=_STOP_PATIENCE,
        )
    )


class _Connection(H11Protocol):
    """A client's connection, which ends after a while whatever its client does."""

    end: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn writes it
        """Serve one more, and let the oldest go if there are too many."""
        super().connection_made(transport)
        self.end = self.loop.call_later(_PATIENCE, transport.abort)
        if len(self.connections) > _MOST_CONNECTIONS:
            known = [
                (one.end.when(), one) for one in self.connections if isinstance(one, _Connection) and one.end
            ]
            _, oldest = min(known, key=itemgetter(0))
            oldest.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """The end."""
        if self.end is not None:
            self.end.cancel()
            self.end = None
        super().connection_lost(exc)


class Server(uvicorn.Server):
    """uvicorn, with signals left to us."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield
