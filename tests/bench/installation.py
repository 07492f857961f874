"""One of several installations on one server that take turns under load: only one of them has work at any time."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from bench import hookline_service
from bench.measures import path
from bench.rig import Rig
from bench.samples import Reading
from bench.service import WholePath


@dataclass(slots=True)
class Installation:
    """Edge, relay and consumer over a database of their own, and what came of their turns."""

    rig: Rig
    database: str
    path: WholePath
    accepted: int = 0
    webhooks: int = 0
    """Those that count."""
    seconds: float = 0.0
    rates: list[float] = field(default_factory=list)

    async def take_turn(self, seconds: float, *, counts: bool = True) -> None:
        """Offer load and wait until all of it is settled."""
        # A generator for each turn: the signed requests of all turns together would be gigabytes.
        async with self.rig.load(self.path.port, self.path.path) as generator:
            outcome, tally = await path.offer(self.path, generator, seconds, before=self.accepted)
        self.accepted += outcome.ok
        if counts:
            took = (tally.last - outcome.started) / 1e9
            self.webhooks += outcome.ok
            self.seconds += took
            self.rates.append(outcome.ok / took)

    def reading(self, details: Mapping[str, object] | None = None) -> Reading:
        """Webhooks per second over all turns that count."""
        told = {"webhooks": self.webhooks, "seconds": self.seconds, "rates": self.rates, **(details or {})}
        return Reading(self.webhooks / self.seconds, "webhooks/s", told)


@asynccontextmanager
async def install(rig: Rig, database: str, name: str, *, telemetry: str = "") -> AsyncIterator[Installation]:
    """Start one; `name` tells its logs apart, and `telemetry` is that table of its configuration."""
    logs = rig.logs / name
    logs.mkdir(exist_ok=True)
    own = replace(rig, logs=logs)
    async with hookline_service.path(own, database, telemetry=telemetry) as whole:
        yield Installation(own, database, whole)
