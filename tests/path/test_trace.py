"""One OpenTelemetry trace from the HTTP request to the settlement, as a real collector receives it."""

import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from path.conftest import TABLES, Stack
from path.rig import consumer_process
from path.rig.collector import BlackHole, Collector
from path.rig.database import connect
from path.rig.process import KEY, EdgeProcess, RelayProcess, free_port, write_config
from path.rig.stream import RawStream
from path.rig.wait import until
from path.rig.webhooks import body, post

INBOUND_TRACE, INBOUND_SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
HEADERS = {"traceparent": f"00-{INBOUND_TRACE}-{INBOUND_SPAN}-01", "baggage": "canaryBaggage=1"}
SERVER, CLIENT, PRODUCER, CONSUMER = 2, 3, 4, 5  # SpanKind in opentelemetry/proto/trace/v1
UID = "CANARYUID4711"


@asynccontextmanager
async def traced(database: str, directory: Path, endpoint: str) -> AsyncIterator[Stack]:
    config = write_config(directory / "traced.toml", {**TABLES, "telemetry": {"otlp_endpoint": endpoint}})
    async with AsyncExitStack() as parts:
        relay, edge = RelayProcess(database, config), EdgeProcess(database, config)
        for process in (relay, edge):
            process.start()
            parts.push_async_callback(process.__aexit__, None, None, None)
        yield Stack(await edge.ready(), await relay.ready(), database)


async def stored_traceparents(dsn: str) -> list[str]:
    async with connect(dsn) as connection:
        rows = await connection.fetch("SELECT traceparent FROM hookline.outbox ORDER BY seq")
    return [row["traceparent"] for row in rows]


async def test_one_trace_from_the_request_to_the_settlement(database: str, tmp_path: Path) -> None:
    async with Collector() as collector:
        async with traced(database, tmp_path, collector.endpoint) as stack:
            program = [sys.executable, consumer_process.__file__]
            consumer = subprocess.Popen(  # noqa: ASYNC220  (returns as soon as the process exists)
                [*program, stack.relay.target, "all", "1", collector.endpoint]
            )
            answer = await post(stack.edge.url, body(UID), HEADERS)
            await until(lambda: consumer.poll() is not None, "the consumer ends", patience=40)
            assert consumer.returncode == 0
            for process in (stack.edge, stack.relay):
                process.signal(signal.SIGTERM)
                assert await process.ended() == 0
        [server] = collector.named("POST /v1/webhooks/{source}")
        [persist] = collector.named("persist")
        [create] = collector.named("create begini")
        [deliver] = collector.named("deliver all")
        [process_] = collector.named("process all")
        [settle] = collector.named("settle all")
        services = {span.name: service for service, _, span in collector.spans}
        schemas = {scope.schema_url for service, scope, _ in collector.spans if service != "decisions"}
    spans = [server, persist, create, deliver, process_, settle]
    assert {span.trace_id for span in spans} == {server.trace_id}
    # The sender's context is linked and not continued.
    assert server.trace_id.hex() != INBOUND_TRACE
    assert server.parent_span_id == b""
    assert [(link.trace_id.hex(), link.span_id.hex()) for link in server.links] == [
        (INBOUND_TRACE, INBOUND_SPAN)
    ]
    assert persist.parent_span_id == create.parent_span_id == server.span_id
    assert deliver.parent_span_id == create.span_id
    assert process_.parent_span_id == deliver.span_id
    assert settle.parent_span_id == process_.span_id
    assert [server.kind, create.kind, deliver.kind, process_.kind] == [SERVER, PRODUCER, CLIENT, CONSUMER]
    for span in spans:
        assert span.start_time_unix_nano <= span.end_time_unix_nano
    assert services["create begini"] == "hookline-edge"
    assert services["deliver all"] == services["settle all"] == "hookline-relay"
    assert services["process all"] == "decisions"
    assert schemas == {"https://opentelemetry.io/schemas/1.44.0"}
    assert await stored_traceparents(database) == [f"00-{create.trace_id.hex()}-{create.span_id.hex()}-01"]
    message = {a.key: a.value.string_value for a in create.attributes}["messaging.message.id"]
    assert message == answer["event_id"]


async def test_no_span_holds_a_subject_a_key_or_a_payload(database: str, tmp_path: Path) -> None:
    canaries = (UID, KEY, "canaryBaggage", "4711", "canary_type_in_body")
    async with Collector() as collector:
        async with (
            traced(database, tmp_path, collector.endpoint) as stack,
            RawStream(stack.relay.target) as stream,
        ):
            await stream.start()
            await post(stack.edge.url, body(UID, score=1), HEADERS)
            await post(stack.edge.url, body(UID, score=2), HEADERS)
            await post(stack.edge.url, body(UID, score=2), HEADERS)
            await post(stack.edge.url, b'{"CANARYUID4711"', HEADERS)
            held = await stream.deliveries(3)
            assert {delivery.type for delivery in held} == {"psychometric_score.complete", "unparsable"}
            assert any(UID in delivery.ordering_key for delivery in held), "or this test looks for nothing"
            await stream.ack(*held)
            for process in (stack.edge, stack.relay):
                process.signal(signal.SIGTERM)
                await process.ended()
            logs = stack.edge.output() + stack.relay.output()
        assert len(collector.named("settle all")) == 3
        told = "\n".join(str(span) + str(scope.scope) for _, scope, span in collector.spans)
    for canary in canaries:
        assert canary not in told.replace(INBOUND_TRACE, "")
        assert canary == "4711" or canary not in logs


async def test_without_a_collector_no_span_is_made_and_the_flag_says_so(stack: Any) -> None:
    await post(stack.edge.url, body(), HEADERS)
    [traceparent] = await stored_traceparents(stack.database)
    assert traceparent.endswith("-00")
    assert INBOUND_TRACE not in traceparent
    async with RawStream(stack.relay.target) as stream:
        await stream.start()
        [delivery] = await stream.deliveries(1)
        assert delivery.traceparent == traceparent


@pytest.mark.parametrize("kind", ["nobody listens", "a black hole"])
async def test_a_dead_collector_costs_nothing(database: str, tmp_path: Path, kind: str) -> None:
    async with BlackHole() as hole:
        endpoint = hole.endpoint if kind == "a black hole" else f"http://127.0.0.1:{free_port()}"
        async with traced(database, tmp_path, endpoint) as stack, RawStream(stack.relay.target) as stream:
            await stream.start()
            for _ in range(20):
                began = monotonic()
                await post(stack.edge.url, body())
                assert monotonic() - began < 5
            held = await stream.deliveries(20)
            assert not (await stream.ack(*held)).failures
            await stream.finish()
            asked = monotonic()
            for process in (stack.edge, stack.relay):
                process.signal(signal.SIGTERM)
            assert [await process.ended() for process in (stack.edge, stack.relay)] == [0, 0]
            assert monotonic() - asked <= 5
