"""The events themselves, without what is in them: from the ledger by id, and from the log by what they are."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import asyncpg

from hookline.model import Seq, Shard, SourceName
from hookline.store.glob import regex
from hookline.store.session import Session
from hookline.store.statements import load

_SQL = load("events.sql")
_EVER = datetime.min.replace(tzinfo=UTC)
_NEVER = datetime.max.replace(tzinfo=UTC)
_OWN_PART = (1 << 64) - 1
"""The half of an id in which revisions of one key differ (hookline.core.identity)."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event that was accepted."""

    id: UUID
    seq: Seq
    shard: Shard
    source: SourceName
    type: str
    received_at: datetime
    size: int
    """Bytes of the body."""
    revision: bool
    traceparent: str


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """What else the ledger knows of an event."""

    event: Event
    committed_at: datetime | None
    """By the database's clock; None if it isn't known."""
    lineage: UUID
    logged: bool
    """Whether the log still has it."""


@dataclass(frozen=True, slots=True)
class EventFilter:
    """What is set must all fit; nothing set fits all."""

    source: str = ""
    """Glob, as `fnmatch` knows it; "" fits all."""
    type: str = ""
    """Glob; "" fits all."""
    received_after: datetime = _EVER
    """Received at or after."""
    received_before: datetime = _NEVER


class Looked(NamedTuple):
    """What a look at a part of the log found."""

    found: list[Event]
    newest: datetime | None
    """When the last one there was committed, whether it fits or not; None if there is none."""


async def find(session: Session, event_id: UUID, *, within: timedelta) -> LedgerEntry | None:
    """The event of that id, or None."""
    rows = await session.fetch(_SQL["find"], event_id, within=within)
    if not rows:
        return None
    [row] = rows
    return LedgerEntry(_event(row), row["committed_at"], row["lineage"], row["logged"])


async def revisions(session: Session, entry: LedgerEntry, *, within: timedelta) -> list[UUID]:
    """The other events with the same key, in the order of the log."""
    last = UUID(int=entry.lineage.int | _OWN_PART)
    rows = await session.fetch(_SQL["revisions"], entry.event.id, entry.lineage, last, within=within)
    return [row["event_id"] for row in rows]


async def look(
    session: Session, wanted: EventFilter, *, above: Seq, upto: Seq, most: int, within: timedelta
) -> Looked:
    """The events of a part of the log that fit a filter, the newest first, at most so many."""
    rows = await session.fetch(
        _SQL["look"],
        above,
        upto,
        wanted.received_after,
        wanted.received_before,
        regex(wanted.source),
        regex(wanted.type),
        most,
        within=within,
    )
    return Looked([_event(row) for row in rows if row["event_id"] is not None], rows[0]["newest"])


def _event(row: asyncpg.Record) -> Event:
    return Event(
        row["event_id"],
        Seq(row["seq"]),
        Shard(row["shard"]),
        SourceName(row["source"]),
        row["type"],
        row["received_at"],
        row["size"],
        row["revision"],
        row["traceparent"],
    )
