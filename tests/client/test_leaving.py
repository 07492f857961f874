"""Leaving `async with Consumer(...)`: what is held goes back, and an event that ends its consumer is told on."""

import asyncio
from datetime import timedelta

import pytest

from client.scripted_relay import ScriptedRelay, ScriptedStream, message
from hookline.client import Consumer, Delivery, Reject, Retry
from path.rig.stream import PATIENCE
from path.rig.wait import until


async def take(consumer: Consumer, stream: ScriptedStream, *names: str) -> list[Delivery]:
    await stream.deliver(*map(message, names))
    return [await anext(consumer) for _ in names]


async def consume(relay: ScriptedRelay, *names: str, error: Exception, acks: bool = False) -> ScriptedStream:
    """Take these, settle them or don't, and fail. Answers what the relay heard."""
    streams = []

    async def fail() -> None:
        async with asyncio.timeout(PATIENCE), Consumer(relay.target, "all") as consumer:
            streams.append(await relay.stream())
            for delivery in await take(consumer, streams[0], *names):
                if acks:
                    await delivery.ack()
            raise error

    with pytest.raises(type(error)):
        await fail()
    await streams[0].until(lambda: streams[0].is_half_closed)
    return streams[0]


async def test_leaving_in_order_releases_what_waits_and_parts_in_order(scripted: ScriptedRelay) -> None:
    async with asyncio.timeout(PATIENCE), Consumer(scripted.target, "all") as consumer:
        stream = await scripted.stream()
        held, _ = await take(consumer, stream, "a", "b")
        await stream.deliver(message("waits"))
        await until(lambda: len(consumer._leases._waiting) == 1, "it has come")
        held.ack()
    await stream.until(lambda: stream.is_half_closed)
    assert sorted(stream.verdicts()) == [("ack", "a"), ("release", "waits")]
    assert stream.windows == [0], "and nothing comes in its place"


async def test_an_error_is_a_failed_attempt_of_what_was_given_out_last(scripted: ScriptedRelay) -> None:
    stream = await consume(scripted, "earlier", "poison", error=KeyError("canary"))
    [settlement] = stream.settlements
    assert (settlement.token, settlement.retry.reason) == (b"poison", "KeyError")


@pytest.mark.parametrize(
    ("error", "verdict"),
    [(Reject("no such applicant"), "reject"), (Retry(timedelta(seconds=7), "closed"), "retry")],
)
async def test_the_error_may_be_a_verdict(scripted: ScriptedRelay, error: Exception, verdict: str) -> None:
    stream = await consume(scripted, "a", error=error)
    assert stream.verdicts() == [(verdict, "a")]


async def test_an_error_after_the_verdict_changes_nothing(scripted: ScriptedRelay) -> None:
    stream = await consume(scripted, "a", error=ValueError("later"), acks=True)
    assert stream.verdicts() == [("ack", "a")]


async def test_a_cancellation_is_not_the_events_doing(scripted: ScriptedRelay) -> None:
    taken = asyncio.Event()

    async def wait_for_ever() -> None:
        async with Consumer(scripted.target, "all") as consumer:
            await anext(consumer)
            taken.set()
            await asyncio.Event().wait()

    consuming = asyncio.create_task(wait_for_ever())
    stream = await scripted.stream()
    await stream.deliver(message("a"))
    async with asyncio.timeout(PATIENCE):
        await taken.wait()
        consuming.cancel()
        with pytest.raises(asyncio.CancelledError):
            await consuming
    await stream.until(lambda: stream.is_half_closed)
    assert stream.verdicts() == []
