"""Bring a database's schema up to date: forward only, one transaction per migration."""

import re
from dataclasses import dataclass, field
from hashlib import sha256
from importlib import resources

import asyncpg
import structlog

from hookline.errors import MigrationError
from hookline.store import roles
from hookline.store.owner import LOCK, owner_connection

_log = structlog.get_logger(__name__)

OLDEST_SERVER = 150000
"""PostgreSQL 15, as `server_version_num`."""
DEFAULT_SEGMENT_EVENTS = 1_048_576
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


async def migrate(dsn: str, *, shards: int, segment_events: int = DEFAULT_SEGMENT_EVENTS) -> list[Migration]:
    """Apply what is missing. Safe to run from several processes at once; the second finds nothing to do.

    Args:
        dsn: A role that may create a schema in this database.
        shards: Number of shards; counts only when the database is initialised.
        segment_events: Seqs per outbox segment; likewise.

    Returns:
        What was applied.

    Raises:
        MigrationError: The server is too old, or the database was migrated by another version of Hookline, or
            was initialised with another number of shards.
        DatabaseUnavailable: The server can't be reached.
    """
    async with owner_connection(dsn) as connection:
        await _check_server(connection)
        # One transaction per migration, all under one lock that each takes anew.
        async with connection.transaction():
            await connection.execute(LOCK)
            await connection.execute(_BOOTSTRAP)
        applied = []
        for migration in known():
            if await _apply(connection, migration):
                applied.append(migration)
                _log.info("migration applied", migration=f"{migration.version:04}_{migration.name}")
        await _check_not_newer(connection)
        await _initialise(connection, shards, segment_events)
        await roles.renew(connection)
    return applied


async def _check_server(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    version = int(await connection.fetchval("SELECT current_setting('server_version_num')"))
    if version < OLDEST_SERVER:
        raise MigrationError(
            f"this server is PostgreSQL {version // 10000}; Hookline needs {OLDEST_SERVER // 10000} or newer"
        )


async def _apply(connection: "asyncpg.Connection[asyncpg.Record]", migration: Migration) -> bool:
    """Apply one migration unless it was applied before."""
    async with connection.transaction():
        await connection.execute(LOCK)
        applied = await connection.fetchval(
            "SELECT sha256 FROM hookline.migrations WHERE version = $1", migration.version
        )
        if applied is None:
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
            f"migration {migration.version:04}_{migration.name} was applied with another text; this database "
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
