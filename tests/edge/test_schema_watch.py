"""The schema watch beside a real database: what it learns, shares, refuses, and never tells."""

import asyncio
import json
import random
import string
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import structlog

from edge.fault_proxy import FaultProxy
from hookline.config.watch import Watch, anchored
from hookline.core.shape.finding import SchemaFinding
from hookline.core.shape.shape import Learning
from hookline.edge.watch import schema_file
from hookline.edge.watch.rules import Rules, build
from hookline.edge.watch.watch import SchemaWatch
from hookline.errors import ConfigError, DatabaseUnavailable
from hookline.simulator.journeys import journeys, rescored
from hookline.store import shapes
from hookline.store.session import Session
from hookline.store.shapes import MOST_TYPES, Stored
from store.waiting import until

WITHIN = timedelta(seconds=5)
EVER = datetime(1, 1, 1, tzinfo=UTC)
TYPE = "application.complete"
OBSERVE = Rules("observe", Learning(bodies=20))
BEGINI = build("begini", Watch(learning_bodies=20), preset="begini")


def body(uid: str, *, type_: str = TYPE, **more: Any) -> bytes:
    times = {"application_started_at": 1, "application_completed_at": 2}
    envelope = {"uid": uid, "integration_id": "1", "event": {"type": type_, "details": times}, **more}
    return json.dumps(envelope).encode()


class Watched:
    """A watch that runs, and what is in its database."""

    def __init__(self, watch: SchemaWatch, session: Session) -> None:
        self.watch = watch
        self._session = session

    async def see(self, *bodies: bytes, type_: str = TYPE, source: str = "s") -> None:
        """Have bodies looked at, each about another subject."""
        for one in bodies:
            self.watch.observe(source, type_, one, uuid4())
            if len(self.watch._queue) >= 32:
                await self.looked()
        await self.looked()

    async def looked(self) -> None:
        async def empty() -> bool:
            return not self.watch._queue

        await until(empty, "what is queued is looked at")

    async def stored(self, type_: str = TYPE, source: str = "s") -> Stored:
        return (await shapes.read(self._session, [source], within=WITHIN))[source, type_]  # type: ignore[index]

    async def drift(self) -> list[tuple[str, str, int]]:
        rows = await shapes.drift(self._session, source=None, type_=None, since=EVER, within=WITHIN)
        return sorted((row.path, row.kind, row.count) for row in rows)

    async def findings(self) -> list[tuple[str, str, str, int, UUID | None]]:
        rows = await shapes.findings(self._session, source=None, type_=None, since=EVER, within=WITHIN)
        return sorted((r.keyword, r.schema_path, r.path, r.count, r.event_id) for r in rows)


@asynccontextmanager
async def watching(
    dsn: str, rules: dict[str, Rules] | Rules = OBSERVE, *, look_at: str = ""
) -> AsyncIterator[Watched]:
    watch = SchemaWatch(
        rules if isinstance(rules, dict) else {"s": rules}, Session(dsn, name="watch"), every=3600
    )
    running = asyncio.create_task(watch.run())
    session = Session(look_at or dsn, name="look")
    try:
        yield Watched(watch, session)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await session.close()


def schema(tmp_path: Path, text: Any) -> Watch:
    file = tmp_path / "schema.json"
    file.write_text(text if isinstance(text, str) else json.dumps(text), encoding="utf-8")
    return Watch(mode="reject", files={TYPE: str(file)})


async def test_it_learns_and_each_kind_of_drift_is_recorded(database: str) -> None:
    async with watching(database) as watched:
        await watched.see(*[body(f"u{n}", score=1, old="x") for n in range(60)])
        await watched.watch.flush()
        assert await watched.drift() == []
        await watched.see(*[body(f"u{n}", score="1", new=[1]) for n in range(50)])
        await watched.watch.flush()
        assert await watched.drift() == [
            ("$.new", "new", 50),
            ("$.new[]", "new", 50),
            ("$.old", "vanished", 50),
            ("$.score", "type", 50),
        ]


