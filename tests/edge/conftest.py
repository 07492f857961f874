"""What the edge's tests share."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import asyncpg
import pytest

from edge.fault_proxy import FaultProxy
from edge.provider import KEY, OLD_KEY
from edge.running import EdgeProcess, edge
from hookline.embedded import EmbeddedPostgres
from hookline.store.migrate import migrate
from store.own_server import server_like
from store.recycled import database_of

SHARDS = 8


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEGINI_API_KEY", KEY)
    monkeypatch.setenv("BEGINI_OLD_API_KEY", OLD_KEY)


@pytest.fixture
async def database(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    """The URL of an empty, migrated database that is this test's alone while it runs."""
    async with database_of(postgres) as url:
        yield url


@pytest.fixture
async def address(database: str) -> AsyncIterator[str]:
    """An edge with the usual settings."""
    async with edge(database) as where:
        yield where


@pytest.fixture
async def foreign(database: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A connection to look behind the edge."""
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


@pytest.fixture
async def proxy(database: str, tmp_path: Path) -> AsyncIterator[FaultProxy]:
    """A network to the test's database that can fail."""
    async with FaultProxy(database, tmp_path) as network:
        yield network


@pytest.fixture
async def own_server(postgres: EmbeddedPostgres) -> AsyncIterator[EmbeddedPostgres]:
    """A migrated server for this test alone: it may be stopped."""
    async with server_like(postgres) as server:
        await migrate(server.url, shards=SHARDS)
        yield server


@pytest.fixture
async def start_process(
    database: str, tmp_path: Path
) -> AsyncIterator[Callable[..., Awaitable[EdgeProcess]]]:
    """Starts edge processes; none outlives the test."""
    started: list[EdgeProcess] = []

    async def start(dsn: str = database, **environment: str) -> EdgeProcess:
        started.append(await EdgeProcess.start(dsn, tmp_path, **environment))
        return started[-1]

    yield start
    for process in started:
        await process.kill()
