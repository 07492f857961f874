import grpc
import pytest

from hookline.v1 import delivery_pb2 as pb
from path.rig.events import append_many
from path.rig.relay import Relay
from path.rig.stream import RawStream

START = pb.SubscribeRequest(start=pb.Start(subscription="all", window=pb.Window(max_events=1)))
NEGATIVE = pb.Window(max_events=-1)
INVALID = grpc.StatusCode.INVALID_ARGUMENT

MISTAKES = {
    "a window first": ([pb.SubscribeRequest(window=pb.Window(max_events=1))], "START_EXPECTED"),
    "settlements first": ([pb.SubscribeRequest(settlements=pb.SettlementBatch())], "START_EXPECTED"),
    "an empty message first": ([pb.SubscribeRequest()], "START_EXPECTED"),
    "two starts": ([START, START], "SECOND_START"),
    "an empty message": ([START, pb.SubscribeRequest()], "EMPTY_MESSAGE"),
    "a negative window": ([START, pb.SubscribeRequest(window=NEGATIVE)], "NEGATIVE_WINDOW"),
    "negative bytes": ([START, pb.SubscribeRequest(window=pb.Window(max_bytes=-1))], "NEGATIVE_WINDOW"),
    "a start with a negative window": (
        [pb.SubscribeRequest(start=pb.Start(subscription="all", window=NEGATIVE))],
        "NEGATIVE_WINDOW",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
async def test_a_mistake_is_named_and_disturbs_no_other_stream(
    relay: Relay, database: str, mistake: str
) -> None:
    requests, reason = MISTAKES[mistake]
    async with RawStream(relay.target) as good, RawStream(relay.target) as bad:
        await good.start()
        for request in requests:
            await bad.send(request)
        code, info = await bad.refusal()
        assert (code, info.reason, info.domain) == (INVALID, reason, "hookline")
        await append_many(database, 3)
        assert not (await good.ack(*await good.deliveries(3))).failures


async def test_closing_without_a_start_is_a_mistake_too(relay: Relay) -> None:
    async with RawStream(relay.target) as stream:
        await stream.call.done_writing()
        code, info = await stream.refusal()
    assert (code, info.reason) == (INVALID, "START_EXPECTED")


@pytest.mark.parametrize("name", ["nope", "", "ALL", "x" * 100_000, "é\n\u2028", "all\x00"])
async def test_an_unknown_subscription_is_not_found(relay: Relay, name: str) -> None:
    async with RawStream(relay.target) as stream:
        start = pb.Start(subscription=name, window=pb.Window(max_events=1))
        await stream.send(pb.SubscribeRequest(start=start))
        code, info = await stream.refusal()
        assert (code, info.reason) == (grpc.StatusCode.NOT_FOUND, "UNKNOWN_SUBSCRIPTION")
        assert len(await stream.call.details()) < 1000


async def test_a_message_above_grpcs_own_limit_ends_its_own_stream_and_no_other(
    relay: Relay, database: str
) -> None:
    await append_many(database, 2)
    async with RawStream(relay.target) as good, RawStream(relay.target) as bad:
        await bad.start(events=1)
        await bad.deliveries(1)
        await good.start(events=0)
        await bad.settle([pb.Settlement(token=b"x" * (17 * 1024 * 1024))])
        await bad.until_end()
        assert await bad.call.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        await good.resize(events=10)
        # What the bad one held comes later: it may have been its death.
        for _ in range(2):
            assert not (await good.ack(*await good.deliveries(1))).failures


async def test_bytes_that_are_no_message_end_their_own_stream_and_no_other(
    relay: Relay, database: str
) -> None:
    async with RawStream(relay.target) as good, grpc.aio.insecure_channel(relay.target) as channel:
        await good.start()
        call = channel.stream_stream("/hookline.v1.DeliveryService/Subscribe")()
        await call.write(b"\xff\xff\xff no protobuf")
        assert await call.code() is not grpc.StatusCode.OK
        await append_many(database, 1)
        assert len(await good.deliveries(1)) == 1
