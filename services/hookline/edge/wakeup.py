"""Tell relays that something was committed.

A NOTIFY inside the ingest transaction would put all commits in one line (PostgreSQL takes a global lock for it),
so it is sent after the commit, from one connection, at most every few milliseconds. It is only a hint.
"""

import asyncio
from datetime import timedelta

from hookline.errors import DatabaseUnavailable, StatementRefused
from hookline.store.ingest import notify
from hookline.store.session import Session

_QUIET_SPACING = 0.003
_BUSY_SPACING = 0.010
_BUSY_EVENTS = 10
"""Seconds between two hints. Where many events come at once relays gather them anyway, and need fewer hints."""
_WITHIN = timedelta(seconds=2)


class Wakeup:
    """Sends one hint for all commits since the last."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._committed = asyncio.Event()
        self._events = 0

    def committed(self, events: int) -> None:
        """Note a commit of so many events."""
        self._events += events
        self._committed.set()

    async def run(self) -> None:
        """Send hints until cancelled. A hint that can't be sent is dropped: relays poll anyway."""
        try:
            while True:
                await self._committed.wait()
                self._committed.clear()
                busy, self._events = self._events >= _BUSY_EVENTS, 0
                try:
                    await notify(self._session, within=_WITHIN)
                except (DatabaseUnavailable, StatementRefused):
                    await asyncio.sleep(1)
                await asyncio.sleep(_BUSY_SPACING if busy else _QUIET_SPACING)
        finally:
            await self._session.close()