async def test_what_was_learned_survives_a_restart_and_the_end_writes_the_rest(database: str) -> None:
    async with watching(database) as watched:
        await watched.see(*[body(f"u{n}") for n in range(30)])
        watched.watch.observe("s", TYPE, body("last"), uuid4())
    async with watching(database) as watched:
        assert (await watched.stored()).shape.bodies == 31
        # Known names are told at once, and only what is new is drift.
        await watched.see(body("u"), body("v"))
        await watched.watch.flush()
        stored = await watched.stored()
        assert (stored.shape.bodies, stored.shape.places["$.uid"].bodies) == (33, 33)
        assert await watched.drift() == []


async def test_two_watches_learn_one_shape_together(database: str) -> None:
    async with watching(database) as left, watching(database) as right:
        for turn in range(4):
            await left.see(*[body(f"l{turn}{n}", left=1) for n in range(5)])
            await right.see(*[body(f"r{turn}{n}", right=1) for n in range(5)])
            await asyncio.gather(left.watch.flush(), right.watch.flush())
        stored = await left.stored()
        assert stored.shape.bodies == 40
        assert stored.shape.places["$.uid"].bodies == 40
        assert (stored.shape.places["$.left"].bodies, stored.shape.places["$.right"].bodies) == (20, 20)
        # What one of them learned is no news to the other.
        await left.see(*[body(f"x{n}", right=1) for n in range(5)])
        await left.watch.flush()
        assert await left.drift() == []


async def test_an_outage_costs_lateness_only_and_nothing_is_counted_twice(
    database: str, proxy: FaultProxy
) -> None:
    async with watching(proxy.dsn, look_at=database) as watched:
        await watched.see(*[body(f"a{n}") for n in range(10)])
        await watched.watch.flush()
        proxy.cut()
        for turn in range(3):
            await watched.see(*[body(f"b{turn}{n}") for n in range(10)])
            await watched.watch.flush()
        proxy.mend()
        await watched.see(*[body(f"c{n}") for n in range(10)])
        await watched.watch.flush()
        stored = await watched.stored()
        assert (stored.shape.bodies, stored.shape.places["$.uid"].bodies) == (50, 50)


