"""The absolute window of one stream: how much may be out and not yet settled."""

from dataclasses import dataclass

MAX_EVENTS = 10_000
"""The most events that one stream may hold, whatever it asks for: the relay's memory is bounded by windows."""
MAX_BYTES = 64 * 1024 * 1024
"""The most bytes of bodies that one stream may hold, unless a single event is larger."""


@dataclass(frozen=True, slots=True)
class Limit:
    """How much may be outstanding. Zero events pauses."""

    events: int
    bytes: int

    @classmethod
    def within_bounds(cls, *, events: int, bytes_: int) -> "Limit":
        """Cut what a consumer asks for to what a relay allows. Zero bytes asks for the most."""
        return cls(events=min(events, MAX_EVENTS), bytes=min(bytes_ or MAX_BYTES, MAX_BYTES))


class Window:
    """Counts what is outstanding against a limit.

    The limit is absolute and what counts against it are the leases themselves, never a running credit, so the
    two can't drift apart (Pulsar's permits did: https://github.com/apache/pulsar/issues/6054).
    """

    __slots__ = ("bytes", "events", "limit")

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self.events = 0
        self.bytes = 0

    def __repr__(self) -> str:
        return f"<events={self.events}/{self.limit.events} bytes={self.bytes}/{self.limit.bytes}>"

    @property
    def free_events(self) -> int:
        """How many more events it has room for; negative after it was made smaller."""
        return self.limit.events - self.events

    def fits(self, size: int) -> bool:
        """Whether one more event of `size` bytes may be handed out. An oversized event fits alone."""
        if self.events >= self.limit.events:
            return False
        return self.events == 0 or self.bytes + size <= self.limit.bytes

    def take(self, size: int) -> None:
        """Count an event that is handed out."""
        self.events += 1
        self.bytes += size

    def give_back(self, size: int) -> None:
        """Count an event that is settled or taken back."""
        self.events -= 1
        self.bytes -= size
