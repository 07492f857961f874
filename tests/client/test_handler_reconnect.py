"""Connections break and relays drain while handlers run: nothing runs twice at once, and what was done counts."""

import asyncio
from datetime import timedelta

from client.scripted_relay import ScriptedRelay, message
from client.service import Service, serving
from hookline.client import Consumer
from path.rig.stream import PATIENCE
from path.rig.wait import until


async def test_an_event_that_comes_again_while_its_handler_runs_is_not_begun_again(
    scripted: ScriptedRelay,
) -> None:
    service = Service()
    async with serving(scripted, service) as (stream, _, _consumer):
        await stream.deliver(message("a", token="first"))
        await service.until_begun("a")
        stream.end()
        again = await scripted.stream()
        await again.deliver(message("a", token="second", attempt=2), message("b"))
        await service.until_begun("a", "b")
        service.end("a")
        await again.until_verdicts(("ack", "second"))  # counts for the hand-over that is still open


async def test_its_retry_too_is_for_the_latest_hand_over(scripted: ScriptedRelay) -> None:
    service = Service()
    async with serving(scripted, service) as (stream, _, _consumer):
        await stream.deliver(message("a", token="first"))
        await service.until_begun("a")
        await stream.deliver(message("a", token="second"), message("b"))  # its lease had ended
        await service.until_begun("a", "b")
        service.end("a", error=ValueError())
        await stream.until_verdicts(("retry", "second"))


async def test_an_event_that_comes_again_before_its_ack_is_confirmed_is_acked_and_not_begun(
    scripted: ScriptedRelay,
) -> None:
    scripted.confirms = False
    service = Service()
    async with serving(scripted, service) as (stream, _, consumer):
        await stream.deliver(message("a", token="first"))
        service.end("a")
        await stream.until_verdicts(("ack", "first"))
        stream.end()
        again = await scripted.stream()
        await again.deliver(message("a", token="second"), message("b"))
        await again.until_verdicts(("ack", "first"), ("ack", "second"))
        await service.until_begun("a", "b")
        await again.confirm()
        await until(lambda: consumer._settlements.is_empty, "both are confirmed")
        assert consumer.confirmed == 1
        await again.deliver(message("a", token="third"))  # no promise of the relay's, but not ours to judge
        await service.until_begun("a", "b", "a")


async def test_a_failed_event_that_comes_again_is_begun_again(scripted: ScriptedRelay) -> None:
    scripted.confirms = False
    service = Service()
    async with serving(scripted, service) as (stream, _, _consumer):
        await stream.deliver(message("a", token="first"))
        service.end("a", error=ValueError())
        await stream.until_verdicts(("retry", "first"))
        await stream.deliver(message("a", token="second", attempt=2))
        await service.until_begun("a", "a")
        assert service.deliveries["a"].attempt == 2


async def test_what_had_not_begun_when_the_connection_broke_is_forgotten(scripted: ScriptedRelay) -> None:
    service = Service()
    async with serving(scripted, service, concurrency=1) as (stream, _, _consumer):
        await stream.deliver(message("a"), message("b"), message("c"))
        await service.until_begun("a")
        stream.end()
        again = await scripted.stream()
        await again.deliver(message("c", token="c again"))
        service.end("a")
        await service.until_begun("a", "c")
        service.end("c")
        await again.until_verdicts(("ack", "a"), ("ack", "c again"))


async def test_the_order_of_a_key_holds_across_connections(scripted: ScriptedRelay) -> None:
    service = Service()
    async with serving(scripted, service) as (stream, _, _consumer):
        await stream.deliver(message("a1", key="a"), message("a2", key="a"))
        await service.until_begun("a1")
        stream.end()
        again = await scripted.stream()
        await again.deliver(
            message("a1", token="a1 again", key="a"), message("a2", key="a"), message("b", key="b")
        )
        await service.until_begun("a1", "b")
        service.end("a1")
        await service.until_begun("a1", "b", "a2")


async def test_a_draining_relay_gets_back_what_has_not_begun_and_the_rest_is_finished(
    scripted: ScriptedRelay,
) -> None:
    service = Service()
    async with serving(scripted, service, concurrency=2) as (stream, _, _consumer):
        await stream.deliver(*(message(name) for name in "abcd"))
        await service.until_begun("a", "b")
        await stream.drain(timedelta(seconds=PATIENCE))
        await stream.until_verdicts(("release", "c"), ("release", "d"))
        service.end("a", "b")
        await stream.until(lambda: stream.is_half_closed)
        await stream.until_verdicts(("release", "c"), ("release", "d"), ("ack", "a"), ("ack", "b"))
        again = await scripted.stream()
        await again.deliver(message("c"))
        await service.until_begun("a", "b", "c")


async def test_a_handler_that_outlasts_the_grace_of_a_relay_goes_on_and_its_ack_finds_the_next(
    scripted: ScriptedRelay,
) -> None:
    service = Service()
    async with serving(scripted, service) as (stream, _, _consumer):
        await stream.deliver(message("a"))
        await service.until_begun("a")
        await stream.drain(timedelta(seconds=0.2))
        await stream.until(lambda: stream.is_half_closed)  # given back before the relay's time is up
        following = await scripted.stream()
        assert service.running == {"a"}
        service.end("a")
        await following.until_verdicts(("ack", "a"))


async def test_in_the_loop_what_comes_again_before_its_ack_is_not_given_out_twice(
    scripted: ScriptedRelay,
) -> None:
    async with asyncio.timeout(PATIENCE), Consumer(scripted.target, "all") as consumer:
        stream = await scripted.stream()
        await stream.deliver(message("a", token="first"))
        first = await anext(consumer)
        stream.end()
        stream = await scripted.stream()
        await stream.deliver(message("a", token="second"), message("b"))
        await until(lambda: len(consumer._leases._waiting) == 2, "they have come")
        first.ack()
        assert (await anext(consumer)).event_id == "b"
        await stream.until_verdicts(("ack", "first"), ("ack", "second"))


async def test_in_the_loop_what_was_not_settled_in_time_is_given_out_again(scripted: ScriptedRelay) -> None:
    async with asyncio.timeout(PATIENCE), Consumer(scripted.target, "all") as consumer:
        stream = await scripted.stream()
        await stream.deliver(message("a", token="first"))
        await anext(consumer)  # and forgotten
        await stream.deliver(message("a", token="second", attempt=2))
        again = await anext(consumer)
        assert (again.event_id, again.attempt) == ("a", 2)
        await again.ack()
        assert stream.verdicts() == [("ack", "second")]
