"""Work that isn't sampled builds no span: a tracer that counts says so."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from opentelemetry.trace import NoOpTracer, Span

from hookline.config import Telemetry
from hookline.edge import answers
from hookline.edge.batch_trace import batch_span
from hookline.edge.observation import Observation as EdgeObservation
from hookline.edge.trace import Traces
from hookline.model import CursorState, OwnedCursor, Seq, Shard, SubscriptionName
from hookline.relay.delivery import Delivery
from hookline.relay.observation import AttemptEnd, Observation
from hookline.relay.ownership import OwnedShard
from hookline.relay.trace import DeliveryTraces
from hookline.store.settlements import AttemptOutcome
from hookline.telemetry.context import unsampled
from hookline.telemetry.tracing import MOST_FAILURES, Tracing
from hookline.v1 import delivery_pb2 as pb
from unit.logged_event import logged_event

INBOUND = f"00-{'1' * 32}-{'2' * 16}-01".encode()
SAMPLED = f"00-{'3' * 32}-{'4' * 16}-01"
SCOPE = {"method": "POST", "scheme": "http", "headers": [(b"traceparent", INBOUND)]}
ACK = pb.Settlement(token=b"token", ack=pb.Ack())


class CountingTracer(NoOpTracer):
    def __init__(self) -> None:
        self.started: list[str] = []

    def start_span(self, name: str, *arguments: Any, **options: Any) -> Span:
        self.started.append(name)
        return super().start_span(name, *arguments, **options)


class ExportingTracing(Tracing):
    """Sends spans somewhere, and samples no root."""

    def __init__(self) -> None:
        super().__init__(Telemetry(), service="test")
        self.counted = CountingTracer()
        self.tracer = self.counted

    @property
    def is_exporting(self) -> bool:
        return True


@pytest.fixture
def tracing() -> ExportingTracing:
    return ExportingTracing()


def receive(watching: EdgeObservation, answer: answers.Answer) -> None:
    """What the edge tells of one webhook."""
    request = watching.begin("begini", SCOPE)
    event_id = uuid4()
    request.identified(event_id, "application.complete", 512)
    with batch_span(NoOpTracer(), [span for span in [request.trace.persist] if span is not None], events=1):
        pass
    watching.answered(request, answer)


def handed(watching: Observation, **known: Any) -> Delivery:
    """A delivery of an unsampled event, handed out."""
    shard = OwnedShard(OwnedCursor(Shard(0), 1, CursorState(Seq(0), ())), valid_until=0.0)
    event = logged_event()._replace(traceparent=unsampled())
    delivery = Delivery(event, shard, **{"attempt": 1, **known})
    delivery.handed_at = datetime.now(UTC)
    watching.handed_out(delivery)
    return delivery


def end(delivery: Delivery, outcome: AttemptOutcome = "acked") -> AttemptEnd:
    return AttemptEnd(delivery, outcome, datetime.now(UTC))


def test_a_webhook_that_is_not_sampled_makes_a_span_only_if_the_server_fails(
    tracing: ExportingTracing,
) -> None:
    watching = EdgeObservation(Traces(tracing))
    receive(watching, answers.accepted(uuid4(), revision=False))
    receive(watching, answers.UNKNOWN_SOURCE)
    assert tracing.counted.started == []
    receive(watching, answers.NOT_STORED)
    watching.abandoned(watching.begin("begini", SCOPE))
    assert tracing.counted.started == ["POST /v1/webhooks/{source}"] * 2


def test_a_delivery_that_is_not_sampled_makes_a_span_only_if_it_fails(tracing: ExportingTracing) -> None:
    watching = Observation(DeliveryTraces(tracing, SubscriptionName("all")))
    watching.acked(end(handed(watching)), ACK, arrived_at=1)
    watching.taken_back(handed(watching), "released")
    watching.acked(end(handed(watching, replay=7)), ACK, arrived_at=1)
    assert tracing.counted.started == []
    watching.failed(end(handed(watching), "expired"))
    assert tracing.counted.started == ["deliver all"]


@pytest.mark.parametrize("known", [{"attempt": 2}, {"portion": 1}, {"failed_before": True}])
def test_what_has_failed_is_traced_from_its_next_start(
    tracing: ExportingTracing, known: dict[str, Any]
) -> None:
    watching = Observation(DeliveryTraces(tracing, SubscriptionName("all")))
    delivery = handed(watching, **known)
    assert tracing.counted.started == ["deliver all"]
    watching.acked(end(delivery), ACK, arrived_at=1)
    assert tracing.counted.started == ["deliver all", "settle all"]


def test_of_many_failures_only_the_first_of_each_second_make_spans(
    tracing: ExportingTracing, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("hookline.telemetry.tracing.monotonic", lambda: now)
    edge = EdgeObservation(Traces(tracing))
    relay = Observation(DeliveryTraces(tracing, SubscriptionName("all")))
    spans = tracing.counted.started
    for _ in range(MOST_FAILURES // 2):
        receive(edge, answers.NOT_STORED)
        edge.abandoned(edge.begin("begini", SCOPE))
    assert len(spans) == MOST_FAILURES
    receive(edge, answers.NOT_STORED)
    edge.abandoned(edge.begin("begini", SCOPE))
    delivery = handed(relay, attempt=2)
    relay.failed(end(delivery, "rejected"))
    relay.judged(delivery, pb.Settlement(reject=pb.Reject()), arrived_at=1)
    assert (len(spans), delivery.traceparent) == (MOST_FAILURES, "")
    sampled = Delivery(logged_event()._replace(traceparent=SAMPLED), delivery.shard, attempt=2)
    relay.handed_out(sampled)
    relay.failed(end(sampled))
    assert len(spans) == MOST_FAILURES + 1, "what is sampled is recorded all the same"
    now += 1
    receive(edge, answers.NOT_STORED)
    relay.failed(end(handed(relay), "lost"))
    assert len(spans) == MOST_FAILURES + 3


def test_where_nothing_is_exported_no_span_is_made_of_a_failure_either() -> None:
    tracing = Tracing(Telemetry(), service="test")
    tracing.tracer = counted = CountingTracer()
    receive(EdgeObservation(Traces(tracing)), answers.NOT_STORED)
    watching = Observation(DeliveryTraces(tracing, SubscriptionName("all")))
    watching.failed(end(handed(watching, attempt=2), "lost"))
    assert counted.started == []
