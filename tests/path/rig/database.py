"""A second pair of hands in the database: locks, foreign transactions, and looks at rows."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from path.rig.wait import until


@asynccontextmanager
async def connect(dsn: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def locked_cursors(dsn: str, subscription: str = "all") -> AsyncIterator[Any]:
    """Keep everybody from moving the subscription's cursors while the block lasts; rolled back at its end."""
    async with connect(dsn) as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.fetch(
            "SELECT FROM hookline.cursors WHERE subscription = $1 FOR UPDATE", subscription
        )
        yield connection
        if connection.is_in_transaction():
            await transaction.rollback()


async def until_waiting_for_lock(dsn: str, session: str) -> None:
    """Wait until the relay's session of that name stands before somebody's lock."""
    async with connect(dsn) as connection:

        async def waits() -> bool:
            return bool(
                await connection.fetchval(
                    "SELECT count(*) FROM pg_stat_activity"
                    " WHERE application_name = $1 AND wait_event_type = 'Lock' AND datname = current_database()",
                    session,
                )
            )

        await until(waits, f"{session} waits for a lock")


async def cursors(dsn: str, subscription: str = "all") -> dict[int, Any]:
    """The subscription's cursors by shard."""
    async with connect(dsn) as connection:
        rows = await connection.fetch("SELECT * FROM hookline.cursors WHERE subscription = $1", subscription)
    return {row["shard"]: row for row in rows}


async def rows(dsn: str, subscription: str = "all") -> list[Any]:
    """The subscription's deliveries in trouble, in the order of the log."""
    async with connect(dsn) as connection:
        return await connection.fetch(
            "SELECT *, due_at - clock_timestamp() AS wait FROM hookline.deliveries"
            " WHERE subscription = $1 ORDER BY seq, replay",
            subscription,
        )


async def attempts(dsn: str, subscription: str = "all") -> list[Any]:
    """The history of the subscription's attempts, the oldest first."""
    async with connect(dsn) as connection:
        return await connection.fetch(
            "SELECT * FROM hookline.attempts WHERE subscription = $1 ORDER BY ended_at, seq", subscription
        )
