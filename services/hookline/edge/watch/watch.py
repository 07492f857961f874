"""Watch the shape of what comes in: learn it, notice when it drifts, and hold it against the schemas.

Beside the path of a webhook: `observe` only queues, and what is queued is looked at in slices that take a small part
of the time (`_SLICE`, `_REST`). Under load bodies are skipped, and counted.
"""

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from typing import NamedTuple
from uuid import UUID

import structlog

from hookline.core.shape.finding import SchemaFinding
from hookline.core.shape.learner import Subject
from hookline.edge.watch.knowledge import SchemaStore
from hookline.edge.watch.notes import Notes, Noticed
from hookline.edge.watch.rules import Rules
from hookline.errors import DatabaseUnavailable, StatementRefused
from hookline.model import SourceName
from hookline.store.session import Session
from hookline.store.shapes import LATE_TYPE, MOST_TYPES, Name

_log = structlog.get_logger(__name__)

_MOST_QUEUED = 256
_MOST_QUEUED_OF_A_TYPE = 64
"""So that a busy type leaves room for a rare one."""
_MOST_QUEUED_BYTES = 4 * 1024 * 1024
_SLICE = 0.001
"""Seconds of looking at bodies, unless a single one takes longer."""
_REST = 49
"""Times what a slice took: all in all, looking takes a fiftieth of the time."""
_SHORTEST_REST = 0.025
EVERY = 5.0
"""Seconds between two writes."""


class _Queued(NamedTuple):
    notes: Notes
    body: bytes
    event_id: UUID
    subject: Subject


class SchemaWatch:
    """What is known of the bodies of all sources."""

    def __init__(self, rules: Mapping[str, Rules], session: Session, *, every: float = EVERY) -> None:
        """Watch sources.

        Args:
            rules: By source; one that isn't there is not watched.
            session: Its own, closed by `run`.
            every: Seconds between two writes.
        """
        self._rules = {source: rule for source, rule in rules.items() if rule.mode != "off"}
        self._store = SchemaStore(session)
        self._session = session
        self._every = every
        self._notes: dict[Name, Notes] = {}
        self._types = dict.fromkeys(self._rules, 0)
        self._queue: deque[_Queued] = deque()
        self._queued_bytes = 0
        self._wake = asyncio.Event()
        self.noticed = Noticed()
        """Of all sources, since the start."""

    def __repr__(self) -> str:
        return f"<SchemaWatch types={len(self._notes)} queued={len(self._queue)}>"

    def judge(self, source: str, type_: str, body: bytes) -> SchemaFinding | None:
        """Why a verified body must be refused; None if it may come in. To be asked before it is stored.

        Only where the source's mode is "reject" and the type has a schema is there anything to ask.
        """
        rules = self._rules.get(source)
        finding = rules.judge(type_, body) if rules is not None else None
        if rules is not None and finding is not None:
            self._of(SourceName(source), type_, rules).find(finding, None)
        return finding

    def observe(self, source: str, type_: str, body: bytes, event_id: UUID, subject: Subject = "") -> None:
        """Look at a stored body sometime soon, if there is time. Never waits, never raises.

        Args:
            source: Where it came in.
            type_: The event's type.
            body: As it was verified.
            event_id: The event's id.
            subject: Whom the event is about, such as its ordering key: keys that come with one subject alone are
                never told. "": by the event's lineage.
        """
        rules = self._rules.get(source)
        if rules is None:
            return
        notes = self._of(SourceName(source), type_, rules)
        if (
            notes.queued >= _MOST_QUEUED_OF_A_TYPE
            or len(self._queue) >= _MOST_QUEUED
            or self._queued_bytes + len(body) > _MOST_QUEUED_BYTES
        ):
            notes.skip()
            return
        notes.queued += 1
        self._queued_bytes += len(body)
        self._queue.append(_Queued(notes, body, event_id, subject))
        if len(self._queue) == 1:
            self._wake.set()

    async def run(self) -> None:
        """Learn, and write what was learned, until cancelled; then write the rest."""
        looking = asyncio.create_task(self._look())
        try:
            while True:
                await asyncio.sleep(self._every)
                await self.flush()
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
            self._look_at(time.perf_counter() + _LAST_LOOK)
            try:
                await self.flush()
            finally:
                await self._session.close()

    async def flush(self) -> None:
        """Write what was learned and isn't written; what can't be written now is kept."""
        try:
            new = [notes for notes in dict.fromkeys(self._notes.values()) if notes.is_new]
            for late in await self._store.write(new):
                self._set_aside(late)
        except (DatabaseUnavailable, StatementRefused) as error:
            _log.warning("shapes of bodies not written", reason=str(error))
        except Exception as error:  # noqa: BLE001
            # Nobody but the schema watch may suffer from its mistakes. Their texts may hold keys of a body.
            _log.error("the schema watch failed", error=type(error).__name__)

    async def _look(self) -> None:
        while True:
            await self._wake.wait()
            begun = time.perf_counter()
            self._look_at(begun + _SLICE)
            if not self._queue:
                self._wake.clear()
            await asyncio.sleep(max(_SHORTEST_REST, _REST * (time.perf_counter() - begun)))

    def _look_at(self, until: float) -> None:
        """Look at what is queued, as much as there is time for."""
        while self._queue:
            notes, body, event_id, subject = self._queue.popleft()
            notes.queued -= 1
            self._queued_bytes -= len(body)
            try:
                notes.look(body, event_id, subject)
            except Exception as error:  # noqa: BLE001
                # As above.
                _log.error("a body could not be looked at", source=notes.name[0], error=type(error).__name__)
            if time.perf_counter() >= until:
                break

    def _of(self, source: SourceName, type_: str, rules: Rules) -> Notes:
        """The notes on a type; beyond `MOST_TYPES` all others share some."""
        name = source, type_
        notes = self._notes.get(name)
        if notes is not None:
            return notes
        if self._types[source] >= MOST_TYPES:
            return self._late(source, rules)
        self._types[source] += 1
        notes = self._notes[name] = Notes(name, rules, self.noticed)
        return notes

    def _late(self, source: SourceName, rules: Rules) -> Notes:
        """What counts the bodies of the types that aren't told apart."""
        name = source, LATE_TYPE
        if name not in self._notes:
            self._notes[name] = Notes(name, rules, self.noticed)
        return self._notes[name]

    def _set_aside(self, late: Notes) -> None:
        """Tell a type apart no longer: the database has enough of its source."""
        source = late.name[0]
        self._types[source] = MOST_TYPES
        common = self._late(source, self._rules[source])
        common.take_over(late)
        self._notes[late.name] = common


_LAST_LOOK = 0.2
"""Seconds for what is still queued when it ends."""
