"""Run the edge as a process of its own."""

import asyncio
from datetime import timedelta

import structlog

from hookline import address
from hookline.config import Settings
from hookline.edge.app import create_app
from hookline.edge.front import descriptors
from hookline.edge.front.server import build
from hookline.edge.listener import BACKLOG, listen
from hookline.process import Stop, calm_garbage_collection

_log = structlog.get_logger(__name__)

_DRAIN = timedelta(seconds=15)
"""How long requests may take to finish on shutdown; longer than a request's own deadline."""


async def serve(settings: Settings) -> None:
    """Receive webhooks until told to stop, then finish the requests that are under way."""
    descriptors.reserve(settings.edge.max_connections, backlog=BACKLOG)
    stop = Stop()
    app = create_app(settings)
    # Not by uvicorn's lifespan: that would turn an error with advice into a traceback and an exit code.
    async with app.running():
        listener = listen(settings.edge.http)
        server = build(app, settings.edge, drain=_DRAIN)
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
    _log.info("edge stopped")
