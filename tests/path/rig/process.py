"""Hookline's own processes, as an operator starts and kills them."""

import asyncio
import json
import os
import random
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc
import httpx
from grpc_health.v1 import health_pb2, health_pb2_grpc

from path.rig.wait import until

KEY = "a-key-that-only-tests-use"
SERVICE = "hookline.v1.DeliveryService"
_START_PATIENCE = 60.0
_PORTS = range(15_000, 32_000)
"""Below those that the kernel gives to clients."""
_MOST_TAKEN = 64
_taken: deque[int] = deque()
"""Descriptors of sockets."""


def free_port() -> int:
    """A TCP port that nothing listens on, and that no other process of tests is given until its server has started.

    The UDP port of the same number stays taken as a sign of that. Were the kernel asked for any free port, two test
    processes could get the same one, and one would take the other's server for its own.
    """
    while True:
        port = random.choice(_PORTS)
        taken = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            taken.bind(("127.0.0.1", port))
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            taken.close()
        else:
            if len(_taken) == _MOST_TAKEN:
                os.close(_taken.popleft())
            _taken.append(taken.detach())
            return port


def write_config(path: Path, tables: Mapping[str, Mapping[str, Any]]) -> Path:
    """Write a hookline.toml; JSON's strings, numbers and lists are TOML's too."""
    lines = []
    for table, values in tables.items():
        lines += [f"[{table}]", *(f"{name} = {json.dumps(value)}" for name, value in values.items())]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


class Process:
    """A `hookline` command with its output in a file."""

    def __init__(self, *arguments: str, log: Path, environment: Mapping[str, str] | None = None) -> None:
        self._arguments = arguments
        self._environment = {"BEGINI_API_KEY": KEY, **(environment or {})}
        self._log = log
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("HOOKLINE_")}
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "hookline", *self._arguments],
                env={**inherited, **self._environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=self._log.parent,
            )

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def has_ended(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def output(self) -> str:
        return self._log.read_text(encoding="utf-8") if self._log.exists() else ""

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    async def ended(self, *, patience: float = 20.0) -> int:
        """Wait for the end and answer the exit code."""
        await until(lambda: self.has_ended, f"hookline {self._arguments[0]} ends", patience=patience)
        assert self.process is not None
        assert self.process.returncode is not None
        return self.process.returncode

    async def kill(self) -> None:
        """Kill it as the kernel would, without a word."""
        self.signal(signal.SIGKILL)
        await self.ended()

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self.has_ended:
            self.signal(signal.SIGKILL)
            await self.ended()


class RelayProcess(Process):
    """`hookline relay` on a port of its own."""

    def __init__(self, dsn: str, config: Path, *, port: int = 0, name: str = "relay") -> None:
        self.port = port or free_port()
        super().__init__(
            "relay",
            "--config",
            str(config),
            "--grpc",
            self.target,
            log=config.parent / f"{name}.log",
            environment={"HOOKLINE_DATABASE_URL": dsn},
        )

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def ready(self) -> Self:
        """Wait until it serves."""
        async with grpc.aio.insecure_channel(
            self.target, options=[("grpc.max_reconnect_backoff_ms", 100)]
        ) as channel:
            request = health_pb2.HealthCheckRequest(service=SERVICE)
            async with asyncio.timeout(_START_PATIENCE):
                answer = await health_pb2_grpc.HealthStub(channel).Check(request, wait_for_ready=True)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        return self

    async def __aenter__(self) -> Self:
        self.start()
        return await self.ready()


class EdgeProcess(Process):
    """`hookline edge` on a port of its own."""

    def __init__(self, dsn: str, config: Path, *, port: int = 0) -> None:
        self.port = port or free_port()
        super().__init__(
            "edge",
            "--config",
            str(config),
            "--http",
            f"127.0.0.1:{self.port}",
            log=config.parent / "edge.log",
            environment={"HOOKLINE_DATABASE_URL": dsn},
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1/webhooks/begini"

    async def ready(self) -> Self:
        async with httpx.AsyncClient() as client:

            async def answers() -> bool:
                assert not self.has_ended, self.output()
                try:
                    return (await client.get(f"http://127.0.0.1:{self.port}/readyz")).is_success
                except httpx.TransportError:
                    return False

            await until(answers, "the edge is ready", patience=_START_PATIENCE)
        return self

    async def __aenter__(self) -> Self:
        self.start()
        return await self.ready()
