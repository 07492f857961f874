"""Subscriptions as the database knows them."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

import asyncpg
import msgspec

from hookline.core.retry import RetryPolicy
from hookline.core.subscription import Push, Subscription
from hookline.model import SubscriptionName
from hookline.store.session import Session
from hookline.store.statements import load

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
"""What the name of a subscription can be; the table has the same rule."""
Start = str | datetime
"""Where a new subscription begins: "latest", "earliest", or with what was received at or after a time."""
_SQL = load("subscriptions.sql")


async def declare(session: Session, subscription: Subscription, *, start: Start, within: timedelta) -> None:
    """Make the database agree with the configuration.

    A new subscription gets a cursor per shard at `start`; an old one keeps its place, and stays paused if it is.
    One that is being deleted is left alone.
    """
    await session.fetch(_SQL["declare"], *columns(subscription), within=within)
    position, time = (start, None) if isinstance(start, str) else ("time", start)
    await session.fetch(_SQL["place_cursors"], subscription.name, position, time, within=within)


async def find(session: Session, name: SubscriptionName, *, within: timedelta) -> Subscription | None:
    """The subscription of that name, or None."""
    rows = await session.fetch(_SQL["find"], name, within=within)
    return from_row(rows[0]) if rows else None


async def served(
    session: Session, names: Sequence[SubscriptionName], *, within: timedelta
) -> list[Subscription]:
    """The named subscriptions, as far as they exist, and all whose consumers are called."""
    rows = await session.fetch(_SQL["served"], names, within=within)
    return [from_row(row) for row in rows]


def from_row(row: asyncpg.Record) -> Subscription:
    """Read a row of the table."""
    return Subscription(
        name=SubscriptionName(row["name"]),
        sources=tuple(row["sources"]),
        types=tuple(row["types"]),
        expression=row["expression"],
        ordering=row["ordering"],
        after_dead_letter=row["after_dead_letter"],
        ack_deadline=row["ack_deadline"],
        retry=msgspec.json.decode(row["retry"], type=RetryPolicy),
        push=msgspec.json.decode(row["push"], type=Push) if row["push"] is not None else None,
        dead_letter_retention=row["dead_letter_retention"],
        paused=row["paused"],
        version=row["version"],
    )


def columns(subscription: Subscription) -> tuple[object, ...]:
    """The values to write, in the order of the statements that write a subscription."""
    return (
        subscription.name,
        subscription.sources,
        subscription.types,
        subscription.expression,
        subscription.ordering,
        subscription.after_dead_letter,
        subscription.ack_deadline,
        msgspec.json.encode(subscription.retry).decode(),
        msgspec.json.encode(subscription.push).decode() if subscription.push else None,
        subscription.dead_letter_retention,
    )
