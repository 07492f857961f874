"""The schema moves forward, once, and says so when it can't."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import pytest

from hookline.embedded import EmbeddedPostgres
from hookline.errors import DatabaseUnavailable, MigrationError
from hookline.store.migrate import known, migrate
from store.webhooks import SHARDS

CATALOG = {
    "columns": """
        SELECT table_name, column_name, ordinal_position, data_type, is_nullable, column_default
          FROM information_schema.columns WHERE table_schema = 'hookline' ORDER BY 1, 3""",
    "constraints": """
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid)
          FROM pg_constraint WHERE connamespace = 'hookline'::regnamespace ORDER BY 1, 2""",
    "indexes": "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'hookline' ORDER BY 1, 2",
    "functions": """
        SELECT proname, pg_get_functiondef(oid) FROM pg_proc
         WHERE pronamespace = 'hookline'::regnamespace ORDER BY 1""",
    "options": """
        SELECT relname, relkind::text, reloptions, pg_get_expr(relpartbound, oid) FROM pg_class
         WHERE relnamespace = 'hookline'::regnamespace ORDER BY 1""",
    "migrations": "SELECT version, name, sha256 FROM hookline.migrations ORDER BY 1",
    "installation": "SELECT shards, segment_events FROM hookline.installation",
}


@pytest.fixture
async def new_database(postgres: EmbeddedPostgres) -> AsyncIterator[Callable[[], Any]]:
    """Makes empty databases."""
    server = await asyncpg.connect(postgres.url)
    made = []

    async def new() -> str:
        made.append(f"test_{uuid4().hex}")
        await server.execute(f"CREATE DATABASE {made[-1]}")
        return urlunsplit(urlsplit(postgres.url)._replace(path=f"/{made[-1]}"))

    yield new
    for name in made:
        await server.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await server.close()


async def catalog(url: str) -> dict[str, list[tuple[Any, ...]]]:
    connection = await asyncpg.connect(url)
    try:
        return {name: [tuple(row) for row in await connection.fetch(sql)] for name, sql in CATALOG.items()}
    finally:
        await connection.close()


async def test_the_second_time_there_is_nothing_to_do(new_database: Callable[[], Any]) -> None:
    url = await new_database()
    assert [m.version for m in await migrate(url, shards=SHARDS)] == list(range(1, len(known()) + 1))
    before = await catalog(url)
    assert await migrate(url, shards=SHARDS) == []
    assert await catalog(url) == before


async def test_several_at_once_apply_each_migration_once(new_database: Callable[[], Any]) -> None:
    url = await new_database()
    applied = await asyncio.gather(*(migrate(url, shards=SHARDS) for _ in range(4)))
    assert sorted(m.version for share in applied for m in share) == [m.version for m in known()]


async def test_the_schema_is_the_sum_of_the_migrations(new_database: Callable[[], Any]) -> None:
    left, right = await new_database(), await new_database()
    await migrate(left, shards=SHARDS)
    await migrate(right, shards=SHARDS)
    schema = await catalog(left)
    assert schema == await catalog(right)
    assert all(schema.values()), "every part of the catalog was looked at"


async def test_a_migration_that_was_applied_with_another_text_is_refused(database: str, foreign: Any) -> None:
    await foreign.execute("UPDATE hookline.migrations SET sha256 = 'other' WHERE version = 2")
    with pytest.raises(
        MigrationError, match=r"0002_ledger_and_outbox was applied with another text.*install"
    ):
        await migrate(database, shards=SHARDS)


async def test_a_newer_database_is_refused(database: str, foreign: Any) -> None:
    await foreign.execute(
        "INSERT INTO hookline.migrations (version, name, sha256) VALUES (9999, 'later', '')"
    )
    with pytest.raises(MigrationError, match=r"at migration 9999.*install the newer version"):
        await migrate(database, shards=SHARDS)


async def test_another_number_of_shards_is_refused_with_the_setting_that_mends_it(database: str) -> None:
    with pytest.raises(
        MigrationError, match=rf"initialised with {SHARDS} shards.*database\.shards = {SHARDS}"
    ):
        await migrate(database, shards=SHARDS + 1)


async def test_a_failed_migration_leaves_nothing_of_itself_behind(
    new_database: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = await new_database()
    first, second, *rest = known()
    broken = type(second)(second.version, second.name, second.script + "; SELECT 1 / 0;")
    monkeypatch.setattr("hookline.store.migrate.known", lambda: [first, broken, *rest])
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(url, shards=SHARDS)
    monkeypatch.undo()
    assert [m.version for m in await migrate(url, shards=SHARDS)] == [m.version for m in known()[1:]]


async def test_a_server_that_is_not_there_is_unavailable_and_the_password_is_not_told() -> None:
    with pytest.raises(DatabaseUnavailable, match="HOOKLINE_DATABASE_URL") as unavailable:
        await migrate("postgresql://hookline:canary-password@127.0.0.1:1/hookline", shards=SHARDS)
    assert "canary-password" not in str(unavailable.value)


def test_migrations_are_numbered_without_gaps() -> None:
    assert [m.version for m in known()] == list(range(1, len(known()) + 1))
    assert len({m.name for m in known()}) == len(known())
