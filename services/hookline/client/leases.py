"""What the relay has leased to this consumer: waiting here, in the user's hands, or acked and not confirmed."""

import asyncio
from collections.abc import Callable, Hashable, Iterable
from datetime import timedelta
from functools import partial
from math import inf

from hookline.client.delivery import Delivery, EventKey
from hookline.client.lanes import Lanes
from hookline.client.settlement import PendingSettlement
from hookline.client.settlement_queue import SettlementQueue
from hookline.client.trace import ProcessTraces
from hookline.v1 import delivery_pb2 as pb

_EXTENDED_AFTER = 3
"""A lease is extended before this fraction of the ack deadline has passed."""


class Leases:
    """Takes deliveries in, hands them out, and knows which are still to be settled.

    Args:
        subscription: Its name.
        settlements: Where verdicts go.
        on_ready: Called when there may be something to hand out.
    """

    def __init__(
        self, subscription: str, settlements: SettlementQueue, *, on_ready: Callable[[], None]
    ) -> None:
        self._subscription = subscription
        self._settlements = settlements
        self._on_ready = on_ready
        self._traces = ProcessTraces(subscription)
        self._lanes: Lanes[Delivery] = Lanes()
        self._waiting: dict[EventKey, Delivery] = {}
        self._in_hand: dict[EventKey, Delivery] = {}
        self._hands_empty = asyncio.Event()
        self._hands_empty.set()
        self._acked: dict[EventKey, PendingSettlement] = {}
        """Acks without an answer: should the event come again meanwhile, it is done here already."""
        self._ack_deadline = 0.0
        """In seconds; 0 while no stream is open."""
        self._stopped = False
        self._draining = False
        self.one_at_a_time = False
        """Whether `take` keeps to one delivery of a key, and of an event, at a time."""

    def __repr__(self) -> str:
        return f"<Leases waiting={len(self._waiting)} in_hand={len(self._in_hand)} acked={len(self._acked)}>"

    def begin(self, ack_deadline: timedelta) -> None:
        """A stream has started."""
        self._ack_deadline = ack_deadline.total_seconds()
        self._draining = False

    def end(self) -> None:
        """The stream has ended, and every lease with it.

        What waits here was seen by nobody, and is by now the relay's to hand out again. What is in somebody's hands
        stays there: its ack will count.
        """
        self._ack_deadline = 0.0
        for delivery in self._in_hand.values():
            delivery.leased_until = inf  # nothing to extend until it is handed out again
        self._lanes.clear()
        self._waiting.clear()

    def receive(self, messages: Iterable[pb.Delivery]) -> None:
        """Take in what the relay has handed over."""
        leased_until = self._now() + self._ack_deadline
        for message in messages:
            key = (message.event_id, message.replay)
            if self._acked and key in self._acked:
                # Handed out again before our ack arrived. It says the same of this hand-over.
                again = pb.Settlement(token=message.token, ack=pb.Ack())
                self._settlements.add(PendingSettlement(again, counts=False))
                continue
            known = self._waiting.get(key)
            if known is None and self.one_at_a_time:
                known = self._in_hand.get(key)
            if known is not None:
                known.renew(message, leased_until)
                continue
            delivery = Delivery(message, self._settle, self._subscription)
            delivery.leased_until = leased_until
            if self._stopped or self._draining:
                delivery.release()
                continue
            self._waiting[key] = delivery
            self._lanes.add(delivery, self._lane(delivery))
        self._on_ready()

    def take(self) -> Delivery | None:
        """The next delivery to work on, with its span started; None if none is ready."""
        while (delivery := self._lanes.take()) is not None:
            if delivery.is_settled:
                self._lanes.leave(self._lane(delivery))
                continue
            del self._waiting[delivery.key]
            self._in_hand[delivery.key] = delivery
            self._hands_empty.clear()
            self._traces.start(delivery)
            break
        return delivery

    def leave(self, delivery: Delivery) -> None:
        """The work on a delivery has ended, however: the next of its key may begin."""
        self._lanes.leave(self._lane(delivery))
        self._on_ready()

    def extend(self) -> None:
        """Extend what would otherwise have used up a third of its ack deadline before the next call.

        That is what waits here and, if one at a time is worked on, what is being worked on. What an iterator has
        given away its user extends, or forgets: then the relay has to hear of it.
        """
        now = self._now()
        enough = now + self._ack_deadline - self.extension_interval
        held = [*self._waiting.values(), *(self._in_hand.values() if self.one_at_a_time else ())]
        for delivery in held:
            if delivery.leased_until < enough:
                delivery.extend()

    @property
    def extension_interval(self) -> float:
        """Seconds between two calls of `extend`."""
        return self._ack_deadline / _EXTENDED_AFTER / 2

    def drain(self) -> None:
        """The relay is about to stop: give back what nobody has begun, until the next stream begins."""
        self._draining = True
        self._release_waiting()

    def stop(self) -> None:
        """Give back what nobody has begun, and whatever else still comes."""
        self._stopped = True
        self._release_waiting()

    async def settled(self) -> None:
        """Wait until all that was handed out is settled."""
        await self._hands_empty.wait()

    def _release_waiting(self) -> None:
        self._waiting.clear()
        for delivery in self._lanes.clear():
            delivery.release()

    def _settle(self, delivery: Delivery, settlement: pb.Settlement) -> PendingSettlement:
        if settlement.HasField("extend"):
            lease = settlement.extend.lease.ToTimedelta().total_seconds()
            delivery.leased_until = self._now() + (lease or self._ack_deadline)
            pending = PendingSettlement(settlement, counts=False)
        else:
            pending = self._settle_for_good(delivery, settlement)
        self._settlements.add(pending)
        return pending

    def _settle_for_good(self, delivery: Delivery, settlement: pb.Settlement) -> PendingSettlement:
        key = delivery.key
        if delivery.span is not None:
            self._traces.end(delivery, settlement)
        was_in_hand = self._in_hand.get(key) is delivery
        if was_in_hand:
            del self._in_hand[key]
            if not self._in_hand:
                self._hands_empty.set()
        if not settlement.HasField("ack"):
            return PendingSettlement(settlement, counts=was_in_hand)
        pending = self._acked[key] = PendingSettlement(
            settlement, on_answer=partial(self._acked.pop, key, None), counts=was_in_hand
        )
        if (again := self._waiting.pop(key, None)) is not None:
            again.ack()  # handed out again while its user was at work
        return pending

    def _lane(self, delivery: Delivery) -> Hashable | None:
        if not self.one_at_a_time:
            return None
        # Without an ordering key, what must not be worked on twice at a time is still the event itself.
        return (delivery.source, delivery.ordering_key) if delivery.ordering_key else delivery.event_id

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
