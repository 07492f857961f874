"""A synchronous standby that is gone: what can't be replicated is never called committed."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from hookline.embedded import EmbeddedPostgres
from hookline.errors import DatabaseUnavailable
from hookline.model import Accepted, Duplicate
from hookline.store.ingest import ingest
from hookline.store.migrate import migrate
from hookline.store.session import Session
from store.waiting import until
from store.webhooks import SHARDS, WITHIN, webhook

SHORT = timedelta(milliseconds=700)
WAITING = (
    "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND application_name LIKE 'hookline %'"
)


@pytest.fixture
async def operator(own_server: EmbeddedPostgres) -> AsyncIterator[Any]:
    """A connection to a server that waits for a standby which doesn't exist."""
    await migrate(own_server.url, shards=SHARDS)
    connection = await asyncpg.connect(own_server.url)
    await connection.execute("SET synchronous_commit = local")
    await require_standby(connection, "ghost")
    yield connection
    await connection.close()


async def require_standby(connection: Any, name: str) -> None:
    await connection.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{name}'")
    await connection.execute("SELECT pg_reload_conf()")

    async def known() -> bool:
        # A backend learns of a reload between two statements; this one stands for those that come later.
        return bool(await connection.fetchval("SHOW synchronous_standby_names") == name)

    await until(known, "the setting is in force")


async def test_a_commit_that_nobody_replicates_is_unavailable_at_its_deadline(
    own_server: EmbeddedPostgres, operator: Any
) -> None:
    session = Session(own_server.url, name="writer")
    start = asyncio.get_running_loop().time()
    with pytest.raises(DatabaseUnavailable):
        await ingest(session, [webhook("A")], within=SHORT)
    assert asyncio.get_running_loop().time() - start < 5
    assert not session.is_open
    assert len(await operator.fetch(WAITING)) == 1


async def test_a_cancelled_wait_is_no_success_and_neither_is_the_same_batch_again(
    own_server: EmbeddedPostgres, operator: Any
) -> None:
    session = Session(own_server.url, name="writer")
    batch = [webhook("A"), webhook("B")]
    writing = asyncio.create_task(ingest(session, batch, within=WITHIN))

    async def is_waiting() -> bool:
        return bool(await operator.fetch(WAITING))

    await until(is_waiting, "the commit waits for the standby")
    await operator.execute(f"SELECT pg_cancel_backend(pid) FROM ({WAITING}) AS waiting")
    with pytest.raises(DatabaseUnavailable, match="without its synchronous standby"):
        await writing
    assert not session.is_open
    # Committed here and nowhere else: to call it a duplicate would be to call it safe.
    assert await operator.fetchval("SELECT count(*) FROM hookline.events") == 2
    with pytest.raises(DatabaseUnavailable):
        await ingest(session, batch, within=SHORT)

    await require_standby(operator, "")
    assert await ingest(session, batch, within=WITHIN) == [Duplicate(event.event_id) for event in batch]
    [fresh] = await ingest(session, [webhook("C")], within=WITHIN)
    assert isinstance(fresh, Accepted)
    await session.close()
