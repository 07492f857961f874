"""The opaque token that names a delivery in a settlement."""

from struct import Struct
from typing import NamedTuple
from zlib import crc32

from hookline.model import Seq, Shard, SubscriptionName

_LAYOUT = Struct(">BIHQQI")
_VERSION = 1


class Token(NamedTuple):
    """What a token says."""

    shard: Shard
    epoch: int
    seq: Seq
    attempt: int


class TokenCodec:
    """Writes and reads the tokens of one subscription.

    A token is no secret: it is bound to its subscription by a checksum of the name, so that a mix-up is noticed.
    """

    def __init__(self, subscription: SubscriptionName) -> None:
        self._subscription = crc32(subscription.encode())

    def encode(self, shard: Shard, epoch: int, seq: Seq, attempt: int) -> bytes:
        """The token of one hand-over."""
        return _LAYOUT.pack(_VERSION, self._subscription, shard, epoch, seq, attempt)

    def decode(self, token: bytes) -> Token | None:
        """What the token says; None if it isn't one of this subscription's."""
        if len(token) != _LAYOUT.size:
            return None
        version, subscription, shard, epoch, seq, attempt = _LAYOUT.unpack(token)
        if version != _VERSION or subscription != self._subscription:
            return None
        return Token(Shard(shard), epoch, Seq(seq), attempt)
