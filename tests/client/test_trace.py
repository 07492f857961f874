"""The consumer's spans, through the tracer that the consuming service has set up."""

import asyncio
from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from hookline.client import Consumer, Delivery, Reject, Retry
from hookline.client.outcome import handle
from hookline.client.push_batch import PushBatch
from hookline.v1 import delivery_pb2 as pb
from hookline.v1.consumer_pb2 import DeliverRequest
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


async def test_an_unsampled_delivery_makes_no_span_and_does_not_inherit_the_one_before(
    relay: Relay, database: str, spans: InMemorySpanExporter
) -> None:
    unsampled = event()
    await append(database, [event(traceparent=SAMPLED), unsampled])
    seen = []
    async with asyncio.timeout(PATIENCE), Consumer(relay.target, "all") as consumer:
        async for delivery in consumer:
            await delivery.ack()
            seen.append(trace.get_current_span().get_span_context())
            with trace.get_tracer("work").start_as_current_span("work"):
                pass
            if len(seen) == 2:
                break
    assert [span.name for span in spans.get_finished_spans()] == ["process all", "work"]
    assert f"{seen[0].trace_id:032x}" == "0af7651916cd43dd8448eb211c80319c"
    # Its context is continued nevertheless: what the work calls isn't traced either.
    assert f"00-{seen[1].trace_id:032x}-{seen[1].span_id:016x}-00" == unsampled.traceparent
    assert not seen[1].trace_flags.sampled


@pytest.mark.parametrize(
    ("error", "kind"),
    [(ValueError("CANARY"), "ValueError"), (Retry(reason="CANARY"), "retry"), (Reject("CANARY"), "reject")],
)
async def test_a_verdict_goes_back_in_the_spans_context_and_the_span_tells_only_the_kind_of_error(
    spans: InMemorySpanExporter, error: Exception, kind: str
) -> None:
    async def fail(_: Delivery) -> None:
        raise error

    message = pb.Delivery(event_id="1", traceparent=SAMPLED, tracestate="vendor=opaque")
    batch = PushBatch(DeliverRequest(subscription="all", deliveries=[message]))
    [delivery] = batch.deliveries
    batch.begin(delivery)
    await handle(fail, delivery)
    [settlement] = batch.answer().settlements
    [span] = spans.get_finished_spans()
    assert span.context is not None
    assert settlement.traceparent == f"{SAMPLED[:36]}{span.context.span_id:016x}-01"
    assert settlement.tracestate == "vendor=opaque"
    assert span.attributes is not None
    assert (span.attributes["error.type"], span.status.status_code) == (kind, trace.StatusCode.ERROR)
    assert "CANARY" not in span.to_json()
