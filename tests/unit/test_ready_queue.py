"""ReadyQueue: within every window, suspects apart from the others, nothing lost and nothing handed out twice."""

import math
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hookline.core.quarantine import next_portion
from hookline.core.window import Limit
from hookline.model import CursorState, OwnedCursor, Seq, Shard
from hookline.relay.delivery import Delivery
from hookline.relay.holder import Holder
from hookline.relay.ownership import OwnedShard
from hookline.relay.ready import ReadyQueue
from unit.logged_event import logged_event

NOW = 10.0


def shard(number: int = 0) -> OwnedShard:
    return OwnedShard(OwnedCursor(Shard(number), 1, CursorState(Seq(0), ())), valid_until=math.inf)


class Idle(Holder):
    """Does nothing with what it is handed."""

    def send(self, deliveries: list[Delivery]) -> None: ...

    def drain(self, grace: timedelta) -> None: ...

    def abort(self, reason: str) -> None: ...


class Deliveries:
    """Makes deliveries, each with its own seq."""

    def __init__(self) -> None:
        self.count = 0

    def new(self, of: OwnedShard, *, size: int = 1, portion: int = 0) -> Delivery:
        self.count += 1
        event = logged_event(body=bytes(size))._replace(seq=Seq(self.count))
        return Delivery(event, of, portion=portion)


def take_back(delivery: Delivery) -> None:
    assert delivery.holder is not None
    delivery.holder.give_back(delivery.size)
    delivery.holder = None


