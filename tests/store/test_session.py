"""One connection for one task: what can't be known is unavailable, and the next statement works again."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hookline.errors import DatabaseUnavailable, StatementRefused
from hookline.model import Accepted
from hookline.store.ingest import ingest
from hookline.store.session import Session
from store.waiting import SHARD_LOCKS, hold_shards, let_shards_go, until
from store.webhooks import SHARDS, WITHIN, webhook

CANARY = "CANARY4711"
KILL = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'hookline test'"
RUNNING = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'hookline test'"


async def test_the_deadline_holds_and_the_next_statement_has_a_new_connection(session: Session) -> None:
    loop = asyncio.get_running_loop()
    [[first]] = await session.fetch("SELECT pg_backend_pid()", within=WITHIN)
    start = loop.time()
    with pytest.raises(DatabaseUnavailable, match=r"no answer within 0\.2 s"):
        await session.fetch("SELECT pg_sleep(30)", within=timedelta(seconds=0.2))
    assert loop.time() - start < 5
    assert not session.is_open
    [[second]] = await session.fetch("SELECT pg_backend_pid()", within=WITHIN)
    assert second != first


async def test_a_connection_killed_while_idle_is_unavailable_at_worst_and_then_replaced(
    session: Session, foreign: Any
) -> None:
    # What the client library makes of the server's farewell depends on how far it was read: try it often.
    async def works() -> bool:
        try:
            [[one]] = await session.fetch("SELECT 1", within=WITHIN)
        except DatabaseUnavailable:
            return False
        return bool(one == 1)

    for _ in range(30):
        await until(works, "the session works")
        await foreign.execute(KILL)


async def test_a_connection_killed_under_a_statement_is_unavailable_and_then_works_again(
    session: Session, foreign: Any
) -> None:
    await hold_shards(foreign, SHARDS)
    writing = asyncio.create_task(ingest(session, [webhook("A")], within=WITHIN))

    async def running() -> bool:
        return bool(await foreign.fetchval(RUNNING + " AND wait_event_type = 'Lock'"))

    await until(running, "the statement runs")
    await foreign.execute(KILL)
    with pytest.raises(DatabaseUnavailable):
        await writing
    await let_shards_go(foreign)
    [outcome] = await ingest(session, [webhook("A")], within=WITHIN)
    assert isinstance(outcome, Accepted)


async def test_a_cancelled_task_leaves_no_answer_for_the_next_statement(session: Session) -> None:
    task = asyncio.create_task(session.fetch("SELECT 'late', pg_sleep(30)", within=WITHIN))

    async def opened() -> bool:
        return session.is_open

    await until(opened, "the connection is open")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    [[answer]] = await session.fetch("SELECT 'mine'", within=WITHIN)
    assert answer == "mine"


async def test_abandoned_statements_don_t_pile_up_on_the_server(session: Session, foreign: Any) -> None:
    # A shard that stays locked (a lost standby, an edge behind a dead network): every deadline abandons a
    # backend, and if none of them ended, they would use up all connections of the server.
    await session.fetch("SELECT 1", within=WITHIN)
    await hold_shards(foreign, SHARDS)
    for number in range(5):
        with pytest.raises(DatabaseUnavailable):
            await ingest(session, [webhook(f"u{number}")], within=timedelta(seconds=0.3))

    async def gone() -> bool:
        return bool(await foreign.fetchval(RUNNING) <= 1)

    try:
        await until(gone, "abandoned backends have ended", patience=8)
    finally:
        await let_shards_go(foreign)


async def test_a_refused_statement_keeps_the_connection(session: Session) -> None:
    [[first]] = await session.fetch("SELECT pg_backend_pid()", within=WITHIN)
    with pytest.raises(StatementRefused) as refused:
        await session.fetch("SELECT 1 / 0", within=WITHIN)
    assert refused.value.sqlstate == "22012"
    [[second]] = await session.fetch("SELECT pg_backend_pid()", within=WITHIN)
    assert second == first


async def test_an_error_never_tells_what_a_row_holds(session: Session, foreign: Any) -> None:
    await foreign.execute("ALTER TABLE hookline.events ADD CONSTRAINT c CHECK (ordering_key !~ 'CANARY')")
    event = webhook(CANARY, CANARY.encode())
    failures = [
        event,
        event._replace(body_sha256=CANARY.encode()),
        event._replace(headers=f"not json {CANARY}"),
    ]
    for failure in failures:
        with pytest.raises(StatementRefused) as refused:
            await ingest(session, [failure], within=WITHIN)
        error: BaseException | None = refused.value
        while error is not None and not error.__suppress_context__:
            assert CANARY not in str(error)
            error = error.__cause__ or error.__context__
        assert CANARY not in str(refused.value)
        assert CANARY not in repr(refused.value)
        assert refused.value.__suppress_context__, "the server's own text would be in the traceback"


async def test_a_server_that_is_not_there_is_unavailable(
    new_session: Callable[..., Session], tmp_path: Path
) -> None:
    session = new_session(dsn=f"postgresql://postgres@/postgres?host={tmp_path}")
    with pytest.raises(DatabaseUnavailable):
        await session.fetch("SELECT 1", within=WITHIN)
    assert "closed" in repr(session)


async def test_a_database_that_takes_no_connections_is_unavailable(
    new_session: Callable[..., Session], database: str
) -> None:
    # The statement never reached a server, so it wasn't refused by one: coming back later may well help.
    session = new_session(dsn=database.replace("/test_", "/gone_"))
    with pytest.raises(DatabaseUnavailable):
        await session.fetch("SELECT 1", within=WITHIN)


async def test_listening_hears_and_closing_is_polite(
    new_session: Callable[..., Session], foreign: Any
) -> None:
    listener, heard = new_session("listener"), asyncio.Event()
    await listener.listen("hookline", lambda _: heard.set())
    await foreign.execute("NOTIFY hookline")
    async with asyncio.timeout(WITHIN.total_seconds()):
        await heard.wait()
    await listener.close()
    assert not listener.is_open


def test_the_lock_class_is_the_one_that_the_tests_look_for() -> None:
    assert SHARD_LOCKS.to_bytes(4, "big") == b"hook"
