"""The runner of replays against a real database. What is made is looked at in the rows; nobody delivers it here."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest

from hookline.core.subscription import Subscription
from hookline.model import Seq, SubscriptionName
from hookline.relay import replayer as module
from hookline.relay.replayer import MOST_OUTSTANDING, Replayer
from hookline.store import replays, subscriptions
from hookline.store.replays import Replay, Selection
from hookline.store.session import Session
from path.rig.database import connect
from path.rig.events import append, append_many, event
from path.rig.wait import until

WITHIN = timedelta(seconds=20)
NAME = SubscriptionName("all")
POLL = timedelta(milliseconds=50)


@pytest.fixture
async def session(database: str) -> AsyncIterator[Session]:
    session = Session(database, name="test")
    await subscriptions.declare(session, Subscription(NAME), start="earliest", within=WITHIN)
    yield session
    await session.close()


@asynccontextmanager
async def running(
    database: str, owner: str = "a", *, lease: timedelta = timedelta(seconds=10), poll: timedelta = POLL
) -> AsyncIterator[Replayer]:
    replayer = Replayer(database, owner, lease=lease, poll=poll)
    task = asyncio.create_task(replayer.run())
    yield replayer
    task.cancel()
    [result] = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(result, asyncio.CancelledError), result


async def pass_all(database: str) -> None:
    async with connect(database) as foreign:
        await foreign.execute(
            "UPDATE hookline.cursors SET position = (SELECT last_value FROM hookline.outbox_seq)"
        )


async def start(
    session: Session, selection: Selection | None = None, *, name: str = NAME, max_rate: float = 0
) -> int:
    position, until_seq = await replays.bounds(session, within=WITHIN)
    created = await replays.create(
        session,
        SubscriptionName(name),
        selection or Selection(),
        position=position,
        until_seq=until_seq,
        max_rate=max_rate,
        within=WITHIN,
    )
    assert created is not None
    return created


async def find(session: Session, replay_id: int) -> Replay:
    replay = await replays.find(session, replay_id, within=WITHIN)
    assert replay is not None
    return replay


async def until_state(session: Session, replay_id: int, state: str) -> Replay:
    async def reached() -> bool:
        return (await find(session, replay_id)).state == state

    await until(reached, f"the replay is {state}")
    return await find(session, replay_id)


async def rows(database: str, replay_id: int) -> list[Any]:
    async with connect(database) as foreign:
        fetched: list[Any] = await foreign.fetch(
            "SELECT * FROM hookline.deliveries WHERE replay = $1 ORDER BY seq", replay_id
        )
    return fetched


async def settle_all(database: str) -> int:
    """As if consumers had acked everything that there is."""
    async with connect(database) as foreign:
        tag = await foreign.execute("DELETE FROM hookline.deliveries")
    return int(tag.split()[-1])


async def test_a_replay_is_found_by_polling_and_carried_out(database: str, session: Session) -> None:
    ids = await append_many(database, 1_300)
    await pass_all(database)
    async with running(database):
        replay_id = await start(session)
        replay = await until_state(session, replay_id, "completed")
    assert (replay.scanned, replay.created) == (1_300, 1_300)
    assert [str(row["event_id"]) for row in await rows(database, replay_id)] == ids


async def test_a_hint_saves_waiting_for_the_poll(database: str, session: Session) -> None:
    await append_many(database, 3)
    await pass_all(database)
    async with running(database, poll=timedelta(hours=1)) as replayer:
        # It has looked, found nothing, and waits for an hour.
        await until(lambda: replayer._session.is_open, "it has looked")
        replay_id = await start(session)

        async def hinted() -> bool:
            replayer.wake()
            return (await find(session, replay_id)).state == "completed"

        await until(hinted, "the replay is completed")


async def test_a_condition_over_bodies_is_kept(database: str, session: Session) -> None:
    subscription = Subscription(SubscriptionName("big"), expression="body.amount > 150")
    await subscriptions.declare(session, subscription, start="earliest", within=WITHIN)
    events = [event(b'{"amount": %d}' % number, shard=number % 4) for number in range(300)]
    ids = await append(database, events)
    await pass_all(database)
    replay_id = await start(session, name="big")
    async with running(database):
        replay = await until_state(session, replay_id, "completed")
    assert (replay.scanned, replay.created) == (300, 149)
    assert [str(row["event_id"]) for row in await rows(database, replay_id)] == ids[151:]


async def test_a_named_event_comes_whatever_the_condition_says(database: str, session: Session) -> None:
    subscription = Subscription(SubscriptionName("big"), expression="body.amount > 150")
    await subscriptions.declare(session, subscription, start="earliest", within=WITHIN)
    events = [event(b'{"amount": %d}' % number) for number in (100, 200, 200, 100)]
    ids = [UUID(text) for text in await append(database, events)]
    located = await replays.locate(session, ids, within=WITHIN)
    # The cursor has passed two; of the other two only the first will come by itself.
    async with connect(database) as foreign:
        await foreign.execute("UPDATE hookline.cursors SET position = $1", located[1].seq)
    selection = Selection(tuple(ids), tuple(e.seq for e in located))
    replay_id = await start(session, selection, name="big")
    async with running(database):

        async def made() -> bool:
            return len(await rows(database, replay_id)) == 2

        await until(made, "the passed ones are made")
        assert (await find(session, replay_id)).state == "running"
        await pass_all(database)
        await until_state(session, replay_id, "completed")
    assert [row["event_id"] for row in await rows(database, replay_id)] == [ids[0], ids[1], ids[3]]


async def test_a_relay_that_dies_is_followed_by_another_within_its_lease(
    database: str, session: Session
) -> None:
    ids = await append_many(database, 400)
    await pass_all(database)
    replay_id = await start(session, max_rate=200)
    lease = timedelta(seconds=1)
    dying = Replayer(database, "dying", lease=lease, poll=POLL)
    task = asyncio.create_task(dying.run())

    async def begun() -> bool:
        return (await find(session, replay_id)).created > 0

    await until(begun, "the first relay has begun")
    # It freezes while it holds the lease, as a process that is stopped.
    taken = None
    while taken is None:
        taken = await replays.acquire(session, owner="dying", lease=lease, within=WITHIN)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    async with connect(database) as foreign:
        await foreign.execute(
            "UPDATE hookline.replays SET owner = 'dying', lease_until = now() + interval '1s'"
        )
    began = time.monotonic()
    async with running(database, "heir", lease=lease):
        replay = await until_state(session, replay_id, "completed")
    assert time.monotonic() - began < 10
    assert replay.created == 400
    assert [str(row["event_id"]) for row in await rows(database, replay_id)] == ids


async def test_a_relay_that_is_stopped_in_order_gives_its_replay_up(
    database: str, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_STEP", 1)
    await append_many(database, 2_000)
    await pass_all(database)
    replay_id = await start(session)
    async with running(database, "a", lease=timedelta(hours=1)) as replayer:
        await until(lambda: replayer._at_work is not None, "it works on the replay")
    next_one = await replays.acquire(session, owner="b", lease=timedelta(seconds=1), within=WITHIN)
    assert next_one is not None
    assert next_one.id == replay_id


async def test_several_relays_share_several_replays_and_double_nothing(
    database: str, session: Session
) -> None:
    ids = await append_many(database, 600)
    await pass_all(database)
    started = [await start(session, max_rate=300 if number % 2 else 0) for number in range(4)]
    async with running(database, "a"), running(database, "b"), running(database, "c"):
        for replay_id in started:
            replay = await until_state(session, replay_id, "completed")
            assert (replay.scanned, replay.created) == (600, 600)
    for replay_id in started:
        assert [str(row["event_id"]) for row in await rows(database, replay_id)] == ids


async def test_a_slow_replay_does_not_hold_up_another(database: str, session: Session) -> None:
    await append_many(database, 300)
    await pass_all(database)
    slow = await start(session, max_rate=0.01)
    fast = await start(session)
    async with running(database):
        await until_state(session, fast, "completed")
    assert (await find(session, slow)).created <= 1


async def test_what_consumers_do_not_settle_bounds_what_is_made(
    database: str, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_OUTSTANDING", 120)
    await append_many(database, 500)
    await pass_all(database)
    replay_id = await start(session)
    settled = 0
    async with running(database):
        while settled < 500:

            async def full() -> bool:
                return (await find(session, replay_id)).outstanding == min(120, 500 - settled)  # noqa: B023

            await until(full, "it has made as much as it may")
            settled += await settle_all(database)
        assert (await find(session, replay_id)).created == 500
    assert MOST_OUTSTANDING == 5_000


@pytest.mark.parametrize("rate", [40.0, 2.0])
async def test_the_rate_is_smooth_and_kept(database: str, session: Session, rate: float) -> None:
    await append_many(database, 200)
    await pass_all(database)
    replay_id = await start(session, max_rate=rate)
    wanted = 4 if rate < 10 else 60
    began = time.monotonic()
    counts = [0]
    async with running(database):
        while counts[-1] < wanted:

            async def more() -> bool:
                return (await find(session, replay_id)).created > counts[-1]

            await until(more, "another delivery is made")
            counts.append((await find(session, replay_id)).created)
    lasted = time.monotonic() - began
    assert max(after - before for before, after in pairwise(counts)) <= max(1, rate)
    # The first is made at once; a second may be caught up with.
    assert lasted >= (wanted - 1) / rate - 1 - 1 / rate


async def test_a_replay_that_is_cancelled_ends_and_leaves_no_deliveries(
    database: str, session: Session
) -> None:
    await append_many(database, 2_000)
    await pass_all(database)
    replay_id = await start(session, max_rate=500)
    async with running(database):

        async def begun() -> bool:
            return (await find(session, replay_id)).created > 0

        await until(begun, "it has begun")
        # Whoever cancelled dies before it has withdrawn anything: the relay does.
        await replays.cancel(session, replay_id, within=WITHIN)

        async def ended() -> bool:
            return (await find(session, replay_id)).ended_at is not None

        await until(ended, "its deliveries are withdrawn")
        assert await rows(database, replay_id) == []
    assert (await find(session, replay_id)).state == "cancelled"


async def test_a_replay_of_a_subscription_that_is_deleted_ends(database: str, session: Session) -> None:
    await append_many(database, 2_000)
    await pass_all(database)
    doomed = await start(session, max_rate=200)
    other = Subscription(SubscriptionName("other"))
    await subscriptions.declare(session, other, start="latest", within=WITHIN)
    async with running(database):

        async def begun() -> bool:
            return (await find(session, doomed)).created > 0

        await until(begun, "it has begun")
        async with connect(database) as foreign:
            await foreign.execute("SELECT hookline.close_subscription('all', 0)")
            await foreign.execute("SELECT hookline.forget_subscription('all')")
        assert await replays.find(session, doomed, within=WITHIN) is None
        # The runner goes on with others.
        healthy = await start(session, name="other")
        await until_state(session, healthy, "completed")
    assert await rows(database, doomed) == []


async def test_an_error_in_one_replay_keeps_no_other_from_its_turn(database: str, session: Session) -> None:
    await append_many(database, 10)
    await pass_all(database)
    bad = await start(session)
    good = await start(session)
    async with connect(database) as foreign:
        # A statement that Postgres refuses, as long as it does.
        await foreign.execute(
            f"ALTER TABLE hookline.deliveries ADD CONSTRAINT refused CHECK (replay <> {bad})"
        )
    async with running(database):
        await until_state(session, good, "completed")
        assert (await find(session, bad)).state == "running"
        async with connect(database) as foreign:
            await foreign.execute("ALTER TABLE hookline.deliveries DROP CONSTRAINT refused")
        await until_state(session, bad, "completed")


async def test_it_goes_on_when_its_connection_breaks(database: str, session: Session) -> None:
    ids = await append_many(database, 400)
    await pass_all(database)
    replay_id = await start(session, max_rate=400)
    async with running(database), connect(database) as foreign:
        for _ in range(3):
            await until(lambda: _terminated(foreign), "its connection is terminated")
        await until_state(session, replay_id, "completed")
    assert [str(row["event_id"]) for row in await rows(database, replay_id)] == ids


async def _terminated(foreign: Any) -> bool:
    return bool(
        await foreign.fetchval(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE application_name = 'hookline relay replays' AND datname = current_database()"
        )
    )


async def test_an_expression_that_cannot_be_used_fails_the_replay(database: str, session: Session) -> None:
    await append_many(database, 3)
    await pass_all(database)
    async with connect(database) as foreign:
        await foreign.execute("UPDATE hookline.subscriptions SET expression = 'body.('")
    replay_id = await start(session)
    async with running(database):
        replay = await until_state(session, replay_id, "failed")
    assert "expression" in replay.reason
    assert replay.position == Seq(0)
