"""Wait for something that Postgres shows, never for a time."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic

import asyncpg

PATIENCE = 20.0
"""Seconds after which a condition counts as missed."""


async def until(condition: Callable[[], Awaitable[bool]], what: str, *, patience: float = PATIENCE) -> None:
    deadline = monotonic() + patience
    while not await condition():
        if monotonic() > deadline:
            raise AssertionError(f"not within {patience:g} s: {what}")
        await asyncio.sleep(0.01)


async def waiting_for_shard_locks(connection: "asyncpg.Connection[asyncpg.Record]", count: int) -> None:
    """Wait until this many writers of this database wait for a shard."""

    async def enough() -> bool:
        waiting: int = await connection.fetchval(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND classid = $1"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
            SHARD_LOCKS,
        )
        return waiting >= count

    await until(enough, f"{count} writers wait for a shard's lock")


SHARD_LOCKS = 0x686F6F6B
"""The lock class of hookline.lock_shards."""


async def hold_shards(connection: "asyncpg.Connection[asyncpg.Record]", shards: int) -> None:
    """Lock every shard, as a writer would that doesn't commit."""
    await connection.execute(
        "SELECT pg_advisory_lock($1::integer, shard) FROM generate_series(0, $2::integer - 1) AS shard",
        SHARD_LOCKS,
        shards,
    )


async def let_shards_go(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    await connection.execute("SELECT pg_advisory_unlock_all()")
