"""Deliveries in trouble: rows of what waits for a retry, waits behind one, or is dead."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from hookline.core.turns import Key, Place
from hookline.model import LoggedEvent, Shard, SubscriptionName
from hookline.store.session import Session
from hookline.store.statements import load

_SQL = load("deliveries.sql")
_EVENT_FIELDS = len(LoggedEvent._fields)


class DueDelivery(NamedTuple):
    """A row whose time has come."""

    event: LoggedEvent
    replay: int
    attempt: int
    """Attempts that failed."""
    portion: int
    first_at: datetime | None
    failed_before: bool = False
    """Its row says why it is in trouble; that stays when a dead letter is redriven and its attempts count no more."""


class KeyWithRows(NamedTuple):
    """A key of which there are rows that aren't dead, or that wait for a dead one."""

    shard: Shard
    key: Key
    lowest: Place
    needs_turn: bool
    """Its lowest row waits for nothing: whoever should have made it due was stopped before."""


async def read_due(
    session: Session,
    subscription: SubscriptionName,
    shards: Sequence[Shard],
    *,
    held: Collection[Place],
    events: int,
    body_bytes: int,
    within: timedelta,
) -> list[DueDelivery]:
    """Deliveries that wait and whose time has come, those first that are due longest; not those that are held."""
    rows = await session.fetch(
        _SQL["read_due"],
        subscription,
        shards,
        [place.seq for place in held],
        [place.replay for place in held],
        events,
        body_bytes,
        within=within,
    )
    return [
        DueDelivery(
            LoggedEvent._make(tuple(row.values())[:_EVENT_FIELDS]),
            row["of_replay"],
            row["attempt"],
            row["portion"],
            row["first_at"],
            row["failed_before"],
        )
        for row in rows
    ]


async def next_due(
    session: Session, subscription: SubscriptionName, shards: Sequence[Shard], *, within: timedelta
) -> timedelta | None:
    """How long until the next delivery that waits is due; None if none waits."""
    [row] = await session.fetch(_SQL["next_due"], subscription, shards, within=within)
    wait: timedelta | None = row["wait"]
    return wait


async def keys_with_rows(
    session: Session, subscription: SubscriptionName, shards: Sequence[Shard], *, within: timedelta
) -> list[KeyWithRows]:
    """The keys of an ordered subscription of which later events have to wait."""
    rows = await session.fetch(_SQL["keys_with_rows"], subscription, shards, within=within)
    return [
        KeyWithRows(
            Shard(row["shard"]),
            Key(row["source"], row["ordering_key"]),
            Place(row["seq"], row["replay"]),
            row["state"] == "blocked",
        )
        for row in rows
    ]
