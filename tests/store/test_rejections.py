"""Rejections in the database: within their bounds whoever writes, found again in order, marked once."""

import asyncio
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Any
from uuid import UUID, uuid4

import pytest

from hookline.errors import StatementRefused
from hookline.store import rejections
from hookline.store.rejections import Bounds, NewRejection, RejectionFilter
from hookline.store.session import Session
from hookline.store.statements import load
from store.webhooks import WITHIN

MIB = 1024 * 1024
AMPLE = Bounds(10_000, 64 * MIB, timedelta(days=7))
START = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)


def rejection(number: int = 0, **values: Any) -> NewRejection:
    """The refused request of a second."""
    usual = NewRejection(
        id=UUID(int=number) if number else uuid4(),
        received_at=START + timedelta(seconds=number),
        size=2,
        status=401,
        source="begini",
        cause="bad_signature",
        method="POST",
        target="/v1/webhooks/begini",
        omitted="",
        headers="[]",
        original=b"sealed",
    )
    return usual._replace(**values)


async def keep(
    session: Session, new: Sequence[NewRejection], bounds: Bounds = AMPLE, **others: Bounds
) -> int:
    all_bounds = {one.source: bounds for one in new} | others
    return await rejections.keep(session, new, all_bounds, within=WITHIN)


async def numbers(session: Session, **wanted: Any) -> list[int]:
    found = await rejections.find_newest(session, RejectionFilter(**wanted), count=100, within=WITHIN)
    return [one.id.int for one in found]


async def totals(foreign: Any) -> dict[str, tuple[int, int]]:
    rows = await foreign.fetch("SELECT source, rejections, bytes FROM hookline.rejection_totals")
    return {row[0]: (row[1], row[2]) for row in rows}


async def counted(foreign: Any) -> dict[str, tuple[int, int]]:
    """What the totals should say."""
    rows = await foreign.fetch(
        "SELECT source, count(*), sum(bytes)::bigint FROM hookline.rejections GROUP BY source"
    )
    return {row[0]: (row[1], row[2]) for row in rows}


async def test_what_was_kept_is_found_as_it_was(session: Session) -> None:
    new = rejection(
        7, headers='[["x-a","\\u0000\\u00ff"]]', omitted="", original=b"\0sealed\xff", size=2**40, status=415
    )
    headless = rejection(8, omitted="policy", original=None)
    assert await keep(session, [new, headless]) == 0
    found = await rejections.find(session, [headless.id, new.id, uuid4()], within=WITHIN)
    assert [one.id for one in found] == [new.id, headless.id]
    one = found[0]
    assert (one.received_at, one.source, one.cause, one.method, one.target, one.status, one.size) == (
        new.received_at, "begini", "bad_signature", "POST", "/v1/webhooks/begini", 415, 2**40,
    )  # fmt: skip
    assert one.headers == [("x-a", "\0ÿ")]
    assert (one.omitted, one.admitted_at, one.event_id) == ("", None, None)
    assert one.bytes == 100 + len("begini") + len("/v1/webhooks/begini") + len(new.headers) + len(
        b"\0sealed\xff"
    )
    sealed = await rejections.originals(session, [new.id, headless.id], within=WITHIN)
    assert sealed == {new.id: b"\0sealed\xff"}


async def test_a_batch_that_is_written_again_counts_once(session: Session, foreign: Any) -> None:
    batch = [rejection(1), rejection(2)]
    await keep(session, batch)
    await keep(session, [*batch, rejection(3)])
    assert await numbers(session) == [3, 2, 1]
    assert await totals(foreign) == await counted(foreign)


async def test_the_oldest_go_when_there_are_too_many(session: Session, foreign: Any) -> None:
    few = AMPLE._replace(max_count=3)
    assert await keep(session, [rejection(n) for n in (5, 1, 4)], few) == 0
    assert await keep(session, [rejection(n) for n in (3, 6)], few) == 2
    assert await numbers(session) == [6, 5, 4]
    assert await keep(session, [rejection(2)], few) == 1, "one that is older than all is the one to go"
    assert await numbers(session) == [6, 5, 4]
    assert await totals(foreign) == await counted(foreign)


async def test_the_oldest_go_when_there_are_too_many_bytes(session: Session, foreign: Any) -> None:
    small = AMPLE._replace(max_bytes=3000)
    assert await keep(session, [rejection(n, original=bytes(800)) for n in (1, 2, 3)], small) == 0
    assert await keep(session, [rejection(4, original=bytes(1800))], small) == 2
    assert await numbers(session) == [4, 3]
    assert await totals(foreign) == await counted(foreign)


