"""`hookline events`, as somebody types it, against a real server."""

import json
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from admin.rig import Admin
from hookline.core.subscription import Subscription
from hookline.model import CursorState, OwnedCursor, Seq, SubscriptionName
from hookline.store import cursors
from hookline.store.acks import Ack
from hookline.store.session import Session
from hookline.store.subscriptions import declare
from path.rig.events import append, event
from path.rig.process import KEY, free_port
from path.rig.run import hookline

WITHIN = timedelta(seconds=20)
EVENT_TRACE = "0af7651916cd43dd8448eb211c80319c"
RETRY_TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TEMPLATE = "https://traces.example.com/?id={trace_id}"


@pytest.fixture
async def admin(database: str) -> AsyncIterator[Admin]:
    async with Admin(database) as admin:
        yield admin


async def deliver(dsn: str, seq: int) -> None:
    """Have the subscription `all` ack an event, as its relay does."""
    session, name = Session(dsn, name="test"), SubscriptionName("all")
    await declare(session, Subscription(name), start="earliest", within=WITHIN)
    owned, _, _ = await cursors.acquire(
        session,
        name,
        owner="relay",
        lease=WITHIN,
        joining=True,
        share=lambda _, shards: shards,
        within=WITHIN,
    )
    moved = [OwnedCursor(cursor.shard, cursor.epoch, CursorState(Seq(seq), ())) for cursor in owned]
    acked = [Ack(Seq(seq), datetime.now(UTC) - timedelta(milliseconds=250), "scorer\x1b[2J")]
    await cursors.advance(session, name, moved, acked=acked, lease=WITHIN, within=WITHIN)
    await session.close()


async def fail(admin: Admin, seq: int) -> None:
    """Have it fail at the subscription `second`, which tries it again in an hour."""
    await admin.create("second")
    await admin.db.execute(
        "INSERT INTO hookline.attempts (ended_at, started_at, seq, replay, attempt, shard, subscription, outcome,"
        " consumer, reason, traceparent)"
        " VALUES (now(), now() - interval '30 s', $1, 0, 1, 0, 'second', 'retried', 'other', '[red]busy\x07', $2)",
        seq,
        f"00-{RETRY_TRACE}-00f067aa0ba902b7-01",
    )
    await admin.db.execute(
        "INSERT INTO hookline.deliveries (seq, due_at, changed_at, event_id, attempt, shard, subscription, state,"
        " source, ordering_key, reason) SELECT seq, '2030-01-02 03:04:05+00', now(), id, 1, 0, 'second',"
        " 'waiting', source, 'subject-0', '[red]busy' FROM hookline.events WHERE seq = $1",
        seq,
    )


async def test_a_timeline_is_shown_with_times_and_traces_and_links(admin: Admin, tmp_path: Path) -> None:
    traceparent = f"00-{EVENT_TRACE}-b7ad6b7169203331-01"
    [event_id] = await append(
        admin.dsn, [event(b"secret body", type_="a\x1b[31m[red]", traceparent=traceparent)]
    )
    seq = await admin.db.fetchval("SELECT seq FROM hookline.events")
    await deliver(admin.dsn, seq)
    await fail(admin, seq)

    async def run(*arguments: str, environment: Mapping[str, str] | None = None) -> str:
        result = await hookline(
            *arguments,
            "--relay",
            admin.target,
            cwd=tmp_path,
            environment={"BEGINI_API_KEY": KEY, **(environment or {})},
        )
        assert (result.returncode, result.stderr) == (0, "")
        return result.stdout

    shown = await run("events", "show", event_id, environment={"HOOKLINE_TRACE_URL": TEMPLATE})
    lines = shown.splitlines()
    for text in (
        "a?[31m[red]",
        "11 bytes, in the log",
        "shard 0",
        "waits until 2030-01-02 03:04:05.000",
        "[red]busy",
    ):
        assert text in shown
    moments = [
        word
        for line in lines
        for word in ("received", "committed", "handed over", "acked", "retried")
        if f" {word} " in line and "ms" in line
    ]
    assert moments == ["received", "committed", "handed over", "acked", "handed over", "retried"]
    [acked] = [line for line in lines if " acked " in line and "ms" in line]
    assert "scorer?[2J" in acked
    assert EVENT_TRACE[:8] in acked
    assert f"trace {EVENT_TRACE}  reception  https://traces.example.com/?id={EVENT_TRACE}" in lines
    assert (
        f"trace {RETRY_TRACE}  second, attempt 1, retried  https://traces.example.com/?id={RETRY_TRACE}"
        in lines
    )
    (tmp_path / "hookline.toml").write_text(f'[telemetry]\ntrace_url = "{TEMPLATE}"\n', encoding="utf-8")
    printed = await run("events", "show", event_id.replace("-", ""), "--json")
    told = json.loads(printed)
    assert told["event"]["trace"] == {
        "trace_id": EVENT_TRACE,
        "sampled": True,
        "url": TEMPLATE.format(trace_id=EVENT_TRACE),
    }
    [of_all, of_second] = told["deliveries"]
    assert (of_all["state"], of_second["state"]) == (
        "EVENT_DELIVERY_STATE_ACKED",
        "EVENT_DELIVERY_STATE_WAITING",
    )
    assert of_second["attempts"][0]["trace"]["url"].endswith(RETRY_TRACE)
    (tmp_path / "hookline.toml").unlink()
    assert "http" not in await run("events", "show", event_id)

    listed = await run("events", "list")
    assert event_id in listed
    assert EVENT_TRACE in listed
    [one] = json.loads(await run("events", "list", "--type", "a*", "--since", "2026-01-01", "--json"))
    assert one["id"] == event_id
    assert json.loads(await run("events", "list", "--until", "2026-01-01", "--json")) == []
    for output in (shown, printed, listed):
        assert "\x1b" not in output
        assert "subject-0" not in output
        assert "secret body" not in output


async def test_a_list_says_that_there_are_more(admin: Admin, tmp_path: Path) -> None:
    made = await append(admin.dsn, [event() for _ in range(30)])
    result = await hookline("events", "list", "--limit", "20", "--relay", admin.target, cwd=tmp_path)
    assert "the newest 20; --limit" in result.stdout
    assert [one in result.stdout for one in made] == [False] * 10 + [True] * 20


async def test_a_mistake_is_a_message_and_an_exit_code(admin: Admin, tmp_path: Path) -> None:
    unknown = str(uuid4())
    await append(admin.dsn, [event()])
    template = {"BEGINI_API_KEY": KEY, "HOOKLINE_TRACE_URL": "https://traces.example.com/"}
    for arguments, environment, code, said in (
        (("show", unknown), None, 2, f"hookline: there is no event {unknown}: it was never accepted here"),
        (("show", "7"), None, 2, "hookline: name: 'events/7' isn't the name of an event"),
        (
            ("show", unknown),
            template,
            2,
            "environment variable HOOKLINE_TRACE_URL: trace_url: must be a URL with",
        ),
        (("list", "--type", "[z-a]"), None, 2, "hookline: filter: a glob can't be read"),
        (("list", "--since", "yesterday"), None, 2, "yesterday"),
    ):
        result = await hookline(
            "events", *arguments, "--relay", admin.target, cwd=tmp_path, environment=environment
        )
        assert (result.returncode, result.stdout) == (code, "")
        assert said in result.stderr
        assert "Traceback" not in result.stderr
    nowhere = f"127.0.0.1:{free_port()}"
    result = await hookline("events", "show", unknown, "--relay", nowhere, cwd=tmp_path)
    assert result.returncode == 1
    assert result.stderr.startswith(f"hookline: no relay answers at {nowhere}")
