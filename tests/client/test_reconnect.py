"""Connections break, relays restart and drain; the consumer's code notices nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from time import monotonic

import grpc
import pytest

from client.scripted_relay import ScriptedRelay, message
from hookline.client import Consumer, Delivery
from path.rig.database import cursors, locked_cursors, until_waiting_for_lock
from path.rig.events import append_many
from path.rig.process import RelayProcess, write_config
from path.rig.proxy import Proxy
from path.rig.relay import Relay
from path.rig.stream import PATIENCE, RawStream
from path.rig.wait import until


async def take(consumer: Consumer, count: int) -> list[Delivery]:
    async with asyncio.timeout(2 * PATIENCE):
        return [await anext(consumer) for _ in range(count)]


async def cut(proxy: Proxy, consumer: Consumer) -> None:
    """Break the consumer's connection, and wait until it knows."""
    stream = consumer._connection.stream
    assert stream is not None
    proxy.cut()
    await until(lambda: consumer._connection.stream is not stream, "the break is noticed")


@asynccontextmanager
async def paused(relay: Relay) -> AsyncIterator[None]:
    """Another consumer that takes nothing, so that the relay keeps its leases when the first is cut off."""
    async with RawStream(relay.target) as stream:
        await stream.start(events=0)
        yield


async def test_an_ack_that_was_committed_while_the_only_consumer_was_away_is_not_called_failed(
    relay: Relay, database: str
) -> None:
    await append_many(database, 1)
    async with Proxy(relay.port) as proxy, Consumer(proxy.target, "all") as consumer:
        [delivery] = await take(consumer, 1)
        async with locked_cursors(database):
            ack = delivery.ack()
            await until_waiting_for_lock(database, "hookline relay all settlements")
            proxy.upstream = 1
            await cut(proxy, consumer)
        await until(lambda: not relay.subscribers._served, "the relay gave the leases up")
        assert max(row["position"] for row in (await cursors(database)).values()) > 0
        proxy.upstream = relay.port
        async with asyncio.timeout(2 * PATIENCE):
            await ack  # raises if the consumer is told that the event will come again: it won't


async def test_it_comes_back_after_the_relay_was_restarted(database: str) -> None:
    relay = Relay(database)
    async with relay:
        consumer = Consumer(relay.target, "all")
        await consumer.__aenter__()
        before = await append_many(database, 5)
        for delivery in await take(consumer, 5):
            await delivery.ack()
    async with Relay(database, port=relay.port):
        after = await append_many(database, 5)
        deliveries = await take(consumer, 5)
        assert sorted(delivery.event_id for delivery in deliveries) == sorted(after)
        assert not set(before) & set(after)
        for delivery in deliveries:
            await delivery.ack()
        await consumer.__aexit__(None, None, None)
    assert consumer.confirmed == 10


async def test_acks_of_what_a_killed_relay_handed_out_still_count(database: str, tmp_path: Path) -> None:
    """The next relay has to wait for the dead one's lease before it can know what the tokens name."""
    config = write_config(
        tmp_path / "hookline.toml", {"subscriptions.all": {"start": "earliest"}, "relay": {"lease": "2s"}}
    )
    async with RelayProcess(database, config) as relay, Consumer(relay.target, "all") as consumer:
        await append_many(database, 3)
        first, *rest = await take(consumer, 3)
        await first.ack()
        await relay.kill()
        acks = [delivery.ack() for delivery in rest]
        async with (
            RelayProcess(database, config, port=relay.port, name="next"),
            asyncio.timeout(2 * PATIENCE),
        ):
            for ack in acks:
                await ack
            last = await append_many(database, 1)
            # Until the token was known its event may have been handed out again: at least once is the promise.
            async for delivery in consumer:
                if delivery.event_id in last:
                    break
        assert (consumer.confirmed, consumer.failed) == (3, 0)


async def test_a_relay_that_fails_at_what_it_is_sent_is_tried_ever_less_often_until_it_is_mended(
    scripted: ScriptedRelay, caplog: pytest.LogCaptureFixture
) -> None:
    """What wasn't confirmed is sent again, and may be what it fails at: that must not go round and round."""
    scripted.confirms = False
    async with asyncio.timeout(PATIENCE), Consumer(scripted.target, "all") as consumer:
        stream = await scripted.stream()
        await stream.deliver(message("a"))
        ack = (await anext(consumer)).ack()
        pauses = []
        for _ in range(4):
            await stream.until_verdicts(("ack", "a"))
            ended = monotonic()
            stream.end(grpc.StatusCode.INTERNAL)
            stream = await scripted.stream()
            pauses.append(monotonic() - ended)
        for pause, least in zip(pauses, (0.2, 0.4, 0.8, 1.6), strict=True):
            assert least <= pause
        assert caplog.text.count("INTERNAL: as the test says") == 4
        assert not ack.is_done
        await stream.until_verdicts(("ack", "a"))
        await stream.confirm()
        await ack


