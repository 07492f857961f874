"""Which dead letters somebody means."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

EVER = datetime.min.replace(tzinfo=UTC)
"""Before every dead letter."""
NEVER = datetime.max.replace(tzinfo=UTC)
"""After every dead letter."""
_BRACKETS = re.compile(r"\[(?!!\])(!?)(\][^\]]*|[^\]]+)\]")
"""A set of characters, or of those that it may not be; a "]" that comes first is a member."""


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
        return _regex(self.source), _regex(self.type), self.reason_contains, self.dead_after, self.dead_before


def _regex(glob: str) -> str:
    """The glob as Postgres matches it; "" fits everything.

    Source: https://www.postgresql.org/docs/current/functions-matching.html#FUNCTIONS-POSIX-REGEXP
    """
    if not glob:
        return ""
    pattern = ""
    rest = glob
    while rest:
        in_brackets = _BRACKETS.match(rest)
        if in_brackets:
            members = re.sub(r"([\\\[\]^])", r"\\\1", in_brackets[2])
            pattern += f"[{'^' if in_brackets[1] else ''}{members}]"
            rest = rest[in_brackets.end() :]
            continue
        pattern += {"*": ".*", "?": "."}.get(rest[0]) or re.sub(r"([^\w\s])", r"\\\1", rest[0])
        rest = rest[1:]
    return f"^{pattern}$"