async def test_a_write_whose_answer_is_lost_is_recognised(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with watching(database, {"s": BEGINI}) as watched:
        await watched.see(body("u0"))
        await watched.watch.flush()
        write = shapes.write

        async def lost(*args: Any, **kwargs: Any) -> Any:
            await write(*args, **kwargs)
            raise DatabaseUnavailable("the answer is lost")

        monkeypatch.setattr("hookline.store.shapes.write", lost)
        await watched.see(*[body("u") for _ in range(4)])
        await watched.watch.flush()
        monkeypatch.undo()
        await watched.see(*[body("u") for _ in range(5)])
        await watched.watch.flush()
        stored = await watched.stored()
        assert (stored.shape.bodies, stored.shape.places["$.uid"].bodies) == (10, 10)
        assert [(keyword, path, count) for keyword, _, path, count, _ in await watched.findings()] == [
            ("pattern", "$.uid", 10)
        ]


CANARIES = ("canaryvalue", "canaryperson", "CanaryKey", "canary@example.com")


async def test_no_value_no_subject_and_no_key_of_a_map_reaches_database_or_log(
    database: str, foreign: Any
) -> None:
    rng = random.Random(1)

    def person() -> str:
        return "canaryperson" + "".join(rng.choices(string.ascii_lowercase, k=6))

    def hostile(number: int) -> bytes:
        return body(
            "canaryvalue",
            text="canaryvalue",
            list=["canaryvalue", {"canary@example.com": 1}],
            by_person={person(): {"note": "canaryvalue", "by_person": {person(): [person()]}}},
            **({person(): "canaryvalue"} if number % 3 else {}),
            **({"CanaryKey": "x"} if number == 40 else {}),
        )

    with structlog.testing.capture_logs() as logs:
        async with watching(database, {"s": OBSERVE, "begini": BEGINI}) as watched:
            for source in ("s", "begini"):
                for turn in range(6):
                    await watched.see(*[hostile(turn * 20 + n) for n in range(20)], source=source)
                    await watched.watch.flush()
            assert not any(canary in repr(watched.watch) for canary in CANARIES)
    tables = await foreign.fetch(
        "SELECT oid::regclass::text AS name FROM pg_class"
        " WHERE relnamespace = 'hookline'::regnamespace AND relkind IN ('r', 'p')"
    )
    text = ""
    for table in tables:
        rows = await foreign.fetch(f"SELECT t::text AS row FROM {table['name']} AS t")
        text += "\n".join(row["row"] for row in rows)
    assert "by_person" in text, "names of fields are told"
    for canary in CANARIES:
        assert canary.lower() not in text.lower()
        assert canary.lower() not in repr(logs).lower()


async def test_schemas_in_observe_mark_and_count_and_refuse_nothing(database: str) -> None:
    async with watching(database, {"begini": BEGINI}) as watched:
        bad = body("LONGENOUGH").replace(b'"integration_id": "1", ', b"")
        last = uuid4()
        assert watched.watch.judge("begini", TYPE, bad) is None
        await watched.see(bad, body("LONGENOUGH"), source="begini")
        watched.watch.observe("begini", TYPE, bad, last)
        watched.watch.observe("begini", "psychometric_score.complete", b"junk", last)
        await watched.looked()
        await watched.watch.flush()
        assert await watched.findings() == [
            ("json", "", "$", 1, last),
            ("required", "#/required", "$.integration_id", 2, last),
        ]


async def test_schemas_in_reject_refuse_before_the_commit_and_are_counted(
    database: str, tmp_path: Path
) -> None:
    text = {
        "properties": {"uid": {"type": "string"}, "more": {"additionalProperties": {"type": "integer"}}},
        "required": ["uid"],
    }
    rules = build("s", schema(tmp_path, text), preset="none")
    async with watching(database, rules) as watched:
        judge = watched.watch.judge
        assert judge("s", TYPE, b'{"uid":"A","more":{"x":1}}') is None
        assert judge("s", "another.type", b'{"uid":1}') is None
        assert judge("unknown", TYPE, b'{"uid":1}') is None
        assert judge("s", TYPE, b'{"uid":7}') == SchemaFinding("type", "#/properties/uid/type", "$.uid")
        assert judge("s", TYPE, b"{}") == SchemaFinding("required", "#/required", "$.uid")
        found = judge("s", TYPE, b'{"uid":"A","more":{"canary":"x"}}')
        assert found == SchemaFinding("type", "#/properties/more/additionalProperties/type", "$.more.*")
        assert str(found) == "type at $.more.* (#/properties/more/additionalProperties/type)"
        assert judge("s", TYPE, b"junk") == SchemaFinding("json", "", "$")
        await watched.watch.flush()
        assert [(keyword, count, event) for keyword, _, _, count, event in await watched.findings()] == [
            ("json", 1, None), ("required", 1, None), ("type", 1, None), ("type", 1, None),
        ]  # fmt: skip


async def test_off_looks_at_nothing(database: str) -> None:
    rules = build("begini", Watch(mode="off", files={TYPE: "missing.json"}), preset="begini")
    async with watching(database, rules) as watched:
        assert watched.watch.judge("s", TYPE, b"junk") is None
        await watched.see(b"junk")
        await watched.watch.flush()
        assert await shapes.read(watched._session, ["s"], within=WITHIN) == {}


async def test_under_load_bodies_are_skipped_and_counted_and_a_rare_type_has_its_turn(database: str) -> None:
    async with watching(database) as watched:
        for number in range(1000):  # without a pause, so nothing is looked at meanwhile
            watched.watch.observe("s", "busy", body(f"u{number}"), uuid4())
        watched.watch.observe("s", "rare", body("rare"), uuid4())
        await watched.looked()
        await watched.watch.flush()
        busy = (await watched.stored("busy")).shape
        assert (busy.bodies, busy.marks) == (64, {"skipped": 936})
        assert (await watched.stored("rare")).shape.bodies == 1


async def test_the_queue_is_bounded_by_bytes(database: str) -> None:
    async with watching(database) as watched:
        for number in range(10):
            watched.watch.observe("s", TYPE, b'"' + b"x" * 1024 * 1024 + b'"', uuid4())
            assert watched.watch._queued_bytes <= 4 * 1024 * 1024, number
        await watched.looked()
        await watched.watch.flush()
        assert (await watched.stored()).shape.marks == {"skipped": 7}


async def test_types_beyond_the_bound_are_counted_together(database: str) -> None:
    async with watching(database) as watched:
        for number in range(MOST_TYPES):
            await watched.see(body("u"), type_=f"t{number}")
        await watched.watch.flush()
    # Another edge, which hasn't seen them, finds no room either.
    async with watching(database) as watched:
        await watched.see(body("u"), body("v"), type_="late1")
        await watched.watch.flush()
        await watched.see(body("u"), type_="late2")
        await watched.see(body("u"), type_="late1")
        await watched.watch.flush()
        found = await shapes.read(watched._session, ["s"], within=WITHIN)
        assert len(found) == MOST_TYPES + 1
        assert (await watched.stored("*")).shape.marks == {"late_types": 4}
        assert (await watched.stored("*")).shape.places == {}


HOSTILE = {
    "deep": b"[" * 100_000 + b"]" * 100_000,
    "no end": b"[" * 100_000,
    "digits": b'{"a":' + b"9" * 100_000 + b"}",
    "surrogate": b'{"\\ud800":"\\udc00"}',
    "NUL": b'{"a\\u0000":"\\u0000"}',
    "not UTF-8": b'{"a":"\xff"}',
    "BOM": b"\xef\xbb\xbf{}",
    "twice": b'{"a":1,"a":{}}',
    "empty": b"",
    "many": b"[" + b",".join([b"{}"] * 300_000) + b"]",
}


async def test_no_body_stops_it(database: str) -> None:
    names = sorted(schema_file.shipped("begini"))
    async with watching(database, {"s": OBSERVE, "begini": BEGINI}) as watched:
        with structlog.testing.capture_logs() as logs:
            for source, type_ in (("s", TYPE), ("begini", names[0])):
                await watched.see(*HOSTILE.values(), type_=type_, source=source)
            await watched.see(body("GOODONE"), source="begini")
            await watched.watch.flush()
        assert logs == []
        assert (await watched.stored()).shape.marks == {"unreadable": 4, "large": 1}
        assert (await watched.stored(source="begini")).shape.bodies == 1


RECURSIVE = {
    "$defs": {"n": {"type": ["array", "integer"], "items": {"$ref": "#/$defs/n"}}},
    "$ref": "#/$defs/n",
}


@pytest.mark.parametrize("depth", [99, 100, 101, 5000, 100_000])
def test_a_body_that_is_deeper_than_the_validator_may_go_is_not_given_to_it(
    tmp_path: Path, depth: int
) -> None:
    judge = build("s", schema(tmp_path, RECURSIVE), preset="none").schemas[TYPE].judge
    nested: Any = 1
    for _ in range(depth):
        nested = [nested]
    finding = judge(nested, b"[" * depth + b"1" + b"]" * depth)
    while isinstance(nested, list):  # Python would take it apart by recursion
        nested = nested[0]
    assert finding == (None if depth <= 100 else SchemaFinding("size", "", "$"))


@pytest.mark.parametrize("text", [{"type": "object"}, {"const": [1]}, {"uniqueItems": True}, {"enum": [{}]}])
def test_one_that_refers_to_nothing_judges_whatever_can_be_read(tmp_path: Path, text: Any) -> None:
    judge = build("s", schema(tmp_path, text), preset="none").schemas[TYPE].judge
    depth = 900
    nested = b"[" * depth + b"1" + b"]" * depth
    assert (judge(json.loads(nested), nested) is None) is ("uniqueItems" in text)


def test_where_a_large_body_is_wrong_is_not_searched_for(tmp_path: Path) -> None:
    judge = build("s", schema(tmp_path, {"items": {"type": "string"}}), preset="none").schemas[TYPE].judge
    assert judge([1], b"[1]") == SchemaFinding("type", "#/items/type", "$[]")
    assert judge([1] * 500_000, b"[" + b",".join([b"1"] * 500_000) + b"]") == SchemaFinding("size", "#", "$")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"type": "objct"}', "at #/type: "),
        ("{", "not JSON"),
        ("[]", "not a JSON Schema"),
        ({"$ref": "https://example.com/other.json"}, "$ref must stay within the file"),
        ({"$ref": "file:///etc/hostname"}, "$ref must stay within the file"),
        ({"$ref": "other.json"}, "$ref must stay within the file"),
        ({"$ref": "#/$defs/missing"}, "Pointer '/$defs/missing' does not exist"),
        ({"pattern": "(?=a)b"}, "look-around"),
        ({"pattern": "(a{1000}){1000}"}, "very large repetitions"),
        ({"$schema": "https://example.com/own"}, "https://example.com/own"),
    ],
)
def test_a_schema_that_can_t_be_used_is_refused_with_its_file_and_the_reason(
    tmp_path: Path, text: Any, says: str
) -> None:
    with pytest.raises(ConfigError) as error:
        build("s", schema(tmp_path, text), preset="none")
    assert str(error.value).startswith(f'sources.s.watch.files."{TYPE}": {tmp_path / "schema.json"}: ')
    assert says in str(error.value)


