"""Rejections: requests that the edge refused, kept within bounds, and what became of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from hookline.store.session import Session
from hookline.store.statements import load

_SQL = load("rejections.sql")
_EVER = datetime.min.replace(tzinfo=UTC)
_NEVER = datetime.max.replace(tzinfo=UTC)


class Bounds(NamedTuple):
    """How much of one source is kept, by all edges together. Fields in the order of the statements."""

    max_count: int
    max_bytes: int
    """Of what the rows hold; the disk needs somewhat more, and until a vacuum what was removed as well."""
    max_age: timedelta
    """Since the receipt."""


class NewRejection(NamedTuple):
    """A refused request as it is written. Fields in the order of the statement."""

    id: UUID
    received_at: datetime
    size: int
    """Bytes of the body, as far as they were read or announced."""
    status: int
    """The answer."""
    source: str
    cause: str
    """A stable word."""
    method: str
    target: str
    """Path and query, masked."""
    omitted: str
    """Why the original isn't kept; "" if it is."""
    headers: str
    """JSON: a list of [name, value] pairs in order of arrival, masked."""
    original: bytes | None
    """The whole request, sealed."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """A refused request as it is found again; the original is fetched apart."""

    id: UUID
    received_at: datetime
    source: str
    cause: str
    method: str
    target: str
    status: int
    size: int
    headers: list[tuple[str, str]]
    omitted: str
    """Why the original isn't kept; "" if it is."""
    bytes: int
    """What it counts for in its source's bounds."""
    admitted_at: datetime | None
    event_id: UUID | None
    """The event that it became."""

    @property
    def place(self) -> "Place":
        """Where it stands in the list."""
        return Place(self.received_at, self.id)


class Place(NamedTuple):
    """A place in the list of rejections."""

    received_at: datetime
    id: UUID


OLDEST = Place(_EVER, UUID(int=0))
"""Before the oldest rejection."""
NEWEST = Place(_NEVER, UUID(int=2**128 - 1))
"""After the newest."""


class RejectionFilter(NamedTuple):
    """Which rejections somebody means: what is set must all fit. Fields in the order of the statements."""

    source: str = ""
    cause: str = ""
    since: datetime = _EVER
    """Received at or after."""
    until: datetime = _NEVER
    """Received before."""


async def keep(
    session: Session,
    rejections: Sequence[NewRejection],
    bounds: Mapping[str, Bounds],
    *,
    within: timedelta,
) -> int:
    """Write a batch and remove what goes beyond the bounds of its sources, the oldest first; answers how many.

    A batch may be written again: what is there already is passed over.

    Args:
        session: Where.
        rejections: At least one.
        bounds: Of every source in the batch.
        within: The longest that it may take.
    """
    sources = sorted({rejection.source for rejection in rejections})
    [row] = await session.fetch(
        _SQL["keep"],
        *zip(*rejections, strict=True),
        sources,
        *zip(*(bounds[source] for source in sources), strict=True),
        within=within,
    )
    removed: int = row["removed"]
    return removed


async def sources(session: Session, *, within: timedelta) -> list[str]:
    """The sources that have rejections."""
    return [row["source"] for row in await session.fetch(_SQL["sources"], within=within)]


async def trim(session: Session, source: str, bounds: Bounds, *, within: timedelta) -> int:
    """Remove what goes beyond a source's bounds, the oldest first; answers how many."""
    [row] = await session.fetch(_SQL["trim"], source, *bounds, within=within)
    removed: int = row["removed"]
    return removed


async def find_newest(
    session: Session, wanted: RejectionFilter, *, after: Place = NEWEST, count: int, within: timedelta
) -> list[Rejection]:
    """The `count` rejections that come after a place, the newest first."""
    rows = await session.fetch(_SQL["find_newest"], *wanted, *after, count, within=within)
    return [_from_row(row) for row in rows]


async def find_oldest(
    session: Session, wanted: RejectionFilter, *, after: Place = OLDEST, count: int, within: timedelta
) -> list[Rejection]:
    """The `count` rejections that come after a place and weren't admitted, the oldest first."""
    rows = await session.fetch(_SQL["find_oldest"], *wanted, *after, count, within=within)
    return [_from_row(row) for row in rows]


async def count(session: Session, wanted: RejectionFilter, *, within: timedelta) -> int:
    """How many fit and weren't admitted."""
    [row] = await session.fetch(_SQL["count"], *wanted, within=within)
    rejections: int = row["rejections"]
    return rejections


async def find(session: Session, ids: Sequence[UUID], *, within: timedelta) -> list[Rejection]:
    """Those of these that are there, the oldest first."""
    return [_from_row(row) for row in await session.fetch(_SQL["find"], ids, within=within)]


async def originals(session: Session, ids: Sequence[UUID], *, within: timedelta) -> dict[UUID, bytes]:
    """The sealed requests of those that have one."""
    rows = await session.fetch(_SQL["originals"], ids, within=within)
    return {row["id"]: row["original"] for row in rows}


async def mark_admitted(session: Session, events: Mapping[UUID, UUID], *, within: timedelta) -> None:
    """Note which event each rejection became; one that was admitted before keeps its mark."""
    await session.fetch(_SQL["mark_admitted"], list(events), list(events.values()), within=within)


def _from_row(row: asyncpg.Record) -> Rejection:
    values = dict(row)
    values["headers"] = msgspec.json.decode(row["headers"], type=list[tuple[str, str]])
    return Rejection(**values)
