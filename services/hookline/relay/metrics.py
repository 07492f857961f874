"""What a relay counts."""

from collections.abc import Collection
from typing import get_args

from hookline.relay.observation import AttemptEnd
from hookline.store.settlements import AttemptOutcome
from hookline.telemetry import instruments
from hookline.telemetry.metrics import Metrics


class DeliveryMetrics:
    """The instruments of one subscription's deliveries.

    All their series are there from the start, so that `rate()` sees the first of each.
    """

    def __init__(self, metrics: Metrics, subscription: str) -> None:
        attempts = metrics.counter(instruments.DELIVERY_ATTEMPTS)
        self._attempts = {outcome: attempts.of(subscription, outcome) for outcome in get_args(AttemptOutcome)}
        self._latency = metrics.histogram(instruments.DELIVERY_LATENCY).of(subscription)
        self._dead_letters = metrics.counter(instruments.DEAD_LETTERS).of(subscription)
        self.filter_failures = metrics.counter(instruments.FILTER_FAILURES).of(subscription)
        """Events for which its expression failed."""
        self.lease_losses = metrics.counter(instruments.LEASE_LOSSES).of(subscription)
        """Shards that another relay took over."""

    def attempt_ended(self, end: AttemptEnd) -> None:
        """Count an attempt."""
        delivery, outcome = end.delivery, end.outcome
        self._attempts[outcome].value += 1
        if end.is_dead:
            self._dead_letters.value += 1
        if outcome == "acked" and not delivery.replay:
            # The clock of the edge and ours may differ by a little.
            latency = max((end.ended_at - delivery.event.received_at).total_seconds(), 0.0)
            self._latency.record(latency, delivery.event.traceparent)


class RelayMetrics:
    """The instruments of all subscriptions of one relay."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._known: dict[str, DeliveryMetrics] = {}

    def of(self, subscription: str) -> DeliveryMetrics:
        """Those of one subscription; the same ones each time."""
        if subscription not in self._known:
            self._known[subscription] = DeliveryMetrics(self._metrics, subscription)
        return self._known[subscription]

    def know(self, subscriptions: Collection[str]) -> None:
        """Have instruments of these, and of no others: what was deleted makes room."""
        for gone in self._known.keys() - set(subscriptions):
            del self._known[gone]
            for families in (self._metrics.counters, self._metrics.histograms):
                for instrument, family in families.items():
                    if instruments.SUBSCRIPTION in instrument.labels:
                        family.forget(gone)
        for name in subscriptions:
            self.of(name)
