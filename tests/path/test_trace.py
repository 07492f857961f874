"""One OpenTelemetry trace from the HTTP request to the settlement, as a real collector receives it."""

import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from path.conftest import TABLES, Stack
from path.rig import consumer_process
from path.rig.collector import (
    PROTOCOLS,
    Collector,
    Protocol,
    ids,
    links,
    states,
    told,
    traceparent,
)
from path.rig.database import connect
from path.rig.process import KEY, EdgeProcess, RelayProcess, free_port, write_config
from path.rig.semconv import attribute_names
from path.rig.stream import RawStream
from path.rig.wait import until
from path.rig.webhooks import body, post

INBOUND_TRACE, INBOUND_SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
HEADERS = {
    "traceparent": f"00-{INBOUND_TRACE}-{INBOUND_SPAN}-01",
    "tracestate": "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
    "baggage": "canaryBaggage=1",
}
SERVER, CLIENT, PRODUCER, CONSUMER = 2, 3, 4, 5  # SpanKind in opentelemetry/proto/trace/v1
UID = "CANARYUID4711"


@asynccontextmanager
async def traced(database: str, directory: Path, telemetry: dict[str, Any]) -> AsyncIterator[Stack]:
    config = write_config(directory / "traced.toml", {**TABLES, "telemetry": telemetry})
    async with AsyncExitStack() as parts:
        relay, edge = RelayProcess(database, config), EdgeProcess(database, config)
        for process in (relay, edge):
            process.start()
            parts.push_async_callback(process.__aexit__, None, None, None)
        yield Stack(await edge.ready(), await relay.ready(), database)


async def stored_contexts(dsn: str) -> list[tuple[str, str]]:
    async with connect(dsn) as connection:
        rows = await connection.fetch("SELECT traceparent, tracestate FROM hookline.outbox ORDER BY seq")
    return [tuple(row) for row in rows]


async def deliver_one(database: str, directory: Path, protocol: Protocol) -> tuple[Collector, Any]:
    """One webhook, over a stream and pushed; the relay is killed between the commit and the hand-over.

    Answers the spans, and what the edge answered.
    """
    async with Collector() as collector, AsyncExitStack() as parts:
        port = free_port()
        tables = {
            **TABLES,
            "relay": {**TABLES["relay"], "lease": "2s"},
            "subscriptions.pushed": {"start": "earliest", "push": f"127.0.0.1:{port}"},
            "telemetry": collector.settings(protocol),
        }
        config = write_config(directory / "traced.toml", tables)
        edge = EdgeProcess(database, config)
        edge.start()
        parts.push_async_callback(edge.__aexit__, None, None, None)
        async with RelayProcess(database, config, name="before") as before:
            await edge.ready()
            answer = await post(edge.url, body(UID), HEADERS)
            await before.kill()
        relay = await parts.enter_async_context(RelayProcess(database, config))
        program = [sys.executable, consumer_process.__file__]
        consumer = subprocess.Popen(  # noqa: ASYNC220  (returns as soon as the process exists)
            [*program, relay.target, "1", collector.endpoint, str(port)]
        )
        await until(lambda: consumer.poll() is not None, "the consumer ends", patience=40)
        assert consumer.returncode == 0
        for process in (edge, relay):
            process.signal(signal.SIGTERM)
            assert await process.ended() == 0
    return collector, answer


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_one_trace_from_the_request_to_the_settlement(
    database: str, tmp_path: Path, protocol: Protocol
) -> None:
    collector, answer = await deliver_one(database, tmp_path, protocol)
    [server] = collector.named("POST /v1/webhooks/{source}")
    [persist] = collector.named("persist")
    [create] = collector.named("create begini")
    [batch] = collector.named("commit batch")
    services = {span.name: service for service, _, span in collector.spans}

    # The sender's context is linked and not continued, and nothing of it goes further.
    assert server.trace_id.hex() != INBOUND_TRACE
    assert server.parent_span_id == b""
    assert links(server) == [f"{INBOUND_TRACE}-{INBOUND_SPAN}"]
    assert states(server) == [HEADERS["tracestate"]]
    assert persist.parent_span_id == create.parent_span_id == server.span_id
    assert links(persist) == [ids(traceparent(batch))]
    assert (batch.parent_span_id, batch.kind) == (b"", CLIENT)
    assert batch.trace_id != server.trace_id
    assert told(batch)["messaging.batch.message_count"] == 1
    assert await stored_contexts(database) == [(traceparent(create), "")]
    assert told(create)["messaging.message.id"] == answer["event_id"]
    assert [server.kind, create.kind] == [SERVER, PRODUCER]
    spans = [server, persist, create]

    for subscription in ("all", "pushed"):
        # One may have been taken back before anybody saw it: the relay looks for the pushed one's consumer at once.
        delivers = collector.named(f"deliver {subscription}")
        [deliver] = [span for span in delivers if told(span)["hookline.outcome"] == "acked"]
        [process_] = collector.named(f"process {subscription}")
        [decide] = collector.named(f"decide {subscription}")
        [settle] = collector.named(f"settle {subscription}")
        assert deliver.parent_span_id == create.span_id
        assert process_.parent_span_id == deliver.span_id
        assert decide.parent_span_id == process_.span_id
        assert settle.parent_span_id == process_.span_id
        assert [deliver.kind, process_.kind] == [CLIENT, CONSUMER]
        assert [services[f"{hop} {subscription}"] for hop in ("deliver", "settle")] == ["hookline-relay"] * 2
        assert services[f"process {subscription}"] == "decisions"
        assert told(settle)["messaging.operation.name"] == "ack"
        spans += [deliver, process_, decide, settle]

    assert {span.trace_id for span in spans} == {server.trace_id}
    assert {span.trace_state for span in spans} == {""}
    assert all(not span.links for span in spans if span not in (server, persist))
    for span in (*spans, batch):
        assert span.start_time_unix_nano <= span.end_time_unix_nano
        assert span.status.code == 0
    assert services["create begini"] == services["commit batch"] == "hookline-edge"
    assert collector.spoken == {
        ("hookline-edge", protocol),
        ("hookline-relay", protocol),
        ("decisions", "grpc"),
    }
    names = {name for span in (*spans, batch) for name in told(span) if not name.startswith("hookline.")}
    assert names <= attribute_names(), "semconv has no such names"
    schemas = {scope.schema_url for _, scope, _ in collector.spans if scope.scope.name != "decisions"}
    assert schemas == {"https://opentelemetry.io/schemas/1.44.0"}


async def test_no_span_holds_a_subject_a_key_or_a_payload(database: str, tmp_path: Path) -> None:
    canaries = (UID, KEY, "canaryBaggage", "4711", "canary_type_in_body")
    async with Collector() as collector:
        async with (
            traced(database, tmp_path, collector.settings("grpc")) as stack,
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
    [(context, _)] = await stored_contexts(stack.database)
    assert context.endswith("-00")
    assert INBOUND_TRACE not in context
    async with RawStream(stack.relay.target) as stream:
        await stream.start()
        [delivery] = await stream.deliveries(1)
        assert delivery.traceparent == context
