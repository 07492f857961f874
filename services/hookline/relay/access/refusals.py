"""How many calls were turned away, said in the log now and then: whoever tries tokens must not fill it."""

from collections import Counter
from time import monotonic

import structlog

_log = structlog.get_logger(__name__)

_EVERY = 60.0
"""Seconds between two lines, at least."""


class Refusals:
    """Counts; a line tells of all since the last one."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._next_at = 0.0

    def add(self, reason: str, method: str, token_id: str | None) -> None:
        """Count one.

        Args:
            reason: Of its ErrorInfo.
            method: What was called.
            token_id: Whose token it was, if it is known.
        """
        self._counts[reason.lower()] += 1
        now = monotonic()
        if now >= self._next_at:
            self._next_at = now + _EVERY
            _log.warning("calls refused", last_method=method, last_token=token_id, **self._counts)
            self._counts.clear()
