"""Run the edge as a process of its own."""

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta

import structlog

from hookline import address, status
from hookline.config import Settings
from hookline.edge.app import EdgeApp, create_app
from hookline.edge.front import descriptors
from hookline.edge.front.server import build
from hookline.edge.listener import BACKLOG, listen
from hookline.process import Stop, beside, calm_garbage_collection, given_up_when
from hookline.telemetry.metrics import Metrics
from hookline.telemetry.tracing import Tracing
from hookline.tls.certificates import Certificates
from hookline.tls.pair import PairFiles

_log = structlog.get_logger(__name__)

_DRAIN = timedelta(seconds=15)
"""How long requests may take to finish on shutdown; longer than a request's own deadline."""


async def serve(settings: Settings) -> None:
    """Receive webhooks until told to stop, then finish the requests that are under way."""
    descriptors.reserve(settings.edge.max_connections, backlog=BACKLOG)
    stopping = asyncio.create_task(Stop().wait())
    tracing = Tracing(settings.telemetry, service="hookline-edge")
    metrics = Metrics(settings.telemetry, service="hookline-edge")
    app = create_app(settings, tracing, metrics)
    tls = settings.edge.tls
    try:
        async with AsyncExitStack() as stack:
            # Side by side: each waits for a collector that may never answer.
            stack.push_async_callback(lambda: asyncio.gather(tracing.shutdown(), metrics.shutdown()))
            certificates = Certificates(PairFiles("edge.tls", tls), "http", metrics) if tls else None
            await stack.enter_async_context(
                status.serving(
                    settings.edge.status,
                    setting="edge.status",
                    service="hookline-edge",
                    readiness=app.health.checks,
                    metrics=metrics,
                )
            )
            with given_up_when(stopping, told="edge stopped"):
                # Not by uvicorn's lifespan: that would turn an error with advice into a traceback and an exit code.
                await stack.enter_async_context(app.running())
            if certificates is not None:
                await stack.enter_async_context(beside(certificates.run()))
            await _serve(app, settings, certificates, stopping)
        _log.info("edge stopped")
    finally:
        stopping.cancel()


async def _serve(
    app: EdgeApp, settings: Settings, certificates: Certificates | None, stopping: asyncio.Task[None]
) -> None:
    listener = listen(settings.edge.http)
    server = build(app, settings.edge, drain=_DRAIN, connections=app.connections, certificates=certificates)
    calm_garbage_collection()
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    _log.info(
        "edge listening",
        http=str(address.Address(*listener.getsockname()[:2])),
        sources=sorted(settings.sources),
    )
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    app.health.is_draining = True
    if delay := settings.edge.drain_delay:
        await asyncio.wait({serving}, timeout=delay.total_seconds())
    server.should_exit = True
    await serving
