"""What becomes of deliveries whose attempt failed, and of those whose consumer died."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import structlog

from hookline.core.quarantine import next_portion
from hookline.relay.arrivals import Arrivals
from hookline.relay.delivery import Delivery
from hookline.relay.inventory import Inventory
from hookline.relay.leases import Leases
from hookline.relay.observation import AttemptEnd, Observation
from hookline.relay.settle import Changes, Settler
from hookline.store.settlements import Attempt, AttemptOutcome, DeliveryRow

_log = structlog.get_logger(__name__)


class Failures:
    """Applies one subscription's retry policy."""

    def __init__(
        self,
        inventory: Inventory,
        leases: Leases,
        arrivals: Arrivals,
        settler: Settler,
        observation: Observation,
    ) -> None:
        self._inventory = inventory
        self._leases = leases
        self._arrivals = arrivals
        self._settler = settler
        self._observation = observation

    def suspect(self, deliveries: Iterable[Delivery], reason: str) -> None:
        """One of these killed its consumer, perhaps: one alone failed; several are handed out in smaller portions.

        That is written down, because the next consumer may connect to another relay.
        """
        held = [delivery for delivery in deliveries if not delivery.settled and not delivery.shard.lost]
        if len(held) == 1:
            held[0].portion = 1
            self.fail(held, "lost", reason)
            return
        portion = next_portion(len(held))
        changes = Changes()
        for delivery in held:
            self._leases.end(delivery, "consumer lost")  # `reason` may be the consumer's text
            delivery.attempt -= 1
            delivery.portion = min(portion, delivery.portion or portion)
            delivery.has_row = True
            changes.rows.append((delivery.shard, self._inventory.row(delivery, "waiting", reason=reason)))
        if held:
            _log.warning(
                "consumer lost with deliveries in hand",
                subscription=self._inventory.subscription.name,
                events=len(held),
                portion=portion,
            )
            self._settler.add(changes)
            self._leases.wait_again(held, first=True)
        self._leases.hand_out()

    def fail(self, deliveries: Iterable[Delivery], outcome: AttemptOutcome, reason: str) -> None:
        """These attempts failed: the retry policy says what becomes of the deliveries."""
        changes = Changes()
        for delivery in deliveries:
            if not delivery.settled and not delivery.shard.lost:
                self.fail_in(changes, delivery, outcome, reason)
        if changes.rows:
            self._settler.add(changes)
        self._leases.hand_out()

    def fail_in(
        self,
        changes: Changes,
        delivery: Delivery,
        outcome: AttemptOutcome,
        reason: str,
        *,
        asked: timedelta | None = None,
    ) -> None:
        """One attempt failed: add to `changes` what that means."""
        now = datetime.now(UTC)
        first_at = delivery.first_at or delivery.handed_at
        delay = None
        if outcome != "rejected":
            delay = self._inventory.subscription.retry.next_delay(
                attempt=delivery.attempt, age=max(now - first_at, timedelta(0)), asked=asked
            )
        self._leases.end_attempt(delivery)
        delivery.first_at = first_at
        if outcome == "retried":
            delivery.portion = 0  # whoever judges it is alive
        row = self._inventory.row(delivery, "waiting", reason=reason)
        self._inventory.remove(delivery)
        self._inventory.decided(delivery.place, changes)
        if delay is not None:
            changes.rows.append((delivery.shard, replace(row, delay=delay)))
            self._inventory.failed(delivery, changes)
            self._arrivals.look_for_due(after=delay)
        else:
            self._bury(changes, delivery, row)
        # The reason stays out: it is the consumer's text.
        self._observation.failed(AttemptEnd(delivery, outcome, now, next_in=delay, is_dead=delay is None))
        # Only now is it known in which trace the attempt was recorded.
        changes.attempts.append(attempt(delivery, outcome, reason))

    def _bury(self, changes: Changes, delivery: Delivery, row: DeliveryRow) -> None:
        _log.warning(
            "dead letter",
            subscription=self._inventory.subscription.name,
            event_id=str(delivery.event.event_id),
            attempts=delivery.attempt,
        )
        changes.rows.append((delivery.shard, replace(row, state="dead")))
        if self._inventory.subscription.after_dead_letter == "block":
            self._inventory.failed(delivery, changes)
        else:
            changes.dead.append(delivery)


def attempt(delivery: Delivery, outcome: AttemptOutcome, reason: str) -> Attempt:
    """The attempt that ends now."""
    ended_at = datetime.now(UTC)
    return Attempt(
        shard=delivery.event.shard,
        place=delivery.place,
        number=delivery.attempt,
        outcome=outcome,
        consumer=delivery.consumer,
        reason=reason,
        # What another relay handed over may be acked here.
        started_at=delivery.handed_at if delivery.hand_over else ended_at,
        ended_at=ended_at,
        traceparent=delivery.traceparent,
    )
