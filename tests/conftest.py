"""What every test may use: one PostgreSQL for the whole run, and a database of its own for each test."""

import asyncio
import os
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from hookline.embedded import EmbeddedPostgres
from hookline.store.migrate import migrate

SHARDS = 8
"""Fewer than the default, so that tests meet in the same shards."""
_TEMPLATE = "hookline_template"


def programs() -> Path | None:
    """The PostgreSQL programs to test against; None for those that come along (`make test PG=DIR` chooses others)."""
    chosen = os.environ.get("HOOKLINE_TEST_PROGRAMS")
    return Path(chosen) if chosen else None


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """A server for the whole run, with a migrated template database."""
    # Not below pytest's own directory: another run makes that one impassable for the server's user.
    directory = tempfile.mkdtemp(prefix="hookline-test-")
    server = EmbeddedPostgres(Path(directory) / "data", programs=programs())

    async def start() -> None:
        await server.start()
        connection = await asyncpg.connect(server.url)
        await connection.execute(f"CREATE DATABASE {_TEMPLATE}")
        await connection.close()
        await migrate(_database_url(server.url, _TEMPLATE), shards=SHARDS)

    asyncio.run(start())
    yield server
    asyncio.run(server.stop())
    shutil.rmtree(directory)


@pytest.fixture
async def database(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    """The URL of a migrated database that belongs to this test alone."""
    name = f"test_{uuid.uuid4().hex}"
    connection = await asyncpg.connect(postgres.url)
    try:
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}")
        yield _database_url(postgres.url, name)
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await connection.close()


def _database_url(server_url: str, name: str) -> str:
    return urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))
