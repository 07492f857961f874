"""Replays: events of the past on their way to one subscription once more, a bounded step at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, NamedTuple
from uuid import UUID

import asyncpg

from hookline.model import Seq, Shard, SubscriptionName
from hookline.store.session import Session
from hookline.store.statements import load

State = Literal["running", "completed", "cancelled", "failed"]

_SQL = load("replays.sql")
_IDS_ON_A_PAGE = 20_000
"""Of all replays on a page together: a page has to fit into a message."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which events are replayed."""

    event_ids: tuple[UUID, ...] | None = None
    """Exactly these, in the order of the log. None: by what follows and by the subscription's own filter."""
    seqs: tuple[Seq, ...] = ()
    """Where these events are in the log."""
    sources: tuple[str, ...] = ("*",)
    types: tuple[str, ...] = ("*",)
    start_time: datetime | None = None
    """Received at or after."""
    end_time: datetime | None = None
    """Received before."""


@dataclass(frozen=True, slots=True)
class Replay:
    """One replay and how far it has come."""

    id: int
    epoch: int
    """Every write of the relay that works on it names it."""
    subscription: SubscriptionName
    selection: Selection
    max_rate: float
    """Deliveries a second; 0 is no limit."""
    state: State
    position: Seq
    """Every event up to it was looked at."""
    until_seq: Seq
    """The last one that is."""
    scanned: int
    created: int
    outstanding: int
    """Deliveries of it that are neither settled nor dead."""
    reason: str
    created_at: datetime
    ended_at: datetime | None
    """None while there is work to do: deliveries to make, or to withdraw."""


class Located(NamedTuple):
    """An event that was accepted."""

    event_id: UUID
    seq: Seq
    logged: bool
    """The log still has it."""


class Wanted(NamedTuple):
    """An event that a delivery is to be made of."""

    seq: Seq
    shard: Shard
    before: int
    """How many were looked at before it."""
    awaited: bool
    """It doesn't come by itself, though the cursor hasn't passed it: the subscription's filter doesn't want it."""


class Looked(NamedTuple):
    """What was found in a part of the log."""

    upto: Seq
    """The part ends here."""
    looked: int
    """Events in it."""
    wanted: list[Wanted]


class Advanced(NamedTuple):
    """How far a replay came in one step."""

    position: Seq
    state: State
    added: int
    outstanding: int
    wait: timedelta
    """Until the rate allows more."""
    is_held: bool
    """It came to an event that can't be delivered yet, because of its key's order."""


async def locate(session: Session, event_ids: Sequence[UUID], *, within: timedelta) -> list[Located]:
    """Those of the events that were ever accepted, in the order of the log."""
    rows = await session.fetch(_SQL["locate"], event_ids, within=within)
    return [Located._make(row) for row in rows]


async def bounds(session: Session, *, within: timedelta) -> tuple[Seq, Seq]:
    """The log as it is: everything is above the first and up to the second."""
    [row] = await session.fetch(_SQL["bounds"], within=within)
    return Seq(row["position"]), Seq(row["until_seq"])


async def create(
    session: Session,
    subscription: SubscriptionName,
    selection: Selection,
    *,
    position: Seq,
    until_seq: Seq,
    max_rate: float,
    reason: str = "",
    within: timedelta,
) -> int | None:
    """Start a replay of the events above `position` and up to `until_seq`, with a remark for people.

    Answers None if there is no such subscription, or if one of the `event_ids` is no longer in the log.
    """
    rows = await session.fetch(
        _SQL["create"],
        subscription,
        position,
        until_seq,
        max_rate,
        selection.sources,
        selection.types,
        selection.start_time,
        selection.end_time,
        selection.event_ids,
        selection.seqs if selection.event_ids is not None else None,
        reason,
        within=within,
    )
    return rows[0]["id"] if rows else None


async def find(session: Session, replay_id: int, *, within: timedelta) -> Replay | None:
    """The replay of that id, or None."""
    rows = await session.fetch(_SQL["find"], replay_id, within=within)
    return _replay(rows[0]) if rows else None


