"""once(): a redelivery changes nothing, in a real Postgres."""

import asyncio
from uuid import uuid4

import asyncpg
import pytest

from client.scripted_relay import message
from hookline.client import Delivery, NoTransaction, create_inbox, once
from path.rig.database import connect
from path.rig.stream import PATIENCE
from path.rig.wait import until


def delivery(event_id: str = "", *, subscription: str = "decisioning", replay: str = "") -> Delivery:
    return Delivery(
        message(event_id or str(uuid4()), replay=replay),
        lambda *_: None,  # type: ignore[arg-type,return-value]
        subscription,
    )


@pytest.fixture
async def dsn(database: str) -> str:
    """A consumer's own database, with its inbox and a table of decisions."""
    async with connect(database) as connection:
        await create_inbox(connection)
        await create_inbox(connection)  # it may be there already
        await connection.execute("CREATE TABLE decisions (event_id uuid)")
    return database


async def decide(connection: asyncpg.Connection, event: Delivery) -> bool:
    """What a handler does within its transaction."""
    first = await once(connection, event)
    if first:
        await connection.execute("INSERT INTO decisions VALUES ($1)", event.event_id)
    return first


async def decisions(dsn: str) -> int:
    async with connect(dsn) as connection:
        count: int = await connection.fetchval("SELECT count(*) FROM decisions")
    return count


async def test_the_first_time_it_is_true_and_when_the_event_comes_again_false(dsn: str) -> None:
    event = delivery()
    async with connect(dsn) as connection:
        for first in (True, False, False):
            async with connection.transaction():
                assert await decide(connection, event) is first
    assert await decisions(dsn) == 1


async def test_each_subscription_and_each_replay_is_asked_by_itself(dsn: str) -> None:
    event = delivery()
    others = [
        delivery(),
        delivery(event.event_id, subscription="crm"),
        delivery(event.event_id, replay="replays/7"),
    ]
    async with connect(dsn) as connection, connection.transaction():
        for one in (event, *others):
            assert await once(connection, one)
        for one in (event, *others):
            assert not await once(connection, one)


async def test_what_is_rolled_back_was_not_done(dsn: str) -> None:
    event = delivery()
    async with connect(dsn) as connection:
        transaction = connection.transaction()
        await transaction.start()
        assert await decide(connection, event)
        await transaction.rollback()
        async with connection.transaction():
            assert await decide(connection, event)
    assert await decisions(dsn) == 1


@pytest.mark.parametrize("first_commits", [True, False])
async def test_the_second_of_two_at_the_same_time_waits_for_what_becomes_of_the_first(
    dsn: str, *, first_commits: bool
) -> None:
    event = delivery()
    async with connect(dsn) as one, connect(dsn) as other, asyncio.timeout(PATIENCE):
        first, second = one.transaction(), other.transaction()
        await first.start()
        await second.start()
        assert await decide(one, event)
        waiting = asyncio.create_task(decide(other, event))
        await until_waiting(dsn, other.get_server_pid())
        assert not waiting.done()
        await (first.commit() if first_commits else first.rollback())
        assert await waiting is not first_commits
        await second.commit()
    assert await decisions(dsn) == 1


async def until_waiting(dsn: str, pid: int) -> None:
    async with connect(dsn) as connection:

        async def waits() -> bool:
            return bool(
                await connection.fetchval(
                    "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = $1", pid
                )
            )

        await until(waits, "the second waits for the first")


async def test_it_works_with_a_connection_of_a_pool(dsn: str) -> None:
    event = delivery()
    async with asyncpg.create_pool(dsn, min_size=1, max_size=1) as pool:
        async with pool.acquire() as connection, connection.transaction():
            assert await once(connection, event)
        async with pool.acquire() as connection, connection.transaction():
            assert not await once(connection, event)


async def test_without_a_transaction_it_refuses_and_says_what_to_do(dsn: str) -> None:
    async with connect(dsn) as connection:
        with pytest.raises(NoTransaction, match=r"async with connection\.transaction\(\)"):
            await once(connection, delivery())
        assert await connection.fetchval("SELECT count(*) FROM hookline_inbox") == 0


async def test_a_connection_of_another_driver_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match="not object"):
        await once(object(), delivery())  # type: ignore[arg-type]