async def test_a_relay_that_is_only_gone_is_not_waited_for_any_longer_than_that(
    scripted: ScriptedRelay,
) -> None:
    async with asyncio.timeout(PATIENCE), Consumer(scripted.target, "all") as consumer:
        stream = await scripted.stream()
        began = monotonic()
        for _ in range(6):
            stream.end(grpc.StatusCode.UNAVAILABLE)
            stream = await scripted.stream()
        assert monotonic() - began < 0.2 * 2**6 / 2, "pauses don't grow"
        await stream.deliver(message("a"))
        await (await anext(consumer)).ack()


async def test_it_waits_for_a_relay_that_is_not_there_yet(database: str) -> None:
    async with Proxy(1) as proxy, Consumer(proxy.target, "all") as consumer, Relay(database) as relay:
        proxy.upstream = relay.port
        sent = await append_many(database, 1)
        [delivery] = await take(consumer, 1)
        assert delivery.event_id == sent[0]
        await delivery.ack()


async def test_an_ack_outlives_the_connection_that_it_was_sent_on(relay: Relay, database: str) -> None:
    await append_many(database, 4)
    async with (
        paused(relay),
        Proxy(relay.port) as proxy,
        Consumer(proxy.target, "all") as consumer,
    ):
        held = await take(consumer, 4)
        async with locked_cursors(database):
            acks = [delivery.ack() for delivery in held]
            await until_waiting_for_lock(database, "hookline relay all settlements")
            await cut(proxy, consumer)
            assert not any(ack.is_done for ack in acks)
        async with asyncio.timeout(PATIENCE):
            for ack in acks:
                await ack
        assert consumer.confirmed == 4


async def test_what_was_held_when_the_connection_broke_can_still_be_acked(
    relay: Relay, database: str
) -> None:
    await append_many(database, 3)
    async with (
        paused(relay),
        Proxy(relay.port) as proxy,
        Consumer(proxy.target, "all") as consumer,
    ):
        held = await take(consumer, 3)
        await cut(proxy, consumer)
        async with asyncio.timeout(PATIENCE):
            for delivery in held:
                await delivery.ack()
        assert consumer.confirmed == 3


async def test_many_breaks_lose_nothing(relay: Relay, database: str) -> None:
    sent = await append_many(database, 400)
    seen: set[str] = set()
    async with Proxy(relay.port) as proxy, Consumer(proxy.target, "all", window=40) as consumer:
        for number in range(1, 401):
            if number % 100 == 0:
                proxy.cut()
            [delivery] = await take(consumer, 1)
            seen.add(delivery.event_id)
            delivery.ack()
            if len(seen) == 400:
                break
        async with asyncio.timeout(2 * PATIENCE):
            while len(seen) < 400:
                delivery = await anext(consumer)
                seen.add(delivery.event_id)
                delivery.ack()
    assert seen == set(sent)


async def test_a_draining_relay_hands_its_consumer_to_the_next(database: str) -> None:
    async with Relay(database) as old, Relay(database) as new, Proxy(old.port) as proxy:
        async with Consumer(proxy.target, "all", window=10) as consumer:
            sent = await append_many(database, 30)
            held = await take(consumer, 4)  # six more wait in the consumer's buffer
            draining = asyncio.create_task(old.subscribers.drain(timedelta(seconds=PATIENCE)))
            await until(lambda: consumer._leases._draining, "the consumer heard of it")
            proxy.upstream = new.port
            for delivery in held:
                await delivery.ack()
            async with asyncio.timeout(PATIENCE):
                await draining
            proxy.cut()  # the old relay's port closes
            rest = []
            for _ in range(26):
                rest += await take(consumer, 1)
                await rest[-1].ack()
        assert sorted(delivery.event_id for delivery in held + rest) == sorted(sent)


async def test_leaving_while_the_relay_is_away_gives_up_in_time_and_says_so(database: str) -> None:
    await append_many(database, 1)
    async with Relay(database) as relay:
        consumer = Consumer(relay.target, "all")
        await consumer.__aenter__()
        [delivery] = await take(consumer, 1)
    ack = delivery.ack()
    async with asyncio.timeout(8):
        await consumer.__aexit__(None, None, None)
    assert ack.is_done
    assert consumer.confirmed == 0
