"""The connection of whoever owns the schema: to migrate it, and to grant rights."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import asyncpg

from hookline.errors import DatabaseUnavailable

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

_CONNECT = timedelta(seconds=10)
LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('hookline.migrate', 0))"
"""Who changes the schema or its rights holds it until the end of the transaction."""


@asynccontextmanager
async def owner_connection(dsn: str, *, name: str = "hookline owner") -> "AsyncIterator[Connection]":
    """A connection while the block lasts.

    Args:
        dsn: The database, as a role that owns the schema.
        name: What the server calls it.

    Raises:
        DatabaseUnavailable: The server can't be reached.
    """
    try:
        connection = await asyncpg.connect(
            dsn,
            timeout=_CONNECT.total_seconds(),
            # A pooler may give each transaction another server process, which has no statement of the one before.
            statement_cache_size=0,
            server_settings={"application_name": name},
        )
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise DatabaseUnavailable(
            f"Postgres can't be reached: {error}; check HOOKLINE_DATABASE_URL and that the server runs"
        ) from None
    try:
        yield connection
    finally:
        await connection.close()
