"""Turns, and the engine around them, against a simulated database: every key in order, nothing lost, nothing stuck."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from unittest.mock import patch

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from hookline.core.retry import FixedWait, RetryPolicy
from hookline.core.subscription import AfterDeadLetter, Subscription
from hookline.core.turns import Place
from hookline.core.window import Limit
from hookline.model import Seq, SubscriptionName
from hookline.relay import inventory as inventory_module
from unit.simulated_relay import Consumer, Relay
from unit.simulated_rows import Database, Row

KEYS = ("a", "a", "b", "")
RETRY = RetryPolicy(wait=FixedWait(timedelta(seconds=2)), max_attempts=4, max_age=None)
VERDICTS = ("acked", "acked", "acked late", "released", "retried", "expired", "rejected", "rejected")
ACTS = ("redrives", "deletes", "replays", "cancels")
_MOST_ROUNDS = 2_000


class TurnsMachine(RuleBasedStateMachine):
    """Webhooks come, consumers judge and die, relays crash, operators redrive, delete and replay."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.small = patch.object(inventory_module, "_MOST_WAITING", 2)
        self.small.start()
        self.acked: set[Seq] = set()
        self.replays = 0

    @initialize(
        policy=st.sampled_from(["continue", "block"]), keys=st.lists(st.sampled_from(KEYS), min_size=3)
    )
    def take_over(self, policy: AfterDeadLetter, keys: list[str]) -> None:
        self.database = Database(policy)
        self.subscription = Subscription(
            SubscriptionName("all"), ordering="key", after_dead_letter=policy, retry=RETRY
        )
        self.relay = Relay(self.database, self.subscription, [])
        self.consumers_join()
        self.webhooks_come(keys)
        self.relay_gets_on()

    def consumers_join(self) -> None:
        for events in (2, 1):
            self.relay.leases.join(Consumer(self.relay, events))

    def do(self, action: Callable[[], object]) -> object:
        """Within a loop, whose clock the engine asks."""

        async def run() -> object:
            return action()

        return self.runner.run(run())

    @rule(keys=st.lists(st.sampled_from(KEYS), min_size=1, max_size=3))
    def webhooks_come(self, keys: list[str]) -> None:
        for key in keys:
            self.database.commit(key)

    @rule(count=st.integers(1, 4), steps=st.integers(1, 4))
    def relay_reads_on(self, count: int, steps: int) -> None:
        for _ in range(steps):
            if not self.do(lambda: _advance(self.relay.reading)):
                self.relay.reading = self.relay.read(count)

    @rule(steps=st.integers(1, 4))
    def relay_commits_on(self, steps: int) -> None:
        for _ in range(steps):
            if not self.do(lambda: _advance(self.relay.committing)):
                self.relay.committing = self.relay.commit()

    @rule()
    def relay_gets_on(self) -> None:
        self.database.clock += 1
        for _ in range(2):
            self.relay_commits_on(4)
            self.relay_reads_on(10, 4)

    @rule()
    def relay_crashes(self) -> None:
        self.relay = Relay(self.database, self.subscription, self.relay.handed)
        self.consumers_join()

    @rule(data=st.data(), verdict=st.sampled_from(VERDICTS))
    def consumer_judges(self, data: st.DataObject, verdict: str) -> None:
        relay = self.relay
        if not (out := relay.out()):
            return
        delivery = data.draw(st.sampled_from(out))
        match verdict:
            case "acked":
                assert self.do(lambda: relay.ack(delivery.place))
                self.acked.add(delivery.event.seq)
            case "acked late":
                place = data.draw(st.sampled_from(relay.handed))
                if self.do(lambda: relay.ack(place)):
                    self.acked.add(place.seq)
            case "released":
                first = data.draw(st.booleans())
                self.do(lambda: relay.leases.release([delivery], first=first))
            case outcome:
                self.do(lambda: relay.failures.fail([delivery], outcome, ""))  # type: ignore[arg-type]

    @rule(number=st.integers(0, 1), dies=st.booleans(), events=st.integers(1, 3))
    def consumer_goes(self, number: int, *, dies: bool, events: int) -> None:
        leases = self.relay.leases
        holder = leases.holders[number]

        def go() -> None:
            held = leases.held_by(holder)
            leases.part(holder)
            if dies:
                self.relay.failures.suspect(held, "died")
            else:
                leases.release(held, first=True)
            leases.join(Consumer(self.relay, events))
            leases.hand_out()

        self.do(go)

    @rule(number=st.integers(0, 1), events=st.integers(0, 3))
    def consumer_changes_its_window(self, number: int, events: int) -> None:
        self.relay.leases.holders[number].window.limit = Limit(events, 1000)
        self.do(self.relay.leases.hand_out)

    @rule(data=st.data(), act=st.sampled_from(ACTS))
    def operator_acts(self, data: st.DataObject, act: str) -> None:
        database = self.database
        if act == "replays":
            seqs = data.draw(st.lists(st.sampled_from(sorted(database.log)), min_size=1, unique=True))
            self.replays += 1
            database.replay(seqs, self.replays)
        elif act == "cancels" and self.replays:
            database.withdraw(data.draw(st.integers(1, self.replays)))
        elif dead := database.dead():
            letters = data.draw(st.lists(st.sampled_from(dead), min_size=1, unique=True))
            (database.redrive if act == "redrives" else database.delete_dead)(letters)

    @invariant()
    def nothing_is_lost(self) -> None:
        if not hasattr(self, "database"):
            return
        database = self.database
        for seq in database.log:
            assert (
                database.is_unsettled(seq)
                or Place(seq, 0) in database.rows
                or seq in self.acked | database.deleted
            ), f"{seq} is lost"

    def teardown(self) -> None:
        try:
            if hasattr(self, "database"):
                self.everything_ends()
        finally:
            self.small.stop()
            self.runner.close()

    def everything_ends(self) -> None:
        """Consumers ack all, operators give up what is dead: then nothing is left, and no memory is used."""
        for number in (0, 1):
            self.consumer_changes_its_window(number, 3)
        self.acked_to_the_end()
        dead = self.database.dead()
        self.database.redrive(dead[::2])
        self.acked_to_the_end()
        self.database.delete_dead(self.database.dead())
        for key in sorted(set(KEYS)):
            self.database.commit(key)
        self.acked_to_the_end()
        left: list[Row] = list(self.database.rows.values())
        assert not left, f"stuck: {left} {self.relay.shard.turns._entries}"
        unsettled = [seq for seq in self.database.log if self.database.is_unsettled(seq)]
        assert not unsettled, f"stuck: {unsettled} {self.relay.shard.turns._entries}"
        self.nothing_is_lost()
        relay = self.relay
        assert len(relay.inventory) == relay.inventory._waiting == relay.shard.turns.waiting == 0
        assert (
            relay.inventory._waiting_bytes == relay.ready.events == relay.ready.bytes == relay.shard.out == 0
        )

    def acked_to_the_end(self) -> None:
        quiet = 0
        for _ in range(_MOST_ROUNDS):
            self.database.clock += 1
            self.relay_reads_on(10, 5)
            self.relay_commits_on(4)
            before = len(self.acked)
            for delivery in self.relay.out():
                self.do(partial(self.relay.ack, delivery.place))
                self.acked.add(delivery.event.seq)
                before = -1
            quiet = quiet + 1 if before == len(self.acked) else 0
            if quiet > 20:
                return
        raise AssertionError("it never ends")


