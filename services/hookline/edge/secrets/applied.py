"""What the sources have taken: each is offered what counts, and may refuse a secret that its scheme can't use."""

from collections.abc import Callable, Sequence

import structlog

from hookline.edge.secrets.configured import key_of
from hookline.edge.secrets.secret import Secret, values
from hookline.errors import ConfigError

_log = structlog.get_logger(__name__)

Changed = Callable[[str, tuple[bytes, ...]], None]
"""Told a source's name and all its live secrets, the newest first. Raises `ConfigError` if its scheme can't use one;
never if there are none, nor if there are fewer than it has taken before."""


class Applied:
    """Hands secrets over when they have changed."""

    def __init__(self, changed: Changed) -> None:
        self._changed = changed
        self._offered: dict[str, tuple[bytes, ...]] = {}
        self._taken: dict[str, tuple[bytes, ...]] = {}

    def started(self, source: str, secrets: Sequence[Secret]) -> tuple[bytes, ...]:
        """Note, and answer, what a source begins with."""
        self._offered[source] = self._taken[source] = values(secrets)
        return self._taken[source]

    def offer(self, source: str, secrets: Sequence[Secret]) -> None:
        """Hand over what counts now, if that isn't what was offered before.

        A secret that the scheme can't use must not keep out the good ones, nor keep in what is over.
        """
        if values(secrets) == self._offered[source]:
            return
        self._offered[source] = values(secrets)
        if self._refusal(source, secrets) is not None:
            self._offer_one_by_one(source, secrets)
        taken = [secret.name for secret in secrets if secret.value in self._taken[source]]
        if taken:
            _log.info("secrets changed", source=source, live=taken)
        else:
            _log.error("no live secret: every webhook is refused", source=source)

    def _offer_one_by_one(self, source: str, secrets: Sequence[Secret]) -> None:
        good = set(self._taken[source])
        self._refusal(source, [secret for secret in secrets if secret.value in good])
        for new in secrets:
            if new.value in good:
                continue
            attempt = [secret for secret in secrets if secret.value in {*good, new.value}]
            reason = self._refusal(source, attempt)
            if reason is None:
                good.add(new.value)
            else:
                _log.warning("secret left out", secret=f"{key_of(source)}: {new.name}", reason=reason)

    def _refusal(self, source: str, secrets: Sequence[Secret]) -> str | None:
        """Why the source doesn't take them; None if it has them now."""
        if values(secrets) != self._taken[source]:
            try:
                self._changed(source, values(secrets))
            except ConfigError as error:
                return str(error)
            self._taken[source] = values(secrets)
        return None
