"""Subscriptions as they are declared."""

from datetime import timedelta
from typing import Any

from hookline.model import Accepted, SubscriptionName
from hookline.store.ingest import ingest
from hookline.store.session import Session
from hookline.store.subscriptions import Subscription, declare, find
from store.webhooks import SHARDS, WITHIN, webhook

NAME = SubscriptionName("scores")
SUBSCRIPTION = Subscription(NAME, ("begini",), ("*.complete", "application.*"), "none", timedelta(seconds=30))


async def positions(foreign: Any) -> dict[int, int]:
    return dict(
        await foreign.fetch("SELECT shard, position FROM hookline.cursors WHERE subscription = $1", NAME)
    )


async def fill(session: Session) -> dict[int, int]:
    """Some events; answers the last seq of each shard."""
    events = [webhook(f"u{number}") for number in range(50)]
    last: dict[int, int] = dict.fromkeys(range(SHARDS), 0)
    for event, outcome in zip(events, await ingest(session, events, within=WITHIN), strict=True):
        assert isinstance(outcome, Accepted)
        last[event.shard] = outcome.seq
    return last


async def test_what_was_declared_is_found(session: Session) -> None:
    await declare(session, SUBSCRIPTION, start="latest", within=WITHIN)
    assert await find(session, NAME, within=WITHIN) == SUBSCRIPTION
    assert await find(session, SubscriptionName("unknown"), within=WITHIN) is None


async def test_a_new_one_at_latest_begins_after_what_is_there(session: Session, foreign: Any) -> None:
    last = await fill(session)
    await declare(session, SUBSCRIPTION, start="latest", within=WITHIN)
    assert await positions(foreign) == last


async def test_a_new_one_at_earliest_begins_with_the_oldest(session: Session, foreign: Any) -> None:
    await fill(session)
    await declare(session, SUBSCRIPTION, start="earliest", within=WITHIN)
    assert await positions(foreign) == dict.fromkeys(range(SHARDS), 0)


async def test_a_changed_one_keeps_its_place(session: Session, foreign: Any) -> None:
    await declare(session, SUBSCRIPTION, start="earliest", within=WITHIN)
    await fill(session)
    changed = Subscription(NAME, ("*",), ("*",), "none", timedelta(seconds=5))
    await declare(session, changed, start="latest", within=WITHIN)
    assert await find(session, NAME, within=WITHIN) == changed
    assert await positions(foreign) == dict.fromkeys(range(SHARDS), 0)


async def test_declaring_the_same_again_writes_no_row(session: Session, foreign: Any) -> None:
    version = "SELECT xmin::text, updated_at FROM hookline.subscriptions"
    await declare(session, SUBSCRIPTION, start="latest", within=WITHIN)
    before = await foreign.fetch(version)
    await declare(session, SUBSCRIPTION, start="latest", within=WITHIN)
    assert await foreign.fetch(version) == before
