"""Which events of the log a replay delivers: looked for a bounded part at a time."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from hookline.core.filter import Filter
from hookline.core.subscription import Subscription
from hookline.model import LoggedEvent, Seq, Shard, SourceName
from hookline.store.replays import Looked, Selection, Wanted
from hookline.store.session import Session
from hookline.store.statements import load

_SQL = load("replays.sql")
_BODY_BYTES = 8 * 1024 * 1024
"""Of the bodies that are read at a time, where a condition needs them."""
_REMEMBERED = 4096


class _Entry(NamedTuple):
    """One event, as far as a scan reads it."""

    seq: Seq
    shard: int
    source: str
    type: str
    passed: bool
    logged: bool


class Choice:
    """Decides which events a replay delivers: by the replay's own globs, and by the subscription's filter."""

    def __init__(self, selection: Selection, subscription: Subscription) -> None:
        self.selection = selection
        self.subscription = subscription.name
        self._own = Filter(sources=selection.sources, types=selection.types)
        self._globs = Filter(sources=subscription.sources, types=subscription.types)
        self._filter = Filter(
            sources=subscription.sources, types=subscription.types, expression=subscription.expression
        )
        self.reads_bodies = bool(subscription.expression)
        """Whether source and type don't say it all."""
        self._verdicts: dict[tuple[str, str], bool] = {}

    def may_want(self, source: str, type_: str) -> bool:
        """Whether source and type fit; all there is to know unless bodies are read."""
        verdict = self._verdicts.get((source, type_))
        if verdict is None:
            event = _bare(source, type_)
            verdict = self._own.matches(event) and self._globs.matches(event)
            if len(self._verdicts) < _REMEMBERED:
                self._verdicts[source, type_] = verdict
        return verdict

    def wants(self, event: LoggedEvent) -> bool:
        """Whether the subscription's filter, with its condition, lets it through."""
        return self._filter.matches(event)


async def look(
    session: Session,
    choice: Choice,
    *,
    position: Seq,
    until_seq: Seq,
    span: int,
    most: int,
    within: timedelta,
) -> Looked:
    """Look at the next part of the log.

    Args:
        session: Where.
        choice: What is wanted.
        position: Where to begin: above this seq.
        until_seq: Where to end at the latest.
        span: How many seqs to look at, at most.
        most: How many events to answer, at most; what follows them isn't looked at.
        within: Deadline of each statement; there are two at most.
    """
    if choice.selection.event_ids is None:
        upto = Seq(min(position + span, until_seq))
        entries = await _scan(session, choice, position, upto, within=within)
        # What the cursor hasn't passed comes in the normal course.
        wanted = [
            Wanted(entry.seq, Shard(entry.shard), place, awaited=False)
            for place, entry in enumerate(entries)
            if entry.passed and choice.may_want(entry.source, entry.type)
        ]
        unsure = {event.seq for event in wanted} if choice.reads_bodies else set()
    else:
        limit = min(span, most)
        entries = await _scan_ids(session, choice, position, limit, within=within)
        upto = entries[-1].seq if len(entries) == limit else until_seq
        # Those that come in the normal course needn't be waited for: not passed, and wanted by the subscription.
        coming = {
            entry.seq for entry in entries if not entry.passed and choice.may_want(entry.source, entry.type)
        }
        unsure = coming if choice.reads_bodies else set()
        wanted = [
            Wanted(entry.seq, Shard(entry.shard), place, awaited=not entry.passed)
            for place, entry in enumerate(entries)
            if entry.logged and (entry.seq not in coming or entry.seq in unsure)
        ]
    looked = Looked(upto, len(entries), wanted[:most])
    if len(wanted) > most:
        looked = _end_before(looked, wanted[most])
    if not unsure:
        return looked
    return await _read_bodies(session, looked, choice, unsure, within=within)


async def count(
    session: Session, choice: Choice, *, position: Seq, upto: Seq, within: timedelta
) -> dict[tuple[str, str], int]:
    """Events of the chosen time above `position` and up to `upto`, by source and type.

    Only those that the subscription's cursors have passed: the others come in the normal course.
    """
    selection = choice.selection
    rows = await session.fetch(
        _SQL["count"],
        choice.subscription,
        position,
        upto,
        selection.start_time,
        selection.end_time,
        within=within,
    )
    return {(row["source"], row["type"]): row["events"] for row in rows}


async def _scan(
    session: Session, choice: Choice, position: Seq, upto: Seq, *, within: timedelta
) -> list[_Entry]:
    selection = choice.selection
    rows = await session.fetch(
        _SQL["scan"],
        choice.subscription,
        position,
        upto,
        selection.start_time,
        selection.end_time,
        within=within,
    )
    return [_Entry._make(row) for row in rows]


async def _scan_ids(
    session: Session, choice: Choice, position: Seq, limit: int, *, within: timedelta
) -> list[_Entry]:
    selection = choice.selection
    rows = await session.fetch(
        _SQL["scan_ids"],
        choice.subscription,
        selection.event_ids,
        selection.seqs,
        position,
        limit,
        within=within,
    )
    return [_Entry._make(row) for row in rows]


async def _read_bodies(
    session: Session, looked: Looked, choice: Choice, unsure: set[Seq], *, within: timedelta
) -> Looked:
    """Judge events by their bodies; what doesn't fit into the memory that this may take isn't looked at."""
    asked = [event for event in looked.wanted if event.seq in unsure]
    if not asked:
        return looked
    rows = await session.fetch(
        _SQL["read"],
        [event.shard for event in asked],
        [event.seq for event in asked],
        _BODY_BYTES,
        within=within,
    )
    fits = {row["seq"]: choice.wants(LoggedEvent._make(row)) for row in rows}
    last = max(fits, default=asked[-1].seq)
    unread = next((event for event in asked if event.seq > last), None)
    if unread is not None:
        looked = _end_before(looked, unread)
    return looked._replace(
        wanted=[
            event
            for event in looked.wanted
            # An awaited one is added if the subscription's filter doesn't let it come in the normal course.
            if event.seq not in unsure or (event.seq in fits and fits[event.seq] != event.awaited)
        ]
    )


def _end_before(looked: Looked, event: Wanted) -> Looked:
    """The same without this event and what comes after it."""
    return Looked(
        Seq(event.seq - 1), event.before, [other for other in looked.wanted if other.seq < event.seq]
    )


def _bare(source: str, type_: str) -> LoggedEvent:
    """An event of which nothing else is known."""
    return LoggedEvent(
        UUID(int=0),
        Seq(0),
        datetime.min.replace(tzinfo=UTC),
        Shard(0),
        False,
        SourceName(source),
        type_,
        "",
        "",
        "",
        "[]",
        b"",
    )