async def page(
    session: Session, subscription: str, *, below: int, most: int, within: timedelta
) -> list[Replay]:
    """Replays with ids below, the newest first; of a subscription, or of all if it is "".

    There may be fewer than `most` although more follow: a page is short if it would hold very many event ids.
    """
    rows = await session.fetch(_SQL["page"], subscription, below, most, _IDS_ON_A_PAGE, within=within)
    return [_replay(row) for row in rows]


async def cancel(session: Session, replay_id: int, *, within: timedelta) -> None:
    """Stop a replay. Its deliveries have to be withdrawn after that; one that is over stays as it is."""
    await session.fetch(_SQL["cancel"], replay_id, within=within)


async def withdraw(session: Session, replay_id: int, *, most: int, within: timedelta) -> bool:
    """Remove some deliveries of a cancelled replay that aren't dead; answers whether none are left."""
    [row] = await session.fetch(_SQL["withdraw"], replay_id, most, within=within)
    return bool(row["done"])


async def acquire(session: Session, *, owner: str, lease: timedelta, within: timedelta) -> Replay | None:
    """Take the replay that has waited longest, running or cancelled, if there is one that no live relay holds."""
    rows = await session.fetch(_SQL["acquire"], owner, lease, within=within)
    return _replay(rows[0]) if rows else None


async def next_due(session: Session, *, owner: str, within: timedelta) -> timedelta | None:
    """How long until there is a replay to work on, as far as it is known; None if there is none."""
    [row] = await session.fetch(_SQL["next_due"], owner, within=within)
    wait: timedelta | None = row["wait"]
    return wait


async def advance(
    session: Session, replay: Replay, looked: Looked, *, lease: timedelta, within: timedelta
) -> Advanced | None:
    """Make deliveries of what was found and note how far the replay has come, in one transaction.

    Answers None, and nothing was written, if the replay isn't ours any more: it was cancelled or deleted, or
    another relay took it over.

    Raises:
        DatabaseUnavailable: It can't be known whether it was written. Acquire the replay again to find out.
    """
    rows = await session.fetch(
        _SQL["advance"],
        replay.id,
        replay.epoch,
        replay.subscription,
        lease,
        looked.upto,
        looked.looked,
        [wanted.shard for wanted in looked.wanted],
        [wanted.seq for wanted in looked.wanted],
        [wanted.before for wanted in looked.wanted],
        [wanted.awaited for wanted in looked.wanted],
        within=within,
    )
    return Advanced._make(rows[0]) if rows else None


async def release(session: Session, replay: Replay, *, delay: timedelta, within: timedelta) -> None:
    """Let any relay work on it, after a delay."""
    await session.fetch(_SQL["release"], replay.id, replay.epoch, delay, within=within)


async def fail(session: Session, replay: Replay, reason: str, *, within: timedelta) -> None:
    """End a replay that can't go on."""
    await session.fetch(_SQL["fail"], replay.id, replay.epoch, reason, within=within)


def _replay(row: asyncpg.Record) -> Replay:
    ids = row["event_ids"]
    return Replay(
        id=row["id"],
        epoch=row["epoch"],
        subscription=SubscriptionName(row["subscription"]),
        selection=Selection(
            event_ids=tuple(ids) if ids is not None else None,
            seqs=tuple(Seq(seq) for seq in row["seqs"] or ()),
            sources=tuple(row["sources"]),
            types=tuple(row["types"]),
            start_time=row["start_time"],
            end_time=row["end_time"],
        ),
        max_rate=row["max_rate"],
        state=row["state"],
        position=Seq(row["position"]),
        until_seq=Seq(row["until_seq"]),
        scanned=row["scanned"],
        created=row["created"],
        outstanding=row["outstanding"],
        reason=row["reason"],
        created_at=row["created_at"],
        ended_at=row["ended_at"],
    )
