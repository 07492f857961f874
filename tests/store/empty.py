"""Databases without a schema, and such as an older program left them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import pytest

from hookline.embedded import EmbeddedPostgres
from hookline.store.migrate import known, migrate


@asynccontextmanager
async def empty_database(server: EmbeddedPostgres) -> AsyncIterator[str]:
    """The URL of a database with nothing in it, which is dropped after the block."""
    name = f"test_{uuid4().hex}"
    operator = await asyncpg.connect(server.url)
    try:
        await operator.execute(f"CREATE DATABASE {name}")
        yield urlunsplit(urlsplit(server.url)._replace(path=f"/{name}"))
        await operator.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await operator.close()


async def migrate_until(dsn: str, newest: int, *, shards: int) -> None:
    """Bring a database as far as a program did whose newest migration was this one."""
    with pytest.MonkeyPatch.context() as patch:
        old = [migration for migration in known() if migration.version <= newest]
        patch.setattr("hookline.store.migrate.known", lambda: old)
        patch.setattr("hookline.store.roles.renew", _nothing)  # there were none at every time
        await migrate(dsn, shards=shards)


async def _nothing(_: object) -> None:
    pass