def test_a_schema_that_is_missing_is_refused() -> None:
    with pytest.raises(ConfigError, match=r'watch.files."a": .*nowhere.json: can\'t be read: No such file'):
        build("s", Watch(files={"a": "/nowhere.json"}), preset="none")


def test_paths_of_schemas_are_relative_to_the_configuration() -> None:
    values = {"sources": {"s": {"scheme": "x", "watch": {"files": {"a": "b.json", "c": "/d.json"}}}, "t": {}}}
    found = anchored(values, Path("/etc/hookline"))
    assert found["sources"]["s"]["watch"]["files"] == {"a": "/etc/hookline/b.json", "c": "/d.json"}
    assert found["sources"]["t"] == {}
    for odd in ({}, {"sources": 1}, {"sources": {"s": 1}}, {"sources": {"s": {"watch": {"files": [1]}}}}):
        assert anchored(odd, Path("/x")) == odd


def begini_bodies() -> Iterator[tuple[str, bytes]]:
    rng = random.Random(7)
    for journey in journeys(rng, 400):
        for document in journey.documents:
            yield document.event_type, document.body
            if document.is_score:
                yield document.event_type, rescored(document, rng).body


def test_all_that_the_simulator_sends_is_allowed_by_begini_s_schemas() -> None:
    judged = set()
    for type_, text in begini_bodies():
        assert BEGINI.schemas[type_].judge(json.loads(text), text) is None
        judged.add(type_)
    assert judged == set(BEGINI.schemas)
    assert len(judged) == 7


BREAKS: list[Callable[[Any], Any]] = [
    lambda envelope: envelope.pop("uid"),
    lambda envelope: envelope.pop("integration_id"),
    lambda envelope: envelope.pop("event"),
    lambda envelope: envelope.update(uid="four"),
    lambda envelope: envelope.update(uid=12345678),
    lambda envelope: envelope["event"].pop("type"),
    lambda envelope: envelope["event"].update(type="other"),
    lambda envelope: envelope["event"]["details"].update(application_started_at="2026-04-15"),
    lambda envelope: envelope["event"].update(details=[]),
]


@pytest.mark.parametrize("broken", BREAKS)
def test_what_contradicts_the_documentation_is_found_in_every_type(broken: Callable[[Any], Any]) -> None:
    for type_, text in dict(begini_bodies()).items():
        envelope = json.loads(text)
        broken(envelope)
        assert BEGINI.schemas[type_].judge(envelope, text) is not None


def test_what_is_not_documented_stays_open() -> None:
    for type_, text in dict(begini_bodies()).items():
        envelope = json.loads(text)
        envelope["more"] = envelope["event"]["more"] = envelope["event"]["details"]["more"] = {"x": [1]}
        assert BEGINI.schemas[type_].judge(envelope, text) is None
