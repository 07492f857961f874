"""Starting and being told to stop at the same time."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

START_PATIENCE = 30.0


@pytest.mark.parametrize(("part", "option"), [("edge", "--http"), ("relay", "--grpc")])
async def test_who_waits_for_its_database_stops_at_once_when_it_is_told_to(
    tmp_path: Path, part: str, option: str
) -> None:
    """The database takes the connection and never answers, as behind a firewall that drops packets."""
    reached = asyncio.Event()
    connections: list[asyncio.StreamWriter] = []

    def take(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        reached.set()

    silent = await asyncio.start_server(take, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    environment = {**os.environ, "HOOKLINE_DATABASE_URL": f"postgresql://postgres@127.0.0.1:{port}/x"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "hookline", part, option, "127.0.0.1:0",
        cwd=tmp_path, env=environment, stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(START_PATIENCE):
            await reached.wait()
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(3):  # it gives the database ten seconds
            _, said = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        for connection in connections:
            connection.close()
        silent.close()
    assert process.returncode == 0
    assert f"{part} stopped".encode() in said
    assert b"Traceback" not in said
