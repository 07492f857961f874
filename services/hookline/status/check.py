"""What must be so for a process to do its work."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must be so for a process to do its work."""

    name: str
    is_ok: bool
    detail: str
    """For people; no secret, and no address of anything."""


Readiness = Callable[[], Sequence[Check]]
"""Looks at everything that must be so."""
