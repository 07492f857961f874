"""Events as the edge would make them."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import UUID

from hookline.core.identity import identify
from hookline.model import NewEvent, SourceName

SHARDS = 8
"""As in the template database."""
WITHIN = timedelta(seconds=20)
"""Ample: what it bounds takes milliseconds."""


def webhook(
    uid: str,
    body: bytes = b"{}",
    *,
    revisions: bool = True,
    headers: str = "[]",
    shards: int = SHARDS,
    type_: str = "application.complete",
) -> NewEvent:
    digest = sha256(body).digest()
    identity = identify(
        source="begini",
        dedup_key=("int", uid, type_),
        body_sha256=digest if revisions else None,
        ordering_key=uid,
        shards=shards,
    )
    return NewEvent(
        shard=identity.shard,
        event_id=UUID(bytes=identity.event_id),
        lineage=UUID(bytes=identity.lineage),
        source=SourceName("begini"),
        type=type_,
        ordering_key=uid,
        received_at=datetime.now(UTC),
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
        tracestate="",
        body_sha256=digest,
        headers=headers,
        body=body,
    )
