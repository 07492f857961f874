"""Leases are extended by themselves, well before the ack deadline, as long as the event loop lives."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from client.scripted_relay import ScriptedRelay, message
from client.service import Service, serving
from hookline.client import Consumer, SettlementFailed
from path.rig.stream import PATIENCE

DEADLINE = timedelta(seconds=0.6)


@pytest.fixture
async def impatient() -> AsyncIterator[ScriptedRelay]:
    """A relay with a short ack deadline."""
    async with ScriptedRelay(ack_deadline=DEADLINE) as relay:
        yield relay


async def test_what_runs_and_what_waits_is_extended_again_and_again_before_its_deadline(
    impatient: ScriptedRelay,
) -> None:
    service = Service()
    async with serving(impatient, service, concurrency=1) as (stream, _, _consumer):
        now = asyncio.get_running_loop().time
        begun, tokens = now(), ("runs", "waits")
        await stream.deliver(*map(message, tokens))
        for times in (1, 2, 3):
            await stream.until(lambda n=times: all(stream.extensions().count(token) >= n for token in tokens))
            assert now() - begun < times * DEADLINE.total_seconds() * 2 / 3
        assert not stream.settlements[0].extend.HasField("lease"), "the subscription's ack deadline again"
        service.end("runs")
        await stream.until(lambda: stream.verdicts() == [("ack", "runs")])
        extended = stream.extensions().count("runs")
        await stream.until(lambda: stream.extensions().count("waits") >= 6)
        assert stream.extensions().count("runs") == extended, "what is settled is left alone"


async def test_the_first_extension_comes_when_more_than_half_of_the_time_is_left() -> None:
    async with ScriptedRelay(ack_deadline=timedelta(seconds=3)) as relay, serving(relay, Service()) as served:
        stream, begun = served[0], asyncio.get_running_loop().time()
        await stream.deliver(message("a"))
        await stream.until(lambda: stream.extensions() == ["a"])
        assert asyncio.get_running_loop().time() - begun < 1.5


async def test_all_that_is_due_is_extended_in_one_message(impatient: ScriptedRelay) -> None:
    impatient.confirms = False
    service = Service()
    async with serving(impatient, service) as (stream, _, _consumer):
        await stream.deliver(*(message(f"e{number}") for number in range(100)))
        await stream.until(lambda: len(stream.extensions()) == 100)
        await stream.until(lambda: len(stream.unconfirmed) == 1)


async def test_a_longer_lease_of_the_handlers_own_is_not_cut_short(impatient: ScriptedRelay) -> None:
    service = Service()
    async with serving(impatient, service) as (stream, _, _consumer):
        await stream.deliver(message("long"), message("other"))
        await service.until_begun("long", "other")
        await service.deliveries["long"].extend(timedelta(minutes=10))
        await stream.until(lambda: stream.extensions().count("other") >= 4)
        assert stream.extensions().count("long") == 1
        assert stream.settlements[0].extend.lease.ToTimedelta() == timedelta(minutes=10)


async def test_what_ran_when_the_connection_broke_is_extended_only_when_it_is_leased_again(
    impatient: ScriptedRelay,
) -> None:
    service = Service()
    async with serving(impatient, service) as (stream, _, _consumer):
        await stream.deliver(message("a", token="first"), message("b", token="b first"))
        await service.until_begun("a", "b")
        stream.end()
        again = await impatient.stream()
        await again.deliver(message("a", token="second"))
        await again.until(lambda: again.extensions().count("second") >= 3)
        assert set(again.extensions()) == {"second"}


async def test_in_the_loop_what_waits_is_extended_and_what_was_given_out_is_its_users(
    impatient: ScriptedRelay,
) -> None:
    async with asyncio.timeout(PATIENCE), Consumer(impatient.target, "all") as consumer:
        stream = await impatient.stream()
        await stream.deliver(message("given out"), message("waits"))
        delivery = await anext(consumer)
        await stream.until(lambda: len(stream.extensions()) >= 3)
        assert set(stream.extensions()) == {"waits"}
        await delivery.extend()
        await delivery.extend(timedelta(seconds=5))
        assert stream.extensions().count("given out") == 2
        await delivery.ack()
        await delivery.extend()  # the verdict stands
        assert stream.extensions().count("given out") == 2


async def test_an_extension_that_came_too_late_says_so_and_the_ack_counts_all_the_same(
    scripted: ScriptedRelay,
) -> None:
    async with asyncio.timeout(PATIENCE), Consumer(scripted.target, "all") as consumer:
        stream = await scripted.stream()
        await stream.deliver(message("a"))
        delivery = await anext(consumer)
        stream.stale.add("a")
        with pytest.raises(SettlementFailed):
            await delivery.extend()
        stream.stale.clear()
        await delivery.ack()
        assert (consumer.confirmed, consumer.failed) == (1, 0)


async def test_an_extension_ends_with_its_connection(scripted: ScriptedRelay) -> None:
    scripted.confirms = False
    async with asyncio.timeout(PATIENCE), Consumer(scripted.target, "all") as consumer:
        stream = await scripted.stream()
        await stream.deliver(message("a"))
        extension = (await anext(consumer)).extend()
        await stream.until(lambda: stream.extensions() == ["a"])
        stream.end()
        with pytest.raises(SettlementFailed, match="connection broke"):
            await extension
