"""A migration meets somebody's long transaction, and webhooks that go on coming in."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from itertools import count
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any, Self

import asyncpg
import pytest
import structlog

from hookline.embedded import EmbeddedPostgres
from hookline.errors import DatabaseUnavailable, MigrationError
from hookline.model import Accepted
from hookline.store.ingest import ingest
from hookline.store.migrate import known, migrate
from hookline.store.session import Session
from path.rig.process import Process, write_config
from path.rig.wait import until
from store.empty import empty_database, migrate_until
from store.webhooks import SHARDS, WITHIN, webhook

OLD = 13
"""The migration after it changes `events`, into which every webhook is written."""
LOCK_WAIT = timedelta(seconds=0.4)
COMMIT_DEADLINE = 5.0
"""Seconds; an edge's own, by default."""


@pytest.fixture
async def old_database(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    async with empty_database(postgres) as url:
        await migrate_until(url, OLD, shards=SHARDS)
        yield url


class Webhooks:
    """Commits one after the other while the block lasts, and remembers the slowest."""

    def __init__(self, dsn: str) -> None:
        self._session = Session(dsn, name="edge writer")
        self._numbers = count()
        self.committed = 0
        self.slowest = 0.0

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._session.close()

    async def _run(self) -> None:
        for number in self._numbers:
            begun = monotonic()
            [outcome] = await ingest(self._session, [webhook(str(number))], within=WITHIN)
            assert isinstance(outcome, Accepted)
            self.slowest = max(self.slowest, monotonic() - begun)
            self.committed += 1


class Report:
    """Somebody's transaction that has read the ledger and isn't at its end."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    async def __aenter__(self) -> Self:
        self._connection = await asyncpg.connect(
            self._dsn, server_settings={"application_name": "monthly report"}
        )
        self.pid = self._connection.get_server_pid()
        self._transaction = self._connection.transaction()
        await self._transaction.start()
        await self._connection.fetch("SELECT count(*) FROM hookline.events")
        return self

    async def end(self) -> None:
        await self._transaction.rollback()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._connection.close()


async def newest(dsn: str) -> int:
    return int(await _ask(dsn, "SELECT max(version) FROM hookline.migrations"))


async def waiting(dsn: str) -> bool:
    """Whether a migration stands in the queue for a table."""
    return bool(
        await _ask(
            dsn,
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'hookline migrate'"
            " AND wait_event = 'relation' AND datname = current_database()",
        )
    )


async def at_work(dsn: str) -> int:
    """How many server processes work for migrations."""
    return int(
        await _ask(
            dsn,
            "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'hookline migrate%'"
            " AND datname = current_database()",
        )
    )


async def _ask(dsn: str, sql: str) -> Any:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def test_a_long_transaction_delays_the_migration_and_not_the_webhooks(old_database: str) -> None:
    every = [migration.version for migration in known()]
    async with Webhooks(old_database) as webhooks, Report(old_database) as report:
        with (
            structlog.testing.capture_logs() as told,
            pytest.raises(MigrationError, match=f"within 1 s, because of process {report.pid} ") as refused,
        ):
            await migrate(old_database, shards=SHARDS, lock_wait=LOCK_WAIT, patience=timedelta(seconds=1))
        assert "application 'monthly report'" in str(refused.value)
        assert "idle in transaction, in a transaction for " in str(refused.value)
        assert f"migration {known()[OLD]} " in str(refused.value)
        waits = [line for line in told if line["event"] == "migration waits for a lock"]
        assert waits
        assert waits[0]["held_by"].startswith(f"process {report.pid} (application 'monthly report', ")
        assert await newest(old_database) == OLD

        # Two at once stand before it now, until it ends.
        both = [
            asyncio.create_task(migrate(old_database, shards=SHARDS, lock_wait=LOCK_WAIT)) for _ in range(2)
        ]
        await until(lambda: waiting(old_database), "a migration waits for the table")
        await report.end()
        applied = await asyncio.gather(*both)
        assert sorted(m.version for share in applied for m in share) == every[OLD:]
        seen = webhooks.committed
        await until(lambda: webhooks.committed > seen + 1, "webhooks go on after the migration")
    assert webhooks.slowest < COMMIT_DEADLINE / 2, "nobody waits behind a migration for longer than it waits"
    assert await _ask(old_database, "SELECT count(*) FROM hookline.outbox") >= webhooks.committed


async def test_a_migration_that_is_killed_or_cut_off_midway_leaves_nothing_and_can_be_run_again(
    old_database: str, tmp_path: Path
) -> None:
    config = write_config(tmp_path / "hookline.toml", {"database": {"shards": SHARDS}})
    async with AsyncExitStack() as parts:
        report = await parts.enter_async_context(Report(old_database))
        killed = await parts.enter_async_context(
            Process(
                "migrate",
                "--config",
                str(config),
                log=tmp_path / "migrate.log",
                environment={"HOOKLINE_DATABASE_URL": old_database},
            )
        )
        await until(lambda: waiting(old_database), "the migration is midway")
        killed.signal(signal.SIGKILL)
        await killed.ended()

        async def is_gone() -> bool:
            return await at_work(old_database) == 0

        await until(
            is_gone, "the server notices while the report still runs, so that nobody queues behind it"
        )
        assert await newest(old_database) == OLD

        cut_off = asyncio.create_task(migrate(old_database, shards=SHARDS))
        await until(lambda: waiting(old_database), "the migration is midway")
        await _ask(
            old_database,
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE application_name = 'hookline migrate' AND datname = current_database()",
        )
        with pytest.raises(DatabaseUnavailable, match=r"lost while migrating .*run `hookline migrate` again"):
            await cut_off
        assert await newest(old_database) == OLD
        await report.end()
    assert [m.version for m in await migrate(old_database, shards=SHARDS)] == [
        m.version for m in known()[OLD:]
    ]
