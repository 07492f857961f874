"""A push consumer between a real gRPC server that misbehaves and an engine that notes what it is told."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2
from structlog.testing import capture_logs

from hookline.core.circuit import CircuitState
from hookline.core.subscription import Push
from hookline.relay.push import PushConsumer
from hookline.relay.push_channel import PushChannel
from hookline.v1 import delivery_pb2 as pb
from hookline.v1.consumer_pb2 import DeliverRequest, DeliverResponse
from path.rig.process import free_port
from path.rig.wait import PATIENCE, until
from relay.push_consumer import PushedTo, abort, ack_all
from relay.push_engine import Engine

MIB = 1024 * 1024
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


def push(target: str, **changes: Any) -> Push:
    settings = {"max_events": 100, "deadline": timedelta(seconds=5), "concurrency": 2, **changes}
    return Push(target, **settings)


@asynccontextmanager
async def pushing(
    engine: Engine, target: str, *, ack_deadline: float = 30.0, **changes: Any
) -> AsyncIterator[PushConsumer]:
    consumer = engine.consumer(push(target, **changes), ack_deadline=ack_deadline)
    consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


def is_open(consumer: PushConsumer) -> bool:
    return consumer._line._circuit.state is CircuitState.OPEN


def ids(deliveries: list) -> list[str]:
    return [str(delivery.event.event_id) for delivery in deliveries]


def verdicts(*settlements: Callable[[bytes], pb.Settlement] | None) -> Any:
    """Answer the deliveries of a call with these, in turn; None leaves one out."""

    async def answer(request: DeliverRequest, context: Any) -> DeliverResponse:
        del context
        pairs = zip(request.deliveries, settlements, strict=True)
        return DeliverResponse(settlements=[make(one.token) for one, make in pairs if make is not None])

    return answer


def on_call(*answers: Any) -> Any:
    """Answer the first call so, the second so; the last one answers all that follow."""
    left = list(answers)

    async def answer(request: DeliverRequest, context: Any) -> DeliverResponse:
        now = left.pop(0) if len(left) > 1 else left[0]
        return await now(request, context)

    return answer


async def never(request: DeliverRequest, context: Any) -> DeliverResponse:
    del request, context
    return await asyncio.get_running_loop().create_future()


def after(event: asyncio.Event, answer: Callable[..., Awaitable[DeliverResponse]]) -> Any:
    async def waits(request: DeliverRequest, context: Any) -> DeliverResponse:
        await event.wait()
        return await answer(request, context)

    return waits


async def test_verdicts_are_settled_as_they_were_given() -> None:
    given = [
        lambda token: pb.Settlement(token=token, ack=pb.Ack(), traceparent="00-trace"),
        lambda token: pb.Settlement(token=token, retry=pb.Retry(reason="later")),
        lambda token: pb.Settlement(token=token, reject=pb.Reject(reason="never")),
        lambda token: pb.Settlement(token=token, release=pb.Release()),
    ]
    engine = Engine()
    async with PushedTo(verdicts(*given)) as consumer, pushing(engine, consumer.target) as pushed:
        added = engine.add(b"1", b"2", b"3", b"4")
        await until(lambda: len(engine.settled) == 4, "all are settled")
        [call] = consumer.calls
        assert call.subscription == "all"
        assert consumer.events == ids(added)
        assert call.deadline.ToTimedelta() == timedelta(seconds=5)
        assert [made(one.token) for made, one in zip(given, call.deliveries, strict=True)] == engine.settled
        assert (engine.failed, engine.suspected, engine.released) == ([], [], [])
        assert pushed.window.events == 0


async def test_what_the_answer_does_not_name_has_failed() -> None:
    answer = verdicts(
        lambda token: pb.Settlement(token=token, ack=pb.Ack()),
        None,
        lambda token: pb.Settlement(token=token, extend=pb.Extend()),
        lambda token: pb.Settlement(token=token),
    )
    engine = Engine()
    async with PushedTo(answer) as consumer, pushing(engine, consumer.target):
        added = engine.add(b"1", b"2", b"3", b"4")
        await until(lambda: bool(engine.settled and engine.failed), "all are judged")
        assert [s.WhichOneof("verdict") for s in engine.settled] == ["ack"]
        assert engine.failed == [(added[1:], "failed", "the consumer's answer doesn't name it")]


async def test_a_delivery_of_a_replay_names_it() -> None:
    engine = Engine()
    async with PushedTo() as consumer, pushing(engine, consumer.target):
        replayed = engine.new()
        replayed.replay = 7
        engine.waiting.extend([replayed, engine.new()])
        engine.changed()
        await until(lambda: len(engine.settled) == 2, "both are settled")
        assert [d.replay for call in consumer.calls for d in call.deliveries] == ["replays/7", ""]


async def test_foreign_tokens_and_second_verdicts_are_ignored() -> None:
    async def answer(request: DeliverRequest, context: Any) -> DeliverResponse:
        response = await ack_all(request, context)
        token = request.deliveries[0].token
        response.settlements.add(token=token, reject=pb.Reject(reason="or not"))
        response.settlements.add(token=b"made up", ack=pb.Ack())
        return response

    engine = Engine()
    with capture_logs() as logs:
        async with PushedTo(answer) as consumer, pushing(engine, consumer.target):
            engine.add(b"1")
            await until(lambda: bool(engine.settled), "it is settled")
    assert [settlement.WhichOneof("verdict") for settlement in engine.settled] == ["ack"]
    assert any("weren't in the call" in line["event"] for line in logs)


async def test_a_verdict_that_cannot_be_carried_out_is_a_failed_attempt() -> None:
    engine = Engine()
    engine.refuse = pb.SettlementFailureReason.SETTLEMENT_FAILURE_REASON_INVALID_VERDICT
    async with PushedTo() as consumer, pushing(engine, consumer.target):
        added = engine.add(b"1")
        await until(lambda: bool(engine.failed), "it fails")
        assert engine.failed == [(added, "failed", "no")]


async def test_one_that_was_settled_otherwise_meanwhile_has_not_failed() -> None:
    engine = Engine()
    engine.refuse = pb.SettlementFailureReason.SETTLEMENT_FAILURE_REASON_STALE_TOKEN
    async with PushedTo() as consumer, pushing(engine, consumer.target) as pushed:
        engine.add(b"1")
        await until(lambda: len(consumer.calls) == 1 and pushed._calls == 0, "it is answered")
        assert engine.failed == []


async def test_calls_are_as_large_as_the_settings_and_a_message_allow() -> None:
    engine = Engine()
    large = bytes(MIB // 2)
    engine.waiting.extend(engine.new(b"{}") for _ in range(25))
    engine.waiting.extend(engine.new(large) for _ in range(5))
    engine.waiting.append(engine.new(bytes(2 * MIB)))
    expected = ids(list(engine.waiting))
    async with PushedTo() as consumer, pushing(engine, consumer.target, max_events=10, concurrency=3):
        await until(lambda: len(engine.settled) == 31, "all are settled")
    assert sorted(consumer.events) == sorted(expected)
    assert max(len(call.deliveries) for call in consumer.calls) == 10
    sizes = [[len(delivery.body) for delivery in call.deliveries] for call in consumer.calls]
    assert all(sum(size) <= MIB or len(size) == 1 for size in sizes)


async def test_no_more_calls_at_a_time_than_the_settings_allow() -> None:
    engine, go = Engine(), asyncio.Event()
    async with (
        PushedTo(after(go, ack_all)) as consumer,
        pushing(engine, consumer.target, max_events=1, concurrency=3) as pushed,
    ):
        engine.add(*[b"{}"] * 10)
        await until(lambda: len(consumer.calls) == 3, "three calls are under way")
        assert pushed._calls == 3
        assert pushed.window.events == 3
        go.set()
        await until(lambda: len(engine.settled) == 10, "all are settled")


async def test_what_waits_for_a_call_is_not_taken_for_late() -> None:
    engine, go = Engine(), asyncio.Event()
    async with (
        PushedTo(after(go, ack_all)) as consumer,
        pushing(engine, consumer.target, max_events=2, concurrency=1),
    ):
        added = engine.add(b"1", b"2")
        await consumer.started.wait()
        now = asyncio.get_running_loop().time()
        assert all(delivery.deadline > now + 3600 for delivery in added)
        go.set()
        await until(lambda: len(engine.settled) == 2, "all are settled")


async def test_unavailable_is_tried_again_within_the_attempt() -> None:
    engine = Engine()
    answer = on_call(abort(UNAVAILABLE), abort(UNAVAILABLE), ack_all)
    async with PushedTo(answer) as consumer, pushing(engine, consumer.target) as pushed:
        engine.add(b"1", b"2")
        await until(lambda: len(engine.settled) == 2, "they are settled")
        assert len(consumer.calls) == 3
        assert (engine.failed, engine.suspected, engine.released) == ([], [], [])
        assert pushed._line._circuit.state is CircuitState.CLOSED


async def test_a_deadline_is_tried_again_within_the_attempt() -> None:
    engine = Engine()
    async with (
        PushedTo(on_call(never, ack_all)) as consumer,
        pushing(engine, consumer.target, deadline=timedelta(milliseconds=200)),
    ):
        engine.add(b"1")
        await until(lambda: len(engine.settled) == 1, "it is settled")
        assert len(consumer.calls) == 2
        assert engine.failed == []


async def test_after_three_tries_all_in_the_call_are_suspects() -> None:
    engine = Engine()
    async with PushedTo(abort(UNAVAILABLE, "gone")) as consumer, pushing(engine, consumer.target):
        added = engine.add(b"1", b"2")
        await until(lambda: bool(engine.suspected), "they are reported")
        assert engine.suspected == [(added, "UNAVAILABLE: gone")]
        assert len(consumer.calls) == 3
        assert engine.failed == []


async def test_a_call_with_suspects_is_tried_once() -> None:
    engine = Engine()
    async with PushedTo(abort(UNAVAILABLE)) as consumer, pushing(engine, consumer.target):
        added = engine.add(b"1", portion=1)
        await until(lambda: bool(engine.suspected), "it is reported")
        assert [suspects for suspects, _ in engine.suspected] == [added]
        assert len(consumer.calls) == 1


async def test_calls_that_a_dying_consumer_takes_along_are_suspect_together() -> None:
    """One event in each call: reported one by one, the innocent would be charged with an attempt."""
    engine, go = Engine(), asyncio.Event()
    async with (
        PushedTo(on_call(after(go, abort(UNAVAILABLE)), abort(UNAVAILABLE))) as consumer,
        pushing(engine, consumer.target, max_events=1, concurrency=2),
    ):
        added = engine.add(b"1", b"2", portion=2)
        await until(lambda: len(consumer.calls) == 2, "both are called")
        more = engine.add(b"3")
        go.set()
        await until(lambda: bool(engine.suspected), "they are reported")
        [(suspects, _), *_] = engine.suspected
        assert sorted(ids(suspects)) == sorted(ids(added))
        await until(lambda: consumer.events[2:3] == ids(more), "others go on")


async def test_nothing_new_is_sent_while_the_loss_is_not_reported() -> None:
    engine, go = Engine(), asyncio.Event()
    reported: list[int] = []

    async def answer(request: DeliverRequest, context: Any) -> DeliverResponse:
        match request.deliveries[0].body:
            case b"beside":
                await go.wait()
            case b"lost":
                await context.abort(UNAVAILABLE)
            case _:
                reported.append(len(engine.suspected))
        return await ack_all(request, context)

    async with (
        PushedTo(answer) as consumer,
        pushing(engine, consumer.target, max_events=2, concurrency=2) as pushed,
    ):
        engine.add(b"beside")
        await consumer.started.wait()
        [lost] = engine.add(b"lost", portion=1)
        await until(lambda: len(pushed._lost) == 1, "one is lost")
        engine.add(b"new")
        assert pushed.window.events == 3
        other = PushChannel(pushed._push)
        await other.healthy()  # a new connection and a round trip, in which the new one could have gone too
        await other.close()
        go.set()
        await until(lambda: len(engine.settled) == 2, "the others are settled")
        # The other call was answered: this one was alone, so it is the cause.
        assert [suspects for suspects, _ in engine.suspected] == [[lost]]
        assert reported == [1]


async def test_after_a_loss_nothing_is_sent_until_the_consumer_shows_that_it_lives() -> None:
    """A channel learns of its consumer's death a moment after the call does: the next one would be charged with it."""
    engine = Engine()
    async with PushedTo(abort(UNAVAILABLE)) as consumer, pushing(engine, consumer.target) as pushed:
        await consumer.feel(health_pb2.HealthCheckResponse.NOT_SERVING)
        first = engine.add(b"1", portion=1)
        await until(lambda: bool(engine.suspected), "it is reported")
        second = engine.add(b"2", portion=1)
        await until(lambda: is_open(pushed), "the circuit opens")
        assert [suspects for suspects, _ in engine.suspected] == [first]
        assert list(engine.waiting) == second
        assert len(consumer.calls) == 1


