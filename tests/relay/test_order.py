"""With ordering = "key", an event is handed over only when all earlier ones of its key are acked or dead."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial
from random import Random
from typing import Any

import grpc
import pytest

from hookline.model import SubscriptionName
from hookline.store import dead_letters
from hookline.store.dead_letter_filter import DeadLetterFilter
from hookline.store.session import Session
from hookline.v1 import delivery_pb2 as pb
from path.rig.database import connect
from path.rig.relay import Relay
from path.rig.stream import RawStream, StreamEnded, ids
from path.rig.wait import until
from relay.order_ledger import OrderLedger

NAME = SubscriptionName("all")
WITHIN = timedelta(seconds=30)
SOON = {"wait": "fixed", "delay": "100ms", "max_attempts": 3}


def ordered(**values: Any) -> dict[str, Any]:
    return {"all": {"start": "earliest", "ordering": "key", "retry": SOON, **values}}


@pytest.fixture
def ledger(database: str) -> OrderLedger:
    return OrderLedger(database)


@asynccontextmanager
async def served(database: str, **values: Any) -> AsyncIterator[RawStream]:
    """A relay and a consumer that may hold 100."""
    async with Relay(database, ordered(**values)) as relay, RawStream(relay.target) as stream:
        await stream.start()
        yield stream


async def retry(stream: RawStream, delivery: pb.Delivery, *, seconds: float = 0.1) -> None:
    settlement = pb.Settlement(token=delivery.token, retry=pb.Retry(reason="later"))
    settlement.retry.delay.FromMilliseconds(int(seconds * 1000))
    assert not (await stream.confirmation(await stream.settle([settlement]))).failures


async def reject(stream: RawStream, *deliveries: pb.Delivery) -> None:
    settlements = [pb.Settlement(token=d.token, reject=pb.Reject(reason="no")) for d in deliveries]
    assert not (await stream.confirmation(await stream.settle(settlements))).failures


async def release(stream: RawStream, *deliveries: pb.Delivery) -> None:
    settlements = [pb.Settlement(token=d.token, release=pb.Release()) for d in deliveries]
    assert not (await stream.confirmation(await stream.settle(settlements))).failures


async def states(database: str) -> dict[str, int]:
    async with connect(database) as connection:
        rows = await connection.fetch("SELECT state, count(*) AS n FROM hookline.deliveries GROUP BY 1")
    return {row["state"]: row["n"] for row in rows}


async def redrive(database: str) -> int:
    session = Session(database, name="test")
    try:
        return await dead_letters.redrive(session, NAME, DeadLetterFilter(), within=WITHIN)
    finally:
        await session.close()


async def delete(database: str) -> int:
    session = Session(database, name="test")
    try:
        return await dead_letters.delete(session, NAME, DeadLetterFilter(), reason="no", within=WITHIN)
    finally:
        await session.close()


async def ack_in_order(stream: RawStream, expected: list[str]) -> None:
    """Ack one after the other: nothing else may come."""
    for event_id in expected:
        [delivery] = await stream.deliveries(1)
        assert delivery.event_id == event_id
        assert not (await stream.ack(delivery)).failures


async def steal(database: str) -> None:
    """End every lease, as if another relay had had them in between."""
    async with connect(database) as connection:
        await connection.execute(
            "UPDATE hookline.cursors SET owner = '', epoch = epoch + 1, lease_until = '-infinity'"
        )


async def test_one_of_a_key_is_out_at_a_time_and_events_without_a_key_wait_for_nobody(
    database: str, ledger: OrderLedger
) -> None:
    sent = await ledger.send(["a", "a", "", "b", "", "a"])
    async with served(database) as stream:
        held = await stream.deliveries(4)
        assert sorted(ledger.numbers(held)) == [0, 2, 3, 4]
        assert await stream.rest() == []
        await stream.ack(*(d for d in held if d.event_id != sent[0]))
        assert await stream.rest() == []
        await stream.ack(*(d for d in held if d.event_id == sent[0]))
        await ack_in_order(stream, [sent[1], sent[5]])


async def test_a_retry_holds_its_key_and_no_other(database: str, ledger: OrderLedger) -> None:
    sent = await ledger.send(["a", "a", "b", "a"])
    async with served(database) as stream:
        first, other = sorted(await stream.deliveries(2), key=lambda d: int(d.body))
        await retry(stream, first, seconds=1.0)
        await stream.ack(other)
        assert await stream.rest() == []
        assert await states(database) == {"waiting": 1, "blocked": 2}
        more = await ledger.send(["a", "b"])
        assert ids(await stream.deliveries(1)) == [more[1]]
        await ack_in_order(stream, [sent[0], sent[1], sent[3], more[0]])
        assert await states(database) == {}


async def test_a_deadline_that_passes_holds_the_key(database: str, ledger: OrderLedger) -> None:
    sent = await ledger.send(["a", "a"])
    async with served(database, ack_deadline="500ms") as stream:
        first, again = await stream.deliveries(2)
        assert ids([first, again]) == [sent[0], sent[0]]
        assert again.attempt == 2
        await stream.ack(again)
        await ack_in_order(stream, [sent[1]])


async def test_an_ack_counts_beside_the_failure_of_an_earlier_one_that_it_waits_behind(
    database: str, ledger: OrderLedger
) -> None:
    """In one message: the failure makes a row of what was just acked, and that must not outlive the ack."""
    await ledger.send(["a", "a"])
    async with served(database) as stream:
        await reject(stream, *await stream.deliveries(1))
        [second] = await stream.deliveries(1)
        assert await redrive(database) == 1
        assert await stream.rest() == []
        await release(stream, second)
        [first] = await stream.deliveries(1)
        assert first.event_id != second.event_id
        settlements = [
            pb.Settlement(token=second.token, ack=pb.Ack()),
            pb.Settlement(token=first.token, retry=pb.Retry(reason="later")),
        ]
        assert not (await stream.confirmation(await stream.settle(settlements))).failures
        await ack_in_order(stream, [first.event_id])
        assert await stream.rest() == []
        assert await states(database) == {}


async def test_what_is_released_comes_again_before_the_next(database: str, ledger: OrderLedger) -> None:
    sent = await ledger.send(["a", "a"])
    async with served(database) as stream:
        for _ in range(3):
            [delivery] = await stream.deliveries(1)
            assert (delivery.event_id, delivery.attempt) == (sent[0], 1)
            await release(stream, delivery)
        await ack_in_order(stream, sent)


async def test_a_key_goes_on_after_a_dead_letter(database: str, ledger: OrderLedger) -> None:
    sent = await ledger.send(["a", "a"])
    async with served(database, after_dead_letter="continue") as stream:
        await reject(stream, *await stream.deliveries(1))
        await ack_in_order(stream, sent[1:])
        assert await states(database) == {"dead": 1}
        assert await redrive(database) == 1
        more = await ledger.send(["a"])
        again = await stream.deliveries(1)
        assert ids(again) in ([sent[0]], more)
        await stream.ack(*again)
        await stream.ack(*await stream.deliveries(1))
        assert await states(database) == {}


async def test_the_last_attempt_that_fails_lets_the_key_go_on(database: str, ledger: OrderLedger) -> None:
    sent = await ledger.send(["a", "a"])
    async with served(database) as stream:
        for attempt in (1, 2, 3):
            [delivery] = await stream.deliveries(1)
            assert (delivery.event_id, delivery.attempt) == (sent[0], attempt)
            await retry(stream, delivery)
        await ack_in_order(stream, sent[1:])
        assert await states(database) == {"dead": 1}


@pytest.mark.parametrize("act", [redrive, delete])
async def test_with_block_a_key_waits_until_its_dead_letter_is_redriven_or_deleted(
    database: str, ledger: OrderLedger, act: Any
) -> None:
    sent = await ledger.send(["a", "a", "b"])
    async with served(database, after_dead_letter="block") as stream:
        first, other = sorted(await stream.deliveries(2), key=lambda d: int(d.body))
        await reject(stream, first)
        await stream.ack(other)
        sent += await ledger.send(["a"])
        assert await stream.rest() == []
        assert await states(database) == {"dead": 1, "blocked": 2}
        assert await act(database) == 1
        await ack_in_order(stream, [*([sent[0]] if act is redrive else []), sent[1], sent[3]])
        assert await states(database) == {}


async def test_after_a_blocking_letter_is_deleted_a_new_event_of_its_key_goes(
    database: str, ledger: OrderLedger
) -> None:
    await ledger.send(["a"])
    async with served(database, after_dead_letter="block") as stream:
        await reject(stream, *await stream.deliveries(1))
        assert await delete(database) == 1
        await ack_in_order(stream, await ledger.send(["a"]))
        await ack_in_order(stream, await ledger.send(["a", "a"]))


async def test_letters_of_a_key_that_are_redriven_together_come_one_after_the_other(
    database: str, ledger: OrderLedger
) -> None:
    sent = await ledger.send(["a"] * 5)
    async with served(database) as stream:
        for event_id in sent:
            [delivery] = await stream.deliveries(1)
            assert delivery.event_id == event_id
            await reject(stream, delivery)
        assert await redrive(database) == 5
        [first] = await stream.deliveries(1)
        sent += await ledger.send(["a"])
        assert await stream.rest() == []
        await stream.ack(first)
        await ack_in_order(stream, sent[1:])
        assert await states(database) == {}


async def test_what_a_dead_consumer_held_keeps_its_turn(database: str, ledger: OrderLedger) -> None:
    sent = await ledger.send(["a", "a", "b", "b"])
    async with Relay(database, ordered()) as relay, RawStream(relay.target) as stays:
        await stays.start(events=0)
        dies = RawStream(relay.target)
        await dies.start()
        assert sorted(ledger.numbers(await dies.deliveries(2))) == [0, 2]
        await dies.die()
        await stays.resize(events=100)
        seen: list[str] = []
        while len(seen) < 4:
            held = await stays.deliveries(1)
            await stays.ack(*held)
            seen += ids(held)
        assert seen.index(sent[0]) < seen.index(sent[1])
        assert seen.index(sent[2]) < seen.index(sent[3])


async def test_the_next_relay_begins_with_what_was_out_and_a_late_ack_lets_the_key_go_on(
    database: str, ledger: OrderLedger
) -> None:
    sent = await ledger.send(["a", "a", "b", "a", "b"])
    async with Relay(database, ordered()) as relay, RawStream(relay.target) as stream:
        await stream.start()
        held = sorted(await stream.deliveries(2), key=lambda d: int(d.body))
        await stream.ack(held[1])
        [after] = await stream.deliveries(1)
        assert after.event_id == sent[4]
        await steal(database)
        again = await stream.deliveries(2)
        assert sorted(ids(again)) == sorted([sent[0], sent[4]])
        assert await stream.rest() == []
        # It was processed, whichever hand-over says so.
        assert not (await stream.ack(held[0])).failures
        await ack_in_order(stream, [sent[1], sent[3]])
        assert relay.dispatcher().shards


async def test_a_second_relay_takes_over_blocked_keys(database: str, ledger: OrderLedger) -> None:
    sent = await ledger.send(["a", "a", "a"])
    async with served(database) as stream:
        await retry(stream, *await stream.deliveries(1), seconds=0.5)
    assert await states(database) == {"waiting": 1, "blocked": 2}
    async with served(database) as stream:
        await ack_in_order(stream, sent)
        assert await states(database) == {}


async def test_a_replay_comes_in_order_and_before_what_is_new(database: str, ledger: OrderLedger) -> None:
    sent = await ledger.send(["a", "a", "a", "b"])
    async with served(database) as stream:
        seen: set[str] = set()
        while len(seen) < 4:
            held = await stream.deliveries(1)
            await stream.ack(*held)
            seen.update(ids(held))
        async with connect(database) as connection:
            added = await connection.fetchval(
                "SELECT sum(hookline.add_deliveries('all', shard, 7, seqs)) FROM"
                " (SELECT shard, array_agg(seq ORDER BY seq) AS seqs FROM hookline.outbox GROUP BY 1) AS log"
            )
            await connection.execute("SELECT pg_notify('hookline_control', '')")
        assert added == 4
        first = sorted(await stream.deliveries(2), key=lambda d: int(d.body))
        assert ids(first) == [sent[0], sent[3]]
        sent += await ledger.send(["a"])
        assert await stream.rest() == []
        await stream.ack(*first)
        await ack_in_order(stream, [sent[1], sent[2], sent[4]])
        assert await states(database) == {}


async def test_a_blocked_key_with_more_than_fits_into_memory_holds_nobody_else(
    database: str, ledger: OrderLedger
) -> None:
    sent = await ledger.send(["a"])
    async with served(database, after_dead_letter="block") as stream:
        await reject(stream, *await stream.deliveries(1))
        sent += await ledger.send(["a"] * 1_500)
        others = await ledger.send([f"b{number}" for number in range(200)])
        seen: set[str] = set()
        while len(seen) < 200:
            held = await stream.deliveries(1)
            await stream.ack(*held)
            seen.update(ids(held))
        assert seen == set(others)

        async def parked() -> bool:
            return await states(database) == {"dead": 1, "blocked": 1_500}

        await until(parked, "all of the key are rows")
        assert await delete(database) == 1
        await ack_in_order(stream, sent[1:101])


async def test_three_thousand_events_of_one_key_are_drained_in_order(
    database: str, ledger: OrderLedger
) -> None:
    """More than may wait in memory: the rest comes back from rows, one by one."""
    sent = await ledger.send(["a"] * 3_000)
    async with served(database) as stream:
        await ack_in_order(stream, sent)
        assert await states(database) == {}


class Worker:
    """A consumer that judges at random, and now and then dies or leaves."""

    def __init__(self, random: Random, ledger: OrderLedger, targets: list[str]) -> None:
        self._random = random
        self._ledger = ledger
        self._targets = targets

    async def run(self) -> None:
        while True:
            stream = RawStream(self._random.choice(self._targets))
            with contextlib.suppress(StreamEnded, grpc.aio.AioRpcError):
                async with stream:
                    await stream.start(events=self._random.choice((1, 5, 50)))
                    await self._serve(stream)
                    if self._random.random() < 0.5:
                        await stream.die()

    async def _serve(self, stream: RawStream) -> None:
        for _ in range(self._random.randint(5, 60)):
            while not stream._deliveries:
                await stream.read()
            [delivery] = await stream.deliveries(1)
            self._ledger.handed_over(delivery)
            settlement = pb.Settlement(token=delivery.token)
            match self._random.choices(
                ("ack", "retry", "reject", "release", "silence"), weights=(80, 6, 4, 5, 1)
            )[0]:
                case "ack":
                    settlement.ack.SetInParent()
                    self._ledger.finished.add(delivery.event_id)
                case "retry":
                    settlement.retry.reason = "later"
                case "reject":
                    settlement.reject.reason = "no"
                    self._ledger.finished.add(delivery.event_id)
                case "release":
                    settlement.release.SetInParent()
                case _:
                    continue
            await stream.settle([settlement])


@pytest.mark.timeout(240)
@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_many_keys_under_random_verdicts_deaths_and_changes_of_relay(
    database: str, ledger: OrderLedger, seed: int
) -> None:
    print(f"seed {seed}")
    random = Random(seed)
    keys = [f"key-{number}" for number in range(40)] + [""] * 5
    patient = {"wait": "fixed", "delay": "100ms", "max_attempts": 1000}
    subscription = ordered(retry=patient, ack_deadline="1s")
    targets: list[str] = []
    async with AsyncExitStack() as stack:
        relays = [await stack.enter_async_context(Relay(database, subscription)) for _ in range(2)]
        targets.append(relays[0].target)
        workers = [asyncio.create_task(Worker(random, ledger, targets).run()) for _ in range(4)]
        try:
            for step in range(6):
                await ledger.send(random.choices(keys, k=100))
                if step == 1:
                    targets.append(relays[1].target)
                if step in (2, 4):
                    await steal(database)
                enough = len(ledger.unfinished) // 2
                await until(partial(ledger.is_down_to, enough), "it goes on", patience=60)
            await until(partial(ledger.is_down_to, 0), "everything is acked or dead", patience=60)
        finally:
            for worker in workers:
                worker.cancel()
            results = await asyncio.gather(*workers, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in results), results
    assert ledger.hand_overs > 600
    assert ledger.inversions == []
