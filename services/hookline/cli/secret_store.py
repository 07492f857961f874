"""The stored secrets, as the command line sees them: one call after the other, and what is wrong said to people."""
# ruff: noqa: PLC0415  (an edge starts with this package, and needs none of this)

import asyncio
from collections.abc import Coroutine
from contextlib import ExitStack
from datetime import datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from hookline.cli.local import with_database
from hookline.config import Settings
from hookline.core.validity import Validity
from hookline.errors import ConfigError, HooklineError, StatementRefused
from hookline.model import SourceName

if TYPE_CHECKING:
    from hookline.sealing import Sealer
    from hookline.store.secrets import ListedSecret

_T = TypeVar("_T")
_WITHIN = timedelta(seconds=30)
_NO_TABLE = "42P01"


class SecretRefused(HooklineError):
    """This can't be done with this secret; the message says why."""


class SecretStore:
    """A connection to the database, and the keys.

    Raises:
        ConfigError: No database is configured.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        from hookline.store.session import Session

        with self._stack as stack:
            reached = stack.enter_context(with_database(self._settings))
            self._runner = stack.enter_context(asyncio.Runner())
            self._session = Session(reached.dsn() or "", name="secrets")
            stack.callback(lambda: self._runner.run(self._session.close()))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def sealer(self) -> "Sealer":
        """What seals with the configured keys.

        Raises:
            ConfigError: There is none, or one is missing.
        """
        sealer = self._settings.secrets.sealer()
        if sealer is None:
            raise ConfigError(
                'nothing can be sealed: set keys = ["env:HOOKLINE_SECRETS_KEY"] in [secrets] of hookline.toml;'
                " `hookline sources secrets new-key` makes a key"
            )
        return sealer

    def expect_keys(self) -> None:
        """Find out that nothing can be sealed before anybody is asked for a secret.

        Raises:
            ConfigError: There is no key, or one is missing.
        """
        assert self.sealer

    def listed(self, source: str | None) -> "list[ListedSecret]":
        """All of one source, or all."""
        from hookline.store import secrets

        return self._run(
            secrets.listed(self._session, SourceName(source) if source else None, within=_WITHIN)
        )

    def add(self, source: str, secret_id: str, secret: bytes, validity: Validity) -> str:
        """Store one more; answers its id."""
        from hookline.store import secrets

        added = self._run(
            secrets.add(
                self._session,
                self.sealer,
                secret,
                source=SourceName(source),
                secret_id=secret_id,
                validity=validity,
                within=_WITHIN,
            )
        )
        if not added:
            raise _taken(source, secret_id)
        return secret_id

    def rotate(self, source: str, secret_id: str, secret: bytes, overlap: timedelta) -> tuple[str, list[str]]:
        """Store a new one and let the others end; answers its id and theirs."""
        from hookline.store import secrets

        ended = self._run(
            secrets.rotate(
                self._session,
                self.sealer,
                secret,
                source=SourceName(source),
                secret_id=secret_id,
                overlap=overlap,
                within=_WITHIN,
            )
        )
        if ended is None:
            raise _taken(source, secret_id)
        return secret_id, ended

    def expire(self, source: str, secret_id: str, at: datetime | None) -> datetime:
        """Let one end; answers when."""
        from hookline.store import secrets

        ends = self._run(secrets.expire(self._session, SourceName(source), secret_id, at=at, within=_WITHIN))
        if ends is None:
            raise self._why_not(source, secret_id)
        return ends

    def remove(self, source: str, secret_id: str) -> None:
        """Forget one."""
        from hookline.store import secrets

        if not self._run(secrets.remove(self._session, SourceName(source), secret_id, within=_WITHIN)):
            raise _unknown(source, secret_id)

    def reseal(self) -> tuple[int, int]:
        """Seal everything again; answers how many were, and how many had to be."""
        from hookline.store import secrets

        return self._run(secrets.reseal(self._session, self.sealer, within=_WITHIN))

    def _why_not(self, source: str, secret_id: str) -> SecretRefused:
        """Why one couldn't end then."""
        for found in self.listed(source):
            if found.secret.id == secret_id:
                if found.state == "expired":
                    return SecretRefused(f"{secret_id} of {source} is over already")
                return SecretRefused(
                    f"{secret_id} of {source} would end before it begins; `hookline sources secrets remove"
                    f" {source} {secret_id}` forgets it"
                )
        return _unknown(source, secret_id)

    def _run(self, call: "Coroutine[None, None, _T]") -> _T:
        try:
            return self._runner.run(call)
        except StatementRefused as error:
            if error.sqlstate == _NO_TABLE:
                raise ConfigError("this database isn't up to date; run `hookline migrate`") from None
            raise


def _unknown(source: str, secret_id: str) -> SecretRefused:
    return SecretRefused(
        f"{source} has no stored secret {secret_id}; `hookline sources secrets list` shows them"
    )


def _taken(source: str, secret_id: str) -> SecretRefused:
    return SecretRefused(
        f"{source} has a secret {secret_id} already; choose another --id. Nothing was stored"
    )
