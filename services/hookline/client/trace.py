"""The consumer's part of the trace: `process {subscription}`, from the delivery to its settlement.

Uses the OpenTelemetry API alone: spans go where the consuming service sends its own, or nowhere.
"""

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from hookline.client.delivery import Delivery
from hookline.v1 import delivery_pb2 as pb

_propagator = TraceContextTextMapPropagator()
_SAMPLED = "1"


class ProcessTraces:
    """Starts and ends the spans of one consumer's deliveries."""

    def __init__(self, subscription: str) -> None:
        self._subscription = subscription
        self._tracer = trace.get_tracer("hookline.client")

    def start(self, delivery: Delivery) -> Context | None:
        """Start the delivery's span and answer the context to work in; None if the event isn't traced."""
        if not delivery.traceparent.endswith(_SAMPLED):
            return None
        parent = _propagator.extract({"traceparent": delivery.traceparent}, Context())
        delivery.span = self._tracer.start_span(
            f"process {self._subscription}",
            context=parent,
            kind=SpanKind.CONSUMER,
            attributes={
                "messaging.system": "hookline",
                "messaging.operation.name": "process",
                "messaging.operation.type": "process",
                "messaging.destination.name": delivery.source,
                "messaging.destination.subscription.name": self._subscription,
                "messaging.message.id": delivery.event_id,
            },
        )
        delivery.context = trace.set_span_in_context(delivery.span, parent)
        return delivery.context

    def end(self, delivery: Delivery, settlement: pb.Settlement) -> str:
        """End the delivery's span and answer its traceparent, for the settlement; "" if there is none."""
        if delivery.span is None or delivery.context is None:
            return ""
        carrier: dict[str, str] = {}
        _propagator.inject(carrier, delivery.context)
        verdict = settlement.WhichOneof("verdict")
        if verdict in {"retry", "reject"}:
            # The reason stays out: it is the user's text.
            delivery.span.set_status(Status(StatusCode.ERROR, verdict))
        delivery.span.end()
        return carrier.get("traceparent", "")
