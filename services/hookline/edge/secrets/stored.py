"""Secrets in the database: opened when they were changed, and looked for when no hint comes."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from hookline.edge.secrets.configured import key_of
from hookline.edge.secrets.secret import Secret
from hookline.edge.secrets.trouble import Trouble
from hookline.errors import DatabaseUnavailable, StatementRefused
from hookline.model import SourceName
from hookline.sealing import SealBroken, Sealer
from hookline.store.secrets import SECRETS, SealedSecret, current
from hookline.store.session import Session

_EVERY = 2.0
"""Seconds between two looks without a hint."""
_SPACING = 0.05
"""Seconds that hints have to gather."""
_WITHIN = timedelta(seconds=2)
_ALL = "stored secrets of all sources"

_Identity = tuple[str, str, datetime]
"""Source, id and time of creation: one that is stored anew under an old id is another secret."""


class StoredSecrets:
    """What the database has for these sources.

    Args:
        sources: Those that use it.
        session: Where; for this alone.
        sealer: Opens.
        trouble: Hears what goes wrong.
        changed: Called after each look with what was found, for every source.
    """

    def __init__(
        self,
        sources: Sequence[str],
        session: Session,
        sealer: Sealer,
        trouble: Trouble,
        changed: Callable[[Mapping[str, Sequence[Secret]]], None],
    ) -> None:
        self._sources = [SourceName(source) for source in sources]
        self._session = session
        self._sealer = sealer
        self._trouble = trouble
        self._changed = changed
        self._opened: dict[_Identity, tuple[bytes, bytes]] = {}
        """What was sealed, and what was in it."""
        self._hint = asyncio.Event()

    async def load(self) -> Mapping[str, Sequence[Secret]]:
        """Read and open all of them.

        Raises:
            SealBroken: One can't be opened.
            DatabaseUnavailable: The database can't be reached.
            StatementRefused: It was not migrated.
        """
        await self._listen()
        found = await self._current()
        return self._by_source([(sealed, self._open(sealed)) for sealed in found])

    async def watch(self) -> None:
        """Look at them until cancelled, on a new connection whenever one breaks."""
        while True:
            await self._wait()
            try:
                if not self._session.is_open:
                    await self._listen()
                found = await self._current()
            except (DatabaseUnavailable, StatementRefused) as error:
                self._trouble.begins(_ALL, str(error))
                continue
            self._trouble.ends(_ALL)
            self._changed(self._by_source([(sealed, self._try(sealed)) for sealed in found]))

    async def _current(self) -> list[SealedSecret]:
        return await current(self._session, self._sources, within=_WITHIN)

    async def _listen(self) -> None:
        try:
            async with asyncio.timeout(_WITHIN.total_seconds()):
                await self._session.listen(SECRETS, lambda _: self._hint.set())
        except TimeoutError:
            self._session.discard()
            raise DatabaseUnavailable("Postgres: can't listen: no answer in time") from None

    async def _wait(self) -> None:
        """Until it is time to look again, or there is a hint."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_EVERY):
                await self._hint.wait()
                await asyncio.sleep(_SPACING)
        self._hint.clear()

    def _open(self, sealed: SealedSecret) -> bytes:
        """What is in it.

        Raises:
            SealBroken: It can't be opened.
        """
        before, value = self._opened.get(_identity(sealed), (None, b""))
        return value if before == sealed.sealed else sealed.open(self._sealer)

    def _try(self, sealed: SealedSecret) -> bytes | None:
        """What is in it; if it can't be opened any more, what was in it."""
        what = f"{key_of(sealed.source)}: stored:{sealed.id}"
        try:
            value = self._open(sealed)
        except SealBroken as error:
            self._trouble.begins(what, str(error))
            return self._opened.get(_identity(sealed), (b"", None))[1]
        self._trouble.ends(what)
        return value

    def _by_source(
        self, found: Sequence[tuple[SealedSecret, bytes | None]]
    ) -> Mapping[str, Sequence[Secret]]:
        """The secrets of each source; and remember them, and no others."""
        secrets: dict[str, list[Secret]] = {source: [] for source in self._sources}
        self._opened = {}
        for sealed, value in found:
            if value is None:
                continue
            self._opened[_identity(sealed)] = (sealed.sealed, value)
            since = sealed.validity.valid_from or sealed.created_at
            secrets[sealed.source].append(Secret(f"stored:{sealed.id}", value, sealed.validity, since))
        return secrets


def _identity(sealed: SealedSecret) -> _Identity:
    return sealed.source, sealed.id, sealed.created_at
