"""Whatever a consumer sends: a status that says what to mend, or a failed item; and nobody else notices."""

import random
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hookline.v1 import delivery_pb2 as pb
from path.rig.database import attempts, rows
from path.rig.events import append_many
from path.rig.relay import Relay
from path.rig.stream import RawStream, ids, reasons
from path.rig.unary import Unary, refused

Reason = pb.SettlementFailureReason
INVALID = Reason.SETTLEMENT_FAILURE_REASON_INVALID_TOKEN
INVALID_VERDICT = Reason.SETTLEMENT_FAILURE_REASON_INVALID_VERDICT
ABSURD = {
    "negative seconds": Duration(seconds=-1),
    "negative nanoseconds": Duration(nanos=-1_000_000),
    "longer than any time": Duration(seconds=2**62),
    "longer than negative": Duration(seconds=-(2**62)),
}
SEED = 20_260_501
MIB = 1024 * 1024


@asynccontextmanager
async def undisturbed(relay: Relay, database: str) -> AsyncIterator[None]:
    """Another stream of the same relay receives and settles, before and after."""
    async with RawStream(relay.target) as good:
        await good.start(events=0)
        yield
        await append_many(database, 3)
        await good.resize(events=100)
        assert not (await good.ack(*await good.deliveries(3))).failures
    assert relay.lives
    assert not relay.dispatcher().failed


@pytest.mark.parametrize("duration", ABSURD)
@pytest.mark.parametrize("verdict", ["retry", "extend"])
async def test_an_absurd_duration_fails_alone_and_leaves_the_delivery_out(
    relay: Relay, database: str, verdict: str, duration: str
) -> None:
    async with undisturbed(relay, database):
        await append_many(database, 1)
        async with RawStream(relay.target) as stream:
            await stream.start()
            [delivery] = await stream.deliveries(1)
            absurd: dict[str, Any] = {
                "retry": {"retry": pb.Retry(delay=ABSURD[duration])},
                "extend": {"extend": pb.Extend(lease=ABSURD[duration])},
            }[verdict]
            settlement = pb.Settlement(token=delivery.token, **absurd)
            failed = reasons(await stream.confirmation(await stream.settle([settlement])))
            assert failed == {delivery.token: INVALID_VERDICT}
            assert await stream.rest() == []
            assert not (await stream.ack(delivery)).failures
        assert await attempts(database) == await rows(database) == []


@pytest.mark.parametrize(
    ("request_", "code", "reason"),
    [
        (pb.PullRequest(subscription="none"), "INVALID_ARGUMENT", "EMPTY_WINDOW"),
        (pb.PullRequest(window=pb.Window(max_events=1)), "NOT_FOUND", "UNKNOWN_SUBSCRIPTION"),
        (
            pb.PullRequest(subscription="a\x00", window=pb.Window(max_events=1)),
            "NOT_FOUND",
            "UNKNOWN_SUBSCRIPTION",
        ),
        (
            pb.PullRequest(subscription="all", window=pb.Window(max_events=-1)),
            "INVALID_ARGUMENT",
            "NEGATIVE_WINDOW",
        ),
        (
            pb.PullRequest(subscription="all", window=pb.Window(max_events=1, max_bytes=-1)),
            "INVALID_ARGUMENT",
            "NEGATIVE_WINDOW",
        ),
        *(
            (
                pb.PullRequest(subscription="all", window=pb.Window(max_events=1), wait=wait),
                "INVALID_ARGUMENT",
                "WAIT_OUT_OF_RANGE",
            )
            for wait in (*ABSURD.values(), Duration(seconds=61))
        ),
    ],
)
async def test_a_pull_that_makes_no_sense_is_refused_with_what_to_mend(
    relay: Relay, database: str, request_: pb.PullRequest, code: str, reason: str
) -> None:
    async with undisturbed(relay, database), Unary(relay.target) as unary:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await unary.stub.Pull(request_)
        assert refused(caught.value) == (grpc.StatusCode[code], reason)


@pytest.mark.parametrize("name", ["", "none", "ALL", "a\x00", "x" * 100_000])
async def test_settling_for_an_unknown_subscription_is_refused(relay: Relay, name: str) -> None:
    async with Unary(relay.target) as unary:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await unary.settle([], subscription=name)
        assert refused(caught.value) == (grpc.StatusCode.NOT_FOUND, "UNKNOWN_SUBSCRIPTION")


async def test_a_hundred_thousand_settlements_in_one_message_are_judged_one_by_one(
    relay: Relay, database: str
) -> None:
    """The answer is one that a client takes by default, and other streams get their heartbeats meanwhile."""
    limit = (("grpc.max_receive_message_length", 4 * 1024 * 1024),)
    async with undisturbed(relay, database):
        await append_many(database, 1)
        async with RawStream(relay.target, options=limit) as stream:
            await stream.start()
            [delivery] = await stream.deliveries(1)
            batch = [pb.Settlement(token=b"%d" % number, ack=pb.Ack()) for number in range(99_999)]
            sequence = await stream.settle([*batch, pb.Settlement(token=delivery.token, ack=pb.Ack())])
            failures = (await stream.confirmation(sequence)).failures
            assert len(failures) == 99_999
            assert {failure.reason for failure in failures} == {INVALID}
            assert failures[0].detail
            assert not failures[-1].detail
        async with RawStream(relay.target) as stream:
            await stream.start()
            assert await stream.rest() == []


