"""Tokens as a relay would have written them under other circumstances."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hookline.model import CursorState, OwnedCursor
from hookline.relay.delivery import Delivery
from hookline.relay.ownership import OwnedShard
from hookline.relay.token import TokenCodec
from path.rig.relay import Relay


def known(relay: Relay, event_id: str, name: str = "all") -> Delivery:
    """What the relay knows of an event that it has read and that isn't settled."""
    [delivery] = [d for d in relay.dispatcher(name)._inventory if str(d.event.event_id) == event_id]
    return delivery


def forged(
    relay: Relay,
    event_id: str,
    *,
    name: str = "all",
    epoch: int = 0,
    event: Mapping[str, Any] | None = None,
    hand_over: int | None = None,
) -> bytes:
    """The token of an event that is at hand, with its epoch moved and other things changed."""
    delivery = known(relay, event_id, name)
    cursor = OwnedCursor(
        delivery.shard.shard, delivery.shard.epoch + epoch, CursorState(delivery.event.seq, ())
    )
    other = replace(
        delivery,
        event=delivery.event._replace(**(event or {})),
        shard=OwnedShard(cursor, valid_until=0.0),
        hand_over=delivery.hand_over if hand_over is None else hand_over,
    )
    return TokenCodec(relay.dispatcher(name).subscription.name).encode(other)