async def test_those_that_are_too_old_go_with_the_next_that_comes_and_without_one(
    session: Session, foreign: Any
) -> None:
    hour = AMPLE._replace(max_age=timedelta(hours=1))
    now = datetime.now(UTC)
    old, young = rejection(1, received_at=now - timedelta(minutes=61)), rejection(2, received_at=now)
    await keep(session, [old, rejection(3, source="quiet", received_at=old.received_at)])
    assert await keep(session, [young], hour) == 1
    assert await numbers(session) == [2, 3]
    assert await rejections.sources(session, within=WITHIN) == ["begini", "quiet"]
    assert await rejections.trim(session, "quiet", hour, within=WITHIN) == 1
    assert await rejections.trim(session, "quiet", hour, within=WITHIN) == 0
    assert await rejections.trim(session, "never heard of", hour, within=WITHIN) == 0
    assert await rejections.sources(session, within=WITHIN) == ["begini"]
    assert await numbers(session) == [2]
    # One that comes late is found by the next look, although younger ones were looked at before.
    await keep(session, [rejection(4, received_at=now - timedelta(days=1))])
    assert await rejections.trim(session, "begini", hour, within=WITHIN) == 1
    assert await numbers(session) == [2]
    totals_now = {source: total for source, total in (await totals(foreign)).items() if total != (0, 0)}
    assert totals_now == await counted(foreign)


async def test_a_flood_of_one_source_costs_another_nothing(session: Session) -> None:
    few = AMPLE._replace(max_count=2)
    await keep(session, [rejection(1, source="quiet")], few)
    await keep(session, [rejection(n, source="loud") for n in range(2, 50)], few)
    assert await numbers(session, source="quiet") == [1]
    assert await numbers(session) == [49, 48, 1]


async def test_the_bounds_hold_in_the_sum_of_several_edges(
    new_session: Callable[..., Session], foreign: Any
) -> None:
    bounds = AMPLE._replace(max_count=50, max_bytes=20_000)
    seen: list[tuple[int, int]] = []

    async def write(edge: int) -> None:
        session = new_session(f"edge {edge}")
        for batch in range(20):
            # Each edge names its sources in another order: none may wait for another in a circle.
            sources = ["a", "b", "c"] if edge % 2 else ["c", "b", "a"]
            new = [
                rejection(
                    received_at=START + timedelta(seconds=batch), source=source, original=bytes(100 * edge)
                )
                for source in sources
                for _ in range(7)
            ]
            await keep(session, new, bounds)

    async def trim() -> None:
        """What every edge does now and then; here all the time, and to less."""
        session = new_session("trim")
        while True:
            for source in ("a", "b", "c"):
                await rejections.trim(session, source, bounds._replace(max_count=40), within=WITHIN)

    async def watch() -> None:
        while True:
            seen.extend((await counted(foreign)).values())
            await asyncio.sleep(0)

    beside = [asyncio.create_task(trim()), asyncio.create_task(trim()), asyncio.create_task(watch())]
    await asyncio.gather(*(write(edge) for edge in range(1, 5)))
    for task in beside:
        task.cancel()
    ended = await asyncio.gather(*beside, return_exceptions=True)
    assert [type(end) for end in ended] == [asyncio.CancelledError] * 3
    assert len(seen) > 20
    assert max(count for count, _ in seen) <= 50
    assert max(size for _, size in seen) <= 20_000
    assert await totals(foreign) == await counted(foreign)


