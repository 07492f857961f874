"""What somebody gives for a secret: its text, its id, its times."""
# ruff: noqa: PLC0415  (an edge starts with this package, and needs none of this)

import re
import secrets
import sys
import warnings
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from hookline.errors import ConfigError

if TYPE_CHECKING:
    from hookline.core.validity import Validity

_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


def _id(value: str) -> str:
    if value and not _ID.fullmatch(value):
        # Somebody may have put the secret here, so it is not repeated.
        raise typer.BadParameter("use lower-case letters, digits, '-' and '_', with a letter or digit first")
    return value


IdOption = Annotated[
    str,
    typer.Option(
        "--id",
        help="A name for it; without one, the date and something random.",
        callback=_id,
        show_default=False,
    ),
]


def new_id() -> str:
    """A name that nobody has: today's date and something random, which has nothing to do with the secret."""
    return f"{datetime.now(UTC):%Y-%m-%d}-{secrets.token_hex(3)}"


def read_secret() -> bytes:
    """The secret, from a prompt that doesn't show it, or from standard input.

    Raises:
        ConfigError: It is empty, too long, or no text.
    """
    from getpass import GetPassWarning, getpass

    from hookline.config.secret_text import LONGEST, clean

    if sys.stdin.isatty():
        with warnings.catch_warnings():
            # Where a terminal can't hide what is typed, getpass would show it, with a warning.
            warnings.simplefilter("error", GetPassWarning)
            try:
                read = getpass("Secret (not shown): ").encode(errors="surrogateescape")
            except GetPassWarning:
                raise ConfigError("this terminal can't hide what is typed; use standard input") from None
    else:
        read = sys.stdin.buffer.read(LONGEST + 1)
    try:
        return clean(read)
    except ValueError as error:
        raise ConfigError(f"the secret that was given {error}; nothing was stored") from None


def validity_of(valid_from: datetime | None, valid_until: datetime | None) -> "Validity":
    """The span between two times; a time without a zone is this machine's."""
    from hookline.core.validity import Validity

    begins = valid_from.astimezone(UTC) if valid_from else None
    ends = valid_until.astimezone(UTC) if valid_until else None
    if ends and ends <= (begins or datetime.now(UTC)):
        raise typer.BadParameter("must be later than --valid-from, and than now", param_hint="--valid-until")
    return Validity(begins, ends)


def overlap_of(text: str) -> timedelta:
    """A duration, as in hookline.toml."""
    from pydantic import TypeAdapter, ValidationError

    from hookline.config.duration import DurationOrZero

    try:
        return TypeAdapter[timedelta](DurationOrZero).validate_python(text)
    except ValidationError:
        raise typer.BadParameter(
            'must be a duration such as "24h", "30m" or "0s"', param_hint="--overlap"
        ) from None