def _advance(generator: Iterator[None]) -> bool:
    """Go on to where it waits next; False if it has ended."""
    return next(generator, ...) is not ...


TestTurns = TurnsMachine.TestCase
TestTurns.settings = settings(max_examples=180, stateful_step_count=60, deadline=None)


@contextmanager
def course(policy: AfterDeadLetter, keys: str) -> Iterator[TurnsMachine]:
    """The same by hand; everything has to end here too."""
    machine = TurnsMachine()
    try:
        machine.take_over(policy, list(keys))
        yield machine
    finally:
        machine.teardown()


def reject(machine: TurnsMachine) -> None:
    """Have the consumers reject whatever comes, until nothing comes."""
    for _ in range(8):
        machine.do(lambda: machine.relay.failures.fail(machine.relay.out(), "rejected", ""))
        machine.relay_gets_on()


def ack_all(machine: TurnsMachine) -> None:
    for delivery in machine.relay.out():
        machine.do(partial(machine.relay.ack, delivery.place))
        machine.acked.add(delivery.event.seq)
    machine.relay_gets_on()


def test_an_event_that_comes_after_the_letter_that_blocked_its_key_was_deleted_goes() -> None:
    with course("block", "a") as machine:
        reject(machine)
        machine.database.delete_dead(machine.database.dead())
        machine.webhooks_come(["a"])
        for _ in range(3):
            machine.relay_gets_on()
        assert [delivery.place.seq for delivery in machine.relay.out()] == [2]


