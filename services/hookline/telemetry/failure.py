"""Log a mistake of ours: what failed and where, and nothing of what it failed on."""

import traceback
from typing import Any

_MOST_CAUSES = 5


def report(log: Any, event: str, error: BaseException, **fields: object) -> None:
    """Log an unexpected error.

    Args:
        log: A structlog logger.
        event: What failed, in words.
        error: Told by its type and the places that it came through. Not by its message, which may quote what it
            choked on, nor by local variables, which hold payloads and secrets.
        fields: What else is known.
    """
    log.error(event, failure=describe(error), **fields)


def describe(error: BaseException) -> str:
    """An error's type and the places that it came through, and those of what caused it."""
    told: list[str] = []
    seen: BaseException | None = error
    while seen is not None and len(told) < _MOST_CAUSES:
        frames = traceback.extract_tb(seen.__traceback__)
        where = ", ".join(
            f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames
        )
        told.append(f"{type(seen).__name__} ({where})")
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    return " from ".join(told)
