"""Consumer.run(): what handlers do becomes verdicts, and which of them run at the same time."""

import asyncio
import logging
from datetime import timedelta

import pytest

from client.scripted_relay import ScriptedRelay, kind_of, message
from client.service import Service, serving
from hookline.client import Consumer, ConsumerError, Delivery, Reject, Retry, SubscriptionRefused
from path.rig.relay import Relay
from path.rig.wait import until


async def test_a_handler_that_returns_acks(scripted: ScriptedRelay) -> None:
    service = Service()
    async with serving(scripted, service) as (stream, _, consumer):
        await stream.deliver(message("a"))
        await service.until_begun("a")
        assert stream.settlements == []
        service.end("a")
        await stream.until_verdicts(("ack", "a"))
        await until(lambda: consumer.confirmed == 1, "it is confirmed")


async def test_a_handler_that_raises_retries_and_only_the_errors_name_is_told(
    scripted: ScriptedRelay, caplog: pytest.LogCaptureFixture
) -> None:
    service = Service()
    async with serving(scripted, service) as (stream, _, _consumer):
        await stream.deliver(message("a", body=b"canary", key="canary"))
        service.end("a", error=KeyError("canary"))
        await stream.until_verdicts(("retry", "a"))
    [settlement] = stream.settlements
    assert settlement.retry.reason == "KeyError"
    assert not settlement.retry.HasField("delay")
    [warning] = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert "KeyError" in warning.getMessage()
    assert "canary" not in warning.getMessage()


async def test_it_may_raise_when_to_try_again(scripted: ScriptedRelay) -> None:
    service = Service()
    async with serving(scripted, service) as (stream, _, _consumer):
        await stream.deliver(message("a"))
        service.end("a", error=Retry(timedelta(minutes=5), "the bureau is closed"))
        await stream.until_verdicts(("retry", "a"))
    [settlement] = stream.settlements
    assert settlement.retry.delay.ToTimedelta() == timedelta(minutes=5)
    assert settlement.retry.reason == "the bureau is closed"


async def test_it_may_raise_that_no_attempt_can_succeed(scripted: ScriptedRelay) -> None:
    service = Service()
    async with serving(scripted, service) as (stream, _, _consumer):
        await stream.deliver(message("a"))
        service.end("a", error=Reject("no such applicant"))
        await stream.until_verdicts(("reject", "a"))
    assert stream.settlements[0].reject.reason == "no such applicant"


@pytest.mark.parametrize("error", [TimeoutError(), asyncio.CancelledError()])
async def test_a_handler_whose_work_was_cut_off_retries(
    scripted: ScriptedRelay, error: BaseException
) -> None:
    service = Service()
    async with serving(scripted, service) as (stream, _, _consumer):
        await stream.deliver(message("a"), message("b"))
        service.end("a", error=error)
        await stream.until_verdicts(("retry", "a"))
        assert stream.settlements[0].retry.reason == type(error).__name__
        service.end("b")  # and the others are as before
        await stream.until_verdicts(("retry", "a"), ("ack", "b"))


async def test_a_verdict_of_the_handlers_own_stands(scripted: ScriptedRelay) -> None:
    service = Service()
    async with serving(scripted, service) as (stream, _, _consumer):
        await stream.deliver(message("a"), message("b"))
        await service.until_begun("a", "b")
        await service.deliveries["a"].reject("mine")
        service.deliveries["b"].ack()
        service.end("a")
        service.end("b", error=ValueError())
        await until(lambda: not service.running, "both ended")
        await stream.until_verdicts(("reject", "a"), ("ack", "b"))


async def test_that_a_retry_came_too_late_is_nobodys_error(scripted: ScriptedRelay) -> None:
    service = Service()
    async with serving(scripted, service) as (stream, task, consumer):
        stream.stale.add("a")
        await stream.deliver(message("a"))
        service.end("a", error=ValueError())
        await until(lambda: consumer.failed == 1, "the relay refuses it")
        await stream.deliver(message("b"))
        service.end("b")
        await until(lambda: consumer.confirmed == 1, "the next is acked")
        assert not task.done()


