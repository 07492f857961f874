"""The whole path while somebody's report holds a snapshot of Hookline's database open, and without.

Two installations run on one server, each with a database of its own, and only one of them has work at any time: they
take turns for as long as the snapshot is held. A snapshot keeps the dead rows of its own database alone.
"""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from bench.installation import Installation, install
from bench.rig import Rig
from bench.samples import Reading

# Transactions that began after the snapshot was taken. Asked from outside: in a transaction, age() counts from itself.
_AGE = "SELECT age(backend_xmin) FROM pg_stat_activity WHERE pid = $1 AND backend_xid IS NOT NULL"
_CURSOR_BYTES = "SELECT pg_table_size('hookline.cursors')"


class LetGoError(Exception):
    """The snapshot was not held to the end, so what was measured isn't what was meant."""


async def measure(rig: Rig, database: str, held_database: str) -> tuple[Reading, Reading]:
    """Webhooks per second without and with the snapshot: of all turns together, each until its last ack."""
    async with (
        install(rig, database, "free") as free,
        install(rig, held_database, "held") as held,
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
            held_facts = {"held_seconds": seconds, "transactions_meanwhile": transactions}
            readings = (
                free.reading(await _cursors(free)),
                held.reading({**await _cursors(held), **held_facts}),
            )
    return readings


async def _cursors(side: Installation) -> dict[str, object]:
    return {"cursor_bytes": await side.rig.server.value(_CURSOR_BYTES, side.database)}


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
