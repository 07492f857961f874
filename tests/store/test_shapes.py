"""Shapes in the database: one edge after the other, each change once, and nothing without bounds."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from hookline.core.shape.finding import SchemaFinding
from hookline.core.shape.lesson import Lesson
from hookline.core.shape.shape import Drift, Learning, Shape
from hookline.errors import StatementRefused
from hookline.model import SourceName
from hookline.store import shapes
from hookline.store.session import Session
from hookline.store.shapes import LATE_TYPE, MOST_TYPES, Change, DriftRow, Name
from store.webhooks import WITHIN

BEGINI = SourceName("begini")
NAME: Name = (BEGINI, "application.complete")
EVER = datetime(1, 1, 1, tzinfo=UTC)
NEW = Drift("$.more", "new", 0, 4, 2)
FINDING = SchemaFinding("type", "#/properties/uid/type", "$.uid")


def shape(*paths: str, bodies: int = 100, learned: bool = True) -> Shape:
    found = Lesson(bodies=bodies, places={path: {16: bodies} for path in ("$", *paths)})
    made, _ = Shape(began=1.0).after(found, now=1.0, learning=Learning())
    made.learned = learned
    return made


async def drifts(session: Session, **which: Any) -> list[tuple[str, str, int, int, int]]:
    rows = await shapes.drift(
        session, **({"source": None, "type_": None, "since": EVER} | which), within=WITHIN
    )
    return [(row.path, row.kind, row.was, row.now, row.count) for row in rows]


async def test_what_is_written_is_read(session: Session) -> None:
    made = shape("$.uid", '$["a \\"key\\""]', "$.list[]")
    assert await shapes.write(session, {NAME: Change(made, 0)}, within=WITHIN) == {NAME}
    stored = shapes.Stored(1, made)
    assert await shapes.read(session, [BEGINI, "other"], within=WITHIN) == {NAME: stored}
    assert await shapes.read_some(session, [NAME, (BEGINI, "x")], within=WITHIN) == {NAME: stored}


async def test_of_two_that_follow_the_same_version_the_second_changes_nothing(session: Session) -> None:
    for version in (0, 1):
        first = Change(shape("$.a"), version, [NEW], {FINDING: (uuid4(), 2)})
        second = Change(shape("$.b"), version, [replace(NEW, count=50)], {FINDING: (uuid4(), 70)})
        assert await shapes.write(session, {NAME: first}, within=WITHIN) == {NAME}
        assert await shapes.write(session, {NAME: second}, within=WITHIN) == set()
        assert await shapes.write(session, {NAME: first}, within=WITHIN) == set(), "nor does the same again"
        stored = (await shapes.read(session, [BEGINI], within=WITHIN))[NAME]
        assert (stored.version, stored.shape) == (version + 1, first.shape)
        assert await drifts(session) == [("$.more", "new", 0, 4, 2 * (version + 1))]
        [found] = await shapes.findings(session, source=None, type_=None, since=EVER, within=WITHIN)
        assert (found.keyword, found.path, found.count) == ("type", "$.uid", 2 * (version + 1))
        assert found.event_id == first.findings[FINDING][0]


async def test_several_at_once_are_written_each_for_itself(session: Session) -> None:
    other: Name = (BEGINI, "other")
    await shapes.write(session, {NAME: Change(shape(), 0)}, within=WITHIN)
    both = {NAME: Change(shape("$.x"), 0, [NEW]), other: Change(shape("$.y"), 0, [NEW])}
    assert await shapes.write(session, both, within=WITHIN) == {other}
    assert [row.type for row in await _rows(session)] == ["other"]


async def test_drift_is_added_up_and_keeps_when_it_was_first_seen(session: Session) -> None:
    await shapes.write(session, {NAME: Change(shape(), 0, [NEW])}, within=WITHIN)
    [first] = await _rows(session)
    await shapes.write(session, {NAME: Change(shape(), 1, [replace(NEW, now=16, count=5)])}, within=WITHIN)
    [again] = await _rows(session)
    assert (again.count, again.now, again.first_seen) == (7, 4 | 16, first.first_seen)
    assert again.last_seen > first.last_seen


async def test_drift_is_found_by_source_type_and_time(session: Session) -> None:
    names = [(BEGINI, "a"), (BEGINI, "b"), (SourceName("stripe"), "a")]
    for name in names:
        await shapes.write(session, {name: Change(shape(), 0, [NEW])}, within=WITHIN)
    rows = await _rows(session)
    assert [(row.source, row.type) for row in rows] == list(reversed(names)), "the latest first"
    assert len(await drifts(session, source="begini")) == 2
    assert len(await drifts(session, type_="a")) == 2
    assert len(await drifts(session, source="begini", type_="a")) == 1
    assert len(await drifts(session, since=rows[1].last_seen)) == 2
    assert await drifts(session, since=rows[0].last_seen + timedelta(seconds=1)) == []


async def _rows(session: Session) -> list[DriftRow]:
    return await shapes.drift(session, source=None, type_=None, since=EVER, within=WITHIN)


async def test_accepting_makes_it_the_known_shape_and_forgets_the_drift(session: Session) -> None:
    made, found = shape("$.uid").after(
        Lesson(bodies=1, places={"$.more": {4: 1}, "$.less": {16: 1}}), now=1.0, learning=Learning()
    )
    await shapes.write(
        session, {NAME: Change(made, 0, found, {FINDING: (None, 1)}), (BEGINI, "b"): Change(made, 0, found)},
        within=WITHIN,
    )  # fmt: skip
    assert await shapes.accept(session, BEGINI, type_="b", paths=["$.more"], within=WITHIN) == ["b"]
    rows = await _rows(session)
    assert sorted((row.type, row.path) for row in rows) == [
        ("application.complete", "$.less"), ("application.complete", "$.more"), ("b", "$.less"),
    ]  # fmt: skip
    assert await shapes.accept(session, BEGINI, within=WITHIN) == ["application.complete", "b"]
    assert await _rows(session) == []
    assert await shapes.findings(session, source=None, type_=None, since=EVER, within=WITHIN) == []
    for stored in (await shapes.read(session, [BEGINI], within=WITHIN)).values():
        assert {path: place.known for path, place in stored.shape.places.items()} == {
            "$": 16, "$.uid": 16, "$.more": 4, "$.less": 16,
        }  # fmt: skip
    assert await shapes.accept(session, SourceName("unknown"), within=WITHIN) == []


async def test_an_edge_that_writes_meanwhile_loses_nothing_to_it(session: Session, new_session: Any) -> None:
    await shapes.write(session, {NAME: Change(shape(), 0)}, within=WITHIN)
    edge, operator = new_session(), new_session()

    async def learn() -> None:
        for number in range(40):
            while True:
                stored = (await shapes.read_some(edge, [NAME], within=WITHIN))[NAME]
                lesson = Lesson(bodies=1, places={f"$.k{number}": {4: 1}})
                made, found = stored.shape.after(lesson, now=1.0, learning=Learning())
                if await shapes.write(edge, {NAME: Change(made, stored.version, found)}, within=WITHIN):
                    break

    async def accept() -> None:
        for _ in range(20):
            await shapes.accept(operator, BEGINI, within=WITHIN)

    await asyncio.gather(learn(), accept())
    await shapes.accept(operator, BEGINI, within=WITHIN)
    stored = (await shapes.read(session, [BEGINI], within=WITHIN))[NAME]
    assert {f"$.k{number}" for number in range(40)} < {
        p for p, place in stored.shape.places.items() if place.known
    }
    assert stored.shape.bodies == 140


async def test_drift_that_named_keys_of_a_map_is_removed_with_them(session: Session) -> None:
    paths = ["$.by.alice", "$.by.alice.n", '$.by["bob b"]', "$.by.*.n", "$.by", "$.bystander"]
    await shapes.write(
        session, {NAME: Change(shape(), 0, [replace(NEW, path=path) for path in paths])}, within=WITHIN
    )
    made = shape()
    made.maps = frozenset({"$.by"})
    await shapes.write(session, {NAME: Change(made, 1)}, within=WITHIN)
    assert sorted(path for path, *_ in await drifts(session)) == ["$.by", "$.by.*.n", "$.bystander"]


async def test_a_source_has_at_most_so_many_types_and_those_beyond_share_one(session: Session) -> None:
    many = {(BEGINI, f"t{number:04}"): Change(shape(), 0) for number in range(MOST_TYPES + 20)}
    written = await shapes.write(session, many, within=WITHIN)
    assert len(written) == MOST_TYPES
    assert await shapes.write(session, {(BEGINI, "late"): Change(shape(), 0)}, within=WITHIN) == set()
    late: Name = (BEGINI, LATE_TYPE)
    assert await shapes.write(session, {late: Change(shape(), 0)}, within=WITHIN) == {late}
    known = min(written)
    assert await shapes.write(session, {known: Change(shape("$.x"), 1)}, within=WITHIN) == {known}
    other: Name = (SourceName("other"), "late")
    assert await shapes.write(session, {other: Change(shape(), 0)}, within=WITHIN) == {other}


async def test_findings_of_a_type_are_bounded(session: Session, foreign: Any) -> None:
    for first in range(0, 1200, 200):
        found = {
            SchemaFinding("type", "#", f"$.k{number}"): (None, 1) for number in range(first, first + 200)
        }
        await shapes.write(session, {NAME: Change(shape(), first // 200, (), found)}, within=WITHIN)
    assert await foreign.fetchval("SELECT count(*) FROM hookline.schema_findings") == 1000


async def test_a_text_that_postgres_can_t_hold_is_refused_and_writes_nothing(session: Session) -> None:
    with pytest.raises((StatementRefused, UnicodeError)):
        await shapes.write(session, {(BEGINI, "\0"): Change(shape(), 0)}, within=WITHIN)
    assert await shapes.read(session, [BEGINI], within=WITHIN) == {}
