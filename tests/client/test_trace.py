"""The consumer's spans, through the tracer that the consuming service has set up."""

import asyncio
from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from hookline.client import Consumer
from path.rig.events import append, event
from path.rig.relay import Relay
from path.rig.stream import PATIENCE

SAMPLED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    yield exporter
    provider.shutdown()


async def test_the_loops_body_runs_in_the_deliverys_span(
    relay: Relay, database: str, spans: InMemorySpanExporter
) -> None:
    await append(database, [event(b"canary", traceparent=SAMPLED)])
    async with asyncio.timeout(PATIENCE), Consumer(relay.target, "all") as consumer:
        async for delivery in consumer:
            current = trace.get_current_span().get_span_context()
            await delivery.ack()
            break
    [span] = spans.get_finished_spans()
    assert (span.name, span.kind) == ("process all", trace.SpanKind.CONSUMER)
    assert span.context == current
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" == "b7ad6b7169203331"
    assert f"{span.context.trace_id:032x}" == "0af7651916cd43dd8448eb211c80319c"
    assert "canary" not in span.to_json()


async def test_an_untraced_delivery_makes_no_span_and_does_not_inherit_the_one_before(
    relay: Relay, database: str, spans: InMemorySpanExporter
) -> None:
    await append(database, [event(traceparent=SAMPLED), event()])
    seen = []
    async with asyncio.timeout(PATIENCE), Consumer(relay.target, "all") as consumer:
        async for delivery in consumer:
            await delivery.ack()
            seen.append(trace.get_current_span().get_span_context())
            if len(seen) == 2:
                break
    assert len(spans.get_finished_spans()) == 1
    assert f"{seen[0].trace_id:032x}" == "0af7651916cd43dd8448eb211c80319c"
    assert seen[1].trace_id != seen[0].trace_id
