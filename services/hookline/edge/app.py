"""The edge as an ASGI application."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, Router

from hookline.config import Settings
from hookline.edge import source
from hookline.edge.intake import Intake
from hookline.edge.segments import keep_ahead
from hookline.edge.trace import Traces
from hookline.edge.wakeup import Wakeup
from hookline.edge.webhook import WebhookEndpoint
from hookline.errors import ConfigError
from hookline.store.ingest import read_installation
from hookline.store.session import Session
from hookline.telemetry.tracing import Tracing

_START = timedelta(seconds=10)


def create_app(settings: Settings, tracing: Tracing, *, shards: int) -> Router:
    """Build the application; its lifespan starts and stops the writers.

    A bare router: `Starlette` would wrap it in middleware for errors, which the webhook endpoint answers itself, at a
    tenth of the cost of a webhook.

    Args:
        settings: Sources, limits, and the database's URL.
        tracing: Where spans go.
        shards: Number of shards of the database.

    Raises:
        ConfigError: A secret or the database's URL is missing.
    """
    dsn = settings.dsn()
    if dsn is None:
        raise ConfigError("no database: set HOOKLINE_DATABASE_URL")
    wakeup = Wakeup(Session(dsn, name="edge wakeup"))
    intake = Intake(
        dsn,
        writers=min(settings.edge.writers, shards),
        max_events=settings.edge.queue_events,
        max_bytes=settings.edge.queue_bytes,
        commit_deadline=settings.edge.commit_deadline,
        on_commit=wakeup.committed,
    )
    endpoint = WebhookEndpoint(
        source.build(settings), intake, Traces(tracing), settings=settings.edge, shards=shards
    )

    async def healthz(_: Request) -> JSONResponse:
        return JSONResponse({"status": "alive"})

    async def readyz(_: Request) -> JSONResponse:
        if intake.is_available:
            return JSONResponse({"status": "ready"})
        return JSONResponse({"status": "unavailable", "detail": "the database can't be reached"}, 503)

    @asynccontextmanager
    async def lifespan(_: Router) -> AsyncIterator[None]:
        chores = [
            asyncio.create_task(intake.run()),
            asyncio.create_task(wakeup.run()),
            asyncio.create_task(keep_ahead(Session(dsn, name="edge segments"))),
        ]
        try:
            yield
        finally:
            for chore in chores:
                chore.cancel()
            await asyncio.gather(*chores, return_exceptions=True)

    return Router(
        routes=[
            Route("/v1/webhooks/{source}", endpoint),
            Route("/healthz", healthz),
            Route("/readyz", readyz),
        ],
        lifespan=lifespan,
        redirect_slashes=False,  # a provider would not follow
    )


async def read_shards(dsn: str) -> int:
    """Number of shards of an initialised database.

    Raises:
        DatabaseUnavailable: The database can't be reached.
        StatementRefused: It was not migrated.
    """
    session = Session(dsn, name="edge start")
    try:
        return (await read_installation(session, within=_START)).shards
    finally:
        await session.close()
