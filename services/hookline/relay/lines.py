"""One wide log line for each attempt."""

from datetime import timedelta
from uuid import UUID

from hookline.relay.observation import AttemptEnd
from hookline.telemetry.context import is_sampled
from hookline.telemetry.logs import wide_line_writer
from hookline.telemetry.wide_line import Choice, WideLine

_LONGEST_NAME = 100
_LONGEST_TYPE = 200
_MICROSECOND = timedelta(microseconds=1)


class AttemptLine(WideLine, kw_only=True):
    """What is known of an attempt; docs/logging.md says what each field means."""

    subscription: str
    outcome: str
    source: str
    type: str
    event_id: UUID
    attempt: int
    replay: int = 0
    consumer: str
    duration_ms: float | None = None
    latency_ms: float
    next_in_ms: float | None = None
    dead: bool
    trace_id: str
    span_id: str
    sampled: bool


class AttemptLines:
    """Writes those of one subscription.

    Args:
        subscription: Its name.
        choice: Which of them.
    """

    def __init__(self, subscription: str, choice: Choice = "all") -> None:
        self._subscription = subscription
        self._choice = choice
        self._write = wide_line_writer()

    def attempt_ended(self, end: AttemptEnd) -> None:
        """Write the line of an attempt; that of a delivery's death always."""
        if self._write is None or (
            self._choice != "all" and not end.is_dead and (self._choice == "none" or end.outcome == "acked")
        ):
            return
        delivery = end.delivery
        event = delivery.event
        traceparent = delivery.traceparent or event.traceparent
        self._write(
            AttemptLine(
                timestamp=end.ended_at,
                level="warning" if end.is_dead else "info",
                event="attempt",
                subscription=self._subscription,
                outcome=end.outcome,
                event_id=event.event_id,
                source=event.source,
                type=event.type[:_LONGEST_TYPE],
                attempt=delivery.attempt,
                consumer=delivery.consumer[:_LONGEST_NAME],
                latency_ms=_milliseconds(end.ended_at - event.received_at),
                dead=end.is_dead,
                trace_id=traceparent[3:35],
                span_id=traceparent[36:52],
                sampled=is_sampled(traceparent),
                # What another relay handed over may be acked here.
                duration_ms=(
                    _milliseconds(end.ended_at - delivery.handed_at) if delivery.hand_over else None
                ),
                replay=delivery.replay,
                next_in_ms=_milliseconds(end.next_in) if end.next_in is not None else None,
            )
        )


def _milliseconds(duration: timedelta) -> float:
    # A third of what total_seconds() and round() take.
    return duration // _MICROSECOND / 1e3
