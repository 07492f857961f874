"""The spans of a delivery: `deliver`, from hand-over to settlement, and `settle`, the commit of the verdict."""

from collections.abc import Sequence
from datetime import datetime

from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, StatusCode
from opentelemetry.util.types import AttributeValue

from hookline.model import SubscriptionName
from hookline.relay.delivery import Delivery
from hookline.telemetry.context import below, decode, encode, is_sampled, link
from hookline.telemetry.tracing import Tracing
from hookline.v1 import delivery_pb2 as pb

_RELEASED = "released"


class DeliveryTraces:
    """Records the spans of one subscription's deliveries.

    The first attempt continues the trace of its event. What comes after a failure, and what somebody asked to have
    again, is a root of its own that is linked to the event's context: its trace would else last for days.

    An event that isn't sampled gets spans for what fails, and for what is tried after that, as far as they aren't too
    many; else none is made.
    """

    def __init__(self, tracing: Tracing, subscription: SubscriptionName) -> None:
        self._tracing = tracing
        self._subscription = subscription

    @property
    def is_recording(self) -> bool:
        """Whether spans go anywhere at all."""
        return self._tracing.is_exporting

    def handed_out(self, delivery: Delivery) -> None:
        """Start `deliver`, and give the consumer its context to continue."""
        event = delivery.event
        after_failure = delivery.attempt > 1 or delivery.portion or delivery.failed_before
        if not after_failure and not delivery.replay:
            if is_sampled(event.traceparent):
                self._start(delivery, below(decode(event.traceparent, event.tracestate)))
        elif (
            (after_failure and self._records_failure(delivery))
            or is_sampled(event.traceparent)
            or self._tracing.samples_root()
        ):
            self._start_root(delivery)
        else:
            delivery.traceparent = delivery.tracestate = ""  # it may have been sampled when it was out before

    def taken_back(self, delivery: Delivery, reason: str) -> None:
        """The hand-over ended without a verdict. `reason` is one of few, and never a consumer's text."""
        span, delivery.span = delivery.span, None
        if span is None:
            return
        outcome = reason.replace(" ", "_")
        span.set_attribute("hookline.outcome", outcome)
        if reason != _RELEASED:
            span.set_attribute("error.type", outcome)
            span.set_status(StatusCode.ERROR)
        span.end()

    def failed(self, delivery: Delivery, outcome: str, *, is_dead: bool) -> None:
        """The attempt failed: end `deliver`, or record it from its start if the event wasn't sampled."""
        if delivery.span is None and self._records_failure(delivery):
            self._start_root(delivery, start_time=_nanoseconds(delivery.handed_at))
        span, delivery.span = delivery.span, None
        if span is None:
            return
        span.set_attribute("hookline.outcome", outcome)
        span.set_attribute("error.type", outcome)
        if is_dead:
            span.set_attribute("hookline.dead_letter", True)
        span.set_status(StatusCode.ERROR)
        span.end()

    def acked(self, delivery: Delivery, settlement: pb.Settlement, *, arrived_at: int) -> None:
        """The ack is committed: record `settle`, and end `deliver`."""
        span, delivery.span = delivery.span, None
        if span is None and not is_sampled(delivery.event.traceparent):
            return
        self.settled(delivery, settlement, arrived_at=arrived_at)
        if span is not None:
            span.set_attribute("hookline.outcome", "acked")
            span.end()

    def settled(self, delivery: Delivery, settlement: pb.Settlement, *, arrived_at: int) -> None:
        """A verdict is committed: record `settle`, below the consumer's own span if it named one.

        Args:
            delivery: What was settled.
            settlement: How, and in which context.
            arrived_at: When the settlement arrived, in nanoseconds since the epoch.
        """
        event = delivery.event
        if not (delivery.has_own_trace or is_sampled(event.traceparent)):
            return  # its failure was one too many
        ours = decode(delivery.traceparent, delivery.tracestate) or decode(
            event.traceparent, event.tracestate
        )
        theirs = decode(settlement.traceparent, settlement.tracestate)
        if theirs is None or not theirs.trace_flags.sampled:
            theirs = ours
        is_apart = ours is not None and theirs is not None and ours.trace_id != theirs.trace_id
        verdict = settlement.WhichOneof("verdict")
        self._tracing.tracer.start_span(
            f"settle {self._subscription}",
            context=below(theirs),
            links=link(ours) if is_apart else [],
            start_time=arrived_at,
            attributes={
                **self._describe(delivery),
                "messaging.operation.name": verdict or "settle",
                "messaging.operation.type": "settle",
            },
        ).end()

    def _records_failure(self, delivery: Delivery) -> bool:
        if is_sampled(delivery.event.traceparent):
            return self._tracing.is_exporting
        return self._tracing.samples_failure()

    def _start_root(self, delivery: Delivery, *, start_time: int | None = None) -> None:
        """Start `deliver` in a trace of its own, linked to that of the event."""
        original = decode(delivery.event.traceparent, delivery.event.tracestate)
        self._start(delivery, Context(), link(original), start_time=start_time)

    def _start(
        self,
        delivery: Delivery,
        context: Context,
        links: Sequence[Link] = (),
        *,
        start_time: int | None = None,
    ) -> None:
        span: Span = self._tracing.tracer.start_span(
            f"deliver {self._subscription}",
            context=context,
            kind=SpanKind.CLIENT,
            links=links,
            start_time=start_time,
            attributes={
                **self._describe(delivery),
                "messaging.operation.name": "deliver",
                "messaging.operation.type": "send",
                "messaging.client.id": delivery.consumer,
                "messaging.message.body.size": delivery.size,
            },
        )
        delivery.span = span
        own = span.get_span_context()
        delivery.traceparent = encode(own)
        delivery.tracestate = own.trace_state.to_header()

    def _describe(self, delivery: Delivery) -> dict[str, AttributeValue]:
        event = delivery.event
        told: dict[str, AttributeValue] = {
            "messaging.system": "hookline",
            "messaging.destination.name": event.source,
            "messaging.destination.subscription.name": self._subscription,
            "messaging.message.id": str(event.event_id),
            "hookline.event.type": event.type,
            "hookline.attempt": delivery.attempt,
        }
        if delivery.replay:
            told["hookline.replay"] = f"replays/{delivery.replay}"
        return told


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1e9)
