"""The consumer's part of the trace: `process {subscription}`, from the delivery to its settlement.

Uses the OpenTelemetry API alone: spans go where the consuming service sends its own, or nowhere.
"""

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

import hookline
from hookline.client.delivery import Delivery
from hookline.v1 import delivery_pb2 as pb

_SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"
"""The version of the semantic conventions that names and attributes follow."""
_propagator = TraceContextTextMapPropagator()
_SAMPLED = "1"


class ProcessTraces:
    """Starts and ends the spans of one consumer's deliveries."""

    def __init__(self, subscription: str) -> None:
        self._subscription = subscription
        self._tracer = trace.get_tracer("hookline.client", hookline.__version__, schema_url=_SCHEMA_URL)
        self._has_sdk = not isinstance(self._tracer, trace.ProxyTracer)

    def start(self, delivery: Delivery) -> None:
        """Start the delivery's span and set the context to work in.

        An event that isn't sampled gets no span. Where spans are recorded at all it still gets its context, so that
        nothing that the work calls is recorded as a trace of its own.
        """
        is_sampled = delivery.traceparent.endswith(_SAMPLED)
        if not is_sampled and not self._has_sdk:
            return
        parent = delivery.context = _propagator.extract(
            {"traceparent": delivery.traceparent, "tracestate": delivery.tracestate}, Context()
        )
        if not is_sampled:
            return
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
                "hookline.event.type": delivery.type,
                "hookline.attempt": delivery.attempt,
            },
        )
        delivery.context = trace.set_span_in_context(delivery.span, parent)

    def end(self, delivery: Delivery, settlement: pb.Settlement) -> None:
        """End the delivery's span, and let the settlement carry its context back."""
        if delivery.span is None or delivery.context is None:
            return
        carrier: dict[str, str] = {}
        _propagator.inject(carrier, delivery.context)
        settlement.traceparent = carrier.get("traceparent", "")
        settlement.tracestate = carrier.get("tracestate", "")
        verdict = settlement.WhichOneof("verdict")
        if verdict in {"retry", "reject"}:
            # The reason stays out: it is the user's text.
            delivery.span.set_attribute("error.type", delivery.error_type or verdict)
            delivery.span.set_status(StatusCode.ERROR)
        delivery.span.end()
