"""Retention: drop what is old and what nobody needs, and say who needs the rest.

Segments of the log and days of the histories are dropped whole. A drop needs its table for itself for a moment: it is
tried, for a short time, and not at all while somebody else's transaction stays in it; then the next run does it.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from hookline.config.retention import Retention
from hookline.model import Seq
from hookline.store.session import Session
from hookline.store.statements import load

Kind = Literal["unread", "pending", "waiting", "blocked", "dead", "replay"]
State = Literal["written", "young", "needed", "expired", "dropped"]
History = Literal["attempts", "acks"]

_SQL = load("retention.sql")
_PATIENCE = timedelta(milliseconds=50)
"""For a lock: as long as that, everybody who wants the table may have to wait behind us."""
_TRIES = 5
"""For one segment, before the rest is left to the next run."""
_PAUSE = 0.2
"""Seconds between two of them, in which everybody else goes on."""
_STAYS = 0.25
"""Seconds after which a transaction that still has a table in use isn't waited for."""
_ROWS = 1000
"""Deleted in one transaction."""


class Need(NamedTuple):
    """Why a segment is kept: what one subscription needs of it."""

    kind: Kind
    """`unread`: a cursor has yet to come to it; `pending`: handed out; `replay`: it will be looked at; else a state of
    deliveries."""
    subscription: str
    replay: int
    """0 is none."""
    shards: int | None
    deliveries: int | None
    """None where they aren't counted."""
    first_seq: Seq
    """The first event that is needed."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of the log."""

    name: str
    from_seq: Seq
    until_seq: Seq
    """The first seq that is not in it."""
    bytes: int
    newest_at: datetime | None
    """When its newest event was received; None: it has none."""
    state: State
    """`written`: now or in the future; `young`: to be kept in any case; `expired`: can be dropped."""
    needs: tuple[Need, ...] = ()


class Day(NamedTuple):
    """A day of a history that is old enough."""

    history: History
    name: str
    until_time: datetime
    bytes: int
    dropped: bool = False


@dataclass(slots=True)
class Report:
    """What a run has found and done."""

    now: datetime
    """By the database's clock."""
    segments: list[Segment] = field(default_factory=list)
    days: list[Day] = field(default_factory=list)
    rows: int = 0
    """Deleted from histories that had no day to go to."""
    leftovers: int = 0
    """Rows of relays that have died."""
    busy: str = ""
    """Why not all was done that could be: somebody has the table in use."""


async def survey(session: Session, keep: Retention, *, within: timedelta) -> Report:
    """Look at what there is, and at who needs what is old.

    Args:
        session: Where.
        keep: What is old.
        within: The deadline of each statement.
    """
    [clock] = await session.fetch(_SQL["clock"], within=within)
    report = Report(clock["now"])
    for row in await session.fetch(_SQL["segments"], within=within):
        name, from_seq, until_seq, size, newest_at = row.values()
        needs: list[Need] = []
        if until_seq > clock["last_seq"]:
            state: State = "written"
        elif newest_at is not None and newest_at > report.now - keep.outbox:
            state = "young"
        else:
            rows = await session.fetch(_SQL["needs"], name, from_seq, until_seq, within=within)
            needs = [Need(*need.values()) for need in rows]
            state = "needed" if needs else "expired"
        report.segments.append(Segment(name, from_seq, until_seq, size, newest_at, state, tuple(needs)))
    for history, age in _histories(keep):
        rows = await session.fetch(_SQL["old_days"], history, age, within=within)
        report.days += [Day(history, *day.values()) for day in rows]
    return report


async def maintain(session: Session, keep: Retention, *, within: timedelta) -> Report:
    """Drop what is old and what nobody needs. Several may do it at once: one of them does."""
    report = await survey(session, keep, within=within)
    for place, segment in enumerate(report.segments):
        if report.busy:
            break
        if segment.state == "expired":
            dropping = _Drop(session, ["outbox"], "drop_segment", (segment.name, keep.outbox), within)
            if await dropping.done(report):
                report.segments[place] = replace(segment, state="dropped")
    ages = dict(_histories(keep))
    for place, day in enumerate(report.days):
        if report.busy:
            break
        tables = [day.history, f"{day.history}_default"]
        arguments = (day.history, day.name, ages[day.history])
        if await _Drop(session, tables, "drop_day", arguments, within).done(report):
            report.days[place] = day._replace(dropped=True)
    for history, age in ages.items():
        deleted = _ROWS
        while deleted == _ROWS:
            [row] = await session.fetch(_SQL["expire_default"], history, age, _ROWS, within=within)
            deleted = row["expired"]
            report.rows += deleted
    [row] = await session.fetch(_SQL["sweep_leftovers"], within=within)
    report.leftovers = row["swept"]
    return report


async def held(session: Session, keep: Retention, *, within: timedelta) -> tuple[int, float]:
    """How many segments the log has; and for how many seconds the oldest has been old that somebody needs, or 0."""
    [row] = await session.fetch(_SQL["held"], keep.outbox, within=within)
    return row["segments"], row["held_age"] or 0.0


async def complete_since(session: Session, *, within: timedelta) -> datetime | None:
    """Since when nothing was dropped from the log; None if nothing ever was."""
    [row] = await session.fetch(_SQL["complete_since"], within=within)
    since: datetime | None = row["since"]
    return since


class _Drop:
    """One thing to drop, with the tables that have to be ours for a moment."""

    def __init__(
        self,
        session: Session,
        tables: Sequence[str],
        statement: str,
        arguments: tuple[object, ...],
        within: timedelta,
    ) -> None:
        self._session = session
        self._tables = tables
        self._statement = statement
        self._arguments = arguments
        self._within = within

    async def done(self, report: Report) -> bool:
        """Try it; says in the report who was in the way."""
        for _ in range(_TRIES):
            # To wait for a lock makes everybody wait behind us: so not for a transaction that just stays.
            if stays := await self._who_stays():
                report.busy = (
                    f"{' and '.join(self._tables)}: in use by a transaction that goes on"
                    f" ({', '.join(stays)}); look for it in pg_stat_activity"
                )
                return False
            [row] = await self._session.fetch(
                _SQL[self._statement], *self._arguments, _PATIENCE, within=self._within
            )
            if row["outcome"] == "elsewhere":
                report.busy = "another run drops something, or a replay is being created, at this moment"
                return False
            if row["outcome"] != "busy":
                return bool(row["outcome"] == "dropped")
            await asyncio.sleep(_PAUSE)
        report.busy = f"{' and '.join(self._tables)}: in use all the time"
        return False

    async def _who_stays(self) -> list[str]:
        before = await self._transactions()
        if not before:
            return []
        await asyncio.sleep(_STAYS)
        after = await self._transactions()
        return sorted(after[transaction] for transaction in before.keys() & after.keys())

    async def _transactions(self) -> dict[str, str]:
        rows = await self._session.fetch(_SQL["transactions"], self._tables, within=self._within)
        return {row["id"]: f"pid {row['pid']}" if row["pid"] else "a prepared transaction" for row in rows}


def _histories(keep: Retention) -> list[tuple[History, timedelta]]:
    return [("attempts", keep.attempts), ("acks", keep.acks)]
