"""The shapes of bodies as the edges learned them together, and what has drifted.

Every write names the version that it follows. Who comes second, or writes the same again, changes nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import msgspec

from hookline.core.shape.finding import SchemaFinding
from hookline.core.shape.shape import Drift, Shape
from hookline.model import SourceName
from hookline.store.session import Session
from hookline.store.statements import load

MOST_TYPES = 200
"""Types of one source that are told apart."""
LATE_TYPE = "*"
"""Stands for the types of a source beyond those. Their bodies are counted."""
_MOST_FINDINGS = 1_000
"""Rows for one source and type. A schema that refers to itself can be violated at any number of places."""
_SQL = load("shapes.sql")

Name = tuple[SourceName, str]
"""A source and a type."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A shape with the version that it has in the database; 0 if it isn't there."""

    version: int
    shape: Shape


@dataclass(frozen=True, slots=True)
class Change:
    """A shape that follows a stored one, and what became known with it."""

    shape: Shape
    version: int
    """That of the shape that it follows."""
    drifts: Sequence[Drift] = ()
    findings: Mapping[SchemaFinding, tuple[UUID | None, int]] = field(default_factory=dict)
    """The last event, if it was accepted, and the number of bodies."""


@dataclass(frozen=True, slots=True)
class DriftRow:
    """One row of `hookline.drift`."""

    source: str
    type: str
    path: str
    kind: str
    was: int
    now: int
    count: int
    first_seen: datetime
    last_seen: datetime


@dataclass(frozen=True, slots=True)
class FindingRow:
    """One row of `hookline.schema_findings`."""

    source: str
    type: str
    keyword: str
    schema_path: str
    path: str
    count: int
    event_id: UUID | None
    first_seen: datetime
    last_seen: datetime


async def read(session: Session, sources: Sequence[str], *, within: timedelta) -> dict[Name, Stored]:
    """All shapes of these sources."""
    return _stored(await session.fetch(_SQL["read"], sources, within=within))


async def read_some(session: Session, names: Sequence[Name], *, within: timedelta) -> dict[Name, Stored]:
    """These shapes, as far as they exist."""
    columns = [source for source, _ in names], [type_ for _, type_ in names]
    return _stored(await session.fetch(_SQL["read_some"], *columns, within=within))


async def write(session: Session, changes: Mapping[Name, Change], *, within: timedelta) -> set[Name]:
    """Write changes, each only if the shape that it follows is still the one in the database.

    Returns:
        Which were written. A shape that isn't in the database is refused once its source has `MOST_TYPES`.
    """
    shapes = [(*name, change.version + 1, _encode(change.shape)) for name, change in changes.items()]
    drifts = [
        (*name, drift.path, drift.kind, drift.was, drift.now, drift.count)
        for name, change in changes.items()
        for drift in change.drifts
    ]
    maps = [(*name, path) for name, change in changes.items() for path in change.shape.maps]
    findings = [
        (*name, *finding, event_id, count)
        for name, change in changes.items()
        for finding, (event_id, count) in change.findings.items()
    ]
    rows = await session.fetch(
        _SQL["write"],
        *_columns(shapes, 4),
        *_columns(drifts, 7),
        *_columns(maps, 3),
        *_columns(findings, 7),
        MOST_TYPES,
        _MOST_FINDINGS,
        within=within,
    )
    return {(SourceName(row["source"]), row["type"]) for row in rows}


async def accept(
    session: Session,
    source: SourceName,
    *,
    type_: str | None = None,
    paths: Sequence[str] | None = None,
    within: timedelta,
) -> list[str]:
    """Make what has drifted the known shape, and forget the drift and the findings.

    Args:
        session: Where.
        source: Whose.
        type_: Of this type alone.
        paths: At these paths alone.
        within: Deadline of each statement.

    Returns:
        The types that are as they should be now.
    """
    names = [name for name in await read(session, [source], within=within) if type_ in (None, name[1])]
    for name in names:
        while stored := (await read_some(session, [name], within=within)).get(name):
            row = (*name, stored.version, _encode(stored.shape.accepted(paths)))
            if await session.fetch(_SQL["accept"], *_columns([row], 4), paths, within=within):
                break
            # An edge was first; it is read again.
    return [type_ for _, type_ in names]


async def drift(
    session: Session, *, source: str | None, type_: str | None, since: datetime, within: timedelta
) -> list[DriftRow]:
    """What has drifted, the latest first."""
    rows = await session.fetch(_SQL["drift"], source, type_, since, within=within)
    return [DriftRow(*row) for row in rows]


async def findings(
    session: Session, *, source: str | None, type_: str | None, since: datetime, within: timedelta
) -> list[FindingRow]:
    """What schemas didn't allow, the latest first."""
    rows = await session.fetch(_SQL["findings"], source, type_, since, within=within)
    return [FindingRow(*row) for row in rows]


def _stored(rows: Sequence[asyncpg.Record]) -> dict[Name, Stored]:
    return {
        (SourceName(row["source"]), row["type"]): Stored(
            row["version"], msgspec.json.decode(row["shape"], type=Shape)
        )
        for row in rows
    }


def _encode(shape: Shape) -> str:
    return msgspec.json.encode(shape).decode()


def _columns(rows: Sequence[tuple[object, ...]], count: int) -> list[list[object]]:
    """Rows as columns."""
    return [[row[place] for row in rows] for place in range(count)]
