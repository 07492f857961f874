"""What is written to a consumer's stream, of what was leased to it."""

import asyncio
import math

import grpc

from hookline.core.window import Limit
from hookline.model import CursorState, OwnedCursor, Seq, Shard, SubscriptionName
from hookline.relay.delivery import Delivery
from hookline.relay.ownership import OwnedShard
from hookline.relay.stream import Stream
from hookline.relay.token import TokenCodec
from hookline.rpc import RpcError, internal
from unit.logged_event import logged_event

TOKENS = TokenCodec(SubscriptionName("all"))


def shard(*, valid_until: float = math.inf) -> OwnedShard:
    return OwnedShard(OwnedCursor(Shard(0), 1, CursorState(Seq(0), ())), valid_until=valid_until)


def leased(stream: Stream, of: OwnedShard, *bodies: bytes) -> list[Delivery]:
    deliveries = [
        Delivery(logged_event(body=body)._replace(seq=Seq(seq)), of) for seq, body in enumerate(bodies, 1)
    ]
    for delivery in deliveries:
        delivery.holder = stream
    stream.send(deliveries)
    return deliveries


def new() -> Stream:
    return Stream("test", Limit(10, 1000), TOKENS)


async def bodies(stream: Stream) -> list[bytes]:
    messages = await stream.next_messages(silence=0)
    return [delivery.body for message in messages or () for delivery in message.deliveries.deliveries]


async def test_what_was_taken_back_or_settled_before_it_was_written_is_not_written() -> None:
    stream, other = new(), new()
    _, taken_back, elsewhere, settled = leased(stream, shard(), b"mine", b"back", b"elsewhere", b"settled")
    taken_back.holder = None
    elsewhere.holder = other
    settled.settled = True
    assert await bodies(stream) == [b"mine"]


async def test_what_was_taken_back_and_leased_again_is_written_once() -> None:
    stream = new()
    one, two = leased(stream, shard(), b"one", b"two")
    one.holder = None
    one.holder = stream
    stream.send([one])
    assert await bodies(stream) == [b"one", b"two"]
    assert await bodies(stream) == []
    assert two.holder is stream


async def test_nothing_is_written_while_another_relay_may_own_its_shard() -> None:
    """The process was stopped, or the lease could not be renewed in time."""
    stream = new()
    doubtful = shard(valid_until=asyncio.get_running_loop().time() - 1)
    leased(stream, doubtful, b"one")
    assert await bodies(stream) == []
    doubtful.valid_until = math.inf
    assert await bodies(stream) == [b"one"]


async def test_the_first_error_is_the_one_that_its_consumer_hears_of() -> None:
    stream = new()
    stream.fail(internal("SETTLING_FAILED", "first"))
    stream.abort("this relay is about to stop")
    assert await stream.next_messages(silence=0) == []
    assert isinstance(stream.error, RpcError)
    assert (stream.error.code, stream.error.reason) == (grpc.StatusCode.INTERNAL, "SETTLING_FAILED")
