"""The opaque token that names a hand-over in a settlement."""

from struct import Struct
from typing import NamedTuple
from zlib import crc32

from hookline.core.turns import Place
from hookline.model import Seq, Shard, SubscriptionName
from hookline.relay.delivery import Delivery

_LAYOUT = Struct(">BIHQQQII")
_VERSION = 2
_HIGHEST_SHARD = 255
"""The first byte of an event's id."""
_HIGHEST_NUMBER = 2**63 - 1


class Token(NamedTuple):
    """What a token says."""

    shard: Shard
    epoch: int
    seq: Seq
    replay: int
    event: int
    """The end of the event's id: a database that was restored may have another event at this seq."""
    hand_over: int

    @property
    def place(self) -> Place:
        """What it names within its subscription."""
        return Place(self.seq, self.replay)

    def names(self, delivery: Delivery) -> bool:
        """Whether it was given out with this delivery, at whichever hand-over."""
        return self.event == _end_of_id(delivery)

    def is_latest(self, delivery: Delivery) -> bool:
        """Whether it was given out with the delivery's hand-over under way."""
        return (
            delivery.holder is not None
            and self.hand_over == delivery.hand_over
            and self.epoch == delivery.shard.epoch
        )


class TokenCodec:
    """Writes and reads the tokens of one subscription.

    A token is no secret: it is bound to its subscription by a checksum of the name, so that a mix-up is noticed.
    """

    def __init__(self, subscription: SubscriptionName) -> None:
        self._subscription = crc32(subscription.encode())

    def encode(self, delivery: Delivery) -> bytes:
        """The token of a delivery's hand-over."""
        return _LAYOUT.pack(
            _VERSION,
            self._subscription,
            delivery.event.shard,
            delivery.shard.epoch,
            delivery.event.seq,
            delivery.replay,
            _end_of_id(delivery),
            delivery.hand_over,
        )

    def decode(self, token: bytes) -> Token | None:
        """What the token says; None if it isn't one of this subscription's."""
        if len(token) != _LAYOUT.size:
            return None
        version, subscription, shard, epoch, seq, replay, event, hand_over = _LAYOUT.unpack(token)
        if version != _VERSION or subscription != self._subscription:
            return None
        if shard > _HIGHEST_SHARD or max(epoch, seq, replay) > _HIGHEST_NUMBER:
            # No relay writes such a one, and Postgres has no such numbers.
            return None
        return Token(Shard(shard), epoch, Seq(seq), replay, event, hand_over)


def _end_of_id(delivery: Delivery) -> int:
    # Digest bits: the first ones are shared by all revisions of a key.
    return delivery.event.event_id.int & 0xFFFF_FFFF
