"""Subscriptions created, changed, paused and deleted while relays deliver.

Every change is one transaction that also hints to the relays, which look for changes by themselves as well.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from hookline.core.subscription import Subscription
from hookline.model import SubscriptionName
from hookline.store.session import Session
from hookline.store.statements import load
from hookline.store.subscriptions import Start, columns, from_row

_SWEPT_AT_ONCE = 5_000
_SQL = load("subscription_changes.sql")


@dataclass(frozen=True, slots=True)
class StoredSubscription:
    """A subscription as it is in the database."""

    subscription: Subscription
    created_at: datetime
    """With the version, tells it from one of the same name that came before or after."""
    updated_at: datetime


async def create(
    session: Session, subscription: Subscription, *, start: Start, within: timedelta
) -> StoredSubscription | None:
    """Add a subscription with its cursors; None if there is one of that name."""
    position, time = (start, None) if isinstance(start, str) else ("time", start)
    rows = await session.fetch(_SQL["create"], *columns(subscription), position, time, within=within)
    return _stored(rows)


async def find(session: Session, name: SubscriptionName, *, within: timedelta) -> StoredSubscription | None:
    """The subscription of that name, or None."""
    return _stored(await session.fetch(_SQL["find"], name, within=within))


async def after(session: Session, name: str, *, count: int, within: timedelta) -> list[StoredSubscription]:
    """The next `count` subscriptions in the order of their names."""
    rows = await session.fetch(_SQL["list"], name, count, within=within)
    return [_from_row(row) for row in rows]


async def change(
    session: Session, seen: StoredSubscription, wanted: Subscription, *, within: timedelta
) -> StoredSubscription | None:
    """Write what is wanted; None if somebody else has changed the one that was seen."""
    rows = await session.fetch(
        _SQL["change"], *columns(wanted), seen.subscription.version, seen.created_at, within=within
    )
    return _stored(rows)


async def set_paused(
    session: Session, name: SubscriptionName, *, paused: bool, within: timedelta
) -> StoredSubscription | None:
    """Pause or resume; changes nothing if it is so already. None if there is no such subscription."""
    rows = await session.fetch(_SQL["set_paused"], name, paused, within=within)
    return _stored(rows) or await find(session, name, within=within)


async def is_being_deleted(session: Session, name: SubscriptionName, *, within: timedelta) -> bool:
    """Whether the deletion of a subscription has begun and not ended."""
    return bool(await session.fetch(_SQL["is_closed"], name, within=within))


async def delete(
    session: Session, name: SubscriptionName, *, version: int | None = None, within: timedelta
) -> bool:
    """Remove a subscription and all that belongs to it.

    From the first transaction on no relay delivers it. Its rows, which may be many, go in chunks; the name is free
    after the last one. What was interrupted is finished by the next call, whatever version that names.

    Args:
        session: Where.
        name: Which.
        version: Only if it is this one.
        within: The deadline of each transaction.

    Returns:
        Whether there was one of that version.
    """
    [row] = await session.fetch(_SQL["close"], name, version or 0, within=within)
    if not row["closed"]:
        return False
    await _remove(session, name, within=within)
    return True


async def finish_deletions(session: Session, *, within: timedelta) -> int:
    """Finish what was interrupted; answers how many there were."""
    closed = await session.fetch(_SQL["closed"], within=within)
    for row in closed:
        await _remove(session, row["name"], within=within)
    return len(closed)


async def _remove(session: Session, name: SubscriptionName, *, within: timedelta) -> None:
    [row] = await session.fetch(_SQL["shards"], within=within)
    for shard in range(row["shards"]):
        for statement in ("sweep_deliveries", "sweep_attempts"):
            swept: int | None = 0
            while swept is not None:
                [row] = await session.fetch(
                    _SQL[statement], name, shard, swept, _SWEPT_AT_ONCE, within=within
                )
                swept = row["seq"]
    await session.fetch(_SQL["forget"], name, within=within)


def _stored(rows: Sequence[asyncpg.Record]) -> StoredSubscription | None:
    return _from_row(rows[0]) if rows else None


def _from_row(row: asyncpg.Record) -> StoredSubscription:
    return StoredSubscription(from_row(row), row["created_at"], row["updated_at"])
