"""Put deliveries into messages."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

import msgspec

from hookline.relay.delivery import Delivery
from hookline.relay.token import TokenCodec
from hookline.v1 import delivery_pb2 as pb

MAX_MESSAGE_EVENTS = 200
MAX_MESSAGE_BYTES = 1024 * 1024
"""Bytes of bodies in one message, unless a single body is larger: gRPC clients take 4 MiB by default."""

_headers = msgspec.json.Decoder(list[tuple[str, str]])
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def messages(deliveries: Iterable[Delivery], tokens: TokenCodec) -> Iterator[pb.SubscribeResponse]:
    """Pack deliveries into as few messages as the limits allow."""
    batch: list[pb.Delivery] = []
    size = 0
    for delivery in deliveries:
        if batch and (len(batch) >= MAX_MESSAGE_EVENTS or size + delivery.size > MAX_MESSAGE_BYTES):
            yield pb.SubscribeResponse(deliveries=pb.DeliveryBatch(deliveries=batch))
            batch, size = [], 0
        batch.append(message(delivery, tokens))
        size += delivery.size
    if batch:
        yield pb.SubscribeResponse(deliveries=pb.DeliveryBatch(deliveries=batch))


def message(delivery: Delivery, tokens: TokenCodec) -> pb.Delivery:
    """One delivery as a message."""
    event = delivery.event
    context = delivery.traceparent or event.traceparent
    result = pb.Delivery(
        token=tokens.encode(event.shard, delivery.shard.epoch, event.seq, delivery.attempt),
        event_id=str(event.event_id),
        source=event.source,
        type=event.type,
        ordering_key=event.ordering_key,
        body=event.body,
        attempt=delivery.attempt,
        revision=event.revision,
        traceparent=context,
        tracestate=event.tracestate,
    )
    since = event.received_at - _EPOCH
    result.received_at.seconds = since.days * 86_400 + since.seconds
    result.received_at.nanos = since.microseconds * 1000
    for name, value in _headers.decode(event.headers):
        result.headers.add(name=name, value=value)
    return result
