"""What the edge counts: exact numbers after known requests."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx

from edge.provider import KEY, PATH, Wire, body, signed
from edge.running import BEGINI
from hookline.config import Settings, Telemetry
from hookline.edge.app import create_app
from hookline.edge.front.server import build
from hookline.edge.listener import listen
from hookline.store.session import Session
from hookline.telemetry.metrics import Metrics
from path.rig.wait import until
from unit.scraped import Scraped

CANARY = "canary-subject-7261"
WITHIN = timedelta(seconds=10)


@asynccontextmanager
async def counted(dsn: str, **settings: Any) -> AsyncIterator[tuple[str, Metrics]]:
    """An edge in this process, and its metrics."""
    chosen = Settings(database_url=dsn, sources={"begini": BEGINI, "quiet": BEGINI}, **settings)
    metrics = Metrics(Telemetry(), service="hookline-edge")
    app = create_app(chosen, metrics=metrics)
    listener = listen("127.0.0.1:0")
    server = build(app, chosen.edge, drain=timedelta(seconds=5), connections=app.connections)
    async with app.running():
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        await until(lambda: server.started, "the edge serves")
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", metrics
        finally:
            server.should_exit = True
            await serving


async def test_what_is_alerted_on_is_there_before_anything_happens(database: str) -> None:
    async with counted(database) as (_, metrics):
        scraped = Scraped.of(metrics)
    usual = [
        (source, outcome)
        for source in ("begini", "quiet")
        for outcome in ("accepted", "duplicate", "bad_signature")
    ]
    assert scraped.values("hookline_webhooks_total") == dict.fromkeys(usual, 0)
    assert scraped.values("hookline_verification_failures_total") == {
        ("begini", "bad_signature"): 0,
        ("quiet", "bad_signature"): 0,
    }
    assert scraped.values("hookline_rejections_total") == {("written",): 0, ("dropped",): 0}
    assert scraped.value("hookline_intake_queue_events") == 0
    assert scraped.value("hookline_commit_batch_size_count") == 0


async def test_every_request_is_counted_once_by_what_became_of_it(database: str) -> None:
    async with counted(database) as (address, metrics), httpx.AsyncClient(base_url=address) as client:
        for uid in ("a", "b", "c", "a"):
            content = body(uid, subject=CANARY)
            await client.post(PATH, content=content, headers={**signed(content), "x-canary": CANARY})
        content = body(CANARY)
        for key in (f"{KEY}-wrong", "another"):
            await client.post(PATH, content=content, headers=signed(content, key))
        await client.post(PATH, content=content, headers={"Content-Type": "application/json"})
        await client.post(f"/v1/webhooks/{CANARY}", content=content, headers=signed(content))
        await client.request("PROPFIND", PATH)
        await until(
            lambda: Scraped.of(metrics).value("hookline_rejections_total", "written") == 4,
            "the rejections are written",
        )
        scraped = Scraped.of(metrics)
    webhooks = scraped.values("hookline_webhooks_total")
    assert {values: number for values, number in webhooks.items() if number} == {
        ("begini", "accepted"): 3,
        ("begini", "duplicate"): 1,
        ("begini", "bad_signature"): 2,
        ("begini", "missing_signature"): 1,
        ("begini", "method_not_allowed"): 1,
        ("unknown", "unknown_source"): 1,
    }
    failures = scraped.values("hookline_verification_failures_total")
    assert failures == {
        ("begini", "bad_signature"): 2,
        ("begini", "missing_signature"): 1,
        ("quiet", "bad_signature"): 0,
    }
    route = "/v1/webhooks/{source}"
    assert scraped.values("http_server_request_duration_seconds_count") == {
        ("POST", route, "200"): 4,
        ("POST", route, "403"): 3,
        ("POST", route, "404"): 1,
        ("_OTHER", route, "405"): 1,
    }
    assert scraped.values("hookline_rejections_total") == {("written",): 4, ("dropped",): 1}
    # Sent one after the other, so each had a commit of its own.
    assert scraped.value("hookline_commit_batch_size_count") == 4
    assert scraped.value("hookline_commit_batch_size_sum") == 4
    assert scraped.values("hookline_commit_batch_size_bucket")["1.0",] == 4
    assert scraped.value("hookline_commit_duration_seconds_count") == 4
    assert 0 < scraped.value("hookline_commit_duration_seconds_sum") < 60
    assert scraped.value("hookline_edge_connections") == 1
    for secret in (CANARY, KEY, "PROPFIND"):
        assert secret not in scraped.text


async def test_what_waits_for_its_commit_can_be_seen(database: str, foreign: Any) -> None:
    content = body("slow")
    async with counted(database) as (address, metrics), Wire(address) as wire:
        async with foreign.transaction():
            await foreign.execute("LOCK TABLE hookline.events IN ACCESS EXCLUSIVE MODE")
            sending = asyncio.create_task(wire.send(content))
            await until(
                lambda: Scraped.of(metrics).value("hookline_intake_queue_events") == 1, "the event waits"
            )
            scraped = Scraped.of(metrics)
        assert (await sending).status == 200
        after = Scraped.of(metrics)
    assert scraped.value("hookline_intake_queue_bytes") == len(content)
    assert scraped.value("db_client_connection_count", "edge", "used") >= 1
    assert (after.value("hookline_intake_queue_events"), after.value("hookline_intake_queue_bytes")) == (0, 0)


async def test_a_client_that_goes_away_is_counted(database: str) -> None:
    async with counted(database) as (address, metrics):
        async with Wire(address) as wire:
            await wire.write(f"POST {PATH} HTTP/1.1\r\nHost: edge\r\nContent-Length: 9\r\n".encode())
            await wire.write(b"Content-Type: application/json\r\n\r\n{")
            await until(lambda: Scraped.of(metrics).value("hookline_edge_connections") == 1, "it is open")
        await until(
            lambda: Scraped.of(metrics).values("hookline_webhooks_total").get(("begini", "abandoned")) == 1,
            "it is counted",
        )
        await until(lambda: Scraped.of(metrics).value("hookline_edge_connections") == 0, "it is closed")
        async with Wire(address) as wire:
            await wire.write(b"NONSENSE\r\n\r\n")
            assert (await wire.read()).status == 400
        assert Scraped.of(metrics).values("hookline_edge_connections_ended_total") == {("bad_request",): 1}
        assert Scraped.of(metrics).values("http_server_request_duration_seconds_count") == {}


async def test_a_lost_connection_to_the_database_is_counted_and_a_closed_one_is_not(
    database: str, foreign: Any
) -> None:
    async with counted(database) as (address, metrics), Wire(address) as wire:

        def losses() -> float:
            return Scraped.of(metrics).value("hookline_database_losses_total")

        await wire.send(body("first"))
        before = losses()
        session = Session(database, name="test")
        await session.fetch("SELECT 1", within=WITHIN)
        open_before = Scraped.of(metrics).value("db_client_connection_count", "edge", "idle")
        await session.close()
        await until(
            lambda: (
                Scraped.of(metrics).value("db_client_connection_count", "edge", "idle") == open_before - 1
            ),
            "one connection less",
        )
        assert losses() == before
        await foreign.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name LIKE 'hookline edge writer%' AND datname = current_database()"
        )
        assert (await wire.send(body("second"))).status == 200
        assert losses() > before


async def test_bodies_that_their_schema_does_not_allow_are_counted(database: str, tmp_path: Any) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text('{"type": "object", "required": ["nothing-has-it"]}')
    watched = {**BEGINI, "watch": {"mode": "reject", "files": {"application.complete": str(schema)}}}
    chosen = Settings(database_url=database, sources={"begini": watched})
    metrics = Metrics(Telemetry(), service="hookline-edge")
    app = create_app(chosen, metrics=metrics)
    async with (
        app.running(),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://edge") as client,
    ):
        for uid in ("a", "b"):
            content = body(uid)
            assert (await client.post(PATH, content=content, headers=signed(content))).status_code == 422
        assert Scraped.of(metrics).values("hookline_schema_findings_total") == {("begini", "schema"): 2}
