"""Who holds what: hand out within the consumers' windows, and take back."""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import count

from hookline.relay.arrivals import Arrivals
from hookline.relay.delivery import Delivery
from hookline.relay.holder import Holder
from hookline.relay.inventory import Inventory
from hookline.relay.observation import Observation
from hookline.relay.ready import ReadyQueue


class Leases:
    """The consumers of one subscription, and the deliveries in their hands.

    Handing out is a plain function, called whenever something changed.
    """

    def __init__(
        self, inventory: Inventory, ready: ReadyQueue, arrivals: Arrivals, observation: Observation
    ) -> None:
        self._inventory = inventory
        self._ready = ready
        self._arrivals = arrivals
        self._observation = observation
        self.holders: list[Holder] = []
        self._numbers = count(1)
        self._draining = False
        self.returned = asyncio.Event()
        """Something that was out is not any more."""

    def __repr__(self) -> str:
        return f"<Leases holders={len(self.holders)}>"

    def join(self, holder: Holder) -> None:
        """Let a consumer take part."""
        self.holders.append(holder)
        self._arrivals.is_wanted = not self._draining

    def part(self, holder: Holder) -> bool:
        """Hand a consumer nothing more; False if that was so before."""
        if holder not in self.holders:
            return False
        self.holders.remove(holder)
        self._ready.forget(holder)
        self._arrivals.is_wanted = bool(self.holders) and not self._draining
        return True

    def drain(self) -> None:
        """Hand out nothing more to anybody."""
        self._draining = True
        self._arrivals.is_wanted = False

    def held_by(self, holder: Holder) -> list[Delivery]:
        """What a consumer has in its hands."""
        return [delivery for delivery in self._inventory if delivery.holder is holder]

    def hand_out(self) -> None:
        """Lease what waits to the holders with the most room, in small portions."""
        if self._draining or self._inventory.subscription.paused:
            return
        now = asyncio.get_running_loop().time()
        while (handed := self._ready.next_portion(self.holders, now)) is not None:
            holder, portion = handed
            handed_at = datetime.now(UTC)
            for delivery in portion:
                delivery.hand_over = next(self._numbers) & 0xFFFF_FFFF
                delivery.attempt += 1
                delivery.shard.out += 1
                delivery.handed_at = handed_at
                delivery.deadline = now + self._inventory.subscription.ack_deadline.total_seconds()
                self._inventory.handed_out(delivery)
                delivery.consumer = holder.consumer
                self._observation.handed_out(delivery)
            holder.send(portion)
        self._arrivals.handed_out()

    def extend(self, delivery: Delivery, lease: timedelta | None) -> None:
        """Move an ack deadline: from now on, by default as long as at first."""
        seconds = (lease if lease is not None else self._inventory.subscription.ack_deadline).total_seconds()
        delivery.deadline = asyncio.get_running_loop().time() + seconds

    def release(
        self, deliveries: Iterable[Delivery], *, reason: str = "released", first: bool = False
    ) -> None:
        """Take deliveries back as if they had never been handed out; they wait before all others, or after."""
        back = [delivery for delivery in deliveries if self.end(delivery, reason)]
        for delivery in back:
            delivery.attempt -= 1
        self.wait_again(back, first=first)
        self.hand_out()

    def end(self, delivery: Delivery, reason: str) -> bool:
        """It is out no longer, and not settled; False if it wasn't out, or its shard is another relay's."""
        if not self.end_attempt(delivery):
            return False
        self._observation.taken_back(delivery, reason)
        return True

    def end_attempt(self, delivery: Delivery) -> bool:
        """The same for who tells what became of it."""
        if delivery.holder is None or delivery.settled or delivery.shard.lost:
            return False
        self.give_back(delivery)
        return True

    def wait_again(self, deliveries: list[Delivery], *, first: bool) -> None:
        """Let deliveries that were taken back wait to be handed out, before all others or after."""
        staying = []
        for delivery in deliveries:
            if delivery.shard.leaving:
                self._inventory.drop(delivery)
            else:
                staying.append(delivery)
        self._inventory.taken_back(staying, first=first)

    def give_back(self, delivery: Delivery) -> None:
        """End what a delivery takes of a window."""
        if delivery.holder is not None:
            delivery.holder.give_back(delivery.size)
            delivery.holder = None
            delivery.shard.out -= 1
            self.returned.set()