class ReadyMachine(RuleBasedStateMachine):
    """Deliveries wait, go out, come back, are settled, turn suspect; consumers come, die, and change their windows."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = ReadyQueue()
        self.shards = [shard(0), shard(1)]
        self.deliveries = Deliveries()
        self.holders = [Idle(name, Limit(4, 20)) for name in ("one", "two")]
        self.waiting: set[Delivery] = set()
        self.withdrawn: set[Delivery] = set()
        """They wait for their turn: known, but not to be handed out."""
        self.out: set[Delivery] = set()

    @rule(count=st.integers(1, 4), size=st.integers(0, 25), of=st.integers(0, 1), portion=st.integers(0, 3))
    def come(self, count: int, size: int, of: int, portion: int) -> None:
        for _ in range(count):
            delivery = self.deliveries.new(self.shards[of], size=size, portion=portion)
            self.queue.add(delivery)
            self.waiting.add(delivery)

    @rule()
    def hand_out(self) -> None:
        while (handed := self.queue.next_portion(self.holders, NOW)) is not None:
            holder, portion = handed
            assert portion
            assert holder in self.holders
            before = [delivery for delivery in self.out if delivery.holder is holder]
            for delivery in portion:
                assert delivery in self.waiting, "handed out twice, or to be handed out to nobody"
                assert delivery.holder is holder
                assert delivery.shard.valid_until > NOW
                self.waiting.remove(delivery)
                self.out.add(delivery)
            suspects = [delivery for delivery in portion if delivery.portion]
            if suspects:
                assert len(suspects) == len(portion) <= min(d.portion for d in suspects)
                assert not before, "suspects go to a consumer that holds nothing else"
                assert not [d for d in self.out if d.portion and d.holder is not holder], (
                    "one quarantine at a time"
                )
            else:
                assert not any(delivery.portion for delivery in before), "and it gets nothing else"
            window = holder.window
            assert window.events <= window.limit.events
            assert window.bytes <= window.limit.bytes or window.events == 1

    @precondition(lambda self: bool(self.out))
    @rule(data=st.data(), back=st.booleans(), first=st.booleans())
    def come_back(self, data: st.DataObject, *, back: bool, first: bool) -> None:
        delivery = data.draw(st.sampled_from(sorted(self.out, key=_seq)))
        take_back(delivery)
        self.out.remove(delivery)
        delivery.settled = not back
        if back:
            self.waiting.add(delivery)
            (self.queue.add_first([delivery]) if first else self.queue.add(delivery))

    @precondition(lambda self: bool(self.waiting))
    @rule(data=st.data())
    def wait_for_another_turn(self, data: st.DataObject) -> None:
        delivery = data.draw(st.sampled_from(sorted(self.waiting, key=_seq)))
        self.queue.withdraw(delivery)
        self.waiting.remove(delivery)
        self.withdrawn.add(delivery)

    @precondition(lambda self: bool(self.withdrawn))
    @rule(data=st.data())
    def have_ones_turn(self, data: st.DataObject) -> None:
        delivery = data.draw(st.sampled_from(sorted(self.withdrawn, key=_seq)))
        self.withdrawn.remove(delivery)
        self.waiting.add(delivery)
        self.queue.add(delivery)

    @rule(number=st.integers(0, 1), dies=st.booleans())
    def consumer_goes(self, number: int, *, dies: bool) -> None:
        holder = self.holders[number]
        held = sorted((d for d in self.out if d.holder is holder), key=_seq)
        self.queue.forget(holder)
        for delivery in held:
            take_back(delivery)
            if dies:
                portion = next_portion(len(held))
                delivery.portion = min(portion, delivery.portion or portion)
        self.out.difference_update(held)
        self.waiting.update(held)
        self.queue.add_first(held)
        assert holder.window.events == holder.window.bytes == 0
        self.holders[number] = Idle(holder.consumer, holder.window.limit)

    @rule(number=st.integers(0, 1), events=st.integers(0, 6), size=st.integers(1, 30))
    def consumer_changes_its_window(self, number: int, events: int, size: int) -> None:
        self.holders[number].window.limit = Limit(events, size)

    @rule(of=st.integers(0, 1), lasts=st.booleans())
    def lease_is_renewed_or_not(self, of: int, *, lasts: bool) -> None:
        self.shards[of].valid_until = math.inf if lasts else NOW

    @rule(of=st.integers(0, 1))
    def shard_is_lost(self, of: int) -> None:
        lost = self.shards[of]
        lost.lost = True
        for deliveries in (self.waiting, self.withdrawn, self.out):
            for delivery in [delivery for delivery in deliveries if delivery.shard is lost]:
                self.queue.withdraw(delivery)
                if delivery.holder is not None:
                    take_back(delivery)
                deliveries.remove(delivery)
        self.shards[of] = shard(of)

    @invariant()
    def it_knows_how_much_waits(self) -> None:
        assert self.queue.events == len(self.waiting)
        assert self.queue.bytes == sum(delivery.size for delivery in self.waiting)

    def teardown(self) -> None:
        """With consumers that take everything, nothing is left."""
        for owned in self.shards:
            owned.valid_until = math.inf
        for holder in self.holders:
            holder.window.limit = Limit(4, 20)
        rounds = 0
        while self.waiting or self.out:
            self.hand_out()
            for delivery in list(self.out):
                take_back(delivery)
                self.out.remove(delivery)
            rounds += 1
            assert rounds < 10_000, "it never ends"


def _seq(delivery: Delivery) -> Seq:
    return delivery.event.seq


TestReady = ReadyMachine.TestCase
TestReady.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)


@settings(max_examples=60, deadline=None)
@given(held=st.integers(1, 10_000), data=st.data())
def test_a_killer_is_alone_after_five_deaths_and_charged_alone(held: int, data: st.DataObject) -> None:
    deliveries = Deliveries()
    one = shard()
    queue, in_hand = ReadyQueue(), [deliveries.new(one) for _ in range(held)]
    killer = in_hand[data.draw(st.integers(0, held - 1))]
    deaths, acked = 0, 0
    consumer = Idle("test", Limit(10_000, 10_000))
    while in_hand != [killer]:
        if killer not in in_hand:
            for delivery in in_hand:
                take_back(delivery)
                delivery.settled = True
            acked += len(in_hand)
        else:
            # The worst case: it had acked nothing of what it held.
            deaths += 1
            portion = next_portion(len(in_hand))
            for delivery in in_hand:
                delivery.holder = None
                delivery.portion = min(portion, delivery.portion or portion)
            queue.add_first(in_hand)
            queue.forget(consumer)
            consumer = Idle("test", Limit(10_000, 10_000))
        handed = queue.next_portion([consumer], NOW)
        assert handed is not None
        in_hand = handed[1]
    assert deaths <= 5
    assert consumer.window.events == 1 or held == 1
    assert acked + queue.events + 1 == held, "no innocent is lost"


@pytest.mark.parametrize("events", [1, 3, 1000])
def test_with_a_single_consumer_neither_suspects_nor_others_starve(events: int) -> None:
    deliveries, one = Deliveries(), shard()
    queue, consumer = ReadyQueue(), Idle("test", Limit(events, 10_000))
    handed = {True: 0, False: 0}
    for number in range(200):
        for portion in (0, 0, 2, 2):
            queue.add(deliveries.new(one, portion=portion))
        out: list[Delivery] = []
        while (answer := queue.next_portion([consumer], NOW)) is not None:
            out += answer[1]
        for delivery in out:
            handed[bool(delivery.portion)] += 1
            take_back(delivery)
        assert all(number < 10 or count > 0 for count in handed.values()), handed
    assert min(handed.values()) >= 60


def test_what_waits_twice_in_the_queue_is_handed_out_once_and_as_what_it_is() -> None:
    """It was withdrawn, added again, handed out from its old place, and then its consumer died."""
    one, deliveries = shard(), Deliveries()
    queue, holders = ReadyQueue(), [Idle("one", Limit(2, 100)), Idle("two", Limit(3, 100))]
    suspect, other, *busy = (deliveries.new(one) for _ in range(4))
    for holder, held in zip(holders, busy, strict=True):
        queue.add(held)
        assert queue.next_portion([holder], NOW) == (holder, [held])
    queue.add(suspect)
    queue.withdraw(suspect)
    queue.add(other)
    queue.add(suspect)
    assert queue.next_portion(holders[:1], NOW) == (holders[0], [suspect])
    take_back(suspect)
    suspect.portion = 1
    queue.add_first([suspect])
    # Neither of them holds nothing, so there is nobody for the suspect yet.
    assert queue.next_portion(holders, NOW) == (holders[1], [other])
    assert queue.next_portion(holders, NOW) is None
    take_back(busy[0])
    assert queue.next_portion(holders, NOW) == (holders[0], [suspect])
    assert queue.events == queue.bytes == 0
