"""Is a connection pooler between us and the server? Then two transactions may be carried out by two server processes.

What is true of PgBouncer with `pool_mode = transaction`, the strictest that is in use:

* a statement that was prepared in one transaction may be unknown in the next, so none is kept;
* LISTEN would be another client's, so there is none: hints aren't heard, and polling is the contract;
* at the start nothing but our name may be set, unless `ignore_startup_parameters` names it.

Everything else is the same: a statement of ours is a transaction, locks end with it, and settings are local to it.
"""

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import asyncpg
from asyncpg.connect_utils import SessionAttribute

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

_behind: set[str] = set()
"""URLs that lead to a pooler; it is found out once."""
_CHECK_INTERVAL = {"client_connection_check_interval": "1s"}
"""A statement that waits for a lock ends when we have given it up, and its backend with it."""


def is_behind(dsn: str) -> bool:
    """Whether a pooler was found there."""
    return dsn in _behind


async def connect(dsn: str, *, name: str, within: timedelta) -> "Connection":
    """A connection to a server that takes writes, or to a pooler in front of one.

    Args:
        dsn: Where.
        name: What the server calls it.
        within: Until it is given up.

    Raises:
        OSError: Nobody is there, or asyncpg's errors: the server doesn't want us.
    """
    timeout = within.total_seconds()
    async with asyncio.timeout(timeout):
        if dsn not in _behind:
            try:
                connection = await asyncpg.connect(
                    dsn,
                    timeout=timeout,
                    max_cached_statement_lifetime=0,
                    # A demoted or lagging server must not take writes for a moment after a failover.
                    target_session_attrs=SessionAttribute.read_write,
                    server_settings={"application_name": name, **_CHECK_INTERVAL},
                )
            except asyncpg.ProtocolViolationError:
                pass  # "unsupported startup parameter": a server knows it
            else:
                if await _is_server(connection):
                    return connection
            _behind.add(dsn)
        return await asyncpg.connect(
            dsn,
            timeout=timeout,
            statement_cache_size=0,
            # What a pooler says of the server may be as it was before a failover. A standby refuses to write.
            target_session_attrs=SessionAttribute.any,
            server_settings={"application_name": name},
        )


async def _is_server(connection: "Connection") -> bool:
    """Whether the process that answers is the one that the connection was announced with; if not, it is closed."""
    answer = bytearray()

    async def take(data: bytes) -> None:
        answer.extend(data)

    is_server = False
    try:
        # COPY, because it prepares nothing: a statement that is left behind would be in somebody's way.
        await connection.copy_from_query("SELECT pg_backend_pid()", output=take)
        is_server = int(answer) == connection.get_server_pid()
    finally:
        if not is_server:
            connection.terminate()
    return is_server
