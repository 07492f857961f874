"""Hear the edge's hints that something was committed."""

import asyncio
from collections.abc import Callable

import structlog

from hookline.errors import DatabaseUnavailable
from hookline.store.session import Session

_log = structlog.get_logger(__name__)

COMMITS = "hookline"
"""An edge has committed something."""
CONTROL = "hookline_control"
"""An operator, or another relay, has changed something."""
MEMBERS = "members"
FORWARDED = "forwarded"
ACCESS = "access"
_CHECK = 1.0
"""Seconds between looks at whether the connection still lives."""


class Wakeup:
    """One listening connection per process; it passes each hint on to every subscription.

    Hints only shorten the wait: whoever gets none looks at the log when its poll interval is over.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._hear: set[Callable[[], None]] = set()
        self.on_control: Callable[[str], None] = lambda _: None
        """Called on each hint that isn't about a commit: with "members" if relays came, left, or gave up shards, with
        "forwarded" if settlements were passed on, with "access" if access tokens were changed, with "" if operators
        changed anything else."""

    def subscribe(self, hear: Callable[[], None]) -> None:
        """Call `hear` on each commit."""
        self._hear.add(hear)

    def unsubscribe(self, hear: Callable[[], None]) -> None:
        """Don't any more."""
        self._hear.discard(hear)

    async def run(self) -> None:
        """Listen until cancelled, on a new connection whenever one breaks."""
        try:
            while True:
                if not self._session.is_open:
                    try:
                        await self._session.listen(COMMITS, self._on_commit)
                        await self._session.listen(CONTROL, self.on_control)
                        # What was said while nobody listened.
                        for kind in ("", MEMBERS, FORWARDED, ACCESS):
                            self.on_control(kind)
                    except DatabaseUnavailable as error:
                        _log.warning("not listening for commits; polling", reason=str(error))
                await asyncio.sleep(_CHECK)
        finally:
            await self._session.close()

    def _on_commit(self, _: str) -> None:
        for hear in self._hear:
            hear()
