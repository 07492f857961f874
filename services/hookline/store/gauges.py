"""How far behind every subscription is, whether or not anybody serves it."""

from datetime import timedelta
from typing import NamedTuple

from hookline.model import SubscriptionName
from hookline.store.session import Session
from hookline.store.statements import load

_SQL = load("gauges.sql")
_LOOKED_AT = 50
"""Rows of the log above each cursor: as many are counted, of more it is estimated how many they are."""


class Lag(NamedTuple):
    """One subscription."""

    name: SubscriptionName
    backlog: int
    """Events that aren't settled, in consumers' hands or not. Exact while there are few in each shard."""
    oldest_unacked_age: float
    """Seconds since the oldest of them was received, by the database's clock; 0 if there is none.

    An event is one that the subscription's globs want. Where no relay reads and the first `_LOOKED_AT` events of a
    shard are not wanted, it is the age of the last of these: what is wanted can't be older.
    """
    retries_waiting: int
    keys_blocked: int
    dead: int


async def read_lags(session: Session, *, within: timedelta) -> list[Lag]:
    """Measure all subscriptions, those created first before the others.

    Raises:
        DatabaseUnavailable: The database can't be reached, or it took too long.
    """
    rows = await session.fetch(_SQL["subscriptions"], _LOOKED_AT, within=within)
    return [Lag(*row.values()) for row in rows]


async def database_size(session: Session, *, within: timedelta) -> int:
    """Bytes that the database takes on disk.

    Raises:
        DatabaseUnavailable: The database can't be reached, or it took too long.
    """
    [row] = await session.fetch(_SQL["database_size"], within=within)
    size: int = row["bytes"]
    return size
