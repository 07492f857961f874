"""One request that should do no harm, and what exactly it comes to."""

from collections.abc import Collection, Iterator
from enum import Enum
from hashlib import sha256
from typing import NamedTuple

from hostile.answer import JSON, Answer


class Reply(NamedTuple):
    """An answer that is expected."""

    status: int
    codes: Collection[str] = ()
    """Of problem details: one of these."""
    says: str = ""
    """The `status` of Hookline's own JSON."""
    body: bytes | None = None
    """The provider's own answer, byte for byte."""

    def objection(self, answer: Answer) -> str:
        """What is wrong with an answer; "" if nothing is."""
        if answer.status != self.status:
            return f"answered {answer.status} instead of {self.status}: {answer.body[:200]!r}"
        if self.body is not None and answer.body != self.body:
            return f"has the body {answer.body[:200]!r} instead of {self.body!r}"
        if self.codes and (answer.code not in self.codes or answer.json["status"] != self.status):
            return f"has the code {answer.code!r} instead of {sorted(self.codes)}: {answer.body[:200]!r}"
        if self.says and (answer.content_type != JSON or answer.json.get("status") != self.says):
            return f"doesn't say {self.says!r}: {answer.body[:200]!r}"
        return ""


def problem(status: int, *codes: str) -> Reply:
    """Problem details with one of these codes."""
    return Reply(status, codes)


def bad(*codes: str) -> Reply:
    """400."""
    return Reply(400, codes)


class Row(NamedTuple):
    """An event that must be stored, once in the ledger and once in the outbox."""

    source: str
    type: str
    body: bytes
    header: tuple[str, str] | None = None
    """One of the stored headers."""


class End(Enum):
    """How a case leaves its connection."""

    KEEP = "the next case uses it"
    LAST = "the edge closes it and says nothing more, whatever else was sent"
    HALF = "the client sends no more; then as LAST"
    DROP = "the client closes it"


class Case(NamedTuple):
    """A request, or what a sender takes for one."""

    name: str
    """Runs alone with `HOSTILE=NAME pytest tests/hostile`."""
    request: bytes
    replies: tuple[Reply, ...] | None
    """In order; None: answers that are no server errors, or the end."""
    rows: tuple[Row, ...] = ()
    end: End = End.KEEP
    perhaps: tuple[Row, ...] = ()
    """With None as replies: what may be accepted, and must then be stored."""


Cases = Iterator[Case]


def mark(name: str) -> str:
    """What tells the events of one case from those of all others, the same in each run."""
    return sha256(name.encode()).hexdigest()[:16]
