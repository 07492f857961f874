"""Subscriptions as the database knows them."""

import re
from dataclasses import dataclass
from datetime import timedelta

from hookline.model import SubscriptionName
from hookline.store.session import Session
from hookline.store.statements import load

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
"""What the name of a subscription can be; the table has the same rule."""
_SQL = load("subscriptions.sql")


@dataclass(frozen=True, slots=True)
class Subscription:
    """A named consumer group."""

    name: SubscriptionName
    sources: tuple[str, ...]
    types: tuple[str, ...]
    ordering: str
    ack_deadline: timedelta


async def declare(session: Session, subscription: Subscription, *, start: str, within: timedelta) -> None:
    """Make the database agree with the configuration.

    A new subscription gets a cursor per shard at `start`, "earliest" or "latest"; an old one keeps its place.
    """
    await session.fetch(
        _SQL["declare"],
        subscription.name,
        subscription.sources,
        subscription.types,
        subscription.ordering,
        subscription.ack_deadline,
        within=within,
    )
    await session.fetch(_SQL["place_cursors"], subscription.name, start, within=within)


async def find(session: Session, name: SubscriptionName, *, within: timedelta) -> Subscription | None:
    """The subscription of that name, or None."""
    rows = await session.fetch(_SQL["find"], name, within=within)
    if not rows:
        return None
    [row] = rows
    return Subscription(
        name=SubscriptionName(row["name"]),
        sources=tuple(row["sources"]),
        types=tuple(row["types"]),
        ordering=row["ordering"],
        ack_deadline=row["ack_deadline"],
    )
