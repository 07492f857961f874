"""Carry what one edge has noticed into the database, and back what the others have."""

import asyncio
import time
from collections.abc import Sequence
from datetime import timedelta

import structlog

from hookline.core.shape.shape import Shape
from hookline.edge.watch.notes import Notes
from hookline.errors import DatabaseUnavailable, StatementRefused
from hookline.store import shapes
from hookline.store.session import Session
from hookline.store.shapes import Stored

_log = structlog.get_logger(__name__)

_AT_ONCE = 16
"""Types in one statement."""
_TRIES = 3
"""How often another edge may be first before the rest is left for the next time."""
_WITHIN = timedelta(seconds=5)


class SchemaStore:
    """Writes notes."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def write(self, notes: Sequence[Notes]) -> list[Notes]:
        """Write all of them.

        Returns:
            Those for whose types there is no room.

        Raises:
            DatabaseUnavailable: Some are not written, or nobody knows. They keep what they have.
        """
        late: list[Notes] = []
        for first in range(0, len(notes), _AT_ONCE):
            left = list(notes[first : first + _AT_ONCE])
            for _ in range(_TRIES):
                left = await self._write(left, late)
                if not left:
                    break
        return late

    async def _write(self, notes: list[Notes], late: list[Notes]) -> list[Notes]:
        """Write some in one statement; answers those with which somebody else was first."""
        notes = await self._read(notes, late)
        changes = {}
        for one in notes:
            changes[one.name] = one.change(time.time())
            await asyncio.sleep(0)  # each takes up to some milliseconds
        if not changes:
            return []
        try:
            written = await shapes.write(self._session, changes, within=_WITHIN)
        except DatabaseUnavailable:
            for one in notes:
                one.doubtful()
            raise
        except StatementRefused as error:
            for one in notes:
                one.refused()
            return await self._isolate(notes, late, error)
        for one in notes:
            if one.name in written:
                one.written()
            else:
                one.refused()
        return [one for one in notes if one.name not in written]

    async def _read(self, notes: list[Notes], late: list[Notes]) -> list[Notes]:
        unread = [one for one in notes if one.stored is None]
        if not unread:
            return notes
        found = await shapes.read_some(self._session, [one.name for one in unread], within=_WITHIN)
        for one in unread:
            stored = found.get(one.name)
            if stored is None and one.is_refused:
                late.append(one)
            else:
                one.meet(stored or Stored(0, Shape(began=time.time())))
        return [one for one in notes if one not in late]

    async def _isolate(self, notes: list[Notes], late: list[Notes], error: StatementRefused) -> list[Notes]:
        """Keep one that Postgres refuses from taking the others with it."""
        if len(notes) == 1:
            _log.error("the shape of a type could not be written", source=notes[0].name[0], reason=str(error))
            notes[0].give_up()
            return []
        left = []
        for one in notes:
            one.is_refused = False
            left += await self._write([one], late)
        return left
