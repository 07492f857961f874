"""`hookline maintain`, as somebody types it, against a real database."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import grpc
import pytest
import typer
from click.testing import Result
from google.protobuf.timestamp_pb2 import Timestamp
from typer.testing import CliRunner

from hookline.admin.server import AdminServices
from hookline.cli.events import events_app
from hookline.cli.maintain import maintain
from hookline.core.subscription import Subscription
from hookline.embedded import EmbeddedPostgres
from hookline.model import SubscriptionName
from hookline.store.session import Session
from hookline.store.subscriptions import declare
from hookline.v1 import replay_pb2 as pb
from hookline.v1.replay_pb2_grpc import ReplayServiceStub
from store.segmented import OLD, append, segmented, segments
from store.webhooks import WITHIN

APP = typer.Typer()
APP.command()(maintain)
APP.add_typer(events_app)
CONFIG = """
[retention]
outbox = "2d"
attempts = "10d"
"""

Run = Callable[..., Awaitable[Result]]


@pytest.fixture
async def database(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    async with segmented(postgres) as url:
        yield url


@pytest.fixture
def run(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOOKLINE_DATABASE_URL", database)
    monkeypatch.setenv("COLUMNS", "220")
    (tmp_path / "hookline.toml").write_text(CONFIG, encoding="utf-8")

    async def run(*arguments: str) -> Result:
        # In a thread, as in a process of its own: a command has an event loop for itself.
        return await asyncio.to_thread(CliRunner().invoke, APP, arguments)

    return run


@pytest.fixture
async def foreign(database: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


@pytest.fixture
async def session(database: str) -> AsyncIterator[Session]:
    session = Session(database, name="test")
    yield session
    await session.close()


async def test_it_drops_what_may_go_and_says_who_needs_the_rest(
    run: Run, session: Session, foreign: Any
) -> None:
    await append(session, 45)
    for name in ("forgotten", "served"):
        await declare(session, Subscription(SubscriptionName(name)), start="earliest", within=WITHIN)
    await foreign.execute("UPDATE hookline.cursors SET position = 45 WHERE subscription = 'served'")
    await foreign.execute("UPDATE hookline.cursors SET position = 19 WHERE subscription = 'forgotten'")
    await foreign.execute(
        "INSERT INTO hookline.deliveries"
        " (seq, due_at, changed_at, event_id, shard, subscription, state, source, ordering_key)"
        " SELECT seq, now(), now(), event_id, shard, 'served', 'dead', source, '' FROM hookline.outbox WHERE seq = 3"
    )

    looked = await run("maintain", "--dry-run")
    assert looked.exit_code == 0
    assert "log: would drop 1 segment, " in looked.stdout
    assert "log: kept 3 segments, " in looked.stdout
    assert "old, but needed" in looked.stdout
    [forgotten] = [line for line in looked.stdout.splitlines() if "forgotten has yet" in line]
    assert [cell.strip() for cell in forgotten.split("│")[2:3]] == ["2"]
    assert "`hookline subscriptions delete forgotten`" in forgotten
    [dead] = [line for line in looked.stdout.splitlines() if "dead letters of served" in line]
    assert [cell.strip() for cell in dead.split("│")[2:3]] == ["1"]
    assert await segments(foreign) == [0, 1, 2, 3, 4, 5, 6]

    done = await run("maintain", "--json")
    assert done.exit_code == 0
    report = json.loads(done.stdout)
    assert (report["dry_run"], report["busy"], report["days"]) == (False, "", [])
    assert {segment["from_seq"]: segment["state"] for segment in report["segments"]} == {
        0: "needed",
        10: "dropped",
        20: "needed",
        30: "needed",
        **dict.fromkeys((40, 50, 60), "written"),
    }
    [held] = report["segments"][0]["needs"]
    assert held == {
        "kind": "dead",
        "subscription": "served",
        "replay": 0,
        "shards": 1,
        "deliveries": 1,
        "first_seq": 3,
    }
    assert [(h["who"], h["segments"], h["first_seq"]) for h in report["holders"]] == [
        ("subscription forgotten has yet to read it", 2, report["segments"][2]["needs"][0]["first_seq"]),
        ("dead letters of served", 1, 3),
    ]
    assert await segments(foreign) == [0, 2, 3, 4, 5, 6]


async def test_a_table_in_use_is_left_to_the_next_time(run: Run, session: Session, foreign: Any) -> None:
    await append(session, 15)
    await foreign.execute("BEGIN; SELECT count(*) FROM hookline.outbox")
    done = await run("maintain")
    assert done.exit_code == 1
    assert "not all could be dropped: outbox: in use by a transaction that goes on (pid " in done.stderr
    await foreign.execute("COMMIT")
    assert (await run("maintain")).exit_code == 0
    assert await segments(foreign) == [1, 2, 3]


async def test_what_reads_what_was_dropped_is_told_so(
    run: Run, session: Session, foreign: Any, database: str
) -> None:
    ids = await append(session, 15)
    await declare(session, Subscription(SubscriptionName("all")), start="latest", within=WITHIN)
    await foreign.execute("UPDATE hookline.cursors SET position = 15")
    services = AdminServices(database)
    server = grpc.aio.server()
    services.register(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        replays = ReplayServiceStub(channel)

        async def reason(start: datetime, *, dry: bool) -> str:
            since = Timestamp()
            since.FromDatetime(start)
            replay = pb.Replay(subscription="all", filter=pb.ReplayFilter(start_time=since))
            created = await replays.CreateReplay(pb.CreateReplayRequest(replay=replay, validate_only=dry))
            return str(created.replay.reason)

        assert await reason(datetime.now(UTC) - 2 * OLD, dry=True) == ""
        assert (await run("maintain")).exit_code == 0
        for dry in (True, False):
            assert "the log is complete since" in await reason(datetime.now(UTC) - 2 * OLD, dry=dry)
            assert await reason(datetime.now(UTC), dry=dry) == ""
        chosen = pb.Replay(subscription="all", events=pb.EventIds(ids=[str(ids[0])]))
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await replays.CreateReplay(pb.CreateReplayRequest(replay=chosen))
        assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert "aren't in the log any more, because their time of retention is over" in str(
            refused.value.details()
        )
        shown = await run("events", "show", str(ids[0]), "--relay", f"127.0.0.1:{port}")
        assert shown.exit_code == 0
        assert "not in the log any more" in shown.stdout
    await server.stop(0)
    await services.close()
