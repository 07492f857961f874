"""Events put into the log as the edge's own transaction does."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from os import urandom
from uuid import UUID

from hookline.model import Accepted, NewEvent, Shard, SourceName
from hookline.store.ingest import ingest, notify
from hookline.store.session import Session
from hookline.telemetry.context import unsampled

_WITHIN = timedelta(seconds=30)
_AT_ONCE = 500


def event(
    body: bytes = b"{}",
    *,
    shard: int = 0,
    source: str = "begini",
    type_: str = "application.complete",
    headers: Sequence[tuple[str, str]] = (("content-type", "application/json"),),
    traceparent: str = "",
) -> NewEvent:
    """A new event with a drawn id: what it holds is the test's, who it is doesn't matter."""
    event_id = UUID(bytes=bytes([shard]) + urandom(15))
    return NewEvent(
        shard=Shard(shard),
        event_id=event_id,
        lineage=event_id,
        source=SourceName(source),
        type=type_,
        ordering_key=f"subject-{shard}",
        received_at=datetime.now(UTC),
        traceparent=traceparent or unsampled(),
        tracestate="",
        body_sha256=sha256(body).digest(),
        headers=json.dumps(list(headers)),
        body=body,
    )


async def append(dsn: str, events: Sequence[NewEvent]) -> list[str]:
    """Commit events, hint to relays, and answer their ids in order of the log."""
    session = Session(dsn, name="test")
    try:
        for start in range(0, len(events), _AT_ONCE):
            outcomes = await ingest(session, events[start : start + _AT_ONCE], within=_WITHIN)
            assert all(isinstance(outcome, Accepted) for outcome in outcomes)
        await notify(session, within=_WITHIN)
    finally:
        await session.close()
    return [str(event.event_id) for event in events]


async def append_many(dsn: str, count: int, *, shards: int = 4, body: bytes = b"{}") -> list[str]:
    """Commit `count` small events, spread over the first shards."""
    return await append(dsn, [event(body, shard=number % shards) for number in range(count)])
