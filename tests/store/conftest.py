"""What the store's tests share: sessions on the test's database, and a foreign connection to look behind them."""

from collections.abc import AsyncIterator, Callable

import asyncpg
import pytest

from hookline.embedded import EmbeddedPostgres
from hookline.store.session import Session
from store.own_server import server_like
from store.recycled import database_of


@pytest.fixture
async def database(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    """The URL of an empty, migrated database that is this test's alone while it runs."""
    async with database_of(postgres) as url:
        yield url


@pytest.fixture
async def new_session(database: str) -> AsyncIterator[Callable[..., Session]]:
    """Opens sessions that are closed after the test."""
    opened: list[Session] = []

    def new(name: str = "test", *, dsn: str = database) -> Session:
        opened.append(Session(dsn, name=name))
        return opened[-1]

    yield new
    for session in opened:
        await session.close()


@pytest.fixture
def session(new_session: Callable[..., Session]) -> Session:
    return new_session()


@pytest.fixture
async def foreign(database: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A connection that is nobody's session."""
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


@pytest.fixture
async def own_server(postgres: EmbeddedPostgres) -> AsyncIterator[EmbeddedPostgres]:
    async with server_like(postgres) as server:
        yield server
