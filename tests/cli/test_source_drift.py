"""`hookline sources drift` and `shape`, as somebody types them, against a real database."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from hookline.cli.source_drift import drift_app, shape
from hookline.core.shape.finding import SchemaFinding
from hookline.core.shape.lesson import Lesson
from hookline.core.shape.shape import Learning, Shape
from hookline.model import SourceName
from hookline.store import shapes
from hookline.store.session import Session
from hookline.store.shapes import Change

WITHIN = timedelta(seconds=5)
INTEGER, STRING, OBJECT = 4, 16, 64
EVENT = uuid4()
APP = typer.Typer()
APP.add_typer(drift_app)
APP.command()(shape)

Run = Callable[..., Awaitable[Result]]


@pytest.fixture
async def session(database: str) -> Any:
    session = Session(database, name="test")
    yield session
    await session.close()


@pytest.fixture
def run(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOOKLINE_DATABASE_URL", database)
    monkeypatch.setenv("COLUMNS", "220")

    async def run(*arguments: str) -> Result:
        # In a thread, as in a process of its own: a command has an event loop for itself.
        return await asyncio.to_thread(CliRunner().invoke, APP, arguments)

    return run


async def fill(session: Session, source: str = "begini", type_: str = "application.complete") -> None:
    """A learned shape with one drift of each kind, and one finding."""
    known = Lesson(
        bodies=100,
        places={
            "$": {OBJECT: 100},
            "$.uid": {STRING: 100},
            "$.old": {STRING: 100},
            "$.list": {32: 9},
            "$.list[]": {INTEGER: 9},
        },
    )
    now = Lesson(
        bodies=60,
        places={"$": {OBJECT: 60}, "$.uid": {INTEGER: 60}, '$["[red]x"]': {STRING: 3}},
    )
    made, _ = Shape(began=1.0).after(known, now=1.0, learning=Learning())
    made, drifts = made.after(now, now=1.0, learning=Learning())
    findings: dict[SchemaFinding, tuple[UUID | None, int]] = {
        SchemaFinding("type", "#/properties/uid/type", "$.uid"): (EVENT, 60)
    }
    await shapes.write(
        session, {(SourceName(source), type_): Change(made, 0, drifts, findings)}, within=WITHIN
    )


async def test_drift_is_listed_for_people(session: Session, run: Run) -> None:
    await fill(session)
    for arguments in (["drift"], ["drift", "begini"], ["drift", "list", "begini", "--since", "1h"]):
        listed = await run(*arguments)
        assert listed.exit_code == 0, listed.output
        for text in ("$.uid", "type", "string", "integer", '$["[red]x"]', "new", "$.old", "vanished", "60"):
            assert text in listed.output
        assert str(EVENT) in listed.output
        assert "#/properties/uid/type" in listed.output
    assert (await run("drift", "other")).output == "no drift\n"


async def test_and_as_json_by_source_type_and_time(session: Session, run: Run) -> None:
    await fill(session)
    await fill(session, "stripe", "b")
    whole = json.loads((await run("drift", "--json")).output)
    assert (len(whole["drift"]), len(whole["findings"])) == (6, 2)
    found = json.loads((await run("drift", "begini", "--json")).output)
    rows = [(row["path"], row["kind"], row["was"], row["now"], row["count"]) for row in found["drift"]]
    assert sorted(rows) == [
        ("$.old", "vanished", ["string"], [], 60),
        ("$.uid", "type", ["string"], ["integer"], 60),
        ('$["[red]x"]', "new", [], ["string"], 3),
    ]
    assert found["findings"][0]["event_id"] == str(EVENT)
    assert len(json.loads((await run("drift", "--type", "b", "--json")).output)["drift"]) == 3
    assert json.loads((await run("drift", "--since", "2099-01-01", "--json")).output) == {
        "drift": [], "findings": [],
    }  # fmt: skip
    wrong = await run("drift", "--since", "yesterday")
    assert wrong.exit_code == 2
    assert "an age such as 2h or 7d" in wrong.output


async def test_accepting_ends_the_drift(session: Session, run: Run) -> None:
    await fill(session)
    one = await run("drift", "accept", "begini", "--path", "$.uid")
    assert (one.exit_code, one.output) == (0, "accepted: application.complete\n")
    left = json.loads((await run("drift", "--json")).output)
    assert {row["path"] for row in left["drift"]} == {"$.old", '$["[red]x"]'}
    assert left["findings"] == []
    assert json.loads((await run("drift", "accept", "begini", "--json")).output) == {
        "accepted": ["application.complete"]
    }
    assert (await run("drift")).output == "no drift\n"
    assert (await run("drift", "accept", "unknown")).output == "nothing was learned of it\n"


async def test_a_shape_is_shown_as_a_tree_and_as_json(session: Session, run: Run) -> None:
    await fill(session)
    shown = await run("shape", "begini")
    assert shown.exit_code == 0
    lines = [line.strip("│├└─ ") for line in shown.output.splitlines()]
    assert lines == [
        "application.complete  160 bodies, learned",
        "list  array",
        "[]  integer",
        "old  string",
        "uid  integer or string",
        '["[red]x"]  string  new',
    ]
    found = json.loads((await run("shape", "begini", "application.complete", "--json")).output)
    assert found["application.complete"]["paths"]['$["[red]x"]'] == {
        "types": ["string"], "bodies": 3, "known": False,
    }  # fmt: skip
    assert (await run("shape", "begini", "other")).output == "nothing was learned of it\n"


async def test_without_a_database_the_variable_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOOKLINE_DATABASE_URL")
    result = await run("drift")
    assert (
        str(result.exception)
        == "no database: set HOOKLINE_DATABASE_URL, or go to where `hookline run` keeps its data in .hookline"
    )
