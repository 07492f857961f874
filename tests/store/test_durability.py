"""What was answered is on disk, whatever the database's default is."""

import os
from collections.abc import Callable
from typing import Any

import asyncpg
import pytest

from hookline.store.ingest import ingest
from hookline.store.session import Session
from store.webhooks import WITHIN, webhook

BODY_BYTES = 200_000
ROUNDS = 10


@pytest.fixture
async def lazy_database(database: str) -> str:
    """A database whose owner thought that durability is slow."""
    connection = await asyncpg.connect(database)
    name = await connection.fetchval("SELECT current_database()")
    await connection.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
    await connection.close()
    return database


async def flushed_since(connection: Any, start: str) -> int:
    """Bytes of the write-ahead log that reached the disk since `start`."""
    return int(await connection.fetchval("SELECT pg_current_wal_flush_lsn() - $1::text::pg_lsn", start))


async def position(connection: Any) -> str:
    return str(await connection.fetchval("SELECT pg_current_wal_insert_lsn()::text"))


async def test_an_event_is_flushed_when_ingest_returns_though_commits_default_to_asynchronous(
    lazy_database: str, new_session: Callable[..., Session], foreign: Any
) -> None:
    session = new_session(dsn=lazy_database)
    [row] = await session.fetch("SHOW synchronous_commit", within=WITHIN)
    assert row[0] == "off"
    for number in range(ROUNDS):
        before = await position(foreign)
        await ingest(session, [webhook(f"u{number}", os.urandom(BODY_BYTES))], within=WITHIN)
        assert await flushed_since(foreign, before) >= BODY_BYTES
    [row] = await session.fetch("SHOW synchronous_commit", within=WITHIN)
    assert row[0] == "off", "the setting is the transaction's, not the session's"


async def test_the_observation_tells_an_asynchronous_commit(lazy_database: str) -> None:
    # The control of the test above: without our setting, the same look finds bytes that are not on disk.
    connection = await asyncpg.connect(lazy_database)
    await connection.execute("CREATE TABLE control (body bytea)")
    late = 0
    for _ in range(ROUNDS):
        before = await position(connection)
        await connection.execute("INSERT INTO control VALUES ($1)", os.urandom(BODY_BYTES))
        late += await flushed_since(connection, before) < BODY_BYTES
    await connection.close()
    assert late > 0


@pytest.mark.parametrize(
    ("default", "during"),
    [
        ("off", "on"),
        ("local", "on"),
        ("remote_write", "on"),
        ("on", "on"),
        ("remote_apply", "remote_apply"),
    ],
)
async def test_the_transaction_runs_with_at_least_synchronous_commit_on(
    session: Session, foreign: Any, default: str, during: str
) -> None:
    await foreign.execute(
        f"""
        ALTER DATABASE "{await foreign.fetchval("SELECT current_database()")}" SET synchronous_commit = {default};
        CREATE TABLE probe (setting text);
        CREATE FUNCTION probe() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN INSERT INTO probe SELECT current_setting('synchronous_commit'); RETURN NULL; END $$;
        CREATE CONSTRAINT TRIGGER probe AFTER INSERT ON hookline.events DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION probe();
        """
    )
    await ingest(session, [webhook("A")], within=WITHIN)
    # The trigger is deferred: it fires as the last thing before the commit.
    assert [row["setting"] for row in await foreign.fetch("SELECT setting FROM probe")] == [during]