async def test_the_list_is_paged_by_time_and_id_without_a_gap_or_a_repetition(session: Session) -> None:
    # Several in one moment.
    new = [rejection(n, received_at=START + timedelta(seconds=n // 4)) for n in range(1, 31)]
    await keep(session, new)
    newest_first = sorted(new, key=lambda one: (one.received_at, one.id), reverse=True)
    for find, in_order in (
        (rejections.find_newest, newest_first),
        (rejections.find_oldest, newest_first[::-1]),
    ):
        found = await find(session, RejectionFilter(), count=7, within=WITHIN)
        pages = list(found)
        while found:
            found = await find(session, RejectionFilter(), after=found[-1].place, count=7, within=WITHIN)
            pages += found
        assert [one.id for one in pages] == [one.id for one in in_order]


async def test_a_filter_fits_source_cause_and_a_half_open_time(session: Session) -> None:
    await keep(
        session,
        [
            rejection(1),
            rejection(2, cause="stale_timestamp"),
            rejection(3, source="stripe"),
            rejection(4),
            rejection(5, source="stripe", cause="stale_timestamp"),
        ],
    )
    assert await numbers(session, source="stripe") == [5, 3]
    assert await numbers(session, cause="stale_timestamp") == [5, 2]
    assert await numbers(session, source="stripe", cause="stale_timestamp") == [5]
    since, until = START + timedelta(seconds=2), START + timedelta(seconds=4)
    assert await numbers(session, since=since, until=until) == [3, 2]
    assert await numbers(session, source="%") == []


async def test_a_rejection_is_marked_once_and_is_not_asked_for_again(session: Session) -> None:
    await keep(session, [rejection(1), rejection(2), rejection(3)])
    first, second, one, two = uuid4(), uuid4(), UUID(int=1), UUID(int=2)
    await rejections.mark_admitted(session, {one: first}, within=WITHIN)
    [before] = await rejections.find(session, [one], within=WITHIN)
    await rejections.mark_admitted(session, {two: second, one: second, uuid4(): second}, within=WITHIN)
    [after, other] = await rejections.find(session, [one, two], within=WITHIN)
    assert after == before
    assert (after.event_id, other.event_id) == (first, second)
    assert after.admitted_at is not None
    left = await rejections.find_oldest(session, RejectionFilter(), count=10, within=WITHIN)
    assert [found.id.int for found in left] == [3]
    assert await rejections.count(session, RejectionFilter(), within=WITHIN) == 1


async def test_two_that_mark_the_same_ones_in_opposite_order_do_not_stand_in_each_others_way(
    new_session: Callable[..., Session],
) -> None:
    session = new_session()
    many = [rejection(n) for n in range(1, 201)]
    await keep(session, many)
    event = uuid4()
    forwards, backwards = new_session("one"), new_session("two")
    for _ in range(5):
        await session.fetch(
            "UPDATE hookline.rejections SET admitted_at = NULL, event_id = NULL", within=WITHIN
        )
        await asyncio.gather(
            rejections.mark_admitted(forwards, {one.id: event for one in many}, within=WITHIN),
            rejections.mark_admitted(backwards, {one.id: event for one in reversed(many)}, within=WITHIN),
        )
    assert await rejections.count(session, RejectionFilter(), within=WITHIN) == 0


async def test_a_row_says_either_what_it_is_or_why_it_is_not_there(session: Session) -> None:
    for wrong in ({"omitted": "policy"}, {"original": None}):
        with pytest.raises(StatementRefused) as refused:
            await keep(session, [rejection(1, **wrong)])
        assert refused.value.sqlstate == "23514"


async def scans(foreign: Any, statement: str, arguments: str) -> set[str]:
    """How a statement gets at its rows, when nobody has gathered statistics."""
    await foreign.execute("DEALLOCATE ALL; SET plan_cache_mode = force_custom_plan")
    await foreign.execute(f"PREPARE hot AS {load('rejections.sql')[statement]}")
    plan = json.loads(await foreign.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE hot ({arguments})"))
    nodes, found = [plan[0]["Plan"]], set()
    while nodes:
        node = nodes.pop()
        nodes += node.get("Plans", [])
        if "Scan" in node["Node Type"]:
            found.add(f"{node['Node Type']}: {node.get('Index Name', node.get('Relation Name'))}")
    return found


async def test_keeping_within_bounds_costs_the_same_with_ten_thousand_rows(
    session: Session, foreign: Any
) -> None:
    await foreign.execute(
        """
        ALTER TABLE hookline.rejections SET (autovacuum_enabled = false);
        INSERT INTO hookline.rejections
        SELECT gen_random_uuid(), NULL, statement_timestamp() - interval '1 day' + n * interval '1 second', NULL,
               500, 1000, 401, 'begini', 'bad_signature', 'POST', '/', '', '[]', decode(repeat('ab', 800), 'hex')
          FROM generate_series(1, 10000) AS n;
        INSERT INTO hookline.rejection_totals VALUES ('begini', 10000, 10000000, '-infinity');
        """
    )
    took = []
    # A report holds a snapshot: what is removed can't be vacuumed.
    async with foreign.transaction(isolation="repeatable_read"):
        await foreign.fetchval("SELECT count(*) FROM hookline.rejections")
        for batch in range(100):
            at = datetime.now(UTC)
            new = [
                rejection(received_at=at + timedelta(microseconds=n), original=bytes(800)) for n in range(20)
            ]
            begun = perf_counter()
            assert await keep(session, new) == 20, batch
            took.append(perf_counter() - begun)
    await foreign.execute("SELECT pg_stat_clear_snapshot()")
    assert await totals(foreign) == await counted(foreign)
    assert (await totals(foreign))["begini"][0] == 10_000
    median = sorted(took)[50]
    print(f"20 kept and 20 removed of 10,000: median {median * 1000:.1f} ms, worst {max(took) * 1000:.1f} ms")
    assert median < 0.05
    begun = perf_counter()
    assert await rejections.trim(session, "begini", AMPLE, within=WITHIN) == 0
    print(f"nothing to trim: {(perf_counter() - begun) * 1000:.1f} ms")
    begun = perf_counter()
    assert await rejections.trim(session, "begini", AMPLE._replace(max_count=1), within=WITHIN) == 9_999
    took_all = perf_counter() - begun
    print(f"9,999 trimmed at once: {took_all * 1000:.0f} ms")
    assert took_all < 5


async def test_lists_are_read_in_the_order_of_an_index(session: Session, foreign: Any) -> None:
    await keep(session, [rejection(n) for n in range(1, 100)])
    place = f"'infinity', '{UUID(int=2**128 - 1)}', 10"
    of_source = await scans(foreign, "find_newest", f"'begini', '', '-infinity', 'infinity', {place}")
    assert of_source <= {"Index Scan: rejections_of_source", "Index Scan: rejections_in_time"}
    everything = await scans(foreign, "find_newest", f"'', '', '-infinity', 'infinity', {place}")
    assert everything == {"Index Scan: rejections_in_time"}
