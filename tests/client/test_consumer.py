import asyncio

import pytest

from hookline.client import Consumer, Delivery, SettlementFailed, SubscriptionRefused
from hookline.v1 import delivery_pb2 as pb
from path.rig.database import cursors, locked_cursors, until_waiting_for_lock
from path.rig.events import append, append_many, event
from path.rig.relay import Relay
from path.rig.stream import PATIENCE, RawStream
from path.rig.wait import until


async def take(consumer: Consumer, count: int) -> list[Delivery]:
    async with asyncio.timeout(PATIENCE):
        return [await anext(consumer) for _ in range(count)]


async def test_it_receives_what_was_committed_with_all_that_is_known(relay: Relay, database: str) -> None:
    headers = [("content-type", "application/json"), ("x-a", "1")]
    new = event(b'{"score": 7}', type_="x.y", headers=headers, shard=2)
    await append(database, [new])
    async with Consumer(relay.target, "all") as consumer:
        [delivery] = await take(consumer, 1)
        assert delivery.event_id == str(new.event_id)
        assert (delivery.source, delivery.type, delivery.ordering_key) == ("begini", "x.y", "subject-2")
        assert (delivery.body, delivery.json()) == (new.body, {"score": 7})
        assert delivery.headers == headers
        assert delivery.received_at == new.received_at
        assert (delivery.attempt, delivery.is_revision) == (1, False)
        assert delivery.traceparent == new.traceparent
        await delivery.ack()


async def test_awaiting_an_ack_waits_for_the_commit(relay: Relay, database: str) -> None:
    await append_many(database, 1)
    async with Consumer(relay.target, "all") as consumer:
        [delivery] = await take(consumer, 1)
        async with locked_cursors(database):
            acking = asyncio.ensure_future(_await(delivery))
            await until_waiting_for_lock(database, "hookline relay all settlements")
            assert not acking.done()
            assert consumer.confirmed == 0
        async with asyncio.timeout(PATIENCE):
            await acking
        assert consumer.confirmed == 1
    assert max(row["position"] for row in (await cursors(database)).values()) > 0


async def _await(delivery: Delivery) -> None:
    await delivery.ack()


async def test_acking_twice_is_acking_once(relay: Relay, database: str) -> None:
    await append_many(database, 1)
    async with Consumer(relay.target, "all") as consumer:
        [delivery] = await take(consumer, 1)
        assert delivery.ack() is delivery.ack()
        await delivery.ack()
        assert consumer.confirmed == 1


async def test_a_cancelled_wait_for_an_ack_takes_nothing_from_another(relay: Relay, database: str) -> None:
    await append_many(database, 1)
    async with Consumer(relay.target, "all") as consumer:
        [delivery] = await take(consumer, 1)
        async with locked_cursors(database):
            waits, is_cancelled = (asyncio.ensure_future(_await(delivery)) for _ in range(2))
            await until_waiting_for_lock(database, "hookline relay all settlements")
            is_cancelled.cancel()
            with pytest.raises(asyncio.CancelledError):
                await is_cancelled
        async with asyncio.timeout(PATIENCE):
            await waits


async def test_leaving_the_block_waits_for_what_was_settled(relay: Relay, database: str) -> None:
    await append_many(database, 100)
    async with Consumer(relay.target, "all") as consumer:
        for delivery in await take(consumer, 100):
            delivery.ack()
    assert consumer.confirmed == 100
    async with RawStream(relay.target) as stream:
        await stream.start()
        assert await stream.rest() == []


async def test_what_was_received_and_not_settled_goes_to_the_next_consumer(
    relay: Relay, database: str
) -> None:
    await append_many(database, 10)
    async with Consumer(relay.target, "all", window=10) as consumer:
        held = await take(consumer, 6)
        for delivery in held[:3]:
            await delivery.ack()
    async with Consumer(relay.target, "all") as consumer:
        again = await take(consumer, 7)
    settled = {delivery.event_id for delivery in held[:3]}
    assert not settled & {delivery.event_id for delivery in again}
    assert len({delivery.event_id for delivery in again}) == 7


