"""Bring a database's schema up to date: forward only, one transaction per migration, while edges and relays work."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from importlib import resources

import asyncpg
import structlog
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_after_delay,
    wait_exponential_jitter,
)

from hookline.errors import DatabaseUnavailable, MigrationError
from hookline.store import roles
from hookline.store.blockers import Blockers
from hookline.store.owner import LOCK, owner_connection

_log = structlog.get_logger(__name__)

OLDEST_SERVER = 150000
"""PostgreSQL 15, as `server_version_num`."""
DEFAULT_SEGMENT_EVENTS = 1_048_576
_NAME = "hookline migrate"
LOCK_WAIT = timedelta(seconds=2)
"""How long a migration stands in the queue for a table, and with it everybody who comes after: less than an edge's
patience (`edge.commit_deadline`), and more than `deadlock_timeout`, after which PostgreSQL ends an autovacuum that is
in our way: https://www.postgresql.org/docs/current/routine-vacuuming.html#AUTOVACUUM"""
PATIENCE = timedelta(minutes=10)
"""How long it comes back for the same lock."""
_BLOCKED = (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError)
_LOST = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
)
_FILE = re.compile(r"^(\d{4})_(\w+)\.sql$")

_BOOTSTRAP = """
CREATE SCHEMA IF NOT EXISTS hookline;
CREATE TABLE IF NOT EXISTS hookline.migrations (
    version    integer PRIMARY KEY,
    name       text NOT NULL,
    sha256     text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of `migrations/`."""

    version: int
    name: str
    script: str = field(repr=False)

    def __str__(self) -> str:
        return f"{self.version:04}_{self.name}"

    @property
    def sha256(self) -> str:
        """Digest of the script: a migration never changes once it was applied somewhere."""
        return sha256(self.script.encode()).hexdigest()


def known() -> list[Migration]:
    """The migrations of this version of Hookline, in order."""
    found = [
        Migration(int(match[1]), match[2], file.read_text(encoding="utf-8"))
        for file in resources.files("hookline.store.migrations").iterdir()
        if (match := _FILE.match(file.name))
    ]
    return sorted(found, key=lambda migration: migration.version)


async def migrate(
    dsn: str,
    *,
    shards: int,
    segment_events: int = DEFAULT_SEGMENT_EVENTS,
    lock_wait: timedelta = LOCK_WAIT,
    patience: timedelta = PATIENCE,
) -> list[Migration]:
    """Apply what is missing. Safe to run from several processes at once; the second finds nothing to do.

    Args:
        dsn: A role that may create a schema in this database.
        shards: Number of shards; counts only when the database is initialised.
        segment_events: Seqs per outbox segment; likewise.
        lock_wait: How long to stand in the queue for a table that somebody uses, before others are let through.
        patience: How long to try again.

    Returns:
        What was applied.

    Raises:
        MigrationError: The server is too old, or the database was migrated by another version of Hookline, or
            was initialised with another number of shards, or somebody holds a lock for too long.
        DatabaseUnavailable: The server can't be reached, or can't be any more. What was applied stays.
    """
    async with owner_connection(dsn, name=_NAME) as connection, _explained():
        await _check_server(connection)
        # One transaction per migration, all under one lock that each takes anew.
        async with connection.transaction():
            await connection.execute(LOCK)
            await connection.execute(_BOOTSTRAP)
        applied = []
        async with owner_connection(dsn, name=f"{_NAME} watch") as watch:
            blockers = Blockers(watch)
            for migration in known():
                if await _apply(connection, migration, blockers, lock_wait, patience):
                    applied.append(migration)
                    _log.info("migration applied", migration=str(migration))
        await _check_not_newer(connection)
        await _initialise(connection, shards, segment_events)
        await roles.renew(connection)
    return applied


