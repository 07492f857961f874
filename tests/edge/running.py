"""Edges to send to: in this process, or processes of their own that may be killed."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil

from hookline.config import Settings
from hookline.edge.app import create_app
from hookline.edge.front.server import build
from hookline.edge.listener import listen

BEGINI = {"scheme": "begini", "secrets": ["env:BEGINI_API_KEY", "env:BEGINI_OLD_API_KEY"]}
START_PATIENCE = 30.0


@asynccontextmanager
async def edge(
    dsn: str, *, sources: dict[str, Any] | None = None, beside: dict[str, Any] | None = None, **settings: Any
) -> AsyncIterator[str]:
    """An edge in this process; answers its address."""
    chosen = Settings(
        database_url=dsn,
        sources=sources or {"begini": BEGINI},
        edge={"writers": 2, **settings},
        **(beside or {}),
    )
    app = create_app(chosen)
    listener = listen("127.0.0.1:0")
    server = build(app, chosen.edge, drain=timedelta(seconds=5))
    async with app.running():
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
            if process.returncode is None:
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

    @property
    def resident(self) -> int:
        """Bytes of memory that it holds."""
        resident: int = psutil.Process(self._process.pid).memory_info().rss
        return resident

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
