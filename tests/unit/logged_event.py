"""An event as the log holds it."""

from datetime import UTC, datetime
from uuid import UUID

import msgspec

from hookline.model import LoggedEvent, Seq, Shard, SourceName


def logged_event(
    source: str = "begini",
    type_: str = "application.complete",
    *,
    body: bytes = b"{}",
    headers: tuple[tuple[str, str], ...] = (),
    ordering_key: str = "",
) -> LoggedEvent:
    return LoggedEvent(
        event_id=UUID(int=1),
        seq=Seq(1),
        received_at=datetime(2026, 5, 1, tzinfo=UTC),
        shard=Shard(0),
        revision=False,
        source=SourceName(source),
        type=type_,
        ordering_key=ordering_key,
        traceparent="",
        tracestate="",
        headers=msgspec.json.encode(headers).decode(),
        body=body,
    )
