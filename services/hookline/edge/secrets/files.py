"""Secrets in files, read again and again: whoever replaces one renames it, writes into it or swaps a link to it."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from hookline.config.secret_reference import Reference
from hookline.edge.secrets.configured import key_of, read
from hookline.edge.secrets.secret import Secret
from hookline.edge.secrets.trouble import Trouble
from hookline.errors import ConfigError

_EVERY = 1.0
"""Seconds between two looks."""


class SecretFiles:
    """The files of all sources.

    They are read, not only looked at: a time of change can be the same before and after. New content counts when
    two looks in a row have found it, because a file may be seen while somebody writes it, and half of a secret is
    easier to guess.
    """

    def __init__(
        self,
        found: Sequence[tuple[str, Reference]],
        trouble: Trouble,
        changed: Callable[[str, Reference, Secret], None],
    ) -> None:
        self._files = found
        self._trouble = trouble
        self._changed = changed
        self._seen: dict[tuple[str, Reference], Secret] = {}
        """What the look before has found."""

    async def watch(self) -> None:
        """Look at them until cancelled."""
        while self._files:
            await asyncio.sleep(_EVERY)
            now = datetime.now(UTC)
            for file in self._files:
                # What is over may be gone already.
                if file[1].validity.state(now) != "expired":
                    self._believe(file, await asyncio.to_thread(_read, *file))

    def _believe(self, file: tuple[str, Reference], found: Secret | ConfigError) -> None:
        source, reference = file
        what = f"{key_of(source)}: {reference}"
        if isinstance(found, ConfigError):
            self._seen.pop(file, None)
            self._trouble.begins(what, str(found))
            return
        self._trouble.ends(what)
        if self._seen.get(file) == found:
            self._changed(source, reference, found)
        self._seen[file] = found


def _read(source: str, reference: Reference) -> Secret | ConfigError:
    try:
        return read(source, reference)
    except ConfigError as error:
        return error
