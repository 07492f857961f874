"""One relay's part of the engine over a simulated database.

What is real: Turns, ShardProgress, Inventory, ReadyQueue, Settler, Leases, Failures. What is not: the database, and the
loops that read and commit, here generators that stop wherever the real ones wait, so that anything can happen there.
"""

import math
from collections.abc import Coroutine, Iterator
from datetime import timedelta
from typing import Any

from hookline.config import Telemetry
from hookline.core.subscription import Subscription
from hookline.core.turns import Key, Place
from hookline.core.window import Limit
from hookline.model import Seq
from hookline.relay.delivery import Delivery
from hookline.relay.failures import Failures
from hookline.relay.find import Gone
from hookline.relay.holder import Holder
from hookline.relay.inventory import Inventory
from hookline.relay.leases import Leases
from hookline.relay.observation import Observation
from hookline.relay.ownership import OwnedShard
from hookline.relay.ready import ReadyQueue
from hookline.relay.settle import Changes, Settler
from hookline.relay.trace import DeliveryTraces
from hookline.store.settlements import Written
from hookline.telemetry.tracing import Tracing
from unit.simulated_rows import SHARD, Database, Owner


class Quiet:
    """In the place of Arrivals, who only want to be told."""

    is_wanted = False

    def handed_out(self) -> None: ...

    def look_for_due(self, after: timedelta = timedelta(0)) -> None: ...


class Consumer(Holder):
    """Holds what it is handed, once the order of it was checked."""

    def __init__(self, relay: "Relay", events: int) -> None:
        super().__init__("test", Limit(events, 1000))
        self._relay = relay

    def send(self, deliveries: list[Delivery]) -> None:
        for delivery in deliveries:
            self._relay.check(delivery)
            self._relay.handed.append(delivery.place)

    def drain(self, grace: timedelta) -> None: ...

    def abort(self, reason: str) -> None: ...


class Relay:
    """One relay's life: it takes the shard over, and is forgotten when it crashes."""

    def __init__(self, database: Database, subscription: Subscription, handed: list[Place]) -> None:
        self.database = database
        self.shard = OwnedShard(database.acquire(), valid_until=math.inf)
        self.ready = ReadyQueue()
        self.settler = Settler(None, Owner(database), self.on_committed)  # type: ignore[arg-type]
        self.inventory = Inventory(subscription, self.ready, self.settler)
        quiet: Any = Quiet()
        tracing = Tracing(Telemetry(), service="hookline-relay")
        observation = Observation(DeliveryTraces(tracing, subscription.name))
        self.leases = Leases(self.inventory, self.ready, quiet, observation)
        self.failures = Failures(self.inventory, self.leases, quiet, self.settler, observation)
        self.pending: list[Seq] | None = None
        self.turnless: list[Key] = []
        self.reading: Iterator[None] = iter(())
        self.committing: Iterator[None] = iter(())
        self.handed = handed
        """Whatever was handed out, by this relay and those before it."""

    def out(self) -> list[Delivery]:
        return [delivery for delivery in self.inventory if delivery.holder is not None]

    def check(self, delivery: Delivery) -> None:
        """Its ack isn't committed, nothing of its key is out, and nothing earlier of its key is live."""
        assert delivery.place not in self.database.acked, f"{delivery.place} after its ack"
        if not (key := delivery.event.ordering_key):
            return
        for other in self.out():
            assert other is delivery or other.event.ordering_key != key, f"two of {key} are out"
        assert not (earlier := self.earlier(delivery.place, key)), f"{delivery.place} before {earlier}"

    def earlier(self, place: Place, key: str) -> list[Place]:
        """What has to be acked or dead before. What others have written counts once the relay could have seen it."""
        database = self.database
        unsettled = [
            Place(seq, 0)
            for seq, event in database.log.items()
            if event.ordering_key == key and database.is_unsettled(seq)
        ]
        rows = [
            row.place
            for row in database.rows.values()
            if row.event.ordering_key == key and database.is_live(row) and not row.is_news
        ]
        return sorted(other for other in {*unsettled, *rows} if other < place)

    def read(self, count: int) -> Iterator[None]:
        """As Arrivals reads; stops wherever that waits for the database."""
        if self.pending is None:
            found = self.database.keys_with_rows()
            self.seen()
            yield
            for key in found:
                self.shard.turns.has_rows(key.key, key.lowest)
                if key.needs_turn:
                    self.turnless.append(key.key)
            self.pending = list(self.shard.progress.unsettled())
        if self.pending:
            chunk, self.pending = self.pending[:count], self.pending[count:]
            yield
            self.inventory.take_pending((self.shard, self.database.log[seq]) for seq in chunk)
            self.leases.hand_out()
            return
        turnless, self.turnless = self.turnless, []
        if turns := [(self.shard, key) for key in turnless if self.shard.turns.should_ask(key)]:
            self.settler.add(Changes(turns=turns))
        due = self.database.read_due(self.inventory.before_due_is_read())
        rows = [self.database.rows[Place(d.event.seq, d.replay)] for d in due]
        yield
        self.inventory.take_due((self.shard, delivery) for delivery in due)
        for row in rows:
            row.is_news = False
        after = self.shard.progress.read_up_to
        new = [event for seq, event in self.database.log.items() if seq > after][:count]
        yield
        for event in new:
            self.shard.progress.read(event.seq)
        self.inventory.take_new((self.shard, event) for event in new)
        self.leases.hand_out()

    def commit(self) -> Iterator[None]:
        """As Settler commits; stops before the transaction, and after it before anybody is told."""
        taken = self.settler._take()
        if not taken:
            return
        moved = {shard for changes in taken for shard in changes.shards}
        yield
        written = _run(self.settler._write(moved, taken, journals=True))
        for changes in taken:
            self.database.acked.update(delivery.place for delivery in changes.acked)
            self.database.acked.update(gone.place for gone in changes.late)
        yield
        self.on_committed(taken, written)

    def on_committed(self, taken: list[Changes], written: Written) -> None:
        for (_, key), lowest in written.turns.items():
            if lowest is not None and (row := self.database.rows.get(lowest)) is not None and row.key == key:
                row.is_news = False
        for changes in taken:
            self.inventory.written(changes)
            for delivery in changes.acked:
                self.leases.give_back(delivery)
                self.inventory.done(delivery)
            for delivery in changes.dead:
                self.inventory.done(delivery)
        self.inventory.answered({SHARD: self.shard}, written)
        self.leases.hand_out()

    def seen(self) -> None:
        for row in self.database.rows.values():
            row.is_news = False

    def ack(self, place: Place) -> bool:
        """As Dispatcher.find and commit do; False if the token can't be judged yet."""
        changes = Changes()
        if (delivery := self.inventory.get(self.shard, place)) is not None:
            changes.acked.append(delivery)
            self.inventory.remove(delivery)
            if delivery.has_row:
                self.inventory.decided(place, changes)
        elif place.replay or self.shard.progress.is_settled(place.seq):
            changes.late.append(Gone(self.shard, place, 0))
            self.inventory.decided(place, changes)
        else:
            return False
        self.settler.add(changes)
        self.leases.hand_out()
        return True


def _run(coroutine: Coroutine[Any, Any, Written]) -> Written:
    """A coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        written: Written = end.value
        return written
    raise AssertionError("it waits")
