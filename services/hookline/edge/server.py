"""Run the edge as a process of its own."""

import asyncio
import contextlib
from collections.abc import Iterator

import structlog
import uvicorn

from hookline import address
from hookline.config import Settings
from hookline.edge.app import create_app, read_shards
from hookline.edge.listener import listen
from hookline.edge.protocol import GatheringProtocol
from hookline.errors import ConfigError
from hookline.process import Stop, calm_garbage_collection
from hookline.telemetry.tracing import Tracing

_log = structlog.get_logger(__name__)

_KEEP_ALIVE = 75
"""Seconds that an idle connection stays open: longer than the proxies that usually stand in front."""
_DRAIN = 15
"""Seconds that requests may take to finish on shutdown; longer than a request's own deadline."""


class _Server(uvicorn.Server):
    """uvicorn, with signals left to us: it would raise them again after its shutdown."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(settings: Settings) -> None:
    """Receive webhooks until told to stop, then finish the requests that are under way."""
    dsn = settings.dsn()
    if dsn is None:
        raise ConfigError("no database: set HOOKLINE_DATABASE_URL")
    stop = Stop()
    tracing = Tracing(settings.telemetry, service="hookline-edge")
    app = create_app(settings, tracing, shards=await read_shards(dsn))
    listener = listen(settings.edge.http)
    server = _Server(
        uvicorn.Config(
            app,
            http=GatheringProtocol,
            proxy_headers=False,  # nobody asks for the client's address
            ws="none",
            lifespan="on",
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE,
            timeout_graceful_shutdown=_DRAIN,
        )
    )
    calm_garbage_collection()
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    _log.info(
        "edge listening",
        http=str(address.Address(*listener.getsockname()[:2])),
        sources=sorted(settings.sources),
    )
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        await serving
    finally:
        stopping.cancel()
        await tracing.shutdown()
        _log.info("edge stopped")
