"""Read the outbox: the log of what was committed, in commit order within each shard."""

from collections.abc import Sequence
from datetime import timedelta

from hookline.model import LoggedEvent, Seq, Shard, SubscriptionName
from hookline.store.session import Session
from hookline.store.statements import load

_SQL = load("log.sql")


async def read_log(
    session: Session,
    positions: Sequence[tuple[Shard, Seq]],
    *,
    per_shard: int,
    events: int,
    body_bytes: int,
    within: timedelta,
) -> list[LoggedEvent]:
    """The next events above each position, shard by shard in the given order, in log order within each.

    What doesn't fit the bounds is left out from the end, so what is answered of a shard has no holes. The first
    event is answered even if it alone is larger than `body_bytes`.
    """
    shards, seqs = zip(*positions, strict=True)
    rows = await session.fetch(
        _SQL["read_log"], shards, seqs, min(seqs), per_shard, events, body_bytes, within=within
    )
    return [LoggedEvent._make(row) for row in rows]


async def read_pending(
    session: Session, pending: Sequence[tuple[Shard, Seq]], *, body_bytes: int, within: timedelta
) -> list[LoggedEvent]:
    """Single events by their place, as many as fit into `body_bytes`, at least one."""
    shards, seqs = zip(*pending, strict=True)
    rows = await session.fetch(_SQL["read_pending"], shards, seqs, body_bytes, within=within)
    return [LoggedEvent._make(row) for row in rows]


async def backlog(session: Session, subscription: SubscriptionName, *, within: timedelta) -> int:
    """How many events wait for a subscription. Counts to 10,000 and not further."""
    [row] = await session.fetch(_SQL["backlog"], subscription, within=within)
    events: int = row["events"]
    return events