async def test_no_more_handlers_run_than_allowed(scripted: ScriptedRelay) -> None:
    names = [f"e{number}" for number in range(20)]
    service = Service()
    async with serving(scripted, service, concurrency=3) as (stream, _, _consumer):
        await stream.deliver(*map(message, names))
        for started in range(3, 20):
            await service.until_begun(*names[:started])
            assert len(service.running) == 3
            service.end(names[started - 3])
        await service.until_begun(*names)


async def test_one_of_each_key_runs_at_a_time_in_order_of_arrival(scripted: ScriptedRelay) -> None:
    service = Service()
    async with serving(scripted, service) as (stream, _, _consumer):
        await stream.deliver(
            message("a1", key="a"), message("a2", key="a"), message("b1", key="b"), message("a3", key="a")
        )
        await service.until_begun("a1", "b1")
        service.end("a1", error=ValueError())
        await service.until_begun("a1", "b1", "a2")
        service.end("b1")
        await stream.until_verdicts(("retry", "a1"), ("ack", "b1"))
        assert service.running == {"a2"}
        service.end("a2")
        await service.until_begun("a1", "b1", "a2", "a3")


async def test_a_key_belongs_to_its_source(scripted: ScriptedRelay) -> None:
    service = Service()
    async with serving(scripted, service) as (stream, _, _consumer):
        await stream.deliver(message("a", key="7"), message("b", key="7", source="another"))
        await service.until_begun("a", "b")


async def test_without_a_key_there_is_no_order(scripted: ScriptedRelay) -> None:
    service = Service()
    async with serving(scripted, service) as (stream, _, _consumer):
        await stream.deliver(message("a"), message("b"))
        await service.until_begun("a", "b")


async def test_a_replay_waits_for_the_handler_of_the_same_event(scripted: ScriptedRelay) -> None:
    service = Service()
    async with serving(scripted, service) as (stream, _, _consumer):
        await stream.deliver(message("a"), message("a", token="again", replay="replays/7"), message("b"))
        await service.until_begun("a", "b")
        service.end("a")
        await service.until_begun("a", "b", "a")
        service.end("a")
        await stream.until_verdicts(("ack", "a"), ("ack", "again"))


async def test_a_window_and_a_name_are_asked_for(scripted: ScriptedRelay) -> None:
    async with serving(scripted, Service(), window=7, window_bytes=9, name="me") as (stream, _, _consumer):
        await stream.until(lambda: stream.start is not None)
        assert stream.start is not None
        assert (stream.start.window.max_events, stream.start.window.max_bytes) == (7, 9)
        assert stream.start.consumer == "me"


async def test_an_unknown_subscription_ends_the_run(relay: Relay) -> None:
    async def handler(delivery: Delivery) -> None:
        await delivery.ack()

    async with asyncio.timeout(5):
        with pytest.raises(SubscriptionRefused, match="NOT_FOUND"):
            await Consumer(relay.target, "nope").run(handler)


async def test_it_is_not_run_within_its_own_block(scripted: ScriptedRelay) -> None:
    async with Consumer(scripted.target, "all") as consumer:
        with pytest.raises(ConsumerError, match="connects once"):
            await consumer.run(Service().handle)


def test_without_any_concurrency_nothing_could_run() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Consumer("127.0.0.1:1", "all", concurrency=0)


async def test_a_cancelled_run_cancels_its_handlers_and_gives_their_events_back(
    scripted: ScriptedRelay,
) -> None:
    service = Service()
    async with serving(scripted, service) as (stream, task, _):
        await stream.deliver(message("a", key="k"), message("b", key="k"))
        await service.until_begun("a")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not service.running
        await stream.until(lambda: stream.is_half_closed)
        assert {kind_of(one) for one in stream.settlements} <= {"release"}
