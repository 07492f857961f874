"""Settlements that reached a relay which doesn't own the shard: passed on to the owner through the database."""

from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

from hookline.model import Shard, SubscriptionName
from hookline.store.session import Session
from hookline.store.statements import load

_SQL = load("forwarded.sql")


class Forwarded(NamedTuple):
    """A settlement that waits for its shard's owner."""

    id: int
    shard: Shard
    subscription: SubscriptionName
    settlement: bytes


async def post(
    session: Session,
    subscription: SubscriptionName,
    settlements: Sequence[tuple[Shard, bytes]],
    *,
    within: timedelta,
) -> list[int]:
    """Leave settlements for the owners of their shards; answers how they are called, in order."""
    shards, messages = zip(*settlements, strict=True)
    rows = await session.fetch(_SQL["post"], subscription, shards, messages, within=within)
    return [row["id"] for row in rows]


async def take(
    session: Session, owned: Sequence[tuple[SubscriptionName, Shard]], *, within: timedelta
) -> list[Forwarded]:
    """What waits for the owner of these shards, oldest first."""
    subscriptions, shards = zip(*owned, strict=True)
    rows = await session.fetch(_SQL["take"], subscriptions, shards, within=within)
    return [
        Forwarded(row["id"], Shard(row["shard"]), SubscriptionName(row["subscription"]), row["settlement"])
        for row in rows
    ]


async def answer(session: Session, answers: Sequence[tuple[Forwarded, int]], *, within: timedelta) -> None:
    """Say what became of settlements: 0, or the reason why one had no effect."""
    await session.fetch(
        _SQL["answer"],
        [forwarded.shard for forwarded, _ in answers],
        [forwarded.subscription for forwarded, _ in answers],
        [forwarded.id for forwarded, _ in answers],
        [reason for _, reason in answers],
        within=within,
    )


async def collect(
    session: Session,
    subscription: SubscriptionName,
    posted: Sequence[tuple[Shard, int]],
    *,
    give_up: bool,
    within: timedelta,
) -> dict[int, int | None]:
    """Take the answers to what was posted; with `give_up` also what has none, so that nobody judges it any more.

    Returns:
        By id: 0, the reason of a failure, or None for what is given up.
    """
    shards, ids = zip(*posted, strict=True)
    rows = await session.fetch(_SQL["collect"], subscription, shards, ids, give_up, within=within)
    return {row["id"]: row["answer"] for row in rows}
