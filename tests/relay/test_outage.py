"""What Postgres does to a relay, and what it must not do to the streams."""

import asyncio
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from conftest import SHARDS
from hookline.model import SubscriptionName
from hookline.relay.ownership import Ownership
from hookline.store.migrate import migrate
from hookline.store.session import Session
from hookline.v1 import delivery_pb2 as pb
from path.rig.database import connect, cursors
from path.rig.events import append_many
from path.rig.postgres import PostgresProcess
from path.rig.relay import Relay
from path.rig.stream import RawStream, ids
from path.rig.wait import until

_SECOND = timedelta(seconds=1)


async def test_a_foreign_transaction_that_holds_a_snapshot_stops_nothing(relay: Relay, database: str) -> None:
    async with connect(database) as idle, RawStream(relay.target) as stream:
        await stream.start()
        async with idle.transaction(isolation="repeatable_read"):
            await idle.execute("CREATE TABLE public.report AS SELECT pg_current_xact_id()")
            sent = await append_many(database, 50)
            held = await stream.deliveries(50)
            assert sorted(ids(held)) == sorted(sent)
            assert not (await stream.ack(*held)).failures


async def test_without_the_hints_polling_still_delivers(relay: Relay, database: str) -> None:
    async with connect(database) as connection, RawStream(relay.target) as stream:
        await stream.start()
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'hookline relay wakeup' AND datname = current_database()"
        )
        sent = await append_many(database, 10)
        assert sorted(ids(await stream.deliveries(10))) == sorted(sent)

        async def listens() -> bool:
            return bool(
                await connection.fetchval(
                    "SELECT count(*) FROM pg_stat_activity"
                    " WHERE application_name = 'hookline relay wakeup' AND datname = current_database()"
                )
            )

        await until(listens, "the relay listens again")


async def test_every_connection_cut_at_once_costs_the_streams_nothing(relay: Relay, database: str) -> None:
    await append_many(database, 20)
    async with connect(database) as connection, RawStream(relay.target) as stream:
        await stream.start(events=10)
        held = await stream.deliveries(10)
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name LIKE 'hookline relay%' AND datname = current_database()"
        )
        assert not (await stream.ack(*held)).failures
        rest = await stream.deliveries(10)
        assert not (await stream.ack(*rest)).failures
        assert not set(ids(held)) & set(ids(rest))


async def test_streams_outlive_a_restart_of_postgres(tmp_path: Path) -> None:
    async with PostgresProcess(tmp_path) as server:
        await migrate(server.url, shards=SHARDS)
        await append_many(server.url, 20)
        async with Relay(server.url) as relay, RawStream(relay.target) as stream:
            await stream.start(events=10)
            held = await stream.deliveries(10)
            server.stop()
            sequence = await stream.send_acks(*held)
            assert await stream.rest() == []
            assert not stream.has_confirmation(sequence)
            server.start()
            assert not (await stream.confirmation(sequence)).failures
            rest = await stream.deliveries(10)
            assert not set(ids(held)) & set(ids(rest))
            more = await append_many(server.url, 5)
            await stream.ack(*rest)
            assert sorted(ids(await stream.deliveries(5))) == sorted(more)


async def test_a_server_that_takes_no_writes_for_a_while_costs_the_streams_nothing(
    relay: Relay, database: str
) -> None:
    """As after a failover, while the old primary is demoted or the new one isn't promoted yet."""
    name = urlsplit(database).path.removeprefix("/")
    await append_many(database, 4)
    async with connect(database) as connection, RawStream(relay.target) as stream:
        await stream.start(events=2)
        held = await stream.deliveries(2)
        await connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name LIKE 'hookline relay%' AND datname = current_database()"
        )
        sequence = await stream.send_acks(*held)
        await stream.rest()
        await connection.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
        assert not (await stream.confirmation(sequence)).failures
        assert len(await stream.deliveries(2)) == 2
        assert relay.lives, "a task ended that never should"


async def test_a_subscription_can_be_opened_when_the_database_is_back(tmp_path: Path) -> None:
    async with PostgresProcess(tmp_path) as server:
        await migrate(server.url, shards=SHARDS)
        async with Relay(server.url) as relay:
            server.stop()
            async with RawStream(relay.target) as early:
                start = pb.Start(subscription="all", window=pb.Window(max_events=1))
                await early.send(pb.SubscribeRequest(start=start))
                code, info = await early.refusal()
                assert (code.name, info.reason) == ("UNAVAILABLE", "DATABASE_UNAVAILABLE")
            server.start()
            async with RawStream(relay.target) as stream:
                await stream.start()
                [sent] = await append_many(server.url, 1)
                assert ids(await stream.deliveries(1)) == [sent]


@pytest.mark.usefixtures("relay")
async def test_renewing_and_advancing_the_same_cursors_never_wait_for_each_other(database: str) -> None:
    """Both run in every relay, over the same rows in no order: at the same time they would deadlock."""
    sessions = [Session(database, name=f"test {job}") for job in ("advance", "renew")]
    owned = asyncio.Event()
    ownership = Ownership(
        sessions[1],
        SubscriptionName("all"),
        owner="test",
        lease=timedelta(minutes=1),
        on_acquired=lambda _: owned.set(),
        on_lost=lambda lost: pytest.fail(f"lost {lost}"),
        on_leaving=lambda leaving: pytest.fail(f"leaving {leaving}"),
    )
    keeping = asyncio.create_task(ownership.run())
    try:
        await owned.wait()
        shards = sorted(ownership.shards.values(), key=lambda shard: shard.shard)
        async with connect(database) as connection, connect(database) as observer:
            async with connection.transaction():
                await connection.fetch(
                    "SELECT FROM hookline.cursors WHERE subscription = 'all' AND shard = $1 FOR UPDATE",
                    shards[len(shards) // 2].shard,
                )
                both = asyncio.gather(
                    ownership.advance(sessions[0], reversed(shards)),
                    ownership._renew(),
                    return_exceptions=True,
                )

                async def waiting() -> int:
                    return await observer.fetchval(
                        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                        " AND application_name LIKE 'hookline test%' AND datname = current_database()"
                    )

                async def one_waits() -> bool:
                    return await waiting() == 1

                await until(one_waits, "one of them waits for the row in the middle")
                assert await waiting() == 1
            assert await both == [None, None]
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        for session in sessions:
            await session.close()


async def test_the_first_of_two_relays_that_start_together_declares_and_both_serve(database: str) -> None:
    subscriptions = {"all": {"start": "earliest"}}
    relays = [Relay(database, subscriptions) for _ in range(4)]
    try:
        await asyncio.gather(*(relay.__aenter__() for relay in relays))
        assert len(await cursors(database)) == SHARDS
    except asyncpg.PostgresError as error:
        raise AssertionError(str(error)) from error
    finally:
        await asyncio.gather(*(relay.__aexit__(None, None, None) for relay in relays))
