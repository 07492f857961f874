"""Subscriptions as they are declared."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hookline.core.retry import ExponentialWait, FixedWait, ListedWait, RetryPolicy
from hookline.core.subscription import Push, PushTls, Subscription
from hookline.model import Accepted, SubscriptionName
from hookline.store import cursors, subscription_changes
from hookline.store.ingest import ingest
from hookline.store.session import Session
from hookline.store.subscriptions import Start, declare, find, served
from store.webhooks import SHARDS, WITHIN, webhook

NAME = SubscriptionName("scores")
SUBSCRIPTION = Subscription(name=NAME, sources=("begini",), types=("*.complete", "application.*"))
EVERYTHING = Subscription(
    name=NAME,
    sources=("begini", "other-*"),
    types=("*_score.complete",),
    expression='body.name == "Zoë\'s"',
    ordering="key",
    after_dead_letter="block",
    ack_deadline=timedelta(milliseconds=1500),
    retry=RetryPolicy(wait=ListedWait((timedelta(0), timedelta(days=1, microseconds=1))), max_attempts=None),
    push=Push(
        target="dns:///scoring:50051",
        max_events=7,
        deadline=timedelta(seconds=3.5),
        concurrency=2,
        tls=PushTls(ca_file="ca.pem", server_name="scoring"),
    ),
    dead_letter_retention=timedelta(days=90),
)
HOUR = datetime(2026, 5, 1, 12, tzinfo=UTC)


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


@pytest.mark.parametrize(
    "subscription",
    [
        SUBSCRIPTION,
        EVERYTHING,
        Subscription(name=NAME, retry=RetryPolicy(wait=FixedWait(timedelta(seconds=9)), max_age=None)),
        Subscription(
            name=NAME, retry=RetryPolicy(wait=ExponentialWait(max=timedelta(hours=1)), max_attempts=1)
        ),
        Subscription(name=NAME, push=Push(target="x:1")),
    ],
    ids=["simple", "everything", "fixed", "exponential", "push"],
)
async def test_what_was_declared_is_found(session: Session, subscription: Subscription) -> None:
    await declare(session, subscription, start="latest", within=WITHIN)
    assert await find(session, NAME, within=WITHIN) == subscription
    assert await find(session, SubscriptionName("unknown"), within=WITHIN) is None


async def test_one_of_before_there_were_policies_has_the_usual_ones(session: Session, foreign: Any) -> None:
    await foreign.execute(
        "INSERT INTO hookline.subscriptions (name, sources, types, ordering, ack_deadline)"
        " VALUES ($1, '{*}', '{*}', 'none', '30 s')",
        NAME,
    )
    assert await find(session, NAME, within=WITHIN) == Subscription(NAME)


async def test_a_new_one_at_latest_begins_after_what_is_there(session: Session, foreign: Any) -> None:
    last = await fill(session)
    await declare(session, SUBSCRIPTION, start="latest", within=WITHIN)
    assert await positions(foreign) == last


async def test_a_new_one_at_earliest_begins_with_the_oldest(session: Session, foreign: Any) -> None:
    await fill(session)
    await declare(session, SUBSCRIPTION, start="earliest", within=WITHIN)
    assert await positions(foreign) == dict.fromkeys(range(SHARDS), 0)


@pytest.mark.parametrize(
    ("start", "begins_with"),
    [
        (HOUR - timedelta(days=9), 0),
        (HOUR, 0),
        (HOUR + timedelta(microseconds=1), 1),
        (HOUR + timedelta(minutes=20), 20),
        (HOUR + timedelta(minutes=19, seconds=1), 20),
        (HOUR + timedelta(minutes=49, seconds=1), 50),
        (HOUR + timedelta(days=9), 50),
    ],
)
async def test_a_new_one_at_a_time_begins_with_the_first_that_was_received_then_or_later(
    session: Session, foreign: Any, start: datetime, begins_with: int
) -> None:
    events = [
        webhook(f"u{number}")._replace(received_at=HOUR + timedelta(minutes=number)) for number in range(50)
    ]
    await ingest(session, events, within=WITHIN)
    await declare(session, SUBSCRIPTION, start=start, within=WITHIN)
    above = await foreign.fetch(
        "SELECT received_at FROM hookline.outbox JOIN hookline.cursors USING (shard) WHERE seq > position"
    )
    assert {row["received_at"] for row in above} == {event.received_at for event in events[begins_with:]}
    assert len(await positions(foreign)) == SHARDS


async def test_a_time_skips_none_of_those_that_were_committed_late(session: Session, foreign: Any) -> None:
    # The edge notes the time of the request; the one that came first may be committed last.
    for uid, minutes in (("a", 1), ("a2", 9), ("a3", 5), ("a4", 9)):
        received_at = HOUR + timedelta(minutes=minutes)
        await ingest(session, [webhook(uid, shards=1)._replace(received_at=received_at)], within=WITHIN)
    await declare(session, SUBSCRIPTION, start=HOUR + timedelta(minutes=6), within=WITHIN)
    missed = await foreign.fetchval(
        "SELECT count(*) FROM hookline.outbox JOIN hookline.cursors USING (shard)"
        " WHERE seq <= position AND received_at >= $1",
        HOUR + timedelta(minutes=6),
    )
    assert missed == 0
    assert (await positions(foreign))[0] > 0, "and it doesn't begin with the oldest"


@pytest.mark.parametrize("start", ["latest", HOUR])
async def test_a_changed_one_keeps_its_place(session: Session, foreign: Any, start: Start) -> None:
    await declare(session, SUBSCRIPTION, start="earliest", within=WITHIN)
    await fill(session)
    await declare(session, EVERYTHING, start=start, within=WITHIN)
    assert await find(session, NAME, within=WITHIN) == replace(EVERYTHING, version=2)
    assert await positions(foreign) == dict.fromkeys(range(SHARDS), 0)


async def test_a_paused_one_stays_paused(session: Session) -> None:
    await declare(session, SUBSCRIPTION, start="latest", within=WITHIN)
    await subscription_changes.set_paused(session, NAME, paused=True, within=WITHIN)
    await declare(session, EVERYTHING, start="latest", within=WITHIN)
    found = await find(session, NAME, within=WITHIN)
    assert found is not None
    assert found.paused


@pytest.mark.parametrize("subscription", [SUBSCRIPTION, EVERYTHING], ids=["simple", "everything"])
async def test_declaring_the_same_again_writes_no_row(
    session: Session, foreign: Any, subscription: Subscription
) -> None:
    version = "SELECT xmin::text, updated_at FROM hookline.subscriptions"
    await declare(session, subscription, start="latest", within=WITHIN)
    before = await foreign.fetch(version)
    await declare(session, subscription, start="latest", within=WITHIN)
    assert await foreign.fetch(version) == before


async def test_a_change_is_told_to_the_relays_that_run(session: Session, foreign: Any) -> None:
    told: asyncio.Queue[str] = asyncio.Queue()
    await foreign.add_listener("hookline_control", lambda *args: told.put_nowait(args[2]))
    for subscription in (SUBSCRIPTION, EVERYTHING):
        await declare(session, subscription, start="latest", within=WITHIN)
        async with asyncio.timeout(WITHIN.total_seconds()):
            await told.get()
    await declare(session, EVERYTHING, start="latest", within=WITHIN)
    await foreign.fetch("SELECT 1")
    assert told.empty(), "nothing changed"


async def test_one_that_was_deleted_and_declared_again_has_epochs_above_all_that_it_had(
    session: Session, foreign: Any
) -> None:
    epochs = "SELECT min(epoch), max(epoch), count(*) FROM hookline.cursors"
    await declare(session, SUBSCRIPTION, start="latest", within=WITHIN)
    for owner in ("a", "b", "c"):
        await cursors.acquire(
            session,
            NAME,
            owner=owner,
            lease=timedelta(microseconds=1),
            joining=True,
            share=lambda _, shards: shards,
            within=WITHIN,
        )
    _, highest, _ = await foreign.fetchrow(epochs)
    assert await subscription_changes.delete(session, NAME, within=WITHIN)
    assert await find(session, NAME, within=WITHIN) is None
    await declare(session, SUBSCRIPTION, start="latest", within=WITHIN)
    lowest, _, count = await foreign.fetchrow(epochs)
    assert lowest > highest
    assert count == SHARDS


async def test_one_that_is_being_deleted_is_not_found_and_left_alone(session: Session, foreign: Any) -> None:
    await declare(session, EVERYTHING, start="latest", within=WITHIN)
    await foreign.execute("SELECT hookline.close_subscription($1, 0)", NAME)
    state = "SELECT xmin::text FROM hookline.subscriptions UNION ALL SELECT xmin::text FROM hookline.cursors"
    before = await foreign.fetch(state)
    await declare(session, SUBSCRIPTION, start="latest", within=WITHIN)
    assert await foreign.fetch(state) == before
    assert await find(session, NAME, within=WITHIN) is None
    assert await served(session, [NAME], within=WITHIN) == []
    await subscription_changes.finish_deletions(session, within=WITHIN)
    await declare(session, SUBSCRIPTION, start="latest", within=WITHIN)
    assert await find(session, NAME, within=WITHIN) == SUBSCRIPTION


async def test_those_that_are_served_are_the_named_ones_and_those_whose_consumers_are_called(
    session: Session,
) -> None:
    for name, push in (("a", None), ("b", Push(target="x:1")), ("c", None)):
        await declare(session, Subscription(SubscriptionName(name), push=push), start="latest", within=WITHIN)
    found = await served(session, [SubscriptionName("c"), SubscriptionName("unknown")], within=WITHIN)
    assert [subscription.name for subscription in found] == ["b", "c"]
