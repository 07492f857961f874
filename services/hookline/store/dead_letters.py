"""Dead letters: find them, deliver them again, give them up.

What writes goes in chunks, each a transaction under the locks of its cursors, so that nobody waits long. A dead letter
that somebody redrove meanwhile, and that died once more, is left alone: so "all" ends.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from hookline.model import Seq, Shard, SourceName, SubscriptionName
from hookline.store.dead_letter_filter import EVER, NEVER, DeadLetterFilter
from hookline.store.session import Session
from hookline.store.statements import load

EXPIRED = "retention"
"""Why the ones that `expire` deleted are gone."""
_CHUNK = 500
_HIGHEST = 2**63 - 1
_SQL = load("dead_letters.sql")


class LetterId(NamedTuple):
    """Which delivery of a subscription it is."""

    shard: Shard
    seq: Seq
    replay: int


class LetterPlace(NamedTuple):
    """A place in the list of a subscription's dead letters."""

    dead_at: datetime
    id: LetterId


NEWEST = LetterPlace(NEVER, LetterId(Shard(2**15 - 1), Seq(_HIGHEST), _HIGHEST))
"""Before the first one of the list."""
_OLDEST = LetterPlace(EVER, LetterId(Shard(0), Seq(0), 0))


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A delivery that failed for good."""

    id: LetterId
    event_id: UUID
    source: SourceName
    type: str
    """"" if the log has lost the event."""
    attempts: int
    reason: str
    received_at: datetime | None
    first_at: datetime | None
    """None if it was never handed over."""
    dead_at: datetime


@dataclass(frozen=True, slots=True)
class PastAttempt:
    """One line of a delivery's history."""

    number: int
    outcome: str
    reason: str
    consumer: str
    started_at: datetime
    ended_at: datetime


@dataclass(frozen=True, slots=True)
class Content:
    """What the provider sent."""

    headers: list[tuple[str, str]]
    body: bytes


async def find_newest(
    session: Session,
    subscription: SubscriptionName,
    wanted: DeadLetterFilter,
    *,
    after: LetterPlace = NEWEST,
    count: int,
    within: timedelta,
) -> list[DeadLetter]:
    """The `count` dead letters that come after a place, the most recently dead first."""
    rows = await session.fetch(
        _SQL["find_newest"], subscription, *wanted.arguments(), after.dead_at, *after.id, count, within=within
    )
    return [_from_row(row) for row in rows]


async def find(
    session: Session, subscription: SubscriptionName, letter: LetterId, *, within: timedelta
) -> DeadLetter | None:
    """The dead letter, or None if the delivery isn't dead."""
    rows = await session.fetch(_SQL["find"], subscription, *letter, within=within)
    return _from_row(rows[0]) if rows else None


async def attempts(
    session: Session, subscription: SubscriptionName, letter: LetterId, *, within: timedelta
) -> list[PastAttempt]:
    """Its attempts, in order; those before it was redriven too."""
    rows = await session.fetch(_SQL["attempts"], subscription, *letter, within=within)
    return [PastAttempt(*row) for row in rows]


async def content(session: Session, letter: LetterId, *, within: timedelta) -> Content | None:
    """The event's headers and body; None if the log has lost it."""
    rows = await session.fetch(_SQL["content"], letter.shard, letter.seq, within=within)
    if not rows:
        return None
    headers = msgspec.json.decode(rows[0]["headers"], type=list[tuple[str, str]])
    return Content(headers, rows[0]["body"])


async def count(
    session: Session,
    subscription: SubscriptionName,
    which: DeadLetterFilter | Sequence[LetterId],
    *,
    within: timedelta,
) -> int:
    """How many there are."""
    if isinstance(which, DeadLetterFilter):
        [row] = await session.fetch(_SQL["count"], subscription, *which.arguments(), within=within)
    else:
        [row] = await session.fetch(
            _SQL["count_named"], subscription, *_columns(_distinct(which)), within=within
        )
    letters: int = row["letters"]
    return letters