async def test_more_settlements_than_a_message_may_hold_are_refused(relay: Relay, database: str) -> None:
    async with undisturbed(relay, database), RawStream(relay.target) as stream, Unary(relay.target) as unary:
        await stream.start()
        too_many = [pb.Settlement()] * 100_001
        await stream.settle(too_many)
        code, info = await stream.refusal()
        assert (code, info.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "TOO_MANY_SETTLEMENTS")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await unary.settle(too_many)
        assert refused(caught.value) == (grpc.StatusCode.INVALID_ARGUMENT, "TOO_MANY_SETTLEMENTS")


async def test_a_message_with_too_many_bytes_is_refused_and_is_nobodys_death(
    relay: Relay, database: str
) -> None:
    """Not by gRPC, which would give no reason, and whose refusal looks like a consumer that died of what it held."""
    sent = await append_many(database, 3)
    reason = pb.Retry(reason="x" * (4 * MIB))
    async with Unary(relay.target) as unary, RawStream(relay.target) as good:
        await good.start(events=0)
        async with RawStream(relay.target) as bad:
            await bad.start()
            held = await bad.deliveries(3)
            too_large = [pb.Settlement(token=held[0].token, retry=reason)]
            await bad.settle(too_large)
            code, info = await bad.refusal()
            assert (code, info.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "MESSAGE_TOO_LARGE")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await unary.settle(too_large)
        assert refused(caught.value) == (grpc.StatusCode.INVALID_ARGUMENT, "MESSAGE_TOO_LARGE")
        assert await rows(database) == await attempts(database) == []
        await good.resize(events=100)
        again = await good.deliveries(3)
        assert good.batches == [3], "as any others: nothing that killed its consumer comes with others"
        assert sorted(ids(again)) == sorted(sent)
        assert {delivery.attempt for delivery in again} == {1}
        assert not (await good.ack(*again)).failures


async def test_a_message_of_4_mib_is_taken(relay: Relay, database: str) -> None:
    await append_many(database, 1)
    async with RawStream(relay.target) as stream:
        await stream.start()
        [delivery] = await stream.deliveries(1)
        settlement = pb.Settlement(token=delivery.token, reject=pb.Reject(reason="x" * (4 * MIB - 100)))
        assert 4 * MIB - 100 < settlement.ByteSize() < 4 * MIB
        assert not (await stream.confirmation(await stream.settle([settlement]))).failures
    [row] = await rows(database)
    assert (row["state"], len(row["reason"])) == ("dead", 1000)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)
@given(tokens=st.lists(st.binary(max_size=64), max_size=40, unique=True))
async def test_random_bytes_are_no_tokens(relay: Relay, tokens: list[bytes]) -> None:
    async with Unary(relay.target) as unary:
        settlements = [pb.Settlement(token=token, ack=pb.Ack()) for token in tokens]
        assert reasons(await unary.settle(settlements)) == dict.fromkeys(tokens, INVALID)


@pytest.mark.parametrize("verdict", ["ack", "retry", "reject", "extend", "release"])
async def test_tokens_with_random_numbers_in_them_fail_one_by_one(database: str, verdict: str) -> None:
    """They look like this subscription's: numbers that no shard, no log and no column has."""
    rng = random.Random(SEED)
    judged: dict[str, Any] = {
        "ack": {"ack": pb.Ack()},
        "retry": {"retry": pb.Retry()},
        "reject": {"reject": pb.Reject()},
        "extend": {"extend": pb.Extend()},
        "release": {"release": pb.Release()},
    }[verdict]
    async with Relay(database, lease=timedelta(seconds=1)) as relay, undisturbed(relay, database):
        await append_many(database, 1)
        async with RawStream(relay.target) as stream:
            await stream.start()
            [delivery] = await stream.deliveries(1)
            version_and_subscription = delivery.token[:5]
            shard, epoch, seq, replay, event, hand_over = struct.unpack(">HQQQII", delivery.token[5:])
            edges = (0, 1, 255, 256, 2**15, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1)
            tokens = {version_and_subscription + rng.randbytes(34) for _ in range(100)}
            for edge in edges:
                small = edge & 0xFFFF_FFFF
                tokens |= {
                    version_and_subscription + struct.pack(">HQQQII", *numbers)
                    for numbers in (
                        (edge & 0xFFFF, epoch, seq, replay, event, hand_over),
                        (shard, edge, seq, replay, event ^ 1, hand_over),
                        (shard, epoch, edge, replay, event ^ 1, hand_over),
                        (shard, epoch, seq, edge or 1, event, hand_over),
                        (shard, epoch, seq, replay, small ^ event or 1, hand_over),
                    )
                }
            tokens.discard(delivery.token)
            settlements = [pb.Settlement(token=token, **judged) for token in tokens]
            failed = reasons(await stream.confirmation(await stream.settle(settlements)))
            assert failed.keys() == tokens
            assert not (await stream.ack(delivery)).failures
    assert await rows(database) == []


async def test_a_consumers_name_can_be_anything(relay: Relay, database: str) -> None:
    await append_many(database, 1)
    async with undisturbed(relay, database):
        async with RawStream(relay.target) as stream:
            await stream.start(consumer="\x00\u2028" + "x" * 100_000)
            assert not (await stream.reject(*await stream.deliveries(1))).failures
        [attempt] = await attempts(database)
        assert len(attempt["consumer"]) == 128
