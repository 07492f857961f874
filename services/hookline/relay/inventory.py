"""The deliveries of one subscription that this relay has in memory, and whose turn it is among them."""

from collections.abc import Iterable, Iterator

from hookline.core.subscription import Subscription
from hookline.core.turns import Arrival, Key, Place
from hookline.model import LoggedEvent, Shard
from hookline.relay.delivery import Delivery
from hookline.relay.ownership import OwnedShard
from hookline.relay.ready import ReadyQueue
from hookline.relay.settle import Changes, Settler
from hookline.store.deliveries import DueDelivery
from hookline.store.settlements import DeliveryRow, State, Written

_MOST_WAITING = 1_000
"""Deliveries that may wait here for their turn; more wait as rows, so that one key can't fill the memory."""
_MOST_WAITING_BYTES = 8 * 1024 * 1024


class Inventory:
    """Takes in what is read, and says what follows when something of it is done, failed or taken back.

    A delivery is here from when it was read until it is settled, becomes a row, or its shard is lost.
    """

    def __init__(self, subscription: Subscription, ready: ReadyQueue, settler: Settler) -> None:
        self.subscription = subscription
        self._ready = ready
        self._settler = settler
        self._deliveries: dict[Place, Delivery] = {}
        self._waiting_bytes = 0
        self._waiting = 0
        self._unwritten: dict[Place, Changes] = {}
        """Decided on, and not committed: a row that is read now may be out of date. Each by the last decision on it, of
        which the commit of one before says nothing."""
        self._touched: set[Place] = set()
        """The same, since the last look for rows began."""

    def __repr__(self) -> str:
        return f"<Inventory {len(self._deliveries)} deliveries, {self._waiting} waiting for their turn>"

    def __len__(self) -> int:
        return len(self._deliveries)

    def __iter__(self) -> Iterator[Delivery]:
        return iter(self._deliveries.values())

    def get(self, shard: OwnedShard, place: Place) -> Delivery | None:
        """The delivery at a place, under the shard's lease."""
        delivery = self._deliveries.get(place)
        return delivery if delivery is not None and delivery.shard is shard else None

    def before_due_is_read(self) -> list[Place]:
        """Those that have a row: they need not be read again. What is decided from now on is kept in mind."""
        self._touched = set(self._unwritten)
        return [delivery.place for delivery in self._deliveries.values() if delivery.has_row]

    def take_new(self, found: Iterable[tuple[OwnedShard, LoggedEvent]]) -> None:
        """Events from the log."""
        parked = Changes()
        for shard, event in found:
            delivery = Delivery(event, shard, key=self._key(event))
            if delivery.key is None:
                self._deliveries[delivery.place] = delivery
                self._ready.add(delivery)
                continue
            room = self._waiting < _MOST_WAITING and self._waiting_bytes < _MOST_WAITING_BYTES
            arrival = shard.turns.arrive(delivery.key, delivery.place, delivery, room=room)
            if arrival is Arrival.PARK:
                self._park(delivery, delivery.key, parked)
            else:
                self._keep(delivery, arrival)
        if parked.rows:
            self._settler.add(parked)

    def take_pending(self, found: Iterable[tuple[OwnedShard, LoggedEvent]]) -> None:
        """Events that the shard's former owner had read, without a row."""
        parked = Changes()
        for shard, event in found:
            delivery = Delivery(event, shard, key=self._key(event))
            if not self._take_again(delivery) and delivery.key is not None:
                self._park(delivery, delivery.key, parked)
        if parked.rows:
            self._settler.add(parked)

    def take_due(self, found: Iterable[tuple[OwnedShard, DueDelivery]]) -> None:
        """Rows whose time has come."""
        unsure = Changes()
        for shard, due in found:
            key = self._key(due.event)
            delivery = Delivery(
                due.event,
                shard,
                replay=due.replay,
                key=key,
                has_row=True,
                attempt=due.attempt,
                first_at=due.first_at,
                failed_before=due.failed_before,
                portion=due.portion,
            )
            if delivery.place in self._deliveries or delivery.place in self._touched:
                continue
            if not self._take_again(delivery) and key is not None and shard.turns.should_ask(key):
                unsure.turns.append((shard, key))
        if unsure.turns:
            self._settler.add(unsure)

    def decided(self, place: Place, changes: Changes) -> None:
        """Something that has a row, or will, is not what its row says any more, but what `changes` will write."""
        self._unwritten[place] = changes
        self._touched.add(place)

    def written(self, changes: Changes) -> None:
        """What was decided is committed, or its shard is lost."""
        acked = [delivery.place for delivery in changes.acked]
        others = [gone.place for gone in changes.late] + [row.place for _, row in changes.rows]
        for place in (*acked, *others):
            if self._unwritten.get(place) is changes:
                del self._unwritten[place]

    def remove(self, delivery: Delivery) -> None:
        """It is settled or becomes a row; its turn isn't over by that."""
        self._forget(delivery)
        if delivery.key is not None and delivery.shard.turns.withdraw(delivery.key, delivery.place):
            # An ack of an earlier hand-over came while it waited for its turn, which it doesn't any more.
            self._stop_waiting(delivery)
            delivery.key = None
        elif delivery.key is not None:
            # Nothing takes its turn from it any more, wherever it is.
            delivery.shard.turns.handed_out(delivery.key)

    def drop(self, delivery: Delivery) -> None:
        """Forget it: its shard belongs to another relay, or soon will."""
        self._ready.withdraw(delivery)
        if self._deliveries.get(delivery.place) is delivery:
            del self._deliveries[delivery.place]
            self._stop_waiting(delivery)

    def done(self, delivery: Delivery) -> None:
        """It is settled for good, and that is durable: its key goes on."""
        if delivery.key is None or delivery.shard.lost:
            return
        self._go(delivery.shard.turns.done(delivery.key))
        self.ask(delivery.shard, delivery.key)

    def failed(self, delivery: Delivery, changes: Changes) -> None:
        """It becomes a row that its key waits for: adds what that means for others to `changes`."""
        if delivery.key is None:
            return
        turns = delivery.shard.turns
        following, behind = turns.failed(delivery.key)
        for other in behind:
            self._stop_waiting(other)
            self._forget(other)
            self.decided(other.place, changes)
            changes.rows.append((other.shard, self.row(other, "blocked")))
        self._go(following)
        if turns.should_ask(delivery.key):
            changes.turns.append((delivery.shard, delivery.key))

    def handed_out(self, delivery: Delivery) -> None:
        """It is in a consumer's hands."""
        if delivery.key is not None:
            delivery.shard.turns.handed_out(delivery.key)

    def taken_back(self, deliveries: Iterable[Delivery], *, first: bool) -> None:
        """They are here again, and wait to be handed out before (`first`) or after all others."""
        back: list[Delivery] = []
        for delivery in deliveries:
            instead = delivery.shard.turns.taken_back(delivery.key) if delivery.key is not None else None
            if instead is None:
                back.append(delivery)
            else:
                self._start_waiting(delivery)
                self._go(instead)
        if first:
            self._ready.add_first(back)
        else:
            for delivery in back:
                self._ready.add(delivery)

    def ask(self, shard: OwnedShard, key: Key) -> None:
        """Let the key's next row go, if it is time."""
        if shard.turns.should_ask(key):
            self._settler.add(Changes(turns=[(shard, key)]))

    def answered(self, shards: dict[Shard, OwnedShard], written: Written) -> None:
        """The database has said whose turn it is, and which rows went that aren't here."""
        for (number, key), lowest in written.turns.items():
            if (shard := shards.get(number)) is not None:
                shard.turns.answered(key, lowest)
                if lowest is None:
                    self.ask(shard, key)
        for (number, _), key in written.done.items():
            if key.ordering_key and (shard := shards.get(number)) is not None:
                if (number, key) not in written.turns:
                    shard.turns.row_gone(key)
                self.ask(shard, key)

    def row(
        self, delivery: Delivery, state: State, *, portion: int | None = None, reason: str = ""
    ) -> DeliveryRow:
        """A delivery as a row that isn't the end of an attempt."""
        return DeliveryRow(
            shard=delivery.event.shard,
            place=delivery.place,
            event_id=delivery.event.event_id,
            key=delivery.key,
            source=delivery.event.source,
            state=state,
            attempt=delivery.attempt,
            first_at=delivery.first_at,
            portion=delivery.portion if portion is None else portion,
            reason=reason,
        )

    def _park(self, delivery: Delivery, key: Key, changes: Changes) -> None:
        """It waits as a row. What was the lowest one may be gone, by an operator's hand: then nobody else asks."""
        changes.rows.append((delivery.shard, self.row(delivery, "blocked")))
        if delivery.shard.turns.should_ask(key):
            changes.turns.append((delivery.shard, key))

    def _forget(self, delivery: Delivery) -> None:
        delivery.settled = True
        self._deliveries.pop(delivery.place, None)
        self._ready.withdraw(delivery)

    def _key(self, event: LoggedEvent) -> Key | None:
        if not self.subscription.is_ordered or not event.ordering_key:
            return None
        return Key(event.source, event.ordering_key)

    def _take_again(self, delivery: Delivery) -> bool:
        """Take in something that was known before; False if it has to wait as a row."""
        if delivery.key is None:
            self._keep(delivery, Arrival.GO)
            return True
        arrival, displaced = delivery.shard.turns.arrive_again(
            delivery.key, delivery.place, delivery, is_row=delivery.has_row
        )
        if arrival is Arrival.LATER:
            return False
        if displaced is not None:
            self._ready.withdraw(displaced)
            self._start_waiting(displaced)
        self._keep(delivery, arrival)
        return True

    def _keep(self, delivery: Delivery, arrival: Arrival) -> None:
        self._deliveries[delivery.place] = delivery
        if arrival is Arrival.GO:
            self._ready.add(delivery)
        else:
            self._start_waiting(delivery)

    def _go(self, delivery: Delivery | None) -> None:
        """Its turn has come."""
        if delivery is None or delivery.shard.leaving:
            return  # its shard's next owner reads it again
        self._stop_waiting(delivery)
        self._ready.add(delivery)

    def _start_waiting(self, delivery: Delivery) -> None:
        delivery.waits_turn = True
        self._waiting += 1
        self._waiting_bytes += delivery.size

    def _stop_waiting(self, delivery: Delivery) -> None:
        if delivery.waits_turn:
            delivery.waits_turn = False
            self._waiting -= 1
            self._waiting_bytes -= delivery.size
