import math
from datetime import UTC, datetime
from uuid import UUID

from hypothesis import assume, given
from hypothesis import strategies as st

from hookline.model import CursorState, LoggedEvent, OwnedCursor, Seq, Shard, SourceName, SubscriptionName
from hookline.relay.delivery import Delivery
from hookline.relay.ownership import OwnedShard
from hookline.relay.token import Token, TokenCodec

names = st.from_regex(r"\A[a-z0-9][a-z0-9_-]{0,62}\Z").map(SubscriptionName)
larges = st.integers(0, 2**63 - 1)


@st.composite
def deliveries(draw: st.DrawFn) -> Delivery:
    shard = Shard(draw(st.integers(0, 255)))
    event = LoggedEvent(
        event_id=UUID(int=draw(st.integers(0, 2**128 - 1))),
        seq=Seq(draw(larges)),
        received_at=datetime(2026, 1, 1, tzinfo=UTC),
        shard=shard,
        revision=False,
        source=SourceName("begini"),
        type="",
        ordering_key="",
        traceparent="",
        tracestate="",
        headers="[]",
        body=b"",
    )
    cursor = OwnedCursor(shard, draw(larges), CursorState(Seq(0), ()))
    delivery = Delivery(event, OwnedShard(cursor, valid_until=math.inf), replay=draw(larges))
    delivery.hand_over = draw(st.integers(0, 2**32 - 1))
    return delivery


@given(name=names, delivery=deliveries())
def test_what_is_written_is_read(name: SubscriptionName, delivery: Delivery) -> None:
    codec = TokenCodec(name)
    assert codec.decode(codec.encode(delivery)) == Token(
        shard=delivery.event.shard,
        epoch=delivery.shard.epoch,
        seq=delivery.event.seq,
        replay=delivery.replay,
        event=delivery.event.event_id.int % 2**32,
        hand_over=delivery.hand_over,
    )


@given(one=deliveries(), other=deliveries())
def test_a_token_names_its_own_event_and_no_other_at_its_place(one: Delivery, other: Delivery) -> None:
    codec = TokenCodec(SubscriptionName("all"))
    named = codec.decode(codec.encode(one))
    assert named is not None
    assert named.names(one)
    assume(one.event.event_id.int % 2**32 != other.event.event_id.int % 2**32)
    assert not named.names(other)


@given(ours=names, theirs=names, delivery=deliveries())
def test_another_subscriptions_token_is_refused(
    ours: SubscriptionName, theirs: SubscriptionName, delivery: Delivery
) -> None:
    assume(ours != theirs)
    assert TokenCodec(ours).decode(TokenCodec(theirs).encode(delivery)) is None


@given(garbage=st.binary(max_size=64))
def test_garbage_is_refused(garbage: bytes) -> None:
    assert TokenCodec(SubscriptionName("all")).decode(garbage) is None


@given(delivery=deliveries(), data=st.data())
def test_a_token_cut_or_lengthened_is_refused(delivery: Delivery, data: st.DataObject) -> None:
    codec = TokenCodec(SubscriptionName("all"))
    written = codec.encode(delivery)
    cut = data.draw(st.integers(0, len(written) - 1))
    assert codec.decode(written[:cut]) is None
    assert codec.decode(written + data.draw(st.binary(min_size=1, max_size=8))) is None
