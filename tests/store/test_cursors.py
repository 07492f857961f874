"""Cursors: who holds one may move it, and nobody else."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from hookline.core.subscription import Subscription
from hookline.model import CursorState, OwnedCursor, Seq, Shard, SubscriptionName
from hookline.store import cursors
from hookline.store.session import Session
from hookline.store.subscriptions import declare
from store.webhooks import SHARDS, WITHIN

NAME = SubscriptionName("all")
LEASE = timedelta(minutes=1)
OVER = timedelta(microseconds=1)
"""A lease that has run out by the time of the next statement."""


@pytest.fixture(autouse=True)
async def declared(session: Session) -> None:
    for name in (NAME, SubscriptionName("other")):
        await declare(session, Subscription(name), start="latest", within=WITHIN)


def all_of(_: list[str], shards: int) -> int:
    return shards


async def acquire(
    session: Session, owner: str, lease: timedelta = LEASE, *, name: SubscriptionName = NAME
) -> list[OwnedCursor]:
    taken, _, _ = await cursors.acquire(
        session, name, owner=owner, lease=lease, joining=True, share=all_of, within=WITHIN
    )
    return sorted(taken, key=lambda cursor: cursor.shard)


async def rows(foreign: Any) -> list[tuple[Any, ...]]:
    fetched = await foreign.fetch(
        "SELECT shard, owner, epoch, position, pending, lease_until FROM hookline.cursors"
        " WHERE subscription = $1 ORDER BY shard",
        NAME,
    )
    return [tuple(row) for row in fetched]


def moved(cursor: OwnedCursor, position: int, *pending: int) -> OwnedCursor:
    return OwnedCursor(cursor.shard, cursor.epoch, CursorState(Seq(position), tuple(map(Seq, pending))))


def epochs(owned: list[OwnedCursor]) -> list[tuple[Shard, int]]:
    return [(cursor.shard, cursor.epoch) for cursor in owned]


async def test_all_free_cursors_are_taken_once(session: Session, foreign: Any) -> None:
    first = {row[0]: row[2] for row in await rows(foreign)}
    owned = await acquire(session, "a")
    assert owned == [OwnedCursor(Shard(n), first[n] + 1, CursorState(Seq(0), ())) for n in range(SHARDS)]
    assert await acquire(session, "b") == []
    assert {row[1] for row in await rows(foreign)} == {"a"}


async def test_two_relays_that_ask_at_once_share_nothing(new_session: Callable[..., Session]) -> None:
    taken = await asyncio.gather(*(acquire(new_session(owner), owner) for owner in ("a", "b", "c", "d")))
    shards = [cursor.shard for share in taken for cursor in share]
    assert sorted(shards) == list(range(SHARDS))


async def test_a_lease_that_ran_out_is_taken_over_with_the_next_epoch(session: Session) -> None:
    first = await acquire(session, "a", OVER)
    second = await acquire(session, "b")
    assert [cursor.epoch for cursor in second] == [cursor.epoch + 1 for cursor in first]


async def test_position_and_pending_come_back_as_they_were_written(session: Session) -> None:
    owned = await acquire(session, "a")
    states = [moved(owned[0], 10, 3, 7), moved(owned[1], 2**62), moved(owned[2], 5, *range(1, 5))]
    answered = await cursors.advance(session, NAME, states, lease=OVER, within=WITHIN)
    assert answered == {0, 1, 2}
    assert [cursor.state for cursor in (await acquire(session, "b"))[:3]] == [s.state for s in states]


async def test_a_stale_epoch_changes_nothing(session: Session, foreign: Any) -> None:
    zombie = await acquire(session, "a", OVER)
    await acquire(session, "b")
    before = await rows(foreign)
    stale = [moved(cursor, 99, 98) for cursor in zombie]
    assert await cursors.advance(session, NAME, stale, lease=LEASE, within=WITHIN) == set()
    assert await cursors.renew(session, NAME, epochs(zombie), lease=LEASE, within=WITHIN) == set()
    await cursors.release(session, NAME, epochs(zombie), within=WITHIN)
    assert await rows(foreign) == before


async def test_one_stale_epoch_does_not_hold_up_the_others(session: Session) -> None:
    owned = await acquire(session, "a")
    mixed = [moved(owned[0], 5), OwnedCursor(owned[1].shard, 0, CursorState(Seq(5), ()))]
    assert await cursors.advance(session, NAME, mixed, lease=LEASE, within=WITHIN) == {owned[0].shard}


async def test_renewing_keeps_the_lease_and_moves_nothing(session: Session, foreign: Any) -> None:
    owned = await acquire(session, "a", OVER)
    assert await cursors.renew(session, NAME, epochs(owned), lease=LEASE, within=WITHIN) == set(range(SHARDS))
    assert await acquire(session, "b") == []
    assert {(row[3], tuple(row[4])) for row in await rows(foreign)} == {(0, ())}


async def test_advancing_renews_the_lease(session: Session) -> None:
    owned = await acquire(session, "a", OVER)
    await cursors.advance(session, NAME, [moved(owned[0], 1)], lease=LEASE, within=WITHIN)
    assert [cursor.shard for cursor in await acquire(session, "b")] == list(range(1, SHARDS))


async def test_what_is_released_is_free_at_once_and_keeps_its_place(session: Session) -> None:
    owned = await acquire(session, "a")
    await cursors.advance(session, NAME, [moved(owned[3], 7, 2)], lease=LEASE, within=WITHIN)
    await cursors.release(session, NAME, epochs(owned[3:4]), within=WITHIN)
    [taken] = await acquire(session, "b")
    assert taken == OwnedCursor(Shard(3), owned[3].epoch + 1, CursorState(Seq(7), (Seq(2),)))
    released_twice = await cursors.renew(session, NAME, epochs(owned[3:4]), lease=LEASE, within=WITHIN)
    assert released_twice == set()


async def test_another_subscription_has_cursors_of_its_own(session: Session) -> None:
    await acquire(session, "a")
    assert len(await acquire(session, "b", name=SubscriptionName("other"))) == SHARDS


async def test_as_many_are_taken_as_the_share_says_of_the_members_that_there_are(session: Session) -> None:
    name = SubscriptionName("shared")
    await declare(session, Subscription(name), start="latest", within=WITHIN)
    told: list[tuple[list[str], int]] = []

    async def take(owner: str, wanted: int, lease: timedelta = LEASE) -> tuple[int, list[str], int]:
        def share(members: list[str], shards: int) -> int:
            told.append((sorted(members), shards))
            return wanted

        taken, members, shards = await cursors.acquire(
            session, name, owner=owner, lease=lease, joining=True, share=share, within=WITHIN
        )
        return len(taken), sorted(members), shards

    assert await take("gone", 0, OVER) == (0, [], SHARDS)
    assert await take("a", 3) == (3, [], SHARDS)
    assert await take("b", SHARDS) == (SHARDS - 3, ["a"], SHARDS)
    assert await take("c", -1) == (0, ["a", "b"], SHARDS)
    await cursors.leave(session, name, owner="a", within=WITHIN)
    assert await take("c", SHARDS) == (0, ["b"], SHARDS), "who leaves keeps its leases until it releases them"
    assert told == [([], SHARDS), ([], SHARDS), (["a"], SHARDS), (["a", "b"], SHARDS), (["b"], SHARDS)]


async def test_nothing_is_taken_of_a_subscription_that_there_is_not(session: Session) -> None:
    assert await acquire(session, "a", name=SubscriptionName("unknown")) == []
