"""Cursors and their leases. Every write names the epoch, so that a relay that lost its lease changes nothing."""

from collections.abc import Callable, Sequence
from datetime import timedelta

from hookline.model import CursorState, OwnedCursor, Seq, Shard, SubscriptionName
from hookline.store import acks
from hookline.store.acks import Ack
from hookline.store.session import Session
from hookline.store.statements import load

_SQL = load("cursors.sql")


async def acquire(
    session: Session,
    subscription: SubscriptionName,
    *,
    owner: str,
    lease: timedelta,
    joining: bool,
    share: Callable[[list[str], int], int],
    within: timedelta,
) -> tuple[list[OwnedCursor], list[str], int]:
    """Join those who share the subscription's shards, and take free ones.

    Args:
        session: Where.
        subscription: Whose.
        owner: Who takes.
        lease: For how long.
        joining: It has consumers. One without may take what those with consumers leave.
        share: Told all members and the number of shards, says how many more to take.
        within: Deadline of each statement.

    Returns:
        What was taken, all other live members, and the number of shards.
    """
    [found] = await session.fetch(_SQL["join"], subscription, owner, lease, joining, within=within)
    members: list[str] = found["members"]
    total: int = found["shards"]
    wanted = min(share(members, total), found["free"])
    if wanted <= 0:
        return [], members, total
    rows = await session.fetch(_SQL["acquire"], subscription, owner, lease, wanted, within=within)
    taken = [
        OwnedCursor(
            Shard(row["shard"]),
            row["epoch"],
            CursorState(Seq(row["position"]), tuple(Seq(seq) for seq in row["pending"])),
        )
        for row in rows
    ]
    return taken, members, total


async def leave(session: Session, subscription: SubscriptionName, *, owner: str, within: timedelta) -> None:
    """Share the subscription's shards no longer."""
    await session.fetch(_SQL["leave"], subscription, owner, within=within)


async def advance(
    session: Session,
    subscription: SubscriptionName,
    cursors: Sequence[OwnedCursor],
    *,
    acked: Sequence[Ack] = (),
    lease: timedelta,
    within: timedelta,
) -> set[Shard]:
    """Write how far each cursor has come, what was acked of it, and renew its lease; answers the shards still ours."""
    rows = await session.fetch(
        _SQL["advance"],
        subscription,
        [cursor.shard for cursor in cursors],
        [cursor.epoch for cursor in cursors],
        [cursor.state.position for cursor in cursors],
        # As text: arrays of different lengths don't fit into one array.
        ["{" + ",".join(map(str, cursor.state.pending)) + "}" for cursor in cursors],
        lease,
        *acks.columns(acked),
        within=within,
    )
    return {Shard(row["shard"]) for row in rows}


async def renew(
    session: Session,
    subscription: SubscriptionName,
    epochs: Sequence[tuple[Shard, int]],
    *,
    lease: timedelta,
    within: timedelta,
) -> set[Shard]:
    """Keep leases without moving anything; answers the shards that are still ours."""
    shards, numbers = zip(*epochs, strict=True)
    rows = await session.fetch(_SQL["renew"], subscription, shards, numbers, lease, within=within)
    return {Shard(row["shard"]) for row in rows}


async def release(
    session: Session,
    subscription: SubscriptionName,
    epochs: Sequence[tuple[Shard, int]],
    *,
    within: timedelta,
) -> None:
    """Give up leases, so that another relay need not wait until they expire."""
    shards, numbers = zip(*epochs, strict=True)
    await session.fetch(_SQL["release"], subscription, shards, numbers, within=within)
