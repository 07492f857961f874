"""Log a mistake of ours: what failed and where, and nothing of what it failed on."""

from traceback import walk_tb
from types import TracebackType
from typing import Any

_MOST_CAUSES = 5
_OUTERMOST, _INNERMOST = 10, 20
"""Places that are told; what recursed too deeply came through a thousand."""


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
        told.append(f"{type(seen).__name__} ({', '.join(_places(seen.__traceback__))})")
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    return " from ".join(told)


def _places(trace: TracebackType | None) -> list[str]:
    # Not by `extract_tb`, which reads the source files: an event loop may be waiting.
    frames = list(walk_tb(trace))
    left_out = len(frames) - _OUTERMOST - _INNERMOST
    codes = [(frame.f_code, line) for frame, line in frames]
    if left_out > 0:
        del codes[_OUTERMOST:-_INNERMOST]
    places = [f"{code.co_filename.rpartition('/')[2]}:{line} {code.co_name}" for code, line in codes]
    if left_out > 0:
        places.insert(_OUTERMOST, f"{left_out} more")
    return places
