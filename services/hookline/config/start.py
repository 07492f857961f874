"""Where a new subscription begins."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import PlainValidator

_CHOICE = 'must be "latest", "earliest" or a time with its zone, such as 2026-01-31T12:00:00Z'


def _read(value: object) -> str | datetime:
    if value in ("latest", "earliest"):
        return str(value)
    try:
        time = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        raise ValueError(_CHOICE) from None
    if not isinstance(time, datetime):
        raise ValueError(_CHOICE)  # noqa: TRY004  (pydantic takes a TypeError for a bug)
    if time.tzinfo is None:
        raise ValueError("has no zone, so it means another moment elsewhere; end it with Z, or +02:00")
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise ValueError(_CHOICE) from None


Start = Annotated[str | datetime, PlainValidator(_read)]
""""latest", "earliest", or an aware time: with what was received then or later."""