async def test_one_delivery_that_is_not_answered_in_time_has_expired() -> None:
    engine = Engine()
    async with (
        PushedTo(never) as consumer,
        pushing(engine, consumer.target, deadline=timedelta(milliseconds=200)),
    ):
        added = engine.add(b"1")
        await until(lambda: bool(engine.failed), "it fails")
        [(expired, outcome, reason)] = engine.failed
        assert (expired, outcome) == (added, "expired")
        assert "DEADLINE_EXCEEDED" in reason
        assert len(consumer.calls) == 3


async def test_several_that_are_not_answered_in_time_are_suspects() -> None:
    engine = Engine()
    async with (
        PushedTo(never) as consumer,
        pushing(engine, consumer.target, deadline=timedelta(milliseconds=200)),
    ):
        added = engine.add(b"1", b"2")
        await until(lambda: bool(engine.suspected), "they are reported")
        assert [suspects for suspects, _ in engine.suspected] == [added]
        assert engine.failed == []


async def test_an_attempt_ends_with_the_ack_deadline() -> None:
    engine = Engine()
    async with PushedTo(never) as consumer, pushing(engine, consumer.target, ack_deadline=0.5):
        began = asyncio.get_running_loop().time()
        engine.add(b"1")
        await until(lambda: bool(engine.failed), "it fails")
        assert asyncio.get_running_loop().time() - began < 3
        assert consumer.calls[0].deadline.ToTimedelta() <= timedelta(seconds=0.5)


