"""Replays: each step is all or nothing, under the epoch, and keys stay in order whoever else writes rows."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hookline.embedded import EmbeddedPostgres
from hookline.model import Seq
from hookline.store import replays
from hookline.store.replayed_events import Choice, count
from hookline.store.replays import Selection
from hookline.store.session import Session
from store.replaying import (
    EVERYTHING,
    LEASE,
    NAME,
    NOW,
    OVER,
    accept,
    acquire,
    assert_in_order,
    finish,
    finish_from,
    own_database,
    pass_all,
    rows,
    start,
    step,
    subscribe,
)
from store.webhooks import SHARDS, WITHIN


@pytest.fixture
async def database(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    async with own_database(postgres) as url:
        yield url


async def test_a_replay_makes_one_delivery_of_every_event_and_moves_no_cursor(
    session: Session, foreign: Any
) -> None:
    subscription = await subscribe(session)
    ids = await accept(session, 30)
    await pass_all(foreign)
    before = await foreign.fetch("SELECT * FROM hookline.cursors ORDER BY shard")
    replay_id = await start(session)
    _, advanced = await finish(session, subscription, most=7)
    made = await rows(foreign)
    assert [row["event_id"] for row in made] == ids
    assert {(row["replay"], row["state"], row["attempt"]) for row in made} == {(replay_id, "waiting", 0)}
    assert advanced.state == "completed"
    assert await foreign.fetch("SELECT * FROM hookline.cursors ORDER BY shard") == before
    replay = await replays.find(session, replay_id, within=WITHIN)
    assert replay is not None
    assert (replay.scanned, replay.created, replay.outstanding) == (30, 30, 30)
    assert replay.ended_at is not None


async def test_what_is_accepted_after_the_start_is_left_to_the_normal_course(
    session: Session, foreign: Any
) -> None:
    subscription = await subscribe(session)
    ids = await accept(session, 5)
    await start(session)
    await accept(session, 5, type_="later")
    await pass_all(foreign)
    await finish(session, subscription)
    assert [row["event_id"] for row in await rows(foreign)] == ids


async def test_globs_and_times_of_the_replay_and_the_subscriptions_filter_all_have_to_fit(
    session: Session, foreign: Any
) -> None:
    subscription = await subscribe(session, types=("complete-*",))
    await accept(session, 12)
    await accept(session, 12, type_="other")
    await pass_all(foreign)
    hour = datetime(2024, 5, 1, 12, tzinfo=UTC)
    await foreign.execute(
        "UPDATE hookline.outbox SET received_at = $1::timestamptz + seq * interval '1 minute'", hour
    )
    selection = Selection(
        types=("*-1*", "*-2"),
        start_time=hour + timedelta(minutes=2),
        end_time=hour + timedelta(minutes=12),
    )
    choice = Choice(selection, subscription)
    # Seqs count from 1: complete-1 at minute 2, ..., complete-11 at minute 12, which is out of range.
    await start(session, selection)
    await finish(session, subscription)
    assert [row["seq"] for row in await rows(foreign)] == [2, 3, 11]
    counted = await count(session, choice, position=Seq(0), upto=Seq(24), within=WITHIN)
    assert sum(n for (s, t), n in counted.items() if choice.may_want(s, t)) == 3


async def test_events_are_replayed_by_their_ids_whatever_the_filter_says(
    session: Session, foreign: Any
) -> None:
    subscription = await subscribe(session, types=("nothing",))
    ids = await accept(session, 10)
    await pass_all(foreign)
    chosen = (ids[7], ids[2], ids[4])
    replay_id = await start(session, Selection(chosen))
    await finish(session, subscription, most=2)
    assert [row["event_id"] for row in await rows(foreign)] == [ids[2], ids[4], ids[7]]
    replay = await replays.find(session, replay_id, within=WITHIN)
    assert replay is not None
    assert (replay.scanned, replay.created, replay.state) == (3, 3, "completed")


async def test_an_event_whose_segment_was_dropped_is_passed_over(session: Session, foreign: Any) -> None:
    subscription = await subscribe(session)
    ids = await accept(session, 6)
    await pass_all(foreign)
    replay_id = await start(session, Selection(tuple(ids)))
    await foreign.execute("DELETE FROM hookline.outbox WHERE event_id = ANY ($1)", [ids[1], ids[5]])
    located = await replays.locate(session, ids, within=WITHIN)
    assert [event.event_id for event in located if not event.logged] == [ids[1], ids[5]]
    await finish(session, subscription)
    assert [row["event_id"] for row in await rows(foreign)] == [ids[0], ids[2], ids[3], ids[4]]
    replay = await replays.find(session, replay_id, within=WITHIN)
    assert replay is not None
    assert (replay.scanned, replay.created, replay.state) == (6, 4, "completed")


async def test_what_is_on_its_way_in_the_normal_course_is_not_added(session: Session, foreign: Any) -> None:
    subscription = await subscribe(session)
    await accept(session, 8, keys=1)
    # 1 to 6 are passed, of these 3 is in somebody's hands, 4 waits for a retry and 5 is dead; 7 and 8 weren't read.
    await foreign.execute("UPDATE hookline.cursors SET position = 6, pending = '{3}'")
    await foreign.execute(
        "INSERT INTO hookline.deliveries (seq, due_at, changed_at, event_id, shard, subscription, state, source,"
        " ordering_key) SELECT seq, now(), now(), event_id, shard, 'all',"
        " CASE seq WHEN 4 THEN 'waiting' ELSE 'dead' END, source, '' FROM hookline.outbox WHERE seq IN (4, 5)"
    )
    replay_id = await start(session)
    await finish(session, subscription)
    assert [row["seq"] for row in await rows(foreign, replay_id)] == [1, 2, 5, 6]
    replay = await replays.find(session, replay_id, within=WITHIN)
    assert replay is not None
    assert (replay.created, replay.state) == (4, "completed")


async def test_a_named_event_that_would_not_come_by_itself_waits_for_the_cursor(
    session: Session, foreign: Any
) -> None:
    subscription = await subscribe(session, types=("complete-1",))
    ids = await accept(session, 4, keys=1)
    # The filter lets only the second one come. The replay wants all, and the cursor has passed one.
    await foreign.execute("UPDATE hookline.cursors SET position = 1")
    replay_id = await start(session, Selection(tuple(ids)))
    replay, advanced = await finish(session, subscription)
    assert advanced.is_held
    assert [row["seq"] for row in await rows(foreign)] == [1]
    await pass_all(foreign)
    await step(session, replay, subscription, advanced.position)
    assert [row["seq"] for row in await rows(foreign)] == [1, 3, 4]
    found = await replays.find(session, replay_id, within=WITHIN)
    assert found is not None
    assert (found.scanned, found.created, found.state) == (4, 3, "completed")


async def test_the_same_step_of_a_relay_that_lost_its_lease_changes_nothing(
    new_session: Callable[..., Session], session: Session, foreign: Any
) -> None:
    subscription = await subscribe(session)
    await accept(session, 20)
    await pass_all(foreign)
    await start(session)
    zombie = await acquire(session, "a", OVER)
    heir = await acquire(new_session(), "b")
    assert (heir.id, heir.epoch) == (zombie.id, zombie.epoch + 1)
    _, advanced = await step(session, zombie, subscription, zombie.position)
    assert advanced is None
    await replays.release(session, zombie, delay=NOW, within=WITHIN)
    await replays.fail(session, zombie, "of a zombie", within=WITHIN)
    assert await rows(foreign) == []
    assert await replays.acquire(session, owner="c", lease=LEASE, within=WITHIN) is None
    found = await replays.find(session, heir.id, within=WITHIN)
    assert found == heir


async def test_a_takeover_goes_on_where_the_last_committed_step_ended(session: Session, foreign: Any) -> None:
    subscription = await subscribe(session)
    ids = await accept(session, 20)
    await pass_all(foreign)
    await start(session)
    first = await acquire(session, "a", OVER)
    _, advanced = await step(session, first, subscription, first.position, most=6)
    assert advanced is not None
    await foreign.execute("UPDATE hookline.replays SET lease_until = '-infinity'")
    second = await acquire(session, "b")
    assert second.position == advanced.position
    await finish_from(session, second, subscription)
    assert [row["event_id"] for row in await rows(foreign)] == ids


@pytest.mark.parametrize("seed", range(3))
async def test_a_crash_between_or_within_steps_neither_skips_nor_doubles(
    new_session: Callable[..., Session], session: Session, foreign: Any, seed: int
) -> None:
    print("seed", seed)
    draw = random.Random(seed)
    subscription = await subscribe(session, "key")
    ids = await accept(session, 60)
    await pass_all(foreign)
    replay_id = await start(session)
    crashes = 0
    while True:
        replay = await replays.acquire(session, owner=f"relay {crashes}", lease=LEASE, within=WITHIN)
        if replay is None:
            break
        position = replay.position
        for _ in range(draw.randrange(4)):
            _, advanced = await step(session, replay, subscription, position, most=draw.randint(1, 7))
            position = advanced.position if advanced is not None else position
        # Its last step is on its way while the relay dies: nobody knows whether it is carried out.
        dying = new_session("dying")
        last = asyncio.create_task(step(dying, replay, subscription, position, most=3))
        for _ in range(draw.randrange(40)):
            await asyncio.sleep(0)
        dying.discard()
        await asyncio.gather(last, return_exceptions=True)
        crashes += 1
        await foreign.execute("UPDATE hookline.replays SET lease_until = '-infinity'")
    assert crashes > 3
    made = await rows(foreign)
    assert [row["event_id"] for row in made] == ids
    await assert_in_order(foreign)
    found = await replays.find(session, replay_id, within=WITHIN)
    assert found is not None
    assert (found.scanned, found.created, found.state) == (60, 60, "completed")


async def test_two_relays_never_work_on_one_replay(
    new_session: Callable[..., Session], session: Session
) -> None:
    await subscribe(session)
    await accept(session, 3)
    for _ in range(3):
        await start(session)
    taken = await asyncio.gather(
        *(replays.acquire(new_session(o), owner=o, lease=LEASE, within=WITHIN) for o in "abcdef")
    )
    assert sorted(replay.id for replay in taken if replay is not None) == [1, 2, 3]


async def test_the_one_that_waited_longest_has_the_next_turn(session: Session) -> None:
    await subscribe(session)
    await accept(session, 3)
    first, second = await start(session), await start(session)
    served = []
    for _ in range(4):
        replay = await acquire(session)
        served.append(replay.id)
        await replays.release(session, replay, delay=NOW, within=WITHIN)
    assert served == [first, second, first, second]
    replay = await acquire(session)
    await replays.release(session, replay, delay=timedelta(hours=1), within=WITHIN)
    assert (await acquire(session)).id == second


async def test_the_rate_is_kept_across_a_takeover(session: Session, foreign: Any) -> None:
    subscription = await subscribe(session)
    await accept(session, 10)
    await pass_all(foreign)
    await start(session, max_rate=0.5)
    replay = await acquire(session, "a")
    _, advanced = await step(session, replay, subscription, replay.position, most=3)
    assert advanced is not None
    # Three deliveries at one in two seconds.
    assert timedelta(seconds=4) < advanced.wait <= timedelta(seconds=6)
    await foreign.execute("UPDATE hookline.replays SET lease_until = '-infinity'")
    heir = await acquire(session, "b")
    _, advanced = await step(session, heir, subscription, advanced.position, most=1)
    assert advanced is not None
    assert timedelta(seconds=6) < advanced.wait <= timedelta(seconds=8)


async def test_what_a_late_relay_did_not_use_of_the_rate_is_caught_up_with_for_a_second_only(
    session: Session, foreign: Any
) -> None:
    subscription = await subscribe(session)
    await accept(session, 30)
    await pass_all(foreign)
    await start(session, max_rate=10)
    await foreign.execute("UPDATE hookline.replays SET paid_until = now() - interval '1 hour'")
    replay = await acquire(session)
    _, advanced = await step(session, replay, subscription, replay.position, most=20)
    assert advanced is not None
    assert timedelta(milliseconds=500) < advanced.wait <= timedelta(seconds=1)


async def test_cancelling_withdraws_what_is_not_dead_and_lets_the_keys_go_on(
    session: Session, foreign: Any
) -> None:
    subscription = await subscribe(session, "key")
    await accept(session, 40)
    await pass_all(foreign)
    await foreign.execute(
        "INSERT INTO hookline.deliveries (seq, due_at, changed_at, event_id, shard, subscription, state, source,"
        " ordering_key) SELECT seq, now(), now(), event_id, shard, 'all', 'waiting', source, ordering_key"
        " FROM hookline.outbox WHERE seq BETWEEN 21 AND 24"
    )
    replay_id = await start(session)
    await finish(session, subscription)
    await foreign.execute("UPDATE hookline.deliveries SET state = 'dead' WHERE seq = 30")
    await replays.cancel(session, replay_id, within=WITHIN)
    withdrawals = 1
    while not await replays.withdraw(session, replay_id, most=10, within=WITHIN):
        withdrawals += 1
        await assert_in_order(foreign)
    assert withdrawals >= 4
    left = [(row["seq"], row["replay"], row["state"]) for row in await rows(foreign)]
    expected = [(n, 0, "waiting") for n in range(21, 25)] + [(30, replay_id, "dead")]
    assert left == expected
    found = await replays.find(session, replay_id, within=WITHIN)
    assert found is not None
    assert (found.state, found.outstanding, found.ended_at is None) == ("cancelled", 0, False)


async def test_a_cancelled_replay_makes_no_more_deliveries(session: Session, foreign: Any) -> None:
    subscription = await subscribe(session)
    await accept(session, 20)
    await pass_all(foreign)
    replay_id = await start(session)
    replay = await acquire(session)
    _, advanced = await step(session, replay, subscription, replay.position, most=5)
    assert advanced is not None
    await replays.cancel(session, replay_id, within=WITHIN)
    _, after = await step(session, replay, subscription, advanced.position)
    assert after is None
    # Whoever acquires it now has only to withdraw.
    heir = await acquire(session, "b")
    assert heir.state == "cancelled"
    assert await replays.withdraw(session, replay_id, most=500, within=WITHIN)
    assert await rows(foreign) == []
    assert await replays.acquire(session, owner="b", lease=LEASE, within=WITHIN) is None


async def test_a_replay_that_is_over_stays_as_it_is(session: Session, foreign: Any) -> None:
    subscription = await subscribe(session)
    await accept(session, 3)
    await pass_all(foreign)
    replay_id = await start(session)
    await finish(session, subscription)
    await foreign.execute("DELETE FROM hookline.deliveries")
    await replays.cancel(session, replay_id, within=WITHIN)
    found = await replays.find(session, replay_id, within=WITHIN)
    assert found is not None
    assert found.state == "completed"


async def test_a_replay_ends_with_its_subscription(session: Session, foreign: Any) -> None:
    subscription = await subscribe(session)
    await accept(session, 5)
    await pass_all(foreign)
    await start(session)
    replay = await acquire(session)
    await foreign.execute("SELECT hookline.close_subscription('all', 0)")
    _, advanced = await step(session, replay, subscription, replay.position)
    assert advanced is None
    assert await rows(foreign) == []
    created = await replays.create(
        session, NAME, EVERYTHING, position=Seq(0), until_seq=Seq(5), max_rate=0, within=WITHIN
    )
    assert created is None


@pytest.mark.parametrize("behind", [0, 100_000])
async def test_looking_at_the_log_uses_its_primary_key(session: Session, foreign: Any, behind: int) -> None:
    await subscribe(session)
    await foreign.execute(
        f"""
        INSERT INTO hookline.outbox
        SELECT gen_random_uuid(), n, now(), n % {SHARDS}, false, 'begini', 'complete', n::text, '', '', '[]',
               convert_to(repeat('x', 600), 'UTF8') FROM generate_series(1, 150000) AS n;
        SELECT setval('hookline.outbox_seq', 150000);
        ANALYZE hookline.outbox;
        """
    )
    await foreign.execute("SET plan_cache_mode = force_generic_plan")
    sql = replays._SQL["scan"]
    await foreign.execute(f"PREPARE scan (text, bigint, bigint, timestamptz, timestamptz) AS {sql}")
    plan = await foreign.fetch(f"EXPLAIN EXECUTE scan ('all', {behind}, {behind + 4096}, NULL, NULL)")
    text = "\n".join(row[0] for row in plan)
    assert "Seq Scan on outbox" not in text, text
    assert "outbox_00000000_pkey" in text