@asynccontextmanager
async def _explained() -> AsyncIterator[None]:
    try:
        yield
    except _LOST as error:
        raise DatabaseUnavailable(
            f"Postgres was lost while migrating ({type(error).__name__}); what was applied stays, the migration that"
            " was under way left nothing: run `hookline migrate` again"
        ) from None


async def _check_server(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    version = int(await connection.fetchval("SELECT current_setting('server_version_num')"))
    if version < OLDEST_SERVER:
        raise MigrationError(
            f"this server is PostgreSQL {version // 10000}; Hookline needs {OLDEST_SERVER // 10000} or newer"
        )


async def _apply(
    connection: "asyncpg.Connection[asyncpg.Record]",
    migration: Migration,
    blockers: Blockers,
    lock_wait: timedelta,
    patience: timedelta,
) -> bool:
    """Apply one migration unless it was applied before; as often as it takes to get its locks."""

    def say(state: RetryCallState) -> None:
        _log.warning(
            "migration waits for a lock",
            migration=str(migration),
            held_by=str(blockers),
            next_try_in=round(state.upcoming_sleep, 1),
        )

    try:
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(_BLOCKED),
            # As long a break for everybody else as the wait was, and soon longer.
            wait=wait_exponential_jitter(multiplier=lock_wait.total_seconds(), max=15, jitter=1),
            stop=stop_after_delay(patience),
            before_sleep=say,
            reraise=True,
        ):
            with attempt:
                return await _try(connection, migration, blockers, lock_wait)
    except _BLOCKED:
        raise MigrationError(
            f"migration {migration} didn't get its locks within {patience.total_seconds():g} s, because of {blockers};"
            " end that transaction (SELECT pg_terminate_backend(PID)) and run this again. What was applied before stays"
        ) from None
    raise AssertionError("tenacity returns or raises")


async def _try(
    connection: "asyncpg.Connection[asyncpg.Record]",
    migration: Migration,
    blockers: Blockers,
    lock_wait: timedelta,
) -> bool:
    async with connection.transaction():
        await connection.execute(LOCK)
        applied = await connection.fetchval(
            "SELECT sha256 FROM hookline.migrations WHERE version = $1", migration.version
        )
        if applied is None:
            # In here, where a pooler keeps us on one server process.
            pid = await connection.fetchval("SELECT pg_backend_pid()")
            await connection.execute(
                f"SET LOCAL lock_timeout = {lock_wait // timedelta(milliseconds=1)}; SET LOCAL statement_timeout = 0"
            )
            async with blockers.of(pid):
                await connection.execute(migration.script)
            # PostgreSQL lets everybody execute a new function.
            await connection.execute("REVOKE ALL ON ALL ROUTINES IN SCHEMA hookline FROM PUBLIC")
            await connection.execute(
                "INSERT INTO hookline.migrations (version, name, sha256) VALUES ($1, $2, $3)",
                migration.version,
                migration.name,
                migration.sha256,
            )
            return True
    if applied != migration.sha256:
        raise MigrationError(
            f"migration {migration} was applied with another text; this database "
            "belongs to another build of Hookline: install that version, or restore a backup"
        )
    return False


async def _check_not_newer(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    newest = await connection.fetchval("SELECT max(version) FROM hookline.migrations")
    if newest > known()[-1].version:
        raise MigrationError(
            f"the database is at migration {newest:04}, this Hookline knows up to {known()[-1].version:04}; "
            "install the newer version"
        )


async def _initialise(
    connection: "asyncpg.Connection[asyncpg.Record]", shards: int, segment_events: int
) -> None:
    """Fix the number of shards, or check that it is what the database was initialised with."""
    await connection.execute(
        "INSERT INTO hookline.installation (shards, segment_events) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        shards,
        segment_events,
    )
    fixed = await connection.fetchval("SELECT shards FROM hookline.installation")
    if fixed != shards:
        raise MigrationError(
            f"this database was initialised with {fixed} shards, which can't change; set database.shards = {fixed}"
        )
    await connection.execute("SELECT hookline.ensure_segments(2)")
