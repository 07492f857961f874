"""Which dead letters somebody means."""

from dataclasses import dataclass
from datetime import UTC, datetime

from hookline.store.glob import regex

EVER = datetime.min.replace(tzinfo=UTC)
"""Before every dead letter."""
NEVER = datetime.max.replace(tzinfo=UTC)
"""After every dead letter."""


@dataclass(frozen=True, slots=True)
class DeadLetterFilter:
    """What is set must all fit; nothing set fits all."""

    source: str = ""
    """Glob, as `fnmatch` knows it; "" fits all."""
    type: str = ""
    """Glob; "" fits all."""
    reason_contains: str = ""
    dead_after: datetime = EVER
    """Dead at or after."""
    dead_before: datetime = NEVER

    def arguments(self) -> tuple[object, ...]:
        """As the statements take them, from $2 to $6."""
        return regex(self.source), regex(self.type), self.reason_contains, self.dead_after, self.dead_before
