"""What every scheme can do."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

Headers = Sequence[tuple[bytes, bytes]]
"""Header lines as ASGI gives them: lower-case name and value, in order of arrival."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """What Hookline needs to know of a body; nothing else of it is read."""

    type: str
    dedup_key: tuple[str, ...]
    ordering_key: str
    """"" where the source has none."""


class Scheme(Protocol):
    """How one provider signs its webhooks, names its events and wants to be answered."""

    @property
    def revisions(self) -> bool:
        """Whether the same dedup key with another body is a revision, not a duplicate."""

    @property
    def refusal(self) -> tuple[int, bytes]:
        """Status and JSON body for a webhook that doesn't verify."""

    def verifies(self, headers: Headers, body: bytes) -> bool:
        """Whether the raw body was signed with one of the live secrets."""

    def read(self, body: bytes) -> Envelope | None:
        """Find the keys in a verified body; None if it can't be read."""
