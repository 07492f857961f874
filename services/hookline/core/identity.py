"""Compute who an event is: its shard, its id and its lineage.

An id is a UUIDv8 (RFC 9562, section 5.8), made of three parts:

    byte 0         the shard
    bytes 1 to 7   SHA-256 of (source, dedup key): the lineage's part, 52 bits beside the version
    bytes 8 to 15  SHA-256 of (source, dedup key, body hash): the event's own part, 62 bits beside the variant

So all revisions of one key are neighbours in the ledger's primary key, and whether an event is a revision is a
look at one entry of an index that is there anyway (docs/decisions/0002-event-id.md).
"""

from collections.abc import Sequence
from hashlib import sha256
from struct import Struct

from hookline.model import Identity, Shard

_HALVES = Struct(">QQ")
_LOWEST_OWN_PART = 0x8000_0000_0000_0000
"""Of ids with the same first half the lowest: nothing but the variant."""


def join(parts: Sequence[str]) -> str:
    """Join parts so that no two different lists give the same text.

    Each part is written as a netstring (https://cr.yp.to/proto/netstrings.txt), with its length in characters: the
    length, a colon, the part, a comma. Bare concatenation would make ("ab", "c") and ("a", "bc") the same key.
    """
    return "".join([f"{len(part)}:{part}," for part in parts])


def identify(
    *,
    source: str,
    dedup_key: Sequence[str],
    body_sha256: bytes | None,
    ordering_key: str,
    shards: int,
) -> Identity:
    """Compute the identity of a webhook.

    Args:
        source: The name of the source that received it.
        dedup_key: What the provider calls this event. With `body_sha256` it need not be unique.
        body_sha256: Digest of the raw body where the same key with another body is a revision; None where
            a repeated key is a duplicate whatever its body.
        ordering_key: Events with the same key share a shard; "" spreads events over the shards by their key.
        shards: How many shards the database was initialised with.
    """
    key = join((source, *dedup_key)).encode()
    digest = sha256(key).digest()
    chooses_shard = sha256(join((source, ordering_key)).encode()).digest() if ordering_key else digest[::-1]
    shard = chooses_shard[0] % shards
    own_digest = digest[8:] if body_sha256 is None else sha256(key + body_sha256).digest()
    first_half = (shard << 56) | (_number(digest) >> 8)
    # Version 8 and the variant of RFC 9562 take the places of the digests' bits there.
    first_half = (first_half & ~0xF000) | 0x8000
    own_part = (_number(own_digest) >> 2) | _LOWEST_OWN_PART
    event_id = _HALVES.pack(first_half, own_part)
    lineage = event_id if body_sha256 is None else _HALVES.pack(first_half, _LOWEST_OWN_PART)
    return Identity(shard=Shard(shard), event_id=event_id, lineage=lineage)


def _number(digest: bytes) -> int:
    """The first eight bytes as a number."""
    return int.from_bytes(digest[:8])
