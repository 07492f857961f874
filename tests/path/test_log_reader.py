"""Whoever reads a process's log may stop doing so: the process goes on, says what it dropped, and ends in time."""

import asyncio
import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import httpx
import pytest

from path.rig.process import KEY, free_port
from path.rig.wait import until

# A smaller buffer than in production, or it would take a hundred thousand webhooks to fill it.
_PROGRAM = """
from hookline.telemetry.line_writer import LineWriter
LineWriter.__init__.__kwdefaults__["most_bytes"] = 20_000
from hookline.cli import main
main()
"""
_REQUESTS = 400


class UnreadEdge:
    """An edge whose standard error is a small pipe that is read when the test says so."""

    def __init__(self, dsn: str, directory: Path) -> None:
        self._reader, writer = os.pipe()
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
        self.port, status = free_port(), f"127.0.0.1:{free_port()}"
        self.metrics = f"http://{status}/metrics"
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("HOOKLINE_")}
        self.process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, "edge", "--http", f"127.0.0.1:{self.port}"],
            env={
                **inherited, "BEGINI_API_KEY": KEY, "HOOKLINE_DATABASE_URL": dsn, "HOOKLINE_EDGE__STATUS": status,
            },
            cwd=directory, stdin=subprocess.DEVNULL, stderr=writer,
        )  # fmt: skip
        os.close(writer)

    async def serves(self, client: httpx.AsyncClient) -> None:
        async def answers() -> bool:
            assert self.process.poll() is None
            try:
                return (await client.get(f"http://127.0.0.1:{self.port}/readyz")).is_success
            except httpx.TransportError:
                return False

        await until(answers, "the edge is ready", patience=60)

    async def refuse(self, client: httpx.AsyncClient, count: int) -> float:
        """Send what isn't signed; answers how long the slowest of them took."""
        slowest = 0.0
        for _ in range(count):
            began = monotonic()
            answer = await client.post(f"http://127.0.0.1:{self.port}/v1/webhooks/begini", content=b"{}")
            assert answer.status_code in (403, 415)
            slowest = max(slowest, monotonic() - began)
        return slowest

    async def dropped(self, client: httpx.AsyncClient) -> float:
        """Log lines that it counts as dropped."""
        said = (await client.get(self.metrics)).text
        [line] = [
            line
            for line in said.splitlines()
            if line.startswith("hookline_telemetry_dropped_total{") and 'hookline_signal="log"' in line
        ]
        return float(line.rpartition(" ")[2])

    def read(self) -> str:
        """What it has said, until it ends."""
        said = b""
        while piece := os.read(self._reader, 65536):
            said += piece
        return said.decode()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._reader)


@pytest.fixture
def edge(database: str, tmp_path: Path) -> Iterator[UnreadEdge]:
    edge = UnreadEdge(database, tmp_path)
    yield edge
    edge.close()


async def test_an_edge_whose_log_nobody_reads_serves_counts_what_it_drops_and_goes_on_when_it_is_read(
    edge: UnreadEdge,
) -> None:
    async with httpx.AsyncClient(timeout=10) as client:
        await edge.serves(client)
        assert await edge.refuse(client, _REQUESTS) < 2
        dropped = await edge.dropped(client)
        assert 100 < dropped < _REQUESTS
        reading = asyncio.create_task(asyncio.to_thread(edge.read))

        async def settled() -> bool:
            before = await edge.dropped(client)
            await edge.refuse(client, 1)
            return await edge.dropped(client) == before

        await until(settled, "there is room again")
        dropped = await edge.dropped(client)
        edge.process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(edge.process.wait, 20) == 0
        lines = [json.loads(line) for line in (await reading).splitlines()]
    said = sum(line["lines"] for line in lines if line["event"] == "log lines dropped")
    assert said == dropped
    assert sum(line["event"] == "webhook" for line in lines) >= _REQUESTS - dropped
    assert lines[-1]["event"] == "edge stopped"


async def test_an_edge_whose_log_nobody_reads_ends_in_time(edge: UnreadEdge) -> None:
    async with httpx.AsyncClient(timeout=10) as client:
        await edge.serves(client)
        await edge.refuse(client, 50)
    asked = monotonic()
    edge.process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(edge.process.wait, 20) == 0
    assert monotonic() - asked <= 5