@pytest.mark.parametrize("code", [grpc.StatusCode.INTERNAL, grpc.StatusCode.INVALID_ARGUMENT])
async def test_another_error_makes_suspects_of_several_and_fails_one(code: grpc.StatusCode) -> None:
    engine = Engine()
    async with (
        PushedTo(abort(code, "broken")) as consumer,
        pushing(engine, consumer.target, concurrency=1) as pushed,
    ):
        two = engine.add(b"1", b"2")
        await until(lambda: bool(engine.suspected), "they are reported")
        assert engine.suspected == [(two, f"{code.name}: broken")]
        for _ in range(4):
            engine.add(b"3")
            await until(lambda: not pushed.window.events, "it fails")
        assert {(outcome, reason) for _, outcome, reason in engine.failed} == {
            ("failed", f"{code.name}: broken")
        }
        assert len(consumer.calls) == 5
        # It answers, so it is there.
        assert pushed._line._circuit.state is CircuitState.CLOSED


async def test_what_the_consumer_says_in_an_error_is_not_logged() -> None:
    engine = Engine()
    with capture_logs() as logs:
        async with (
            PushedTo(abort(UNAVAILABLE, "no score for Jane Doe")) as consumer,
            pushing(engine, consumer.target) as pushed,
        ):
            for _ in range(3):
                engine.add(b"1")
                await until(lambda: not pushed.window.events, "it is reported")
    assert logs
    assert "Jane" not in str(logs)


