"""`hookline run`: Postgres, edge and relay under one command.

Edge and relay are processes of their own, as in production: one event loop each, and a crash of one is not the
other's. The supervisor starts them in order, restarts what dies, and stops them in the opposite order.
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import structlog

from hookline.config import Settings
from hookline.edge import source
from hookline.embedded import EmbeddedPostgres
from hookline.errors import HooklineError
from hookline.process import SUPERVISED, Stop
from hookline.relay.server import declare_subscriptions
from hookline.store.migrate import migrate

_log = structlog.get_logger(__name__)

_STOP_PATIENCE = {"edge": 20.0, "relay": 10.0}
"""Seconds that a child may take to finish what is under way."""
_PAUSE = 1.0
"""Seconds before something that died is started again."""
_CONFIG_ERROR = 2
"""Exit code of a child that can't start as it is configured: starting it again would not help."""


class ChildFailed(HooklineError):
    """A part of Hookline could not be started."""


@dataclass(slots=True)
class _Child:
    """One process of ours."""

    name: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    process: asyncio.subprocess.Process | None = field(default=None, init=False)

    async def start(self) -> None:
        """Start the process; it ends when our end of its standard input closes."""
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "hookline",
            self.name,
            *self.arguments,
            env={**os.environ, **self.environment, SUPERVISED: "1"},
            stdin=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for us: children are stopped in order
        )

    async def keep(self) -> None:
        """Start the process again whenever it dies.

        Raises:
            ChildFailed: It can't start as it is configured.
        """
        while True:
            assert self.process is not None
            code = await self.process.wait()
            if code == _CONFIG_ERROR:
                raise ChildFailed(f"hookline {self.name} could not start; its message is above")
            _log.error("a part of Hookline died; starting it again", part=self.name, exit_code=code)
            await asyncio.sleep(_PAUSE)
            await self.start()

    async def stop(self) -> None:
        """Ask the process to finish, and end it if it takes too long."""
        if self.process is None or self.process.returncode is not None:
            return
        self.process.terminate()
        try:
            async with asyncio.timeout(_STOP_PATIENCE[self.name]):
                await self.process.wait()
        except TimeoutError:
            _log.warning("a part of Hookline did not stop in time", part=self.name)
            self.process.kill()
            await self.process.wait()


async def run(
    settings: Settings, *, config_file: Path | None, data: Path, on_ready: Callable[[], Awaitable[None]]
) -> None:
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
    source.build(settings)  # a missing secret is found before anything is started
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
        for name in ("relay", "edge"):
            child = _Child(name, arguments, environment)
            await child.start()
            parts.push_async_callback(child.stop)
            jobs.append(child.keep)
        await on_ready()
        await _until(stop, jobs)
        _log.info("stopping")


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
