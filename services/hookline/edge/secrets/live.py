"""Keep every source's live secrets true while the edge serves, without a restart.

Whatever is changed anywhere counts within five seconds: files are looked at every second and believed at the second
look, the database hints and is looked at every two seconds, and times of validity every half. Those times are judged
by this machine's clock (`time.time`); only for secrets that were ended at once the database's clock counts, so that a
machine whose clock is behind doesn't keep them. What can't be read stays as it was, until its time is over.

Variables are those of the process: another value takes a restart.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain

import structlog

from hookline import config
from hookline.config.secret_reference import Reference
from hookline.edge.secrets import configured
from hookline.edge.secrets.applied import Applied, Changed
from hookline.edge.secrets.configured import key_of
from hookline.edge.secrets.files import SecretFiles
from hookline.edge.secrets.secret import Secret, live
from hookline.edge.secrets.stored import StoredSecrets
from hookline.edge.secrets.trouble import Trouble
from hookline.errors import ConfigError
from hookline.sealing import SealBroken, Sealer
from hookline.store.session import Session

_log = structlog.get_logger(__name__)

_EVERY = 0.5
"""Seconds between two looks at the clock."""
_STORED = Reference("stored")


class LiveSecrets:
    """The live secrets of all sources that have any.

    Args:
        sources: Those of hookline.toml. One without `secrets` is left out.
        session: To the database, for this alone. None: no source says "stored".
        sealer: Opens what is stored. None: no key is configured.
        changed: Called in the event loop whenever the live secrets of a source are others than before.
    """

    def __init__(
        self,
        sources: Mapping[str, config.Source],
        session: Session | None,
        sealer: Sealer | None,
        changed: Changed,
    ) -> None:
        self._sources = {name: source for name, source in sources.items() if source.secrets}
        self._session = session
        self._sealer = sealer
        self._applied = Applied(changed)
        self._trouble = Trouble()
        self._files = SecretFiles([], self._trouble, self._file_changed)
        self._stored: StoredSecrets | None = None
        self._known: dict[str, dict[Reference, Sequence[Secret]]] = {}
        """By source and reference, live or not."""

    def __repr__(self) -> str:
        return f"<LiveSecrets of {len(self._sources)} sources>"

    async def load(self) -> Mapping[str, tuple[bytes, ...]]:
        """Read all of them.

        Returns:
            For each source its live secrets, the newest first; none if all of them are still to come.

        Raises:
            ConfigError: One is missing, empty, or can't be opened, or a source has none that is live or to come.
            DatabaseUnavailable: The database is needed and can't be reached.
            StatementRefused: It was not migrated.
        """
        try:
            return await self._load()
        except BaseException:
            await self._close()
            raise

    async def run(self) -> None:
        """Keep them true until cancelled. An edge whose `run` has ended serves with secrets that may be over."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._files.watch())
                group.create_task(self._watch_clock())
                if self._stored is not None:
                    group.create_task(self._stored.watch())
        finally:
            await self._close()

    async def _load(self) -> Mapping[str, tuple[bytes, ...]]:
        now = datetime.now(UTC)
        self._known = {source: {} for source in self._sources}
        references = list(configured.wanted(self._sources, now))
        for source, reference in references:
            self._known[source][reference] = [configured.read(source, reference)]
        files = [(source, reference) for source, reference in references if reference.kind == "file"]
        self._files = SecretFiles(files, self._trouble, self._file_changed)
        for source, secrets in (await self._load_stored()).items():
            self._known[source][_STORED] = secrets
        return {source: self._started(source, now) for source in self._sources}

    async def _close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _load_stored(self) -> Mapping[str, Sequence[Secret]]:
        sources = [name for name, source in self._sources.items() if _STORED in source.secrets]
        if not sources:
            return {}
        where = key_of(sources[0])
        if self._sealer is None:
            raise ConfigError(
                f"{where}: stored: can't be opened without a key; set secrets.keys"
                ' = ["env:HOOKLINE_SECRETS_KEY"] to the key with which it was stored'
            )
        assert self._session is not None, "an edge has a database"
        self._stored = StoredSecrets(
            sources, self._session, self._sealer, self._trouble, self._stored_changed
        )
        try:
            return await self._stored.load()
        except SealBroken as error:
            raise ConfigError(f"stored {error}") from None

    def _started(self, source: str, now: datetime) -> tuple[bytes, ...]:
        known = self._known[source]
        if _STORED in known and not known[_STORED]:
            problem = f"{key_of(source)}: stored: no secret of it is live or to come"
            fix = f"add one with `hookline sources secrets add {source}`"
            if not any(known.values()):
                raise ConfigError(f"{problem}; {fix}")
            # The others do for now; but somebody meant to have one.
            _log.warning("no stored secret", problem=problem, fix=fix)
        if not any(known.values()):
            references = ", ".join(map(str, self._sources[source].secrets))
            raise ConfigError(f"{key_of(source)}: {references}: is over; add a secret that is still valid")
        return self._applied.started(source, self._live(source, now))

    async def _watch_clock(self) -> None:
        while True:
            await asyncio.sleep(_EVERY)
            for source in self._sources:
                self._settle(source)

    def _file_changed(self, source: str, reference: Reference, secret: Secret) -> None:
        self._known[source][reference] = [secret]
        self._settle(source)

    def _stored_changed(self, found: Mapping[str, Sequence[Secret]]) -> None:
        for source, secrets in found.items():
            self._known[source][_STORED] = secrets
            self._settle(source)

    def _settle(self, source: str) -> None:
        self._applied.offer(source, self._live(source, datetime.now(UTC)))

    def _live(self, source: str, now: datetime) -> tuple[Secret, ...]:
        # In the order of the file: it decides between those of which no time is known.
        known = (self._known[source].get(reference, ()) for reference in self._sources[source].secrets)
        return live(chain.from_iterable(known), now)
