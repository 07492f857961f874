"""What operators change while relays deliver."""

from datetime import timedelta
from typing import Any

import grpc
import pytest

from hookline.model import SubscriptionName
from hookline.store import subscription_changes
from hookline.store.session import Session
from hookline.v1 import delivery_pb2 as pb
from path.rig.database import connect, rows
from path.rig.events import append, append_many, event
from path.rig.relay import Relay
from path.rig.stream import RawStream, ids, reasons
from path.rig.unary import Unary
from path.rig.wait import until


async def change(database: str, assignment: str, *args: Any, hint: bool = True) -> None:
    """Change the subscription as the operators' service does; a relay that gets no hint looks by itself."""
    async with connect(database) as connection, connection.transaction():
        await connection.execute(
            f"UPDATE hookline.subscriptions SET {assignment}, version = version + 1",
            *args,
        )
        if hint:
            await connection.execute("SELECT pg_notify('hookline_control', '')")


async def until_known(relay: Relay, **values: Any) -> None:
    def known() -> bool:
        subscription = relay.dispatcher().subscription
        return all(getattr(subscription, name) == value for name, value in values.items())

    await until(known, f"the relay knows {values}")


@pytest.mark.parametrize("hint", [True, False])
async def test_a_pause_stops_handing_out_and_resuming_goes_on(
    relay: Relay,
    database: str,
    hint: bool,  # noqa: FBT001
) -> None:
    async with RawStream(relay.target) as stream:
        await stream.start(events=3)
        before = await append_many(database, 10)
        held = await stream.deliveries(3)
        await change(database, "paused = true", hint=hint)
        await until_known(relay, paused=True)
        assert not (await stream.ack(*held)).failures, "what is out can be settled"
        assert await stream.rest() == []
        assert stream.heartbeats[-1].paused
        during = await append_many(database, 5)
        await stream.resize(events=100)
        assert await stream.rest() == []
        assert stream.heartbeats[-1].backlog == 12
        await change(database, "paused = false", hint=hint)
        rest = await stream.deliveries(12)
        assert sorted(ids([*held, *rest])) == sorted([*before, *during])
        assert not (await stream.ack(*rest)).failures
        await stream.rest()
        assert not stream.heartbeats[-1].paused


async def test_a_paused_subscription_gives_nothing_to_whoever_comes(relay: Relay, database: str) -> None:
    await change(database, "paused = true")
    await append_many(database, 5)
    async with RawStream(relay.target) as stream, Unary(relay.target) as unary:
        await stream.start()
        assert await stream.rest() == []
        assert await unary.pull(wait=1) == []
        await change(database, "paused = false")
        assert len(await stream.deliveries(5)) == 5


async def test_retries_that_fall_due_wait_for_the_end_of_a_pause(database: str) -> None:
    retry = {"wait": "fixed", "delay": "50ms"}
    async with (
        Relay(database, {"all": {"start": "earliest", "retry": retry}}) as relay,
        RawStream(relay.target) as stream,
    ):
        await append_many(database, 1)
        await stream.start()
        [delivery] = await stream.deliveries(1)
        await change(database, "paused = true")
        await until_known(relay, paused=True)
        await stream.retry(delivery)
        assert await stream.rest() == []
        await change(database, "paused = false")
        [again] = await stream.deliveries(1)
        assert (again.event_id, again.attempt) == (delivery.event_id, 2)


async def test_a_settlement_of_a_relay_before_counts_during_a_pause(database: str) -> None:
    await append_many(database, 4)
    async with Relay(database) as relay, RawStream(relay.target) as stream:
        await stream.start()
        held = await stream.deliveries(4)
        await change(database, "paused = true")
        await until_known(relay, paused=True)
    async with Relay(database) as relay, RawStream(relay.target) as stream:
        await stream.start()
        assert reasons(await stream.ack(*held)) == {}
        await change(database, "paused = false")
        assert await stream.rest() == []


