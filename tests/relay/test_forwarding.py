"""Settlements that reach a relay which doesn't own the shard."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hookline.v1 import delivery_pb2 as pb
from path.rig.database import attempts, connect, rows
from path.rig.events import append_many
from path.rig.process import RelayProcess, write_config
from path.rig.relay import Relay
from path.rig.stream import RawStream, ids, reasons
from path.rig.wait import until

Reason = pb.SettlementFailureReason
STALE = Reason.SETTLEMENT_FAILURE_REASON_STALE_TOKEN
SETTLED = Reason.SETTLEMENT_FAILURE_REASON_ALREADY_SETTLED
LEASE = timedelta(seconds=1)
SUBSCRIPTIONS: dict[str, Any] = {
    "all": {"start": "earliest", "retry": {"wait": "fixed", "delay": "1h"}},
}


@asynccontextmanager
async def pair(database: str) -> AsyncIterator[tuple[RawStream, RawStream]]:
    """Consumers of two relays that share the shards, each holding what its relay gave it of 40 events."""
    async with (
        Relay(database, SUBSCRIPTIONS, lease=LEASE) as here,
        Relay(database, SUBSCRIPTIONS, lease=LEASE) as there,
        RawStream(here.target) as one,
        RawStream(there.target) as two,
    ):
        await one.start(consumer="one")
        await two.start(consumer="two")
        await until(
            lambda: len(here.dispatcher().shards) == len(there.dispatcher().shards) == 4, "they share"
        )
        yield one, two


async def forwarded(database: str) -> int:
    async with connect(database) as connection:
        count: int = await connection.fetchval("SELECT count(*) FROM hookline.forwarded_settlements")
    return count


async def test_acks_at_the_wrong_relay_count(database: str) -> None:
    async with pair(database) as (one, two):
        await append_many(database, 40, shards=8)
        ours, theirs = await one.deliveries(20), await two.deliveries(20)
        assert reasons(await one.ack(*theirs)) == {}
        assert reasons(await two.ack(*ours)) == {}
        # That the owner has settled them is known at both.
        assert reasons(await two.ack(*theirs)) == {delivery.token: SETTLED for delivery in theirs}
        assert reasons(await one.ack(*theirs)) == {delivery.token: SETTLED for delivery in theirs}
        assert await one.rest() == await two.rest() == []
    assert await forwarded(database) == 0
    assert await rows(database) == []


async def test_retries_and_rejects_at_the_wrong_relay_count(database: str) -> None:
    async with pair(database) as (one, two):
        await append_many(database, 40, shards=8)
        _, theirs = await one.deliveries(20), await two.deliveries(20)
        assert reasons(await one.retry(*theirs[:10], delay=timedelta(hours=2), reason="busy")) == {}
        assert reasons(await one.reject(*theirs[10:], reason="wrong")) == {}
        states = {str(row["event_id"]): (row["state"], row["reason"]) for row in await rows(database)}
        assert states == {
            **dict.fromkeys(ids(theirs[:10]), ("waiting", "busy")),
            **dict.fromkeys(ids(theirs[10:]), ("dead", "wrong")),
        }
        history = await attempts(database)
        assert {attempt["consumer"] for attempt in history} == {"two"}, "who had it, not who said so"


async def test_release_and_extend_at_the_wrong_relay_count(database: str) -> None:
    async with pair(database) as (one, two):
        await append_many(database, 40, shards=8)
        _, theirs = await one.deliveries(20), await two.deliveries(20)
        assert reasons(await one.extend(theirs[0])) == {}
        assert reasons(await one.release(theirs[1])) == {}
        [again] = await two.deliveries(1)
        assert (again.event_id, again.attempt) == (theirs[1].event_id, 1)


async def test_ours_and_theirs_in_one_batch_are_answered_together(database: str) -> None:
    async with pair(database) as (one, two):
        await append_many(database, 40, shards=8)
        ours, theirs = await one.deliveries(20), await two.deliveries(20)
        await two.ack(theirs[0])
        garbage = pb.Delivery(token=b"garbage")
        failed = reasons(await one.ack(*ours, *theirs, garbage))
        assert failed == {
            theirs[0].token: SETTLED,
            b"garbage": Reason.SETTLEMENT_FAILURE_REASON_INVALID_TOKEN,
        }
        assert await one.rest() == await two.rest() == []


async def test_the_same_token_twice_at_the_wrong_relay_is_one_settlement(database: str) -> None:
    async with pair(database) as (one, two):
        await append_many(database, 40, shards=8)
        _, theirs = await one.deliveries(20), await two.deliveries(20)
        await one.retry(theirs[0], theirs[0])
        [row] = await rows(database)
        assert row["attempt"] == 1


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_config(
        tmp_path / "hookline.toml",
        {
            "relay": {"lease": "1s", "heartbeat": "200ms", "poll": "50ms"},
            "subscriptions.all": {"start": "earliest"},
            "subscriptions.all.retry": {"wait": "fixed", "delay": "1h"},
        },
    )


@asynccontextmanager
async def orphaned(database: str, config: Path) -> AsyncIterator[tuple[RawStream, list[pb.Delivery]]]:
    """What a killed relay had handed out, and a consumer of the relay that comes after it."""
    async with (
        RelayProcess(database, config) as process,
        RawStream(process.target) as first,
        Relay(database, SUBSCRIPTIONS, lease=LEASE) as heir,
        RawStream(heir.target) as second,
    ):
        await first.start()
        await append_many(database, 10, shards=5)
        held = await first.deliveries(10)
        await process.kill()
        await second.start(events=0)
        yield second, held


async def test_acks_for_a_killed_relay_are_carried_out_by_the_next_owner(database: str, config: Path) -> None:
    async with orphaned(database, config) as (stream, held):
        assert reasons(await stream.ack(*held)) == {}
        await stream.resize(events=100)
        assert await stream.rest() == []
    assert await forwarded(database) == 0


async def test_other_verdicts_for_a_killed_relay_are_stale_and_the_events_come_again(
    database: str, config: Path
) -> None:
    async with orphaned(database, config) as (stream, held):
        assert reasons(await stream.reject(*held)) == {delivery.token: STALE for delivery in held}
        await stream.resize(events=100)
        assert sorted(ids(await stream.deliveries(10))) == sorted(ids(held))
    assert await rows(database) == []


async def test_what_nobody_answers_is_stale_in_time_and_leaves_nothing_behind(database: str) -> None:
    async with (
        Relay(database, SUBSCRIPTIONS, lease=LEASE) as relay,
        RawStream(relay.target) as stream,
        connect(database) as connection,
    ):
        await stream.start()
        await append_many(database, 1)
        [delivery] = await stream.deliveries(1)
        await connection.execute(
            "UPDATE hookline.cursors SET owner = 'silent', epoch = epoch + 1,"
            " lease_until = now() + interval '1 hour'"
        )
        await until(lambda: not relay.dispatcher().shards, "the relay knows that it lost its shards")
        assert reasons(await stream.ack(delivery)) == {delivery.token: STALE}
    assert await forwarded(database) == 0
