"""The whole path while somebody's report holds a snapshot of Hookline's database open, and without.

Two installations run on one server, each with a database of its own, and only one of them has work at any time: they
take turns for as long as the snapshot is held. A snapshot keeps the dead rows of its own database alone.
"""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import asyncpg

from bench import hookline_service
from bench.measures import path
from bench.rig import Rig
from bench.samples import Reading
from bench.service import WholePath

# Transactions that began after the snapshot was taken. Asked from outside: in a transaction, age() counts from itself.
_AGE = "SELECT age(backend_xmin) FROM pg_stat_activity WHERE pid = $1 AND backend_xid IS NOT NULL"
_CURSOR_BYTES = "SELECT pg_table_size('hookline.cursors')"


@dataclass(slots=True)
class _Side:
    """One of the two installations, and what came of its turns."""

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

    async def reading(self, details: Mapping[str, object]) -> Reading:
        told = {
            "webhooks": self.webhooks,
            "seconds": self.seconds,
            "rates": self.rates,
            "cursor_bytes": await self.rig.server.value(_CURSOR_BYTES, self.database),
            **details,
        }
        return Reading(self.webhooks / self.seconds, "webhooks/s", told)


class LetGoError(Exception):
    """The snapshot was not held to the end, so what was measured isn't what was meant."""


async def measure(rig: Rig, database: str, held_database: str) -> tuple[Reading, Reading]:
    """Webhooks per second without and with the snapshot: of all turns together, each until its last ack."""
    async with (
        _installation(rig, database, "free") as free,
        _installation(rig, held_database, "held") as held,
    ):
        for side in (free, held):
            await side.take_turn(rig.warm_up, counts=False)
        await rig.server.settle()
        async with _snapshot(rig, held_database) as pid:
            began = time.monotonic()
            order = [free, held]
            while not held.rates or time.monotonic() - began < rig.hold:
                for side in order:
                    await side.take_turn(rig.seconds)
                # Who was first is second next: what changes with time changes for both.
                order.reverse()
            seconds = time.monotonic() - began
            transactions = await rig.server.value(_AGE, held_database, pid)
            if transactions is None:
                raise LetGoError
            readings = (
                await free.reading({}),
                await held.reading({"held_seconds": seconds, "transactions_meanwhile": transactions}),
            )
    return readings


@asynccontextmanager
async def _installation(rig: Rig, database: str, name: str) -> AsyncIterator[_Side]:
    logs = rig.logs / name
    logs.mkdir(exist_ok=True)
    own = replace(rig, logs=logs)
    async with hookline_service.path(own, database) as path:
        yield _Side(own, database, path)


@asynccontextmanager
async def _snapshot(rig: Rig, database: str) -> AsyncIterator[int]:
    """A transaction that has read and written, and stays open; with the id of its server process."""
    await rig.server.execute("CREATE TABLE scratch (number bigint)", database)
    connection = await asyncpg.connect(rig.server.url(database))
    try:
        async with connection.transaction(isolation="repeatable_read"):
            await connection.execute("INSERT INTO scratch SELECT count(*) FROM hookline.cursors")
            yield connection.get_server_pid()
    finally:
        await connection.close()
