"""`hookline run`: Postgres, edge and relay under one command.

Edge and relay are processes of their own, as in production: one event loop each, and a crash of one is not the
other's. The supervisor starts them in order, restarts what dies, and stops them in the opposite order.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog

from hookline import status
from hookline.child import Child
from hookline.config import Settings
from hookline.edge import secrets
from hookline.edge.watch import rules
from hookline.embedded import EmbeddedPostgres
from hookline.process import Stop
from hookline.relay.server import declare_subscriptions
from hookline.store.migrate import migrate

_log = structlog.get_logger(__name__)

_EDGE_STOP_PATIENCE = 20.0
"""Seconds that the edge may take to finish its requests."""
_RELAY_STOP_PATIENCE = 10.0
"""Seconds that the relay may take until consumers have settled what they hold."""
_PAUSE = 1.0
"""Seconds before a PostgreSQL that died is started again."""


@dataclass(frozen=True, slots=True)
class StatusAddresses:
    """Where edge and relay answer `/metrics`, `/healthz` and `/readyz`."""

    edge: str
    relay: str
    in_use: tuple[str, ...]
    """Default addresses that somebody else has, so that another port was chosen."""


OnReady = Callable[[StatusAddresses], Awaitable[None]]


async def run(settings: Settings, *, config_file: Path | None, data: Path, on_ready: OnReady) -> None:
    """Run everything until told to stop.

    Args:
        settings: The configuration; without a database URL, PostgreSQL comes along.
        config_file: What the children read; None as for `config.load`.
        data: Where the embedded PostgreSQL keeps its data.
        on_ready: Called when edge and relay have been started.

    Raises:
        HooklineError: Something could not be started.
    """
    stop = Stop()
    # What is missing is found before anything is started.
    secrets.check(settings.sources)
    rules.build_all(settings)
    async with AsyncExitStack() as parts:
        dsn = settings.dsn()
        jobs: list[Callable[[], Awaitable[None]]] = []
        if dsn is None:
            postgres = await parts.enter_async_context(EmbeddedPostgres(data / "postgres"))
            dsn = postgres.url
            jobs.append(partial(_keep_postgres, postgres))
            _log.info("postgres started", data=str(data), pid=postgres.pid)
        await migrate(dsn, shards=settings.database.shards)
        # Before the first webhook is taken, so that a new subscription begins with it.
        await declare_subscriptions(dsn, settings)
        environment = {
            "HOOKLINE_DATABASE_URL": dsn,
            "HOOKLINE_EDGE__HTTP": settings.edge.http,
            "HOOKLINE_RELAY__GRPC": settings.relay.grpc,
            "HOOKLINE_TELEMETRY__LOG_FORMAT": settings.telemetry.log_format,
        }
        arguments = ("--config", str(config_file)) if config_file else ()
        statuses = {
            "relay": _Status.choose(settings.relay.status, status.RELAY_DEFAULT),
            "edge": _Status.choose(settings.edge.status, status.EDGE_DEFAULT),
        }
        patiences = {
            "relay": _RELAY_STOP_PATIENCE,
            "edge": _EDGE_STOP_PATIENCE + settings.edge.drain_delay.total_seconds(),
        }
        for name, chosen in statuses.items():
            if chosen.listener is not None:
                parts.callback(chosen.listener.close)
            child = Child(
                name, arguments, {**environment, **chosen.environment}, patiences[name], chosen.files
            )
            await child.start()
            parts.push_async_callback(child.stop)
            jobs.append(child.keep)
        await on_ready(
            StatusAddresses(
                statuses["edge"].address,
                statuses["relay"].address,
                tuple(chosen.default for chosen in statuses.values() if not chosen.is_as_wanted),
            )
        )
        await _until(stop, jobs)
        _log.info("stopping")


@dataclass(frozen=True, slots=True)
class _Status:
    """Where a child answers about itself."""

    address: str
    default: str
    is_as_wanted: bool = True
    listener: socket.socket | None = None
    """Ours, if nothing is configured: the child inherits it."""

    @classmethod
    def choose(cls, configured: str | None, default: str) -> "_Status":
        """The configured address, or the default, or a free port where that is in use."""
        if configured is not None:
            return cls(configured, default)
        listener, is_as_wanted = status.listen_by_default(default)
        return cls(status.address_of(listener), default, is_as_wanted, listener)

    @property
    def environment(self) -> dict[str, str]:
        """What tells the child."""
        return {status.INHERITED: str(self.listener.fileno())} if self.listener is not None else {}

    @property
    def files(self) -> tuple[int, ...]:
        """What the child inherits."""
        return (self.listener.fileno(),) if self.listener is not None else ()


async def _keep_postgres(postgres: EmbeddedPostgres) -> None:
    """Start PostgreSQL again if it dies; edge and relay wait for it meanwhile."""
    while True:
        code = await postgres.wait()
        _log.error("PostgreSQL died; starting it again", exit_code=code)
        await postgres.stop()
        await asyncio.sleep(_PAUSE)
        await postgres.start()


async def _until(stop: Stop, jobs: list[Callable[[], Awaitable[None]]]) -> None:
    """Do the jobs until told to stop; a job that fails ends it all."""
    stopping = asyncio.ensure_future(stop.wait())
    tasks = [asyncio.ensure_future(job()) for job in jobs]
    try:
        done, _ = await asyncio.wait({stopping, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        for task in done - {stopping}:
            await task
    finally:
        for task in (stopping, *tasks):
            task.cancel()
        await asyncio.gather(stopping, *tasks, return_exceptions=True)