async def test_a_consumer_that_is_not_there_costs_no_attempt_and_gets_all_once_it_is() -> None:
    engine, port = Engine(), free_port()
    with capture_logs() as logs:
        async with pushing(engine, f"127.0.0.1:{port}") as pushed:
            added = engine.add(*[b"{}"] * 150)
            await until(lambda: is_open(pushed), "the circuit opens")
            assert pushed.window.limit.events == 0
            await until(lambda: pushed.window.events == 0, "all is given back")
            assert list(engine.waiting) == added
            async with PushedTo(port=port) as consumer:
                await until(lambda: len(engine.settled) == 150, "all are settled")
                assert len(consumer.calls[0].deliveries) == 1, "one is tried first"
                assert pushed.window.limit.events == 200
                assert sorted(consumer.events) == sorted(ids(added))
    assert (engine.failed, engine.suspected) == ([], [])
    assert any("Connection refused" in line.get("reason", "") for line in logs)
    assert any(line["event"] == "push consumer answers again" for line in logs)


async def test_a_trial_that_fails_opens_the_circuit_longer() -> None:
    engine = Engine()
    async with PushedTo(abort(UNAVAILABLE)) as consumer, pushing(engine, consumer.target) as pushed:
        for _ in range(3):
            engine.add(b"{}", portion=1)
            await until(lambda: not pushed.window.events, "it is reported")
        assert is_open(pushed)
        first = pushed._line._circuit.open_until
        engine.add(b"1", b"2", portion=1)
        await until(lambda: len(engine.suspected) == 4, "one more is tried")
        assert is_open(pushed)
        assert len(consumer.calls) == 4
        assert len(engine.waiting) == 1
        now = asyncio.get_running_loop().time()
        assert pushed._line._circuit.open_until - now > 0.9
        assert pushed._line._circuit.open_until > first


