"""Read a signed timestamp, strictly: one text for each time."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

_SECONDS = re.compile(rb"[1-9][0-9]{0,10}")
_MILLISECONDS = re.compile(rb"[1-9][0-9]{0,13}")
_ISO = re.compile(
    rb"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})"
)


def read_seconds(text: bytes) -> float | None:
    """Whole seconds since 1970. Neither a sign, a fraction, a leading zero nor any other spelling of the number."""
    return float(text) if _SECONDS.fullmatch(text) else None


def read_milliseconds(text: bytes) -> float | None:
    """Whole milliseconds since 1970."""
    return int(text) / 1000 if _MILLISECONDS.fullmatch(text) else None


def read_iso8601(text: bytes) -> float | None:
    """A date and time with its zone (RFC 3339)."""
    if not _ISO.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text.decode("ascii")).astimezone(UTC).timestamp()
    except (ValueError, OverflowError):
        return None


READERS: dict[Literal["s", "ms", "iso8601"], Callable[[bytes], float | None]] = {
    "s": read_seconds,
    "ms": read_milliseconds,
    "iso8601": read_iso8601,
}
