"""The outbox's segments: always there when an event needs one."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import pytest

from hookline.embedded import EmbeddedPostgres
from hookline.errors import StatementRefused
from hookline.model import Accepted
from hookline.store.ingest import ensure_segments, ingest, read_installation
from hookline.store.migrate import migrate
from hookline.store.session import Session
from store.webhooks import SHARDS, WITHIN, webhook

SEGMENT = 10
"""Seqs per segment: small, so that a test crosses many."""


@pytest.fixture
async def database(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    """A database with tiny segments."""
    name = f"test_{uuid4().hex}"
    connection = await asyncpg.connect(postgres.url)
    await connection.execute(f"CREATE DATABASE {name}")
    url = urlunsplit(urlsplit(postgres.url)._replace(path=f"/{name}"))
    await migrate(url, shards=SHARDS, segment_events=SEGMENT)
    yield url
    await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await connection.close()


async def segments(foreign: Any) -> list[str]:
    rows = await foreign.fetch(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'hookline.outbox'::regclass ORDER BY 1"
    )
    return [row[0] for row in rows]


async def test_the_installation_is_what_it_was_initialised_with(session: Session) -> None:
    installation = await read_installation(session, within=WITHIN)
    assert (installation.shards, installation.segment_events) == (SHARDS, SEGMENT)


async def test_events_across_many_boundaries_are_all_there_and_in_the_right_segment(
    session: Session, foreign: Any
) -> None:
    for start in range(0, 95, 5):
        await ensure_segments(session, within=WITHIN)
        batch = [webhook(f"u{number}") for number in range(start, start + 5)]
        outcomes = await ingest(session, batch, within=WITHIN)
        assert all(isinstance(outcome, Accepted) for outcome in outcomes)
    assert await foreign.fetchval("SELECT count(*) FROM hookline.outbox") == 95
    assert len(await segments(foreign)) >= 10
    misplaced = await foreign.fetchval(
        "SELECT count(*) FROM hookline.outbox"
        " WHERE tableoid::regclass::text <> 'hookline.outbox_' || lpad((seq / $1)::text, 8, '0')",
        SEGMENT,
    )
    assert misplaced == 0


async def test_a_batch_across_a_boundary_is_one_transaction(session: Session, foreign: Any) -> None:
    await ingest(session, [webhook(f"u{number}") for number in range(15)], within=WITHIN)
    assert await foreign.fetchval("SELECT count(DISTINCT tableoid) FROM hookline.outbox") == 2
    assert await foreign.fetchval("SELECT count(DISTINCT xmin::text) FROM hookline.outbox") == 1


async def test_without_a_segment_ingest_is_refused_and_possible_again_once_there_is_one(
    session: Session, foreign: Any
) -> None:
    await foreign.execute("SELECT setval('hookline.outbox_seq', 1000)")
    with pytest.raises(StatementRefused) as refused:
        await ingest(session, [webhook("A")], within=WITHIN)
    assert refused.value.sqlstate == "23514"
    await ensure_segments(session, within=WITHIN)
    [outcome] = await ingest(session, [webhook("A")], within=WITHIN)
    assert isinstance(outcome, Accepted)


async def test_ensuring_again_changes_nothing(session: Session, foreign: Any) -> None:
    before = await segments(foreign)
    assert len(before) == 3
    [row] = await session.fetch("SELECT hookline.ensure_segments(2)", within=WITHIN)
    assert row[0] == 0
    assert await segments(foreign) == before


async def test_many_callers_at_once_make_each_segment_once(
    new_session: Callable[..., Session], foreign: Any
) -> None:
    for number in range(1, 11):
        await foreign.execute("SELECT setval('hookline.outbox_seq', $1)", number * 30)
        await asyncio.gather(*(ensure_segments(new_session(f"caller {n}"), within=WITHIN) for n in range(5)))
    assert len(await segments(foreign)) == 3 + 10 * 3


async def test_segments_are_made_beside_writers_and_readers(
    new_session: Callable[..., Session], foreign: Any
) -> None:
    # A writer and a reader in the middle of their transactions: creating a segment must not wait for them.
    await foreign.execute(
        "BEGIN; LOCK TABLE hookline.outbox IN ROW EXCLUSIVE MODE; SELECT * FROM hookline.outbox"
    )
    maker = new_session("maker")
    await maker.fetch("SELECT setval('hookline.outbox_seq', 500)", within=WITHIN)
    await ensure_segments(maker, within=WITHIN)
    assert "hookline.outbox_00000050" in await segments(foreign)
    await foreign.execute("ROLLBACK")
