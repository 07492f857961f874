"""A running Hookline for the demo: `hookline run` as its user would start it, on free ports and fresh data."""

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import grpc
import httpx
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_fixed

from hookline.embedded import EmbeddedPostgres
from hookline.errors import HooklineError

_CONFIG = """
[sources.begini]
scheme = "begini"
secrets = ["env:BEGINI_API_KEY"]

[subscriptions.crm]

[subscriptions.decisioning]
types = ["*_score.complete"]
"""
_START_PATIENCE = 60.0
"""Seconds that everything may take to start; a first start makes a database."""


class DemoFailed(HooklineError):
    """The demo could not be played, or did not end as it should."""


class Stack:
    """Starts and stops `hookline run`; `log` holds what it printed."""

    def __init__(self, directory: Path, key: str) -> None:
        self._data = directory / "data"
        self._config = directory / "hookline.toml"
        self._config.write_text(_CONFIG, encoding="utf-8")
        self.log = directory / "hookline.log"
        self._key = key
        http, grpc_ = _free_ports(2)
        self.http = f"127.0.0.1:{http}"
        self.grpc = f"127.0.0.1:{grpc_}"
        self.database_url = EmbeddedPostgres(self._data / "postgres").url
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        # The demo brings its own database, also where another one is configured.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HOOKLINE_")}
        arguments = ("--config", self._config, "--http", self.http, "--grpc", self.grpc, "--data", self._data)
        with self.log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "hookline",
                "run",
                *arguments,
                env={**environment, "BEGINI_API_KEY": self._key},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            await self._ready(self._process)
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stop()

    async def _stop(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
            await self._process.wait()

    async def _ready(self, process: asyncio.subprocess.Process) -> None:
        """Wait until webhooks and consumers are welcome."""
        not_yet = (httpx.HTTPError, grpc.aio.AioRpcError)
        async with httpx.AsyncClient() as client, grpc.aio.insecure_channel(self.grpc) as channel:
            health = health_pb2_grpc.HealthStub(channel)
            async for attempt in AsyncRetrying(
                retry=retry_if_exception_type(not_yet),
                wait=wait_fixed(0.1),
                stop=stop_after_delay(_START_PATIENCE),
                reraise=True,
            ):
                if process.returncode is not None:
                    raise DemoFailed(
                        f"hookline run ended while it started:\n{self.log.read_text(encoding='utf-8')}"
                    )
                with attempt:
                    (await client.get(f"http://{self.http}/readyz")).raise_for_status()
                    await health.Check(  # type: ignore[attr-defined]  # the stubs know none of its methods
                        health_pb2.HealthCheckRequest(service="hookline.v1.DeliveryService")
                    )


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in sockets]
    for listener in sockets:
        listener.close()
    return ports
