"""Metrics of real processes: scraped, and sent over OTLP."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from path.conftest import TABLES
from path.rig.database import connect
from path.rig.metrics_collector import MetricsCollector
from path.rig.process import EdgeProcess, RelayProcess, free_port, write_config
from path.rig.stream import RawStream
from path.rig.wait import until
from path.rig.webhooks import body, post
from unit.scraped import Scraped

EVENTS = 12


@dataclass
class Watched:
    """An edge and a relay that are scraped and send."""

    edge: EdgeProcess
    relay: RelayProcess
    collector: MetricsCollector
    database: str
    edge_status: int
    relay_status: int

    async def scrape(self, port: int) -> Scraped:
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"http://127.0.0.1:{port}/metrics")
        assert answer.headers["content-type"].startswith("application/openmetrics-text")
        return Scraped(answer.text)


@pytest.fixture
async def watched(database: str, tmp_path: Path) -> AsyncIterator[Watched]:
    edge_status, relay_status = free_port(), free_port()
    async with AsyncExitStack() as parts:
        collector = await parts.enter_async_context(MetricsCollector())
        tables = {
            **TABLES,
            "edge": {"status": f"127.0.0.1:{edge_status}"},
            "relay": {**TABLES["relay"], "status": f"127.0.0.1:{relay_status}"},
            "telemetry": {"otlp_endpoint": collector.endpoint, "metrics_interval": "500ms"},
        }
        config = write_config(tmp_path / "hookline.toml", tables)
        relay, edge = RelayProcess(database, config), EdgeProcess(database, config)
        for process in (relay, edge):
            process.start()
            parts.push_async_callback(process.__aexit__, None, None, None)
        yield Watched(await edge.ready(), await relay.ready(), collector, database, edge_status, relay_status)


async def test_the_same_numbers_are_scraped_and_sent_and_examples_name_the_events_traces(
    watched: Watched,
) -> None:
    async with RawStream(watched.relay.target) as stream:
        await stream.start()
        contents = [body() for _ in range(EVENTS)]
        await asyncio.gather(*(post(watched.edge.url, content) for content in contents))
        await post(watched.edge.url, contents[0])
        await stream.ack(*await stream.deliveries(EVENTS))
        edge, relay = await asyncio.gather(
            watched.scrape(watched.edge_status), watched.scrape(watched.relay_status)
        )
    assert edge.value("hookline_webhooks_total", "begini", "accepted") == EVENTS
    assert edge.value("hookline_webhooks_total", "begini", "duplicate") == 1
    assert relay.value("hookline_delivery_attempts_total", "all", "acked") == EVENTS
    assert relay.value("hookline_delivery_latency_seconds_count", "all") == EVENTS
    async with connect(watched.database) as connection:
        stored = await connection.fetch("SELECT traceparent FROM hookline.events")
    traces = {row["traceparent"].split("-")[1] for row in stored}
    shown = relay.exemplars("hookline_delivery_latency_seconds_bucket")
    assert shown
    assert {exemplar.labels["trace_id"] for exemplar in shown} <= traces
    requests = edge.exemplars("http_server_request_duration_seconds_bucket")
    assert requests

    collector = watched.collector

    def arrived() -> bool:
        found = (
            collector.value("hookline-edge", "hookline.webhooks", source="begini", outcome="accepted"),
            collector.value(
                "hookline-relay", "hookline.delivery.attempts", subscription="all", outcome="acked"
            ),
            collector.value("hookline-relay", "hookline.delivery.latency", subscription="all"),
        )
        return found == (EVENTS,) * 3

    await until(arrived, "all were sent")
    sent = [one.trace_id.hex() for name, one in collector.exemplars if name == "hookline.delivery.latency"]
    assert sent
    assert set(sent) <= traces
    assert len(sent) == len(set(sent)), "an example is sent once"
    assert collector.metrics["hookline-edge", "http.server.request.duration"].unit == "s"