def test_letters_of_a_key_that_are_redriven_together_all_go_before_what_comes_then() -> None:
    with course("continue", "aaa") as machine:
        reject(machine)
        machine.database.redrive(machine.database.dead())
        for seq in (1, 2, 3, 4):
            for _ in range(3):
                machine.relay_gets_on()
            if seq == 1:
                machine.webhooks_come(["a"])
                machine.relay_gets_on()
            assert [delivery.place.seq for delivery in machine.relay.out()] == [seq]
            ack_all(machine)


def test_a_late_ack_of_a_row_that_nobody_has_read_lets_the_next_go() -> None:
    with course("continue", "aa") as machine:
        reject(machine)
        machine.database.redrive(machine.database.dead())
        machine.do(lambda: machine.relay.ack(Place(Seq(1), 0)))
        machine.acked.add(Seq(1))
        for _ in range(3):
            machine.relay_gets_on()
        assert [delivery.place.seq for delivery in machine.relay.out()] == [2]


def test_a_delivery_that_is_acked_while_it_waits_for_a_window_keeps_its_turn_until_that_is_written() -> None:
    with course("continue", "aa") as machine:
        ack_all(machine)
        ack_all(machine)
        machine.webhooks_come(["a"])
        machine.relay_gets_on()
        [third] = machine.relay.out()
        for number in (0, 1):
            machine.consumer_changes_its_window(number, 0)
        machine.do(lambda: machine.relay.leases.release([third], first=True))
        machine.do(lambda: machine.relay.ack(third.place))
        machine.acked.add(third.place.seq)
        machine.database.replay([Seq(2)], 1)
        machine.relay_reads_on(4, 5)
        machine.consumer_changes_its_window(0, 3)
        machine.relay_gets_on()
        machine.database.replay([Seq(1)], 2)
        for _ in range(3):
            machine.relay_gets_on()
        assert [delivery.place for delivery in machine.relay.out()] == [Place(Seq(2), 1)]


def test_a_suspect_may_fail_before_it_is_written_that_it_is_one() -> None:
    with course("continue", "ab") as machine:
        machine.relay.leases.holders[1].window.limit = Limit(0, 0)
        machine.do(lambda: machine.relay.leases.release(machine.relay.out()))
        holder = machine.relay.leases.holders[0]
        held = machine.relay.leases.held_by(holder)
        assert len(held) == 2
        machine.do(lambda: machine.relay.failures.suspect(held, "died"))
        machine.do(lambda: machine.relay.failures.fail(machine.relay.out(), "retried", ""))


def test_a_cursor_does_not_pass_what_the_next_transaction_is_to_write() -> None:
    with course("continue", "a") as machine:
        machine.relay.committing = machine.relay.commit()
        machine.webhooks_come(["b"])
        machine.relay_gets_on()
        first, second = machine.relay.out()
        machine.do(lambda: machine.relay.ack(second.place))
        machine.acked.add(second.place.seq)
        machine.relay.committing = machine.relay.commit()
        machine.relay_commits_on(1)
        machine.do(lambda: machine.relay.failures.fail([first], "retried", ""))
        machine.relay_commits_on(1)
        machine.relay_crashes()
        machine.nothing_is_lost()
