"""Pull and Settle: the same leases and verdicts as on a stream, in single calls."""

import asyncio
from time import monotonic

import grpc
import pytest

from hookline.v1 import delivery_pb2 as pb
from path.rig.database import attempts, connect, rows
from path.rig.events import append, append_many, event
from path.rig.relay import Relay
from path.rig.stream import RawStream, ids, reasons
from path.rig.unary import Unary
from path.rig.wait import until

QUICK = {"wait": "fixed", "delay": "50ms", "max_attempts": 2}
SETTLED = pb.SettlementFailureReason.SETTLEMENT_FAILURE_REASON_ALREADY_SETTLED


async def test_pull_leases_what_is_ready_and_settle_settles_it(relay: Relay, database: str) -> None:
    sent = await append_many(database, 5)
    async with Unary(relay.target) as unary:
        response = await unary.call(wait=5)
        assert response.ack_deadline.ToSeconds() == 30
        held = list(response.deliveries)
        while len(held) < 5:
            held += await unary.pull(wait=5)
        assert sorted(ids(held)) == sorted(sent)
        assert {delivery.attempt for delivery in held} == {1}
        assert reasons(await unary.ack(*held)) == {}
        assert reasons(await unary.ack(held[0])) == {held[0].token: SETTLED}
        assert await unary.pull() == []
    assert await rows(database) == []


async def test_what_was_pulled_is_nobody_elses(relay: Relay, database: str) -> None:
    await append_many(database, 3)
    async with Unary(relay.target) as unary, RawStream(relay.target) as stream:
        held = await unary.pull(events=2, wait=5)
        await stream.start()
        rest = await stream.rest()
        assert len(held) + len(rest) == 3
        assert not set(ids(held)) & set(ids(rest))
        assert await unary.pull() == []


@pytest.mark.parametrize(("events", "size", "count"), [(3, 0, 3), (100, 3999, 3), (100, 10, 1)])
async def test_a_pull_holds_no_more_than_its_window(
    relay: Relay, database: str, events: int, size: int, count: int
) -> None:
    async with Unary(relay.target) as unary, RawStream(relay.target) as stream:
        await stream.start(events=0)
        await append(database, [event(b"x" * 1000) for _ in range(10)])
        await until(lambda: len(relay.dispatcher()._inventory) == 10, "all is read")
        assert len(await unary.pull(events=events, size=size, wait=5)) == count


async def test_a_pull_waits_for_the_first_delivery_as_long_as_it_says_and_no_longer(
    relay: Relay, database: str
) -> None:
    async with Unary(relay.target) as unary:
        began = monotonic()
        assert await unary.pull(wait=1) == []
        assert 1 <= monotonic() - began < 5
        call = unary.call(wait=50)
        await until(lambda: bool(relay.dispatcher().leases.holders), "it waits")
        sent = await append_many(database, 1)
        assert ids((await call).deliveries) == sent
        assert monotonic() - began < 20


async def test_a_pull_without_a_wait_answers_at_once(relay: Relay) -> None:
    async with Unary(relay.target) as unary:
        await unary.pull()
        began = monotonic()
        assert await unary.pull() == []
        assert monotonic() - began < 2


async def test_a_cancelled_pull_leaves_nothing_leased(relay: Relay, database: str) -> None:
    async with Unary(relay.target) as unary:
        call = unary.call(wait=50)

        def waits() -> bool:
            return "all" in relay.subscribers._served and bool(relay.dispatcher().leases.holders)

        await until(waits, "it waits")
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        await until(lambda: not relay.dispatcher().leases.holders, "it is gone")
        sent = await append_many(database, 1)
        [delivery] = await unary.pull(wait=5)
        assert (delivery.event_id, delivery.attempt) == (sent[0], 1)


async def test_what_was_pulled_and_not_settled_has_failed(database: str) -> None:
    await append_many(database, 1)
    values = {"start": "earliest", "ack_deadline": "300ms", "retry": QUICK}
    async with Relay(database, {"all": values}) as relay, Unary(relay.target) as unary:
        [first] = await unary.pull(wait=5)
        [second] = await unary.pull(wait=5)
        assert (second.event_id, second.attempt) == (first.event_id, 2)

        async def dead() -> bool:
            return [row["state"] for row in await rows(database)] == ["dead"]

        await until(dead, "the second lease ends as well")
    assert [(a["outcome"], a["consumer"]) for a in await attempts(database)] == [("expired", "puller")] * 2


