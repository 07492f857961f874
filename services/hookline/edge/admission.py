"""Make an event of a verified request."""

from datetime import datetime
from hashlib import sha256

# Is a uuid.UUID, and made and written in a tenth of the time.
from asyncpg.pgproto.pgproto import UUID

from hookline.core.identity import identify
from hookline.edge.request import keep
from hookline.edge.schemes.event_keys import Envelope
from hookline.edge.schemes.places import Context
from hookline.edge.source import Source
from hookline.model import UNPARSABLE, NewEvent


def make_event(
    source: Source, context: Context, *, shards: int, received_at: datetime, traceparent: str
) -> NewEvent:
    """The event of a request that the source's scheme has verified.

    Args:
        source: Where it came in.
        context: The request, and what `Scheme.context` found in it.
        shards: How many shards the database was initialised with.
        received_at: When the request was received, aware.
        traceparent: The trace that it carries.
    """
    incoming = context.incoming
    digest = sha256(incoming.body).digest()
    envelope = source.scheme.read(context) or _opaque(digest)
    identity = identify(
        source=source.name,
        dedup_key=envelope.dedup_key,
        body_sha256=digest if source.scheme.revisions else None,
        ordering_key=envelope.ordering_key,
        shards=shards,
    )
    # By position, in the order of its fields: by name it takes three times as long.
    return NewEvent(
        identity.shard,
        UUID(identity.event_id),
        UUID(identity.lineage),
        source.name,
        envelope.type,
        envelope.ordering_key,
        received_at,
        traceparent,
        "",
        digest,
        keep(incoming.headers, source.headers_not_kept),
        incoming.body,
    )


def _opaque(digest: bytes) -> Envelope:
    """Genuine and unreadable: known by its bytes alone."""
    return Envelope(type=UNPARSABLE, dedup_key=(UNPARSABLE, digest.hex()), ordering_key="")