async def test_its_window_bounds_what_it_holds(relay: Relay, database: str) -> None:
    await append_many(database, 30)
    async with Consumer(relay.target, "all", window=5) as consumer:
        held = await take(consumer, 5)
        assert relay.dispatcher().leases.holders[0].window.events == 5
        for _ in range(25):
            await held.pop(0).ack()
            held += await take(consumer, 1)
        assert len(held) == 5


async def test_two_consumers_share_and_none_gets_what_the_other_has(relay: Relay, database: str) -> None:
    async with (
        Consumer(relay.target, "all", window=20) as one,
        Consumer(relay.target, "all", window=20) as two,
    ):
        await until(lambda: "all" in relay.subscribers._served, "a consumer joined")
        await until(lambda: len(relay.dispatcher().leases.holders) == 2, "both joined")
        sent = await append_many(database, 40)
        first, second = await take(one, 20), await take(two, 20)
        assert sorted(delivery.event_id for delivery in first + second) == sorted(sent)


async def test_an_unknown_subscription_is_refused_at_once(relay: Relay) -> None:
    async with asyncio.timeout(5), Consumer(relay.target, "nope") as consumer:
        with pytest.raises(SubscriptionRefused, match=r"NOT_FOUND.*nope"):
            await anext(consumer)


async def test_a_negative_window_is_refused_at_once(relay: Relay) -> None:
    async with asyncio.timeout(5), Consumer(relay.target, "all", window=-1) as consumer:
        with pytest.raises(SubscriptionRefused, match="INVALID_ARGUMENT"):
            await anext(consumer)


async def test_a_cancelled_iteration_can_be_taken_up_again(relay: Relay, database: str) -> None:
    async with Consumer(relay.target, "all") as consumer:
        waiting = asyncio.ensure_future(anext(consumer))
        await until(lambda: consumer._connection.stream is not None, "it is connected")
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        sent = await append_many(database, 3)
        assert sorted(delivery.event_id for delivery in await take(consumer, 3)) == sorted(sent)


async def test_a_task_that_consumes_can_be_cancelled(relay: Relay, database: str) -> None:
    await append_many(database, 3)
    seen = asyncio.Event()

    async def consume() -> None:
        async with Consumer(relay.target, "all") as consumer:
            async for delivery in consumer:
                delivery.ack()
                seen.set()

    consuming = asyncio.create_task(consume())
    async with asyncio.timeout(PATIENCE):
        await seen.wait()
        consuming.cancel()
        with pytest.raises(asyncio.CancelledError):
            await consuming
    await until(
        lambda: not any(served.holders for served in relay.subscribers._served.values()),
        "the relay sees it go",
    )


async def test_an_ack_whose_lease_another_relay_took_fails_and_says_what_follows(
    relay: Relay, database: str
) -> None:
    await append_many(database, 1)
    async with Consumer(relay.target, "all") as consumer:
        [delivery] = await take(consumer, 1)
        async with locked_cursors(database) as connection:
            await connection.execute(
                "UPDATE hookline.cursors SET owner = 'another', epoch = epoch + 1,"
                " lease_until = now() + interval '1 hour'"
            )
            await connection.execute("COMMIT")
        with pytest.raises(SettlementFailed, match="delivered again"):
            await delivery.ack()


async def test_a_consumer_that_never_connected_leaves_at_once() -> None:
    async with asyncio.timeout(5), Consumer("127.0.0.1:1", "all"):
        pass


def test_a_deliverys_printed_form_tells_nothing_of_its_content() -> None:
    message = pb.Delivery(event_id="id", source="s", type="t", ordering_key="canary", body=b"canary")
    assert "canary" not in repr(Delivery(message, lambda *_: None, "all"))  # type: ignore[arg-type,return-value]
