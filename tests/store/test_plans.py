"""How Postgres carries out the hot statements: by index, in few segments, without new index entries."""

import json
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import pytest

from hookline.core.subscription import Subscription
from hookline.embedded import EmbeddedPostgres
from hookline.model import CursorState, OwnedCursor, Seq, SubscriptionName
from hookline.store import cursors
from hookline.store.ingest import ingest
from hookline.store.migrate import migrate
from hookline.store.session import Session
from hookline.store.statements import load
from hookline.store.subscriptions import declare
from store.webhooks import SHARDS, WITHIN, webhook

SEGMENT = 5_000
EVENTS = 20_000


@pytest.fixture(scope="module", params=[True, False], ids=["analyzed", "never analyzed"])
def statistics(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
async def database(postgres: EmbeddedPostgres, statistics: bool) -> AsyncIterator[str]:  # noqa: FBT001
    """A database with several full segments."""
    name = f"test_{uuid4().hex}"
    server = await asyncpg.connect(postgres.url)
    await server.execute(f"CREATE DATABASE {name}")
    url = urlunsplit(urlsplit(postgres.url)._replace(path=f"/{name}"))
    await migrate(url, shards=SHARDS, segment_events=SEGMENT)
    connection = await asyncpg.connect(url)
    for first in range(0, EVENTS + 1, SEGMENT):
        await connection.execute(f"SELECT setval('hookline.outbox_seq', {max(first, 1)})")
        await connection.execute("SELECT hookline.ensure_segments(2)")
    await connection.execute(
        f"""
        ALTER TABLE hookline.events SET (autovacuum_enabled = false);
        INSERT INTO hookline.events
        SELECT gen_random_uuid(), gen_random_uuid(), n, now(), 600, n % {SHARDS}, false, sha256(n::text::bytea),
               'begini', 'application.complete', n::text, '', '' FROM generate_series(1, {EVENTS}) AS n;
        INSERT INTO hookline.outbox
        SELECT id, seq, received_at, shard, revision, source, type, ordering_key, '', '', '[]',
               convert_to(repeat('x', 600), 'UTF8') FROM hookline.events;
        SELECT setval('hookline.outbox_seq', {EVENTS});
        """
    )
    if statistics:
        await connection.execute("ANALYZE")
    await connection.close()
    yield url
    await server.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await server.close()


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


async def explain(foreign: Any, statement: str, types: str, arguments: str) -> list[dict[str, Any]]:
    """The nodes of a generic plan (what a long-lived session has after five calls), as they were executed."""
    await foreign.execute("DEALLOCATE ALL; SET plan_cache_mode = force_generic_plan")
    await foreign.execute(f"PREPARE hot ({types}) AS {statement}")
    text = await foreign.fetchval(f"EXPLAIN (ANALYZE, COSTS OFF, FORMAT JSON) EXECUTE hot ({arguments})")
    return list(nodes(json.loads(text)[0]["Plan"]))


def scans(plan: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The scans of tables that were carried out."""
    return [node for node in plan if node.get("Relation Name") and node["Actual Loops"]]


@pytest.mark.parametrize("behind", [SEGMENT // 2, SEGMENT * 2], ids=["at the head", "two segments behind"])
async def test_reading_the_log_uses_the_primary_key_and_skips_old_segments(foreign: Any, behind: int) -> None:
    position = EVENTS - behind
    shards = ",".join(map(str, range(SHARDS)))
    positions = ",".join([str(position)] * SHARDS)
    plan = await explain(
        foreign,
        load("log.sql")["read_log"],
        "smallint[], bigint[], bigint, integer, integer, bigint",
        f"'{{{shards}}}', '{{{positions}}}', {position}, 100, 1000, 1000000",
    )
    found = scans(plan)
    assert found
    assert {node["Node Type"] for node in found} <= {"Index Scan"}, [n["Node Type"] for n in found]
    oldest = f"outbox_{position // SEGMENT:08}"
    assert min(node["Relation Name"] for node in found) >= oldest
    assert sum(node.get("Subplans Removed", 0) for node in plan) >= position // SEGMENT
    # Not more than what is answered: each shard stops at its limit.
    read = sum(node["Actual Rows"] * node["Actual Loops"] for node in found)
    assert read <= 100 * SHARDS + SHARDS


async def test_reading_pending_events_uses_the_primary_key(foreign: Any) -> None:
    plan = await explain(
        foreign,
        load("log.sql")["read_pending"],
        "smallint[], bigint[], bigint",
        f"'{{1,2,3}}', '{{{SHARDS + 1},{SHARDS + 2},{EVENTS // 2 + 3}}}', 1000000",
    )
    assert {node["Node Type"] for node in scans(plan)} == {"Index Scan"}


async def test_ingest_looks_into_the_ledger_by_its_primary_key_only(session: Session, foreign: Any) -> None:
    look = (
        "SELECT t.seq_scan, coalesce(i.idx_scan, 0) AS idx_scan FROM pg_stat_user_tables AS t"
        " JOIN pg_stat_user_indexes AS i USING (relid) WHERE t.relid = 'hookline.events'::regclass"
    )
    before = await foreign.fetchrow(look)
    for number in range(20):  # more than five: the plan becomes generic
        await ingest(session, [webhook(f"u{number}-{place}") for place in range(10)], within=WITHIN)
    await session.fetch("SELECT pg_stat_force_next_flush()", within=WITHIN)
    await session.close()
    after = await foreign.fetchrow(look)
    assert after["seq_scan"] == before["seq_scan"]
    assert after["idx_scan"] - before["idx_scan"] >= 20 * 10


async def test_every_cursor_update_is_hot(session: Session, foreign: Any) -> None:
    name = SubscriptionName("all")
    await declare(session, Subscription(name), start="earliest", within=WITHIN)
    lease = timedelta(minutes=1)
    owned, _, _ = await cursors.acquire(
        session, name, owner="relay", lease=lease, joining=True, share=lambda _, shards: shards, within=WITHIN
    )
    for position in range(1, 301):
        pending = tuple(Seq(seq) for seq in range(max(0, position - 20), position, 3))
        states = [OwnedCursor(c.shard, c.epoch, CursorState(Seq(position), pending)) for c in owned]
        await cursors.advance(session, name, states, lease=lease, within=WITHIN)
    await session.fetch("SELECT pg_stat_force_next_flush()", within=WITHIN)
    await session.close()
    row = await foreign.fetchrow(
        "SELECT n_tup_upd, n_tup_hot_upd, pg_relation_size(relid) AS size FROM pg_stat_user_tables"
        " WHERE relid = 'hookline.cursors'::regclass"
    )
    assert row["n_tup_upd"] == SHARDS * 301
    assert row["n_tup_hot_upd"] / row["n_tup_upd"] > 0.98
    assert row["size"] <= 64 * 1024