async def test_every_verdict_can_be_given_in_a_call(database: str) -> None:
    await append_many(database, 5, shards=1)
    values = {"start": "earliest", "retry": {"wait": "fixed", "delay": "1h"}}
    async with (
        Relay(database, {"all": values}) as relay,
        Unary(relay.target) as unary,
        RawStream(relay.target) as stream,
    ):
        await stream.start(events=0)
        await until(lambda: len(relay.dispatcher()._inventory) == 5, "all is read")
        a, b, c, d, e = await unary.pull(events=5)
        settlements = [
            pb.Settlement(token=a.token, ack=pb.Ack()),
            pb.Settlement(token=b.token, retry=pb.Retry(reason="b")),
            pb.Settlement(token=c.token, reject=pb.Reject(reason="c")),
            pb.Settlement(token=d.token, extend=pb.Extend()),
            pb.Settlement(token=e.token, release=pb.Release()),
        ]
        assert reasons(await unary.settle(settlements)) == {}
        assert [(row["state"], row["reason"]) for row in await rows(database)] == [
            ("waiting", "b"),
            ("dead", "c"),
        ]
        assert ids(await unary.pull(wait=5)) == [e.event_id]


async def test_what_was_pulled_here_can_be_settled_at_another_relay(database: str) -> None:
    await append_many(database, 8, shards=8)
    async with (
        Relay(database) as one,
        Relay(database) as two,
        Unary(one.target) as here,
        Unary(two.target) as there,
    ):
        held = await here.pull(wait=5)
        while len(held) < 8:
            held += await here.pull(wait=5)
        assert reasons(await there.ack(*held)) == {}
        assert reasons(await here.ack(*held)) == {delivery.token: SETTLED for delivery in held}
        assert await here.pull() == []


async def test_a_relay_that_only_settles_keeps_no_shards_from_those_with_consumers(database: str) -> None:
    """It has nobody to give their events to."""
    async with Relay(database) as one, Relay(database) as two, RawStream(one.target) as stream:
        await stream.start()
        async with Unary(two.target) as unary:
            await unary.settle([])
            assert len(two.dispatcher().shards) == 0
            await append_many(database, 16, shards=8)
            held = await stream.deliveries(16)
            assert reasons(await unary.ack(*held)) == {}
        assert len(one.dispatcher().shards) == 8


async def test_settling_at_the_only_relay_works_without_any_consumer(database: str) -> None:
    """As after a restart between Pull and Settle."""
    await append_many(database, 4)
    async with Relay(database) as relay, Unary(relay.target) as unary:
        held = await unary.pull(wait=5)
    async with Relay(database) as relay, Unary(relay.target) as unary:
        assert reasons(await unary.ack(*held)) == {}
        rest = await unary.pull(wait=2)
        assert not set(ids(rest)) & set(ids(held))


async def test_a_subscription_that_is_pushed_can_not_be_pulled(database: str) -> None:
    values = {"start": "earliest", "push": "127.0.0.1:9"}
    async with Relay(database, {"all": values}) as relay, Unary(relay.target) as unary:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await unary.pull()
        assert "push" in (caught.value.details() or "")


async def test_a_relay_that_drains_answers_a_waiting_pull(database: str) -> None:
    async with Relay(database) as relay, Unary(relay.target) as unary:
        call = unary.call(wait=50)

        def waits() -> bool:
            return "all" in relay.subscribers._served and bool(relay.dispatcher().leases.holders)

        await until(waits, "it waits")
        began = monotonic()
        await relay._relay.drain()
        assert list((await call).deliveries) == []
        assert monotonic() - began < 5


async def test_a_settlement_is_answered_after_its_commit(relay: Relay, database: str) -> None:
    await append_many(database, 1)
    async with Unary(relay.target) as unary:
        held = await unary.pull(wait=5)
        async with connect(database) as connection:
            async with connection.transaction():
                await connection.fetch("SELECT FROM hookline.cursors FOR UPDATE")
                answer = asyncio.create_task(unary.ack(*held))
                done, _ = await asyncio.wait({answer}, timeout=1)
                assert not done
            assert reasons(await answer) == {}
