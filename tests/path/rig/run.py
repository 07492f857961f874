"""`hookline run` and the short commands, as somebody types them."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import grpc
import httpx
import psutil
from grpc_health.v1 import health_pb2, health_pb2_grpc

from path.rig.process import KEY, SERVICE, Process, free_port
from path.rig.wait import until

_START_PATIENCE = 90.0


class Run(Process):
    """`hookline run` in a process group of its own, as a terminal starts it; without `dsn`, with its own server."""

    def __init__(self, data: Path, *, dsn: str | None = None) -> None:
        self.http = free_port()
        self.grpc = free_port()
        addresses = ("--http", f"127.0.0.1:{self.http}", "--grpc", f"127.0.0.1:{self.grpc}")
        super().__init__(
            "run",
            *addresses,
            "--data",
            str(data),
            log=data.parent / f"run-{self.http}.log",
            environment={"HOOKLINE_DATABASE_URL": dsn} if dsn else None,
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http}/v1/webhooks/begini"

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.grpc}"

    def descendants(self) -> list[psutil.Process]:
        return psutil.Process(self.pid).children(recursive=True)

    def part(self, name: str) -> psutil.Process:
        """The child that runs `hookline edge` or `hookline relay`."""
        [child] = [child for child in psutil.Process(self.pid).children() if name in child.cmdline()]
        return child

    def interrupt(self) -> None:
        """Press Ctrl-C: the terminal signals the whole group."""
        os.killpg(self.pid, signal.SIGINT)

    async def ready(self) -> Self:
        options = [("grpc.max_reconnect_backoff_ms", 200)]
        async with (
            httpx.AsyncClient() as client,
            grpc.aio.insecure_channel(self.target, options=options) as channel,
        ):
            health = health_pb2_grpc.HealthStub(channel)

            async def serves() -> bool:
                assert not self.has_ended, self.output()
                try:
                    is_ready = (await client.get(f"http://127.0.0.1:{self.http}/readyz")).is_success
                    check = await health.Check(health_pb2.HealthCheckRequest(service=SERVICE))
                except (httpx.TransportError, grpc.aio.AioRpcError):
                    return False
                return is_ready and check.status == health_pb2.HealthCheckResponse.SERVING

            await until(serves, "edge and relay serve", patience=_START_PATIENCE)
        return self

    async def __aenter__(self) -> Self:
        self.start()
        return await self.ready()

    async def __aexit__(self, *error: object) -> None:
        if self.has_ended:
            return
        self.signal(signal.SIGTERM)
        await self.ended(patience=40)


async def hookline(
    *arguments: str, cwd: Path, environment: Mapping[str, str] | None = None, patience: float = 60
) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("HOOKLINE_") and name != "BEGINI_API_KEY"
    }
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "hookline", *arguments],
        cwd=cwd,
        env={
            **inherited,
            "COLUMNS": "200",
            **({"BEGINI_API_KEY": KEY} if environment is None else environment),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=patience,
        check=False,
    )
