"""Retention: what is old goes, and nothing that somebody needs, whatever happens at the same moment."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hookline.config import Retention
from hookline.embedded import EmbeddedPostgres
from hookline.model import Duplicate, Seq
from hookline.store import dead_letters, events, replays, retention
from hookline.store.ingest import ingest
from hookline.store.log import read_log
from hookline.store.replays import Selection
from hookline.store.session import Session
from store.replaying import NAME, pass_all, subscribe
from store.segmented import KEEP, OLD, SEGMENT, append, segmented, segments
from store.waiting import until
from store.webhooks import SHARDS, WITHIN, webhook

Foreign = Any


@pytest.fixture
async def database(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    async with segmented(postgres) as url:
        yield url


async def needs(session: Session) -> dict[int, list[str]]:
    """By the number of a segment, why it is kept although it is old."""
    report = await retention.survey(session, KEEP, within=WITHIN)
    return {s.from_seq // SEGMENT: [need.kind for need in s.needs] for s in report.segments if s.needs}


async def drop(session: Session, number: int, patience: timedelta = timedelta(milliseconds=50)) -> str:
    [row] = await session.fetch(
        "SELECT hookline.drop_segment($1, $2, $3) AS outcome",
        f"outbox_{number:08}",
        KEEP.outbox,
        patience,
        within=WITHIN,
    )
    return str(row["outcome"])


_DEAD_LETTER = """
INSERT INTO hookline.deliveries
       (seq, due_at, changed_at, event_id, shard, subscription, state, source, ordering_key)
