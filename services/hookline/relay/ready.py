"""What waits for nothing but a window, and who gets it."""

from collections import deque
from collections.abc import Iterable

from hookline.relay.delivery import Delivery
from hookline.relay.holder import Holder

_PORTION = 100
"""Deliveries given to one holder before the next has its turn."""


class ReadyQueue:
    """Deliveries in the order in which they are handed out; suspects of killing consumers apart from the others.

    A suspect goes to a holder that has nothing else, and that gets nothing else until it has settled what it got:
    one portion at a time for the whole subscription, so that a killer takes few others with it. After each the others
    have their turn, so that a single consumer serves both.
    """

    def __init__(self) -> None:
        self._normal: deque[Delivery] = deque()
        self._suspects: deque[Delivery] = deque()
        self._quarantined: Holder | None = None
        """Who gets suspects only: first until what it holds is settled, then until what it gets is."""
        self._examined = False
        """It has got its portion."""
        self.bytes = 0
        """Of the deliveries that wait."""
        self.events = 0
        """How many deliveries wait."""

    def __repr__(self) -> str:
        return f"<ReadyQueue normal={len(self._normal)} suspects={len(self._suspects)}>"

    def add(self, delivery: Delivery) -> None:
        """After all others."""
        self._count(delivery)
        (self._suspects if delivery.portion else self._normal).append(delivery)

    def add_first(self, deliveries: Iterable[Delivery]) -> None:
        """Before all others, in the order of the log."""
        for delivery in sorted(deliveries, key=lambda delivery: delivery.event.seq, reverse=True):
            self._count(delivery)
            (self._suspects if delivery.portion else self._normal).appendleft(delivery)

    def withdraw(self, delivery: Delivery) -> None:
        """Hand it out to nobody. It is dropped when its turn comes."""
        if delivery.is_ready:
            delivery.is_ready = False
            self.bytes -= delivery.size
            self.events -= 1

    def forget(self, holder: Holder) -> None:
        """The holder is gone."""
        if self._quarantined is holder:
            self._quarantined = None

    def next_portion(self, holders: list[Holder], now: float) -> tuple[Holder, list[Delivery]] | None:
        """Who is handed what next; None when nothing can be handed out now.

        What is answered is taken out of the queue and counted against the holder's window.
        """
        if self._quarantine_ended() and (portion := self._normal_portion(holders, now)) is not None:
            return portion
        return self._suspicious_portion(holders, now) or self._normal_portion(holders, now)

    def _quarantine_ended(self) -> bool:
        """Whether what was handed out as suspect has just been settled."""
        held = self._quarantined
        if held is None or not self._examined or held.window.events > 0:
            return False
        self._quarantined = None
        return True

    def _suspicious_portion(self, holders: list[Holder], now: float) -> tuple[Holder, list[Delivery]] | None:
        held = self._quarantined
        first = self._first(self._suspects)
        if first is None:
            if held is not None and not self._examined:
                self._quarantined = None
            return None
        if held is None:
            able = [holder for holder in holders if holder.window.limit.events > 0]
            if not able:
                return None
            held = self._quarantined = min(able, key=lambda holder: holder.window.events)
            self._examined = False
        if self._examined or held.window.events > 0 or first.shard.valid_until <= now:
            return None
        portion: list[Delivery] = []
        most = first.portion
        while (
            (delivery := self._first(self._suspects)) is not None
            and len(portion) < (most := min(most, delivery.portion))
            and held.window.fits(delivery.size)
            and delivery.shard.valid_until > now
        ):
            self._take(self._suspects, held)
            portion.append(delivery)
        if not portion:
            # Its window was closed meanwhile: somebody else's turn.
            self._quarantined = None
            return None
        self._examined = True
        return held, portion

    def _normal_portion(self, holders: list[Holder], now: float) -> tuple[Holder, list[Delivery]] | None:
        held_back: list[Delivery] = []
        portion: list[Delivery] = []
        chosen: Holder | None = None
        while len(portion) < _PORTION and (delivery := self._first(self._normal)) is not None:
            if delivery.shard.valid_until <= now:
                # The lease could not be renewed in time: another relay may own the shard.
                held_back.append(self._normal.popleft())
                continue
            if chosen is None:
                fitting = [
                    holder
                    for holder in holders
                    if holder is not self._quarantined and holder.window.fits(delivery.size)
                ]
                if not fitting:
                    break
                chosen = max(fitting, key=lambda holder: holder.window.free_events)
            elif not chosen.window.fits(delivery.size):
                break
            self._take(self._normal, chosen)
            portion.append(delivery)
        self._normal.extendleft(reversed(held_back))
        return (chosen, portion) if chosen is not None and portion else None

    def _first(self, queue: deque[Delivery]) -> Delivery | None:
        """The first that still waits; drops those before it that were settled, lost or withdrawn."""
        while queue:
            delivery = queue[0]
            # It may have been withdrawn and added again since, to the other queue.
            is_elsewhere = (queue is self._suspects) != bool(delivery.portion)
            if delivery.is_ready and not is_elsewhere and not delivery.settled and not delivery.shard.lost:
                return delivery
            queue.popleft()
            if not is_elsewhere:
                self.withdraw(delivery)
        return None

    def _take(self, queue: deque[Delivery], holder: Holder) -> None:
        delivery = queue.popleft()
        self.withdraw(delivery)
        holder.take(delivery.size)
        delivery.holder = holder

    def _count(self, delivery: Delivery) -> None:
        delivery.is_ready = True
        self.bytes += delivery.size
        self.events += 1
