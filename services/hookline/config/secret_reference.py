"""Where a secret is, instead of the secret: "env:NAME", "file:PATH" or "stored", and when it counts."""

import os
import stat
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import PlainValidator

from hookline.config.secret_text import LONGEST, clean
from hookline.core.validity import ALWAYS, Validity
from hookline.errors import ConfigError

Kind = Literal["env", "file", "stored"]

_CHOICE = (
    'each secret must be a reference, "env:NAME", "file:PATH" or "stored", or a table such as '
    '{ ref = "env:NAME", valid_until = 2026-11-01T00:00:00Z }'
)
_KEY_CHOICE = 'must be a reference, "env:NAME" or "file:PATH"'
_TABLE = frozenset({"ref", "valid_from", "valid_until"})


@dataclass(frozen=True, slots=True)
class Reference:
    """Names one secret; "stored" names all that the database has for the source."""

    kind: Kind
    place: str = ""
    """Name of the variable, or path of the file."""
    validity: Validity = field(default=ALWAYS)

    def __str__(self) -> str:
        return f"{self.kind}:{self.place}" if self.place else self.kind

    def resolve(self, key: str) -> bytes:
        """Fetch the secret.

        Args:
            key: The setting that it belongs to, such as "sources.begini.secrets".

        Raises:
            ConfigError: It is missing, empty, or can't be read. Nothing of what was read is repeated.
        """
        assert self.kind != "stored", "what is stored takes a database"
        try:
            return clean(self._read(key))
        except ValueError as error:
            what = "is empty or not set" if str(error) == "is empty" else str(error)
            raise ConfigError(f"{key}: {self}: {what}; {self._fix()}") from None

    def _read(self, key: str) -> bytes:
        if self.kind == "env":
            # What isn't UTF-8 arrives as lone surrogates, and leaves as it was.
            return os.fsencode(os.environ.get(self.place, ""))
        try:
            return _read_file(Path(self.place))
        except OSError as error:
            raise ConfigError(f"{key}: {self}: can't be read: {type(error).__name__}") from None

    def _fix(self) -> str:
        if self.kind == "env":
            return f"set the environment variable {self.place}"
        return f"write the key into {self.place}"


def _read_file(path: Path) -> bytes:
    # A pipe or a device could keep the reader waiting, and has nothing when it is read again.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:  # noqa: PTH123  (a descriptor has no path)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("isn't a regular file")
        return file.read(LONGEST + 1)


def _secret(value: object) -> Reference:
    """Read a reference, or a table around one."""
    if isinstance(value, Reference):
        return value
    if not isinstance(value, dict):
        return _reference(value, _CHOICE)
    table = cast("dict[str, Any]", value)
    if "ref" not in table or not _TABLE.issuperset(table):
        # A key that isn't known may be anything, so it is not repeated.
        raise ValueError("a table for a secret has ref, and valid_from, valid_until or both; nothing else")
    plain = _reference(table["ref"], _CHOICE)
    validity = Validity(
        *(_moment(name, table[name]) if name in table else None for name in ("valid_from", "valid_until"))
    )
    if plain.kind == "stored" and validity != ALWAYS:
        raise ValueError(
            'each stored secret has times of its own, given to `hookline sources secrets add`; write "stored" alone'
        )
    return Reference(plain.kind, plain.place, validity)


def _key(value: object) -> Reference:
    """Read a reference to a key that seals: the database can't have it, and it has no times."""
    if isinstance(value, Reference):
        return value
    reference = _reference(value, _KEY_CHOICE)
    if reference.kind == "stored":
        raise ValueError(_KEY_CHOICE)
    return reference


def _reference(value: object, choice: str) -> Reference:
    # The text may be the secret itself, so it is never repeated.
    if value == "stored":
        return Reference("stored")
    kind, _, place = value.partition(":") if isinstance(value, str) else ("", "", "")
    if kind not in ("env", "file") or not place or not place.isprintable():
        raise ValueError(choice)
    return Reference(cast("Kind", kind), place)


def _moment(name: str, value: object) -> datetime:
    """Read a time with its zone."""
    wrong = ValueError(f"{name} must be a time with its zone, such as 2026-11-01T00:00:00Z")
    try:
        time = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        raise wrong from None
    if not isinstance(time, datetime) or time.tzinfo is None:
        raise wrong
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise wrong from None


SecretReference = Annotated[Reference, PlainValidator(_secret)]
"""An entry of a source's `secrets`."""
KeyReference = Annotated[Reference, PlainValidator(_key)]
"""An entry of `secrets.keys`."""
