"""How far a signed time may be from ours."""

from datetime import timedelta
from typing import NamedTuple

from hookline.edge.schemes.verdict import Refusal


class Window(NamedTuple):
    """How far a signed time may be from ours."""

    past: timedelta
    future: timedelta = timedelta(minutes=5)

    def override(self, tolerance: timedelta | None) -> "Window":
        """The source's own tolerance both ways, if it has one."""
        return self if tolerance is None else Window(tolerance, tolerance)

    def judge(self, time: float | None, now: float) -> Refusal | None:
        """Why a time won't do. Unix seconds; None is a time that couldn't be read."""
        if time is None:
            return Refusal.MALFORMED_TIMESTAMP
        if now - time > self.past.total_seconds() or time - now > self.future.total_seconds():
            return Refusal.STALE_TIMESTAMP
        return None
