"""once() with psycopg 3: a redelivery changes nothing, in a real Postgres."""

import asyncio
from uuid import uuid4

import psycopg
import pytest

from client.scripted_relay import message
from hookline.client import Delivery, NoTransaction, create_inbox, once
from path.rig.stream import PATIENCE


def delivery() -> Delivery:
    return Delivery(message(str(uuid4())), lambda *_: None, "decisioning")  # type: ignore[arg-type,return-value]


@pytest.fixture
async def dsn(database: str) -> str:
    """A consumer's own database with its inbox."""
    async with await psycopg.AsyncConnection.connect(database) as connection:
        await create_inbox(connection)
    return database


@pytest.mark.parametrize("autocommit", [True, False])
async def test_in_a_transaction_it_is_true_once(dsn: str, *, autocommit: bool) -> None:
    event = delivery()
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=autocommit) as connection:
        for first in (True, False):
            async with connection.transaction():
                assert await once(connection, event) is first


async def test_psycopgs_own_transaction_is_one(dsn: str) -> None:
    event = delivery()
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        assert await once(connection, event)
        await connection.rollback()
        assert await once(connection, event)
        await connection.commit()
        assert not await once(connection, event)


async def test_of_two_at_the_same_time_the_second_waits(dsn: str) -> None:
    event = delivery()
    async with (
        await psycopg.AsyncConnection.connect(dsn) as one,
        await psycopg.AsyncConnection.connect(dsn) as other,
        asyncio.timeout(PATIENCE),
    ):
        assert await once(one, event)
        waiting = asyncio.create_task(once(other, event))
        await one.commit()
        assert not await waiting


async def test_with_autocommit_and_no_transaction_it_refuses(dsn: str) -> None:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        with pytest.raises(NoTransaction, match="open transaction"):
            await once(connection, delivery())


async def test_a_synchronous_connection_is_refused(dsn: str) -> None:
    with psycopg.connect(dsn) as connection, pytest.raises(TypeError, match="asynchronous ones of psycopg 3"):
        await once(connection, delivery())  # type: ignore[arg-type]
