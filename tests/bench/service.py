"""What a measure knows of the services it measures, be it the ruler or the subject."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from bench.rig import Rig
from bench.tally import Tally


@dataclass(frozen=True, slots=True)
class Edge:
    """A service that takes webhooks."""

    port: int
    path: str
    pids: Mapping[str, int]
    """Its processes, by the name under which their memory is told."""


@dataclass(frozen=True, slots=True)
class WholePath(Edge):
    """A service that also delivers them."""

    tally: Callable[[], Awaitable[Tally]] = field(kw_only=True)
    """How many deliveries are durably settled by now."""
    deliveries: int = field(default=1, kw_only=True)
    """How many deliveries each webhook makes."""


class Service(Protocol):
    """Naive or Hookline."""

    def edge(self, rig: Rig, database: str) -> AbstractAsyncContextManager[Edge]:
        """Start only what takes webhooks."""

    def path(self, rig: Rig, database: str) -> AbstractAsyncContextManager[WholePath]:
        """Start everything, with its consumers."""
