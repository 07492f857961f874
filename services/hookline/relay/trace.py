"""The spans of a delivery: `deliver`, from hand-over to settlement, and `settle`, the commit of the verdict."""

from opentelemetry.trace import SpanKind, Status, StatusCode

from hookline.model import SubscriptionName
from hookline.relay.delivery import Delivery
from hookline.telemetry.context import encode, is_sampled, parent
from hookline.telemetry.tracing import Tracing


class DeliveryTraces:
    """Records the spans of one subscription's deliveries; makes none for an event whose trace isn't sampled."""

    def __init__(self, tracing: Tracing, subscription: SubscriptionName) -> None:
        self._tracing = tracing
        self._subscription = subscription

    @property
    def is_recording(self) -> bool:
        """Whether spans go anywhere at all."""
        return self._tracing.is_exporting

    def handed_out(self, delivery: Delivery, consumer: str) -> None:
        """Start `deliver` below the context that is stored with the event."""
        event = delivery.event
        if not self._tracing.is_exporting or not is_sampled(event.traceparent):
            return
        delivery.span = self._tracing.tracer.start_span(
            f"deliver {self._subscription}",
            context=parent(event.traceparent),
            kind=SpanKind.CLIENT,
            attributes={
                "messaging.system": "hookline",
                "messaging.operation.name": "deliver",
                "messaging.operation.type": "send",
                "messaging.destination.name": event.source,
                "messaging.destination.subscription.name": self._subscription,
                "messaging.message.id": str(event.event_id),
                "messaging.client.id": consumer,
                "hookline.event.type": event.type,
                "hookline.attempt": delivery.attempt,
            },
        )
        delivery.traceparent = encode(delivery.span.get_span_context())

    def released(self, delivery: Delivery, reason: str) -> None:
        """The hand-over ended without a verdict."""
        if delivery.span is not None:
            delivery.span.set_status(Status(StatusCode.ERROR, reason))
            delivery.span.end()
            delivery.span = None

    def settled(
        self, delivery: Delivery, verdict: str, consumer_traceparent: str, *, arrived_at: int
    ) -> None:
        """The verdict is committed: record `settle` below the consumer's own span, and end `deliver`.

        Args:
            delivery: What was settled.
            verdict: The verdict's name.
            consumer_traceparent: The context that came with the settlement; "" if there was none.
            arrived_at: When the settlement arrived, in nanoseconds since the epoch.
        """
        event = delivery.event
        if not self._tracing.is_exporting or not is_sampled(event.traceparent):
            return
        settle = self._tracing.tracer.start_span(
            f"settle {self._subscription}",
            context=parent(consumer_traceparent or delivery.traceparent or event.traceparent),
            start_time=arrived_at,
            attributes={
                "messaging.system": "hookline",
                "messaging.operation.name": verdict,
                "messaging.operation.type": "settle",
                "messaging.destination.name": event.source,
                "messaging.destination.subscription.name": self._subscription,
                "messaging.message.id": str(event.event_id),
            },
        )
        settle.end()
        if delivery.span is not None:
            delivery.span.set_attribute("hookline.outcome", verdict)
            delivery.span.end()
            delivery.span = None
