"""What is told of each delivery: its spans, what it counts in the metrics, and a log line for each attempt."""

from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from hookline.relay.delivery import Delivery
from hookline.relay.trace import DeliveryTraces
from hookline.store.settlements import AttemptOutcome
from hookline.v1 import delivery_pb2 as pb


class AttemptEnd(NamedTuple):
    """How an attempt ended."""

    delivery: Delivery
    outcome: AttemptOutcome
    ended_at: datetime
    next_in: timedelta | None = None
    """When it is tried again, if it failed."""
    is_dead: bool = False
    """It failed, and isn't tried again."""


class Observer(Protocol):
    """Is told how each attempt ended."""

    def attempt_ended(self, end: AttemptEnd) -> None:
        """It ended."""


class Observation:
    """Watches all deliveries of one subscription.

    Args:
        traces: Records their spans.
        observers: Are told how attempts ended.
    """

    def __init__(self, traces: DeliveryTraces, *observers: Observer) -> None:
        self._traces = traces
        self._observers = observers

    def handed_out(self, delivery: Delivery) -> None:
        """An attempt begins."""
        if self._traces.is_recording:
            self._traces.handed_out(delivery)

    def taken_back(self, delivery: Delivery, reason: str) -> None:
        """The hand-over counts for nothing: it was released, or the relay or its lease ended."""
        self._traces.taken_back(delivery, reason)

    def failed(self, end: AttemptEnd) -> None:
        """The attempt failed, and what becomes of the delivery is decided."""
        self._traces.failed(end.delivery, end.outcome, is_dead=end.is_dead)
        for observer in self._observers:
            observer.attempt_ended(end)

    def judged(self, delivery: Delivery, settlement: pb.Settlement, *, arrived_at: int) -> None:
        """A verdict that failed the attempt is committed. Arguments as of `acked`."""
        if self._traces.is_recording:
            self._traces.settled(delivery, settlement, arrived_at=arrived_at)

    def acked(self, end: AttemptEnd, settlement: pb.Settlement, *, arrived_at: int) -> None:
        """The delivery is settled for good, and that is committed.

        Args:
            end: The attempt.
            settlement: The verdict, with the context of the consumer's work.
            arrived_at: When it arrived, in nanoseconds since the epoch.
        """
        if self._traces.is_recording:
            self._traces.acked(end.delivery, settlement, arrived_at=arrived_at)
        for observer in self._observers:
            observer.attempt_ended(end)
