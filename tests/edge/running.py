"""Edges to send to: in this process, or processes of their own that may be killed."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn

from hookline.config import Settings
from hookline.edge.app import create_app, read_shards
from hookline.telemetry.tracing import Tracing

BEGINI = {"scheme": "begini", "secrets": ["env:BEGINI_API_KEY", "env:BEGINI_OLD_API_KEY"]}
START_PATIENCE = 30.0


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def edge(dsn: str, *, sources: dict[str, Any] | None = None, **settings: Any) -> AsyncIterator[str]:
    """An edge in this process; answers its address."""
    chosen = Settings(
        database_url=dsn, sources=sources or {"begini": BEGINI}, edge={"writers": 2, **settings}
    )
    app = create_app(
        chosen, Tracing(chosen.telemetry, service="edge"), shards=await read_shards(settings_dsn(chosen))
    )
    listener = socket.create_server(("127.0.0.1", 0))
    # asyncio leaves Nagle's algorithm on for sockets that it didn't open itself; uvloop doesn't.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.setblocking(False)
    server = _Server(
        uvicorn.Config(
            app,
            http="httptools",
            ws="none",
            lifespan="on",
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=5,
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        async with asyncio.timeout(START_PATIENCE):
            while not server.started:
                if serving.done():
                    await serving
                await asyncio.sleep(0.005)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving


def settings_dsn(settings: Settings) -> str:
    dsn = settings.dsn()
    assert dsn is not None
    return dsn


class EdgeProcess:
    """`hookline edge` as it is run in production."""

    def __init__(self, process: asyncio.subprocess.Process, directory: Path) -> None:
        self._process = process
        self._log = directory
        self.address = ""
        self.lines: list[dict[str, Any]] = []

    @classmethod
    async def start(cls, dsn: str, directory: Path, **environment: str) -> "EdgeProcess":
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "hookline", "edge", "--http", "127.0.0.1:0",
            cwd=directory,  # no configuration file there: the built-in defaults
            env={**os.environ, "HOOKLINE_DATABASE_URL": dsn, **environment},
            stdin=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        edge = cls(process, directory)
        try:
            async with asyncio.timeout(START_PATIENCE):
                while not edge.address:
                    await edge._read_line()
        except BaseException:
            process.kill()
            await process.wait()
            raise
        edge._reading = asyncio.create_task(edge._read())
        return edge

    async def _read_line(self) -> bool:
        assert self._process.stderr is not None
        text = await self._process.stderr.readline()
        if not text:
            if not self.address:
                raise AssertionError(f"the edge ended while it started: {self.lines}")
            return False
        try:
            line = json.loads(text)
        except ValueError:
            line = {"event": text.decode(errors="replace").rstrip()}
        self.lines.append(line)
        if line.get("event") == "edge listening":
            self.address = f"http://{line['http']}"
        return True

    async def _read(self) -> None:
        while await self._read_line():
            pass

    @property
    def is_running(self) -> bool:
        return self._process.returncode is None

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def wait(self) -> int:
        async with asyncio.timeout(START_PATIENCE):
            code = await self._process.wait()
            await self._reading
        return code

    async def kill(self) -> None:
        if self.is_running:
            self._process.kill()
        await self.wait()