async def redrive(
    session: Session,
    subscription: SubscriptionName,
    which: DeadLetterFilter | Sequence[LetterId],
    *,
    within: timedelta,
) -> int:
    """Deliver them again, with all attempts before them; answers how many there were.

    Args:
        session: Where.
        subscription: Whose.
        which: A filter, or the letters themselves. Those that aren't dead are left alone.
        within: The deadline of each chunk.
    """
    return await _each_chunk(session, subscription, which, "redrive", within=within)


async def delete(
    session: Session,
    subscription: SubscriptionName,
    which: DeadLetterFilter | Sequence[LetterId],
    *,
    reason: str,
    within: timedelta,
) -> int:
    """Give them up, and write down why; answers how many there were."""
    return await _each_chunk(session, subscription, which, "delete", reason, within=within)


async def expire(session: Session, *, within: timedelta) -> int:
    """Delete what is older than its subscription keeps dead letters; answers how many there were."""
    expired = 0
    while rows := await session.fetch(_SQL["expired"], _CHUNK, within=within):
        before = expired
        by_subscription: dict[SubscriptionName, list[asyncpg.Record]] = {}
        for row in rows:
            by_subscription.setdefault(row["subscription"], []).append(row)
        for subscription, letters in by_subscription.items():
            columns = _columns([_id(row) for row in letters])
            until = max(row["changed_at"] for row in letters)
            expired += await _write(session, "delete", subscription, *columns, until, EXPIRED, within=within)
        if expired == before:
            break  # somebody else is at it
    return expired


async def _each_chunk(
    session: Session,
    subscription: SubscriptionName,
    which: DeadLetterFilter | Sequence[LetterId],
    statement: str,
    *arguments: object,
    within: timedelta,
) -> int:
    """Run a writing statement on all of them, chunk by chunk."""
    [row] = await session.fetch(_SQL["now"], within=within)
    until: datetime = row["now"]
    letters = 0
    async for chunk in _chunks(session, subscription, which, within=within):
        letters += await _write(
            session, statement, subscription, *_columns(chunk), until, *arguments, within=within
        )
    return letters


async def _chunks(
    session: Session,
    subscription: SubscriptionName,
    which: DeadLetterFilter | Sequence[LetterId],
    *,
    within: timedelta,
) -> AsyncIterator[list[LetterId]]:
    """The letters, some at a time; those of a filter the longest dead first, as they would have come."""
    if not isinstance(which, DeadLetterFilter):
        named = _distinct(which)
        for start in range(0, len(named), _CHUNK):
            yield named[start : start + _CHUNK]
        return
    after = _OLDEST
    while rows := await session.fetch(
        _SQL["pick_oldest"],
        subscription,
        *which.arguments(),
        after.dead_at,
        *after.id,
        _CHUNK,
        within=within,
    ):
        yield [_id(row) for row in rows]
        after = LetterPlace(rows[-1]["changed_at"], _id(rows[-1]))


async def _write(session: Session, statement: str, *arguments: object, within: timedelta) -> int:
    [row] = await session.fetch(_SQL[statement], *arguments, within=within)
    letters: int = row["letters"]
    return letters


def _distinct(letters: Sequence[LetterId]) -> list[LetterId]:
    """Once each: a letter that is named twice is one letter."""
    return sorted(set(letters))


def _columns(letters: Sequence[LetterId]) -> tuple[list[Any], list[Any], list[Any]]:
    """As arrays."""
    return (
        [letter.shard for letter in letters],
        [letter.seq for letter in letters],
        [letter.replay for letter in letters],
    )


def _id(row: asyncpg.Record) -> LetterId:
    return LetterId(Shard(row["shard"]), Seq(row["seq"]), row["replay"])


def _from_row(row: asyncpg.Record) -> DeadLetter:
    return DeadLetter(
        id=_id(row),
        event_id=row["event_id"],
        source=row["source"],
        type=row["type"] or "",
        attempts=row["attempt"],
        reason=row["reason"],
        received_at=row["received_at"],
        first_at=row["first_at"],
        dead_at=row["changed_at"],
    )
