"""Compute who an event is: its shard, its id and its lineage.

An id is a UUIDv8 (RFC 9562, section 5.8), made of three parts:

    byte 0         the shard
    bytes 1 to 7   SHA-256 of (source, dedup key): the lineage's part, 52 bits beside the version
    bytes 8 to 15  SHA-256 of (source, dedup key, body hash): the event's own part, 62 bits beside the variant

So all revisions of one key are neighbours in the ledger's primary key, and whether an event is a revision is a
look at one leaf of an index that is there anyway (docs/decisions/0002-event-id.md).
"""

from collections.abc import Sequence
from hashlib import sha256
from uuid import UUID

from hookline.model import Identity, Shard

_VERSION = 0x80
_VARIANT = 0x80
_FIRST_OWN_PART = bytes([_VARIANT]) + bytes(7)
_LAST_OWN_PART = bytes([_VARIANT | 0x3F]) + bytes([0xFF] * 7)


def join(parts: Sequence[bytes]) -> bytes:
    """Join parts so that no two different lists give the same bytes.

    Each part is written as a netstring (https://cr.yp.to/proto/netstrings.txt): its length, a colon, its bytes,
    a comma. Bare concatenation would make ("ab", "c") and ("a", "bc") the same key.
    """
    return b"".join([b"%d:%b," % (len(part), part) for part in parts])


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
    key = join([source.encode(), *[part.encode() for part in dedup_key]])
    lineage_digest = sha256(key).digest()
    if ordering_key:
        shard = sha256(join([source.encode(), ordering_key.encode()])).digest()[0] % shards
    else:
        shard = lineage_digest[31] % shards
    lineage_part = (
        bytes([shard]) + lineage_digest[:5] + _mark(lineage_digest[5], _VERSION, 0x0F) + lineage_digest[6:7]
    )
    own_digest = lineage_digest[8:] if body_sha256 is None else sha256(key + body_sha256).digest()
    own_part = _mark(own_digest[0], _VARIANT, 0x3F) + own_digest[1:8]
    lineage_own_part = _mark(lineage_digest[8], _VARIANT, 0x3F) + lineage_digest[9:16]
    return Identity(
        shard=Shard(shard),
        event_id=UUID(bytes=lineage_part + own_part),
        lineage=UUID(bytes=lineage_part + lineage_own_part),
        revisions=None
        if body_sha256 is None
        else (UUID(bytes=lineage_part + _FIRST_OWN_PART), UUID(bytes=lineage_part + _LAST_OWN_PART)),
    )


def _mark(byte: int, mark: int, mask: int) -> bytes:
    """Put a UUID's version or variant into the high bits of a byte."""
    return bytes([mark | (byte & mask)])
