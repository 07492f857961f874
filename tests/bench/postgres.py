"""The one server that everything measured runs on, and a fresh database for each measure."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg

from hookline.embedded import EmbeddedPostgres

SETTINGS = {
    # What a 2xx promises. These are the defaults, written down so that nobody has to wonder.
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
}
"""Beyond what `hookline run` gives its embedded server. The same for the rulers and the subject."""
_TOLD = (
    "shared_buffers",
    "max_wal_size",
    "checkpoint_timeout",
    "wal_compression",
    "wal_sync_method",
    "autovacuum",
)
_PATIENCE = 900.0
"""Seconds that one statement may take: filling the ledger is the longest."""


class Server:
    """A running Postgres."""

    def __init__(self, url: str) -> None:
        self._url = url

    def url(self, database: str) -> str:
        """The URL of one of its databases."""
        return urlsplit(self._url)._replace(path=f"/{database}").geturl()

    @property
    def socket_directory(self) -> str:
        """Where its unix socket is."""
        return parse_qs(urlsplit(self._url).query)["host"][0]

    @property
    def user(self) -> str:
        return urlsplit(self._url).username or "postgres"

    async def execute(self, statement: str, database: str = "postgres", *arguments: object) -> None:
        """Run SQL outside of any transaction; without arguments, several statements at once."""
        connection = await asyncpg.connect(self.url(database))
        try:
            await connection.execute(statement, *arguments, timeout=_PATIENCE)
        finally:
            await connection.close()

    async def value(self, query: str, database: str, *arguments: object) -> object:
        """The one value that a query answers."""
        connection = await asyncpg.connect(self.url(database))
        try:
            return await connection.fetchval(query, *arguments, timeout=_PATIENCE)
        finally:
            await connection.close()

    async def facts(self) -> dict[str, str]:
        """Its version, and the settings that matter, as it has them now."""
        names = ["server_version", *SETTINGS, *_TOLD]
        connection = await asyncpg.connect(self._url)
        try:
            return {name: await connection.fetchval("SELECT current_setting($1)", name) for name in names}
        finally:
            await connection.close()

    @asynccontextmanager
    async def fresh_database(self, purpose: str) -> AsyncIterator[str]:
        """A database that is new, and dropped in the end."""
        name = f"{purpose}_{secrets.token_hex(4)}"
        await self.execute(f"CREATE DATABASE {name}")
        try:
            yield name
        finally:
            await self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    async def settle(self) -> None:
        """Write out what earlier work left in memory, so that the next measure doesn't pay for it."""
        await self.execute("CHECKPOINT")


@asynccontextmanager
async def start(data: Path) -> AsyncIterator[Server]:
    """Start the server on a data directory."""
    async with EmbeddedPostgres(data, SETTINGS) as embedded:
        yield Server(embedded.url)