SELECT seq, now(), now(), event_id, shard, 'all', 'dead', source, '' FROM hookline.outbox WHERE seq = 15
"""


async def trouble(foreign: Foreign, state: str, seq: int, *, replay: int = 0) -> None:
    await foreign.execute(
        "INSERT INTO hookline.deliveries"
        " (seq, replay, due_at, changed_at, event_id, shard, subscription, state, source, ordering_key)"
        " SELECT seq, $3, now(), now(), event_id, shard, 'all', $1, source, '' FROM hookline.outbox"
        " WHERE seq = $2",
        state,
        seq,
        replay,
    )


async def test_what_is_complete_old_and_needed_by_nobody_goes_and_the_ledger_stays(
    session: Session, foreign: Foreign
) -> None:
    ids = await append(session, 95)
    again = webhook("again")._replace(received_at=datetime.now(UTC) - OLD)
    assert await retention.complete_since(session, within=WITHIN) is None
    report = await retention.maintain(session, KEEP, within=WITHIN)
    assert [s.state for s in report.segments] == ["dropped"] * 9 + ["written"] * 3
    assert report.busy == ""
    assert await segments(foreign) == [9, 10, 11]
    assert await foreign.fetchval("SELECT array_agg(seq ORDER BY seq) FROM hookline.outbox") == [
        *range(90, 96)
    ]
    assert await foreign.fetchval("SELECT count(*) FROM hookline.events") == 95
    entry = await events.find(session, ids[0], within=WITHIN)
    assert entry is not None
    assert not entry.logged
    since = await retention.complete_since(session, within=WITHIN)
    assert since is not None
    assert abs(since - (datetime.now(UTC) - OLD)) < timedelta(minutes=5)
    # The log goes on, and what was dropped is known for ever.
    await ingest(session, [again], within=WITHIN)
    await append(session, 30)
    second = await retention.maintain(session, KEEP, within=WITHIN)
    assert [s.from_seq for s in second.segments if s.state == "dropped"] == [90, 100, 110]
    assert await ingest(session, [again], within=WITHIN) == [Duplicate(again.event_id)]


async def test_one_event_that_is_young_keeps_its_segment_and_what_holds_nothing_goes(
    session: Session, foreign: Foreign
) -> None:
    await append(session, 15)
    await append(session, 4, age=timedelta(hours=1))
    await append(session, 21)
    # All duplicates: a segment without an event.
    await foreign.execute("SELECT setval('hookline.outbox_seq', 55)")
    await append(session, 5)
    report = await retention.maintain(session, KEEP, within=WITHIN)
    states = {s.from_seq // SEGMENT: s.state for s in report.segments}
    assert states == {
        0: "dropped",
        1: "young",
        2: "dropped",
        3: "dropped",
        4: "dropped",
        5: "dropped",
        **dict.fromkeys((6, 7), "written"),
    }
    assert await retention.held(session, KEEP, within=WITHIN) == (3, 0.0)


async def test_everybody_who_needs_an_event_holds_its_segment_and_no_other(
    session: Session, foreign: Foreign
) -> None:
    await subscribe(session)
    ids = await append(session, 95)
    everything = {number: ["unread"] for number in range(9)}
    assert await needs(session) == everything
    assert (await retention.maintain(session, KEEP, within=WITHIN)).segments[0].state == "needed"
    assert len(await segments(foreign)) == 12
    count, age = await retention.held(session, KEEP, within=WITHIN)
    assert count == 12
    assert abs(age - OLD.total_seconds()) < 300

    await pass_all(foreign)
    assert await needs(session) == {}
    assert await retention.held(session, KEEP, within=WITHIN) == (12, 0.0)

    shard = await foreign.fetchval("SELECT shard FROM hookline.outbox WHERE seq = 34")
    await foreign.execute("UPDATE hookline.cursors SET pending = '{34}' WHERE shard = $1", shard)
    assert await needs(session) == {3: ["pending"]}
    await pass_all(foreign)

    for state in ("waiting", "blocked", "dead"):
        await trouble(foreign, state, 50)
        assert await needs(session) == {5: [state]}
        assert await drop(session, 5) == "needed"
        await foreign.execute("DELETE FROM hookline.deliveries")
    assert await needs(session) == {}

    located = await replays.locate(session, [ids[20], ids[70]], within=WITHIN)
    chosen = Selection(tuple(e.event_id for e in located), tuple(e.seq for e in located))
    for selection, position, last, held in (
        (chosen, 20, 71, [2, 7]),
        (Selection(), 20, 41, [2, 3, 4]),
        (Selection(), 29, 39, [3]),
    ):
        replay = await replays.create(
            session, NAME, selection, position=Seq(position), until_seq=Seq(last), max_rate=0, within=WITHIN
        )
        assert replay is not None
        assert await needs(session) == {number: ["replay"] for number in held}
        await foreign.execute("UPDATE hookline.replays SET state = 'completed', ended_at = now()")
    assert await needs(session) == {}

    # A replayed delivery holds as any other.
    await trouble(foreign, "waiting", 61, replay=1)
    report = await retention.maintain(session, KEEP, within=WITHIN)
    assert [s.from_seq for s in report.segments if s.state == "needed"] == [60]
    assert await segments(foreign) == [6, 9, 10, 11]
    [need] = next(s for s in report.segments if s.state == "needed").needs
    assert need == ("waiting", "all", 0, 1, 1, 61)


async def test_a_shard_without_further_events_holds_nothing_wherever_its_cursor_stands(
    session: Session, foreign: Foreign
) -> None:
    await subscribe(session)
    await append(session, 95)
    await foreign.execute(
        "UPDATE hookline.cursors AS c SET position ="
        " coalesce((SELECT max(seq) FROM hookline.outbox AS o WHERE o.shard = c.shard AND o.seq <= 42), 0)"
    )
    first = await foreign.fetchval("SELECT min(position) FROM hookline.cursors")
    assert first < 42, "some shards had nothing for a while"
    assert await needs(session) == {number: ["unread"] for number in range(4, 9)}
    report = await retention.maintain(session, KEEP, within=WITHIN)
    assert [s.from_seq for s in report.segments if s.state == "dropped"] == [0, 10, 20, 30]


async def test_a_dead_letter_is_released_by_its_own_retention(session: Session, foreign: Foreign) -> None:
    await subscribe(session)
    await append(session, 25)
    await pass_all(foreign)
    await trouble(foreign, "dead", 5)
    await retention.maintain(session, KEEP, within=WITHIN)
    assert await segments(foreign) == [0, 2, 3, 4]
    await foreign.execute("UPDATE hookline.deliveries SET changed_at = now() - interval '31 days'")
    assert await dead_letters.expire(session, within=WITHIN) == 1
    await retention.maintain(session, KEEP, within=WITHIN)
    assert await segments(foreign) == [2, 3, 4]


async def test_two_at_once_drop_each_segment_once(
    new_session: Callable[..., Session], foreign: Foreign
) -> None:
    await append(new_session(), 205)
    reports = await asyncio.gather(
        *(retention.maintain(new_session(f"maintainer {n}"), KEEP, within=WITHIN) for n in range(3))
    )
    dropped = [s.from_seq for report in reports for s in report.segments if s.state == "dropped"]
    assert len(dropped) == len(set(dropped))
    final = await retention.maintain(new_session(), KEEP, within=WITHIN)
    dropped += [s.from_seq for s in final.segments if s.state == "dropped"]
    assert sorted(dropped) == [*range(0, 200, SEGMENT)]
    assert await segments(foreign) == [20, 21, 22]


async def test_a_transaction_that_goes_on_is_neither_waited_for_nor_disturbed(
    new_session: Callable[..., Session], foreign: Foreign, session: Session
) -> None:
    await append(session, 35)
    await foreign.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM hookline.outbox")
    maintaining = asyncio.create_task(retention.maintain(new_session("maintainer"), KEEP, within=WITHIN))
    watcher = new_session("watcher")
    queued = 0
    while not maintaining.done():
        await append(session, 1)
        await read_log(session, [(0, Seq(0))], per_shard=10, events=10, body_bytes=1000, within=WITHIN)  # type: ignore[list-item]
        [row] = await watcher.fetch(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'", within=WITHIN
        )
        queued += row[0]
    report = await maintaining
    assert "outbox: in use by a transaction that goes on (pid " in report.busy
    assert [s.state for s in report.segments][:3] == ["expired"] * 3
    assert queued == 0, "whoever comes would have waited behind"
    # Even if it is tried: not for long, and nothing stays locked.
    assert await drop(session, 0) == "busy"
    await append(session, 1)
    assert await foreign.fetchval("SELECT count(*) FROM hookline.outbox WHERE seq <= 35") == 35
    await foreign.execute("COMMIT")
    assert (await retention.maintain(session, KEEP, within=WITHIN)).busy == ""
    assert 0 not in await segments(foreign)


async def test_what_comes_to_be_needed_while_the_lock_is_waited_for_is_kept(
    new_session: Callable[..., Session], foreign: Foreign, session: Session
) -> None:
    await subscribe(session)
    await append(session, 55)
    await pass_all(foreign)
    # A direct write: creating a replay waits until nobody drops anything.
    await foreign.execute("ALTER TABLE hookline.replays DISABLE TRIGGER replays_logged")

    dropper = new_session("dropper")

    async def waits() -> bool:
        return bool(await foreign.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"))

    for number, change, outcome in (
        (0, "UPDATE hookline.outbox SET received_at = now() WHERE seq < 10", "young"),
        (1, _DEAD_LETTER, "needed"),
        (
            2,
            "INSERT INTO hookline.replays (subscription, position, until_seq) VALUES ('all', 24, 25)",
            "needed",
        ),
        (4, "SELECT", "dropped"),
        (3, "UPDATE hookline.cursors SET position = 34", "needed"),
    ):
        await foreign.execute("BEGIN; SELECT count(*) FROM hookline.outbox")
        dropping = asyncio.create_task(drop(dropper, number, timedelta(seconds=20)))
        await until(waits, "it waits for the log")
        await foreign.execute(change)
        await foreign.execute("COMMIT")
        assert await dropping == outcome
    assert await segments(foreign) == [0, 1, 2, 3, 5, 6, 7]


async def test_a_replay_of_what_was_dropped_is_not_created(
    session: Session, foreign: Foreign, new_session: Callable[..., Session]
) -> None:
    await subscribe(session)
    ids = await append(session, 25)
    await pass_all(foreign)
    located = await replays.locate(session, [ids[3], ids[23]], within=WITHIN)
    assert [event.logged for event in located] == [True, True]
    chosen = Selection(tuple(e.event_id for e in located), tuple(e.seq for e in located))

    async def create(selection: Selection) -> int | None:
        return await replays.create(
            new_session(),
            NAME,
            selection,
            position=Seq(0),
            until_seq=Seq(25),
            max_rate=0,
            reason="a remark",
            within=WITHIN,
        )

    # One that is being created isn't overtaken, and waits for a drop.
    await foreign.execute(
        "BEGIN; SELECT pg_advisory_xact_lock_shared(hashtextextended('hookline.retention', 0))"
    )
    report = await retention.maintain(session, KEEP, within=WITHIN)
    assert "a replay is being created" in report.busy
    await foreign.execute("ROLLBACK; BEGIN; SELECT hookline.drop_segment('outbox_00000000', '1 day', '5s')")
    creating = asyncio.create_task(create(chosen))

    async def waits() -> bool:
        return bool(
            await foreign.fetchval(
                "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'advisory'"
            )
        )

    await until(waits, "the replay waits")
    await foreign.execute("COMMIT")
    assert await creating is None
    created = await create(Selection(chosen.event_ids[1:], chosen.seqs[1:]))  # type: ignore[index]
    assert created is not None
    found = await replays.find(session, created, within=WITHIN)
    assert found is not None
    assert (found.state, found.reason) == ("running", "a remark")


async def test_under_load_every_event_is_read_by_the_slowest_subscription(
    new_session: Callable[..., Session], foreign: Foreign
) -> None:
    await subscribe(new_session())
    at_once = Retention(outbox=timedelta(microseconds=1))
    accepted: set[Any] = set()
    read: list[Any] = []
    writing = True
    dropped = 0

    async def write(session: Session) -> None:
        for _ in range(40):
            accepted.update(await append(session, SEGMENT, age=timedelta(0)))

    async def deliver(session: Session) -> None:
        positions = dict.fromkeys(range(SHARDS), 0)
        while writing or len(read) < len(accepted):
            found = await read_log(
                session,
                [(shard, Seq(seq)) for shard, seq in positions.items()],  # type: ignore[misc]
                per_shard=5,
                events=30,
                body_bytes=10_000,
                within=WITHIN,
            )
            read.extend(event.event_id for event in found)
            positions |= {event.shard: event.seq for event in found}
            await session.fetch(
                "UPDATE hookline.cursors AS c SET position = p.seq"
                " FROM unnest($1::smallint[], $2::bigint[]) AS p (shard, seq) WHERE c.shard = p.shard",
                list(positions),
                list(positions.values()),
                within=WITHIN,
            )

    async def maintain(session: Session) -> None:
        nonlocal dropped
        while writing:
            report = await retention.maintain(session, at_once, within=WITHIN)
            dropped += sum(s.state == "dropped" for s in report.segments)

    delivering = asyncio.create_task(deliver(new_session("relay")))
    maintaining = asyncio.create_task(maintain(new_session("maintainer")))
    await asyncio.gather(*(write(new_session(f"writer {n}")) for n in range(2)))
    writing = False
    await asyncio.gather(delivering, maintaining)
    assert len(accepted) == 800
    assert sorted(read) == sorted(accepted)
    assert dropped > 5
    assert await foreign.fetchval("SELECT count(*) FROM hookline.events") == 800


async def test_whole_days_of_the_histories_go_and_old_rows_without_a_day(
    session: Session, foreign: Foreign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_ROWS", 3)
    for table in ("attempts", "acks"):
        for first, last in (("2020-01-01", "2020-01-02"), ("2020-01-02", "2020-01-03")):
            await foreign.execute(
                f"CREATE TABLE hookline.{table}_{first.replace('-', '')} PARTITION OF hookline.{table}"
                f" FOR VALUES FROM ('{first} 00:00:00Z') TO ('{last} 00:00:00Z')"
            )
    times = [datetime(2020, 1, 1, 12, tzinfo=UTC)] + [datetime(2019, 1, 1, n, tzinfo=UTC) for n in range(7)]
    times += [datetime.now(UTC), datetime.now(UTC) - timedelta(days=1)]
    for time in times:
        await foreign.execute(
            "INSERT INTO hookline.attempts (ended_at, started_at, seq, replay, attempt, shard, subscription, outcome,"
            " consumer, reason) VALUES ($1, $1, 1, 0, 1, 0, 'all', 'acked', '', '')",
            time,
        )
        await foreign.execute(
            "INSERT INTO hookline.acks (acked_at, block, subscription, consumers, entries)"
            " VALUES ($1, 0, 'all', '{}', '')",
            time,
        )
    looked = await retention.survey(session, KEEP, within=WITHIN)
    expected = [f"{table}_202001{day:02}" for table in ("attempts", "acks") for day in (1, 2)]
    assert [day.name for day in looked.days] == expected
    # Somebody's long look at one of them: the other goes.
    await foreign.execute("BEGIN; SELECT count(*) FROM hookline.acks_default")
    busy = await retention.maintain(session, KEEP, within=WITHIN)
    assert [day.name for day in busy.days if day.dropped] == expected[:2]
    assert busy.busy.startswith("acks and acks_default: in use by a transaction that goes on")
    await foreign.execute("COMMIT")
    report = await retention.maintain(session, KEEP, within=WITHIN)
    assert [(day.name, day.dropped) for day in report.days] == [(name, True) for name in expected[2:]]
    assert busy.rows == 14
    for table, column in (("attempts", "ended_at"), ("acks", "acked_at")):
        left = await foreign.fetch(f"SELECT {column} FROM hookline.{table} ORDER BY 1 DESC")
        assert [row[0] for row in left] == times[-2:]
    [row] = await session.fetch("SELECT hookline.ensure_days('acks', 'acked_at', 7)", within=WITHIN)
    assert row[0] == 0, "today's and the coming days are there"


async def test_bounds_of_other_tables_are_never_read_as_times(foreign: Foreign) -> None:
    """The planner may judge a table's bounds before it has found out whose partition it is."""
    await foreign.execute("SET enable_nestloop = off; SET enable_mergejoin = off; SET enable_material = off")
    for history in ("attempts", "acks"):
        days = await foreign.fetch("SELECT day FROM hookline.old_days($1, interval '-10 years')", history)
        assert days
        assert all(row["day"].startswith(f"{history}_2") for row in days)
    assert await foreign.fetch("SELECT segment FROM hookline.segment_bounds()")


async def test_what_relays_that_died_have_left_goes(session: Session, foreign: Foreign) -> None:
    await foreign.execute(
        "INSERT INTO hookline.members (alive_until, subscription, owner)"
        " SELECT now() - n * interval '40 minutes', 'all', n::text FROM generate_series(0, 2) AS n;"
        "INSERT INTO hookline.forwarded_settlements (created_at, shard, subscription, settlement)"
        " SELECT now() - n * interval '40 minutes', 0, 'all', '' FROM generate_series(0, 2) AS n"
    )
    assert (await retention.maintain(session, KEEP, within=WITHIN)).leftovers == 2
    assert await foreign.fetchval("SELECT count(*) FROM hookline.members") == 2
    assert await foreign.fetchval("SELECT count(*) FROM hookline.forwarded_settlements") == 2