async def test_a_consumer_that_says_it_is_not_well_is_sent_nothing_until_it_is() -> None:
    engine, port = Engine(), free_port()
    with capture_logs() as logs:
        async with pushing(engine, f"127.0.0.1:{port}") as pushed:
            engine.add(b"1")
            await until(lambda: is_open(pushed), "the circuit opens")
            async with PushedTo(port=port) as consumer:
                await consumer.feel(health_pb2.HealthCheckResponse.NOT_SERVING)
                await until(lambda: "NOT_SERVING" in str(logs), "it was asked")
                assert consumer.calls == []
                assert pushed.window.limit.events == 0
                await consumer.feel(health_pb2.HealthCheckResponse.SERVING)
                await until(lambda: len(engine.settled) == 1, "it is settled")


async def test_a_consumer_without_a_health_service_is_tried_with_a_delivery() -> None:
    engine, port = Engine(), free_port()
    async with pushing(engine, f"127.0.0.1:{port}") as pushed:
        engine.add(b"1", b"2")
        await until(lambda: is_open(pushed), "the circuit opens")
        async with PushedTo(port=port, has_health=False):
            await until(lambda: len(engine.settled) == 2, "all are settled")


@pytest.mark.parametrize(
    ("code", "hint"),
    [(grpc.StatusCode.UNAUTHENTICATED, "who calls"), (grpc.StatusCode.PERMISSION_DENIED, "doesn't let")],
)
async def test_a_consumer_that_refuses_the_relay_costs_no_attempt(code: grpc.StatusCode, hint: str) -> None:
    engine = Engine()
    with capture_logs() as logs:
        async with PushedTo(abort(code)) as consumer, pushing(engine, consumer.target) as pushed:
            added = engine.add(b"1", b"2")
            await until(lambda: is_open(pushed), "the circuit opens")
            assert list(engine.waiting) == added
            assert (engine.failed, engine.suspected) == ([], [])
            # What was wrong is mended.
            consumer.answer = ack_all
            await until(lambda: len(engine.settled) == 2, "all are settled")
    assert any(code.name in line.get("reason", "") and hint in line["reason"] for line in logs)


