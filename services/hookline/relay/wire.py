"""Put deliveries into messages."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from hookline.relay.delivery import Delivery
from hookline.relay.token import TokenCodec
from hookline.v1 import delivery_pb2 as pb

if TYPE_CHECKING:
    from google.protobuf.internal.containers import RepeatedCompositeFieldContainer

MAX_MESSAGE_EVENTS = 200
MAX_MESSAGE_BYTES = 1024 * 1024
"""Bytes of bodies in one message, unless a single body is larger: gRPC clients take 4 MiB by default."""

_headers = msgspec.json.Decoder(list[tuple[str, str]])
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def messages(deliveries: Iterable[Delivery], tokens: TokenCodec) -> list[pb.SubscribeResponse]:
    """Pack deliveries into as few messages as the limits allow."""
    packed: list[pb.SubscribeResponse] = []
    count = size = 0
    for delivery in deliveries:
        if not packed or count >= MAX_MESSAGE_EVENTS or size + delivery.size > MAX_MESSAGE_BYTES:
            packed.append(pb.SubscribeResponse())
            count = size = 0
        add(packed[-1].deliveries.deliveries, delivery, tokens)
        count += 1
        size += delivery.size
    return packed


def add(
    deliveries: "RepeatedCompositeFieldContainer[pb.Delivery]", delivery: Delivery, tokens: TokenCodec
) -> None:
    """Make the delivery's message in its place: a message that is put into another is copied."""
    event = delivery.event
    message = deliveries.add(
        token=tokens.encode(delivery),
        event_id=str(event.event_id),
        source=event.source,
        type=event.type,
        ordering_key=event.ordering_key,
        body=event.body,
        attempt=delivery.attempt,
        revision=event.revision,
        traceparent=delivery.traceparent or event.traceparent,
        tracestate=delivery.tracestate if delivery.traceparent else event.tracestate,
        replay=f"replays/{delivery.replay}" if delivery.replay else "",
    )
    since = event.received_at - _EPOCH
    received_at = message.received_at
    received_at.seconds = since.days * 86_400 + since.seconds
    received_at.nanos = since.microseconds * 1000
    add_header = message.headers.add
    for name, value in _headers.decode(event.headers):
        add_header(name=name, value=value)
