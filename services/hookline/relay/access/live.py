"""The tokens as the database has them, kept true while the relay serves.

What is changed anywhere counts here within five seconds: the database hints, and is looked at every two seconds. When a
token expires is the database's to say; between two looks the time that was left runs on by this machine's steady clock,
so that a wrong clock changes nothing and a database that is away stops no token from expiring.
"""

import asyncio
from contextlib import suppress
from datetime import timedelta
from time import monotonic

import structlog

from hookline.errors import DatabaseUnavailable, StatementRefused
from hookline.store import access_tokens
from hookline.store.access_tokens import KnownToken
from hookline.store.session import Session

_log = structlog.get_logger(__name__)

_EVERY = 2.0
"""Seconds between two looks without a hint."""
_SPACING = 0.05
"""Seconds that hints have to gather."""
_WITHIN = timedelta(seconds=2)


class LiveTokens:
    """What is known of all tokens that count.

    Args:
        session: To the database, for this alone.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._known: dict[str, KnownToken] = {}
        self._ends: dict[str, float] = {}
        """When those expire that do, by `monotonic`."""
        self._hint = asyncio.Event()
        self._changed = asyncio.Event()
        self._in_trouble = False

    def __repr__(self) -> str:
        return f"<LiveTokens {len(self._known)}>"

    def get(self, token_id: str) -> KnownToken | None:
        """The token of that id; None if it doesn't count, or not any more."""
        known = self._known.get(token_id)
        if known is not None and known.expires_at is not None and self._ends[token_id] <= monotonic():
            return None
        return known

    async def changed(self, token_id: str) -> None:
        """Wait until this token may not be what it was: something was changed, or it has expired."""
        changed, end = self._changed, self._ends.get(token_id)
        with suppress(TimeoutError):
            async with asyncio.timeout(None if end is None else max(0.0, end - monotonic())):
                await changed.wait()

    async def load(self) -> None:
        """Read them.

        Raises:
            DatabaseUnavailable: The database can't be reached; those last read go on.
            StatementRefused: It was not migrated.
        """
        # Before the answer, so that the way it takes makes no token live longer.
        asked_at = monotonic()
        found = await access_tokens.live(self._session, within=_WITHIN)
        known = {token.id: token for token in found}
        is_changed = known != self._known
        self._known = known
        self._ends = {
            token.id: asked_at + token.remaining.total_seconds()
            for token in found
            if token.remaining is not None
        }
        if is_changed:
            changed, self._changed = self._changed, asyncio.Event()
            changed.set()

    def hear(self) -> None:
        """Somebody has changed a token, perhaps."""
        self._hint.set()

    async def run(self) -> None:
        """Keep them true until cancelled."""
        try:
            while True:
                await self._wait()
                await self._look()
        finally:
            await self._session.close()

    async def _wait(self) -> None:
        """Until it is time to look again, or there is a hint."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_EVERY):
                await self._hint.wait()
                await asyncio.sleep(_SPACING)
        self._hint.clear()

    async def _look(self) -> None:
        try:
            await self.load()
        except (DatabaseUnavailable, StatementRefused) as error:
            if not self._in_trouble:
                self._in_trouble = True
                _log.warning("access tokens not read; those last read go on", reason=str(error))
        else:
            if self._in_trouble:
                self._in_trouble = False
                _log.info("access tokens read again", tokens=len(self._known))