async def test_a_consumer_that_gives_everything_back_is_left_alone_for_a_while() -> None:
    give_back = verdicts(lambda token: pb.Settlement(token=token, release=pb.Release()))
    engine = Engine()
    async with PushedTo(give_back) as consumer, pushing(engine, consumer.target) as pushed:
        for _ in range(3):
            engine.add(b"1")
            await until(lambda: not pushed.window.events, "it is given back")
        await until(lambda: is_open(pushed), "the circuit opens")
        assert engine.failed == []


async def test_a_target_that_is_no_consumer_costs_no_attempt() -> None:
    engine = Engine()
    with capture_logs() as logs:
        async with PushedTo(serves=False) as consumer, pushing(engine, consumer.target) as pushed:
            engine.add(b"1")
            await until(lambda: is_open(pushed), "the circuit opens")
    assert (engine.failed, engine.suspected) == ([], [])
    assert any("is the target right?" in line.get("reason", "") for line in logs)


async def test_draining_lets_calls_under_way_finish_and_gives_the_rest_back() -> None:
    engine, go = Engine(), asyncio.Event()
    async with (
        PushedTo(after(go, ack_all)) as consumer,
        pushing(engine, consumer.target, max_events=1, concurrency=1) as pushed,
    ):
        pushed.window.limit = pushed._full.__class__(events=3, bytes=MIB)
        called, *queued = engine.add(b"1", b"2", b"3")
        await consumer.started.wait()
        pushed.drain(timedelta(seconds=10))
        assert engine.released == queued
        assert pushed.window.events == 1
        go.set()
        await asyncio.wait_for(pushed.emptied(), PATIENCE)
        assert [settlement.token for settlement in engine.settled] == [engine.tokens.encode(called)]
        assert len(consumer.calls) == 1


async def test_what_a_call_holds_at_the_end_is_given_back_without_an_attempt() -> None:
    engine = Engine()
    async with PushedTo(never) as consumer:
        async with pushing(engine, consumer.target) as pushed:
            added = engine.add(b"1", b"2")
            await consumer.started.wait()
            pushed.drain(timedelta(milliseconds=100))
            assert engine.released == []
        assert engine.released == added
    assert (engine.failed, engine.suspected, pushed.window.events) == ([], [], 0)


async def test_what_was_taken_back_meanwhile_is_not_sent() -> None:
    engine, go = Engine(), asyncio.Event()
    async with (
        PushedTo(after(go, ack_all)) as consumer,
        pushing(engine, consumer.target, max_events=2, concurrency=1) as pushed,
    ):
        pushed.window.limit = pushed._full.__class__(events=3, bytes=MIB)
        first = engine.add(b"1", b"2", b"3")
        await consumer.started.wait()
        engine._take_back(first[2:])
        go.set()
        await until(lambda: len(engine.settled) == 2, "the others are settled")
        last = engine.add(b"4")
        await until(lambda: len(engine.settled) == 3, "the last one is settled")
        assert consumer.events == ids(first[:2] + last)


async def test_nothing_is_sent_once_the_lease_of_its_shard_may_have_ended() -> None:
    engine = Engine()
    async with PushedTo() as consumer, pushing(engine, consumer.target) as pushed:
        delivery = engine.new(b"1")
        delivery.shard = engine._shard.__class__(delivery.shard.cursor(), valid_until=1.0)
        delivery.holder = pushed
        pushed.take(delivery.size)
        pushed.window.limit = pushed._full.__class__(events=1, bytes=MIB)
        engine.holder = None
        pushed.send([delivery])
        await until(lambda: engine.released == [delivery], "it is given back")
        assert consumer.calls == []