async def test_a_changed_retry_policy_holds_from_the_next_failure_on(relay: Relay, database: str) -> None:
    await append_many(database, 2)
    async with RawStream(relay.target) as stream:
        await stream.start()
        first, second = await stream.deliveries(2)
        await stream.retry(first)
        [row] = await rows(database)
        assert row["due_at"] - row["changed_at"] < timedelta(seconds=3)
        old = relay.dispatcher().subscription.retry
        await change(
            database,
            "retry = $1",
            '{"wait": {"kind": "fixed", "delay": "PT1H"}, "max_attempts": 2, "max_age": null}',
        )
        await until(lambda: relay.dispatcher().subscription.retry != old, "the relay knows the policy")
        await stream.retry(second)
        waits = [row["due_at"] - row["changed_at"] for row in await rows(database)]
        assert sum(wait > timedelta(minutes=59) for wait in waits) == 1
        [again] = await stream.deliveries(1)
        await stream.retry(again)
        assert sorted(row["state"] for row in await rows(database)) == ["dead", "waiting"]


async def test_a_changed_ack_deadline_holds_for_what_is_handed_out_from_then_on(
    relay: Relay, database: str
) -> None:
    async with RawStream(relay.target) as stream:
        await stream.start()
        await append_many(database, 1)
        [old] = await stream.deliveries(1)
        await change(database, "ack_deadline = interval '300 milliseconds'")
        await until_known(relay, ack_deadline=timedelta(milliseconds=300))
        await append(database, [event(b"new", shard=1)])
        [first] = await stream.deliveries(1)
        [second] = await stream.deliveries(1)
        assert (second.event_id, second.attempt) == (first.event_id, 2)
        assert not (await stream.ack(second)).failures
        assert not (await stream.ack(old)).failures


async def test_a_changed_filter_holds_for_what_is_read_from_then_on(relay: Relay, database: str) -> None:
    async with RawStream(relay.target) as stream:
        await stream.start()
        await append(database, [event(b"1", type_="a")])
        assert len(await stream.deliveries(1)) == 1
        await change(database, "types = ARRAY['b*']")
        await until_known(relay, types=("b*",))
        _, wanted = await append(database, [event(b"2", type_="a"), event(b"3", type_="bc")])
        assert ids(await stream.deliveries(1)) == [wanted]
        assert await stream.rest() == []


async def test_a_changed_order_ends_the_streams_and_holds_for_the_next(relay: Relay, database: str) -> None:
    async with RawStream(relay.target) as stream:
        await stream.start()
        first, second = await append(database, [event(b"1"), event(b"2")])
        assert ids(await stream.deliveries(2)) == [first, second]
        await change(database, "ordering = 'key'")
        code, info = await stream.refusal()
        assert (code, info.reason) == (grpc.StatusCode.UNAVAILABLE, "RELAY_STOPPED")
        details = await stream.call.details()
        assert "changed" in details
        assert "connect again" in details
    async with RawStream(relay.target) as stream:
        await stream.start()
        for sent in (first, second):
            [delivery] = await stream.deliveries(1)
            assert (delivery.event_id, delivery.attempt) == (sent, 1)
            assert await stream.rest() == []
            assert not (await stream.ack(delivery)).failures


async def test_deleting_ends_the_streams_and_there_is_nothing_to_come_back_to(
    relay: Relay, database: str
) -> None:
    await append_many(database, 3)
    session = Session(database, name="test")
    async with RawStream(relay.target) as stream:
        await stream.start()
        held = await stream.deliveries(3)
        await stream.retry(held[0])
        assert await subscription_changes.delete(
            session, SubscriptionName("all"), within=timedelta(seconds=10)
        )
        code, info = await stream.refusal()
        assert (code, info.reason) == (grpc.StatusCode.UNAVAILABLE, "RELAY_STOPPED")
        assert "deleted" in await stream.call.details()
    async with RawStream(relay.target) as stream:
        start = pb.Start(subscription="all", window=pb.Window(max_events=1))
        await stream.send(pb.SubscribeRequest(start=start))
        code, info = await stream.refusal()
        assert (code, info.reason) == (grpc.StatusCode.NOT_FOUND, "UNKNOWN_SUBSCRIPTION")
    await session.close()
    assert await rows(database) == []
    assert relay.lives
