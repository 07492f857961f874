"""What each verdict does to a delivery: rows, attempts, and when it comes again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from hookline.v1 import delivery_pb2 as pb
from path.rig.database import attempts, connect, cursors, locked_cursors, rows, until_waiting_for_lock
from path.rig.events import append, append_many, event
from path.rig.relay import Relay
from path.rig.stream import RawStream, ids, reasons
from path.rig.tokens import forged
from path.rig.wait import until

Reason = pb.SettlementFailureReason
STALE = Reason.SETTLEMENT_FAILURE_REASON_STALE_TOKEN
SETTLED = Reason.SETTLEMENT_FAILURE_REASON_ALREADY_SETTLED
INVALID_VERDICT = Reason.SETTLEMENT_FAILURE_REASON_INVALID_VERDICT
LONG = {"wait": "fixed", "delay": "1h"}
QUICK = {"wait": "fixed", "delay": "50ms"}
VERDICTS: dict[str, dict[str, Any]] = {
    "retry": {"retry": pb.Retry()},
    "reject": {"reject": pb.Reject()},
    "extend": {"extend": pb.Extend()},
    "release": {"release": pb.Release()},
}


@asynccontextmanager
async def serving(
    database: str, retry: dict[str, Any] = LONG, **subscription: Any
) -> AsyncIterator[tuple[Relay, RawStream]]:
    """A relay with one consumer that has started."""
    values = {"start": "earliest", "retry": retry, **subscription}
    async with Relay(database, {"all": values}) as relay, RawStream(relay.target) as stream:
        await stream.start(consumer="tester")
        yield relay, stream


def wait_of(row: Any) -> timedelta:
    """How long it is to wait, to the millisecond: the database reads its clock for each column."""
    wait = row["due_at"] - row["changed_at"]
    return timedelta(milliseconds=round(wait / timedelta(milliseconds=1)))


async def make_due(database: str) -> None:
    """Let what waits for a retry come at once."""
    async with connect(database) as connection:
        await connection.execute("UPDATE hookline.deliveries SET due_at = now() WHERE state = 'waiting'")
        await connection.execute("SELECT pg_notify('hookline_control', '')")


async def test_retry_without_a_delay_waits_as_the_policy_says(database: str) -> None:
    [sent] = await append_many(database, 1)
    async with serving(database) as (_, stream):
        [delivery] = await stream.deliveries(1)
        assert not (await stream.retry(delivery, reason="not now")).failures
        [row] = await rows(database)
        assert (str(row["event_id"]), row["state"], row["attempt"]) == (sent, "waiting", 1)
        assert row["reason"] == "not now"
        assert timedelta(minutes=59) < row["wait"] < timedelta(hours=1)
        assert await stream.rest() == []


async def test_a_delay_that_was_asked_for_is_kept_to_the_instant(database: str) -> None:
    await append_many(database, 1)
    async with serving(database, QUICK) as (_, stream):
        [delivery] = await stream.deliveries(1)
        await stream.retry(delivery, delay=timedelta(seconds=1))
        [row] = await rows(database)
        [again] = await stream.deliveries(1)
        assert (again.event_id, again.attempt) == (delivery.event_id, 2)
        async with connect(database) as connection:
            late = await connection.fetchval("SELECT clock_timestamp() - $1::timestamptz", row["due_at"])
        assert timedelta(0) <= late < timedelta(seconds=1)
        assert wait_of(row) == timedelta(seconds=1)


@pytest.mark.parametrize(
    ("policy", "asked", "wait"),
    [
        ({"wait": "fixed", "delay": "10m"}, timedelta(0), timedelta(minutes=10)),
        ({"wait": "fixed", "delay": "10m"}, timedelta(hours=2), timedelta(hours=2)),
        ({"wait": "listed", "delays": ["30m", "5m"]}, timedelta(seconds=1), timedelta(minutes=5)),
        ({"wait": "exponential", "min": "2m", "max": "1h"}, timedelta(seconds=1), timedelta(minutes=2)),
        ({"wait": "fixed", "delay": "10m"}, timedelta(days=3_000_000), timedelta(days=30)),
    ],
)
async def test_a_delay_that_was_asked_for_is_never_below_the_policys_shortest_nor_endless(
    database: str, policy: dict[str, Any], asked: timedelta, wait: timedelta
) -> None:
    await append_many(database, 1)
    async with serving(database, policy) as (_, stream):
        [delivery] = await stream.deliveries(1)
        assert not (await stream.retry(delivery, delay=asked)).failures
        [row] = await rows(database)
        assert wait_of(row) == wait


@pytest.mark.parametrize(
    ("policy", "bounds"),
    [
        ({"wait": "fixed", "delay": "10m"}, [(600, 600)] * 3),
        ({"wait": "listed", "delays": ["1m", "5m"]}, [(60, 60), (300, 300), (300, 300)]),
        ({"wait": "exponential", "min": "1m", "max": "3m"}, [(60, 120), (60, 180), (60, 180)]),
    ],
)
async def test_every_kind_of_policy_is_followed_from_attempt_to_attempt(
    database: str, policy: dict[str, Any], bounds: list[tuple[int, int]]
) -> None:
    await append_many(database, 1)
    async with serving(database, policy) as (_, stream):
        for number, (shortest, longest) in enumerate(bounds, start=1):
            [delivery] = await stream.deliveries(1)
            assert delivery.attempt == number
            await stream.retry(delivery)
            [row] = await rows(database)
            assert shortest <= wait_of(row).total_seconds() <= longest
            await make_due(database)


async def test_the_last_attempt_that_the_policy_allows_ends_dead_with_its_history(database: str) -> None:
    [sent] = await append_many(database, 1)
    async with serving(database, {**QUICK, "max_attempts": 3}) as (_, stream):
        for number in (1, 2, 3):
            [delivery] = await stream.deliveries(1)
            assert delivery.attempt == number
            await stream.retry(delivery, reason=f"reason {number}")
        assert await stream.rest() == []
    [row] = await rows(database)
    assert (str(row["event_id"]), row["state"], row["attempt"]) == (sent, "dead", 3)
    assert row["reason"] == "reason 3"
    history = await attempts(database)
    assert [(a["attempt"], a["outcome"], a["reason"], a["consumer"]) for a in history] == [
        (number, "retried", f"reason {number}", "tester") for number in (1, 2, 3)
    ]
    assert all(a["started_at"] <= a["ended_at"] for a in history)
    # In trouble, yet the cursor has passed it.
    assert all(not cursor["pending"] for cursor in (await cursors(database)).values())


async def test_a_failure_beyond_the_longest_age_is_the_last(database: str) -> None:
    await append_many(database, 1)
    retry = {**QUICK, "max_attempts": "unlimited", "max_age": "1s"}
    async with serving(database, retry) as (_, stream):
        seen = 0
        while not await is_dead(database):
            if portion := await stream.rest():
                seen += 1
                assert not (await stream.retry(*portion)).failures
    [row] = await rows(database)
    assert seen == row["attempt"] >= 2
    assert row["changed_at"] - row["first_at"] >= timedelta(seconds=1)


async def is_dead(database: str) -> bool:
    return any(row["state"] == "dead" for row in await rows(database))


async def test_reject_is_dead_at_once_and_the_next_event_goes_on(database: str) -> None:
    first, second = await append(database, [event(b"1"), event(b"2")])
    async with serving(database, ordering="key") as (_, stream):
        [delivery] = await stream.deliveries(1)
        assert not (await stream.reject(delivery, reason="no such person")).failures
        assert ids(await stream.deliveries(1)) == [second]
    [row] = await rows(database)
    assert (str(row["event_id"]), row["state"], row["reason"]) == (first, "dead", "no such person")
    [attempt] = await attempts(database)
    assert (attempt["outcome"], attempt["reason"], attempt["attempt"]) == ("rejected", "no such person", 1)


async def test_the_same_verdict_on_many_in_one_batch_is_one_commit(database: str) -> None:
    await append_many(database, 100)
    async with serving(database) as (_, stream):
        held = await stream.deliveries(100)
        assert not (await stream.reject(*held[:50])).failures
        assert not (await stream.retry(*held[50:])).failures
    assert sorted(row["state"] for row in await rows(database)) == ["dead"] * 50 + ["waiting"] * 50


async def test_extend_keeps_a_delivery_beyond_its_deadline(database: str) -> None:
    await append_many(database, 2)
    async with serving(database, QUICK, ack_deadline="600ms") as (_, stream):
        kept, given_up = await stream.deliveries(2)
        assert not (await stream.extend(kept, lease=timedelta(minutes=1))).failures
        [again] = await stream.deliveries(1)
        assert (again.event_id, again.attempt) == (given_up.event_id, 2)
        assert not (await stream.ack(again)).failures
        assert await stream.rest() == []
        assert not (await stream.ack(kept)).failures
    assert [attempt["outcome"] for attempt in await attempts(database)] == ["expired", "acked"]


async def test_extend_without_a_lease_starts_the_subscriptions_deadline_anew(database: str) -> None:
    await append_many(database, 1)
    async with serving(database, QUICK, ack_deadline="1s") as (_, stream):
        [delivery] = await stream.deliveries(1)
        loop = asyncio.get_running_loop()
        until_ = loop.time() + 2.5
        while loop.time() < until_:
            assert not (await stream.extend(delivery)).failures
            await stream.read()
        assert not (await stream.ack(delivery)).failures
    assert await attempts(database) == []


async def test_nobody_can_keep_a_delivery_for_ever(database: str) -> None:
    await append_many(database, 1)
    async with serving(database) as (relay, stream):
        [delivery] = await stream.deliveries(1)
        assert not (await stream.extend(delivery, lease=timedelta(days=3_000_000))).failures
        [known] = relay.dispatcher()._inventory
        left = known.deadline - asyncio.get_running_loop().time()
        assert left <= timedelta(hours=12).total_seconds()


async def test_extending_by_nothing_gives_up_the_lease(database: str) -> None:
    await append_many(database, 1)
    async with serving(database, QUICK, ack_deadline="1s") as (_, stream):
        [delivery] = await stream.deliveries(1)
        assert not (await stream.extend(delivery, lease=timedelta(0))).failures
        [again] = await stream.deliveries(1)
        assert again.attempt == 2


async def test_release_costs_no_attempt_and_leaves_no_trace(database: str) -> None:
    [sent] = await append_many(database, 1)
    async with serving(database) as (_, stream):
        tokens = set()
        for _ in range(5):
            [delivery] = await stream.deliveries(1)
            assert (delivery.event_id, delivery.attempt) == (sent, 1)
            tokens.add(delivery.token)
            assert not (await stream.release(delivery)).failures
        assert len(tokens) == 5, "each hand-over has a token of its own"
    assert await rows(database) == []
    assert await attempts(database) == []


async def test_what_is_released_goes_to_who_has_room(database: str) -> None:
    await append_many(database, 1)
    async with serving(database) as (relay, stream), RawStream(relay.target) as other:
        [delivery] = await stream.deliveries(1)
        await other.start()
        await stream.resize(events=0)
        await stream.release(delivery)
        [again] = await other.deliveries(1)
        assert (again.event_id, again.attempt) == (delivery.event_id, 1)


async def test_an_ack_after_the_deadline_counts_while_the_delivery_waits_for_its_retry(database: str) -> None:
    await append_many(database, 1)
    async with serving(database, ack_deadline="200ms") as (_, stream):
        [delivery] = await stream.deliveries(1)

        async def waits() -> bool:
            return [row["state"] for row in await rows(database)] == ["waiting"]

        await until(waits, "its deadline passes")
        assert reasons(await stream.ack(delivery)) == {}
        assert await rows(database) == []
        assert reasons(await stream.ack(delivery)) == {delivery.token: SETTLED}
    history = [(attempt["attempt"], attempt["outcome"]) for attempt in await attempts(database)]
    assert history == [(1, "expired"), (1, "acked")]


async def test_an_ack_of_an_earlier_hand_over_counts_while_the_delivery_is_out_elsewhere(
    database: str,
) -> None:
    await append_many(database, 1)
    async with serving(database, QUICK) as (relay, stream), RawStream(relay.target) as other:
        [first] = await stream.deliveries(1)
        await stream.resize(events=0)
        await stream.retry(first)
        await other.start()
        [second] = await other.deliveries(1)
        assert reasons(await stream.ack(first)) == {}
        assert await rows(database) == []
        assert reasons(await other.ack(second)) == {second.token: SETTLED}
        assert await other.rest() == []


async def test_an_ack_of_a_dead_letter_counts_too(database: str) -> None:
    await append_many(database, 1)
    async with serving(database) as (_, stream):
        [delivery] = await stream.deliveries(1)
        await stream.reject(delivery)
        assert reasons(await stream.ack(delivery)) == {}
        assert await rows(database) == []


@pytest.mark.parametrize("verdict", VERDICTS)
async def test_only_the_latest_hand_over_may_give_any_other_verdict(database: str, verdict: str) -> None:
    await append_many(database, 1)
    async with serving(database, QUICK) as (relay, stream):
        [first] = await stream.deliveries(1)
        await stream.retry(first)
        late = pb.Settlement(token=first.token, **VERDICTS[verdict])
        # While it waits, and while it is out again.
        assert reasons(await stream.confirmation(await stream.settle([late]))) == {first.token: STALE}
        [second] = await stream.deliveries(1)
        assert reasons(await stream.confirmation(await stream.settle([late]))) == {first.token: STALE}
        ahead = forged(relay, second.event_id, hand_over=2**31)
        guessed = pb.Settlement(token=ahead, **VERDICTS[verdict])
        assert reasons(await stream.confirmation(await stream.settle([guessed]))) == {ahead: STALE}
        assert not (await stream.ack(second)).failures
        gone = pb.Settlement(token=second.token, **VERDICTS[verdict])
        [(_, reason)] = reasons(await stream.confirmation(await stream.settle([gone]))).items()
        assert reason in (STALE, SETTLED)
        assert await stream.rest() == []


@pytest.mark.parametrize("verdict", ["retry", "reject", "release"])
@pytest.mark.parametrize("ack_first", [True, False])
async def test_of_contradicting_verdicts_in_one_batch_the_ack_counts(
    database: str, verdict: str, *, ack_first: bool
) -> None:
    await append_many(database, 2)
    async with serving(database) as (_, stream):
        first, *more = await stream.deliveries(2)
        await stream.resize(events=0)
        ack = pb.Settlement(token=first.token, ack=pb.Ack())
        other = pb.Settlement(token=first.token, **VERDICTS[verdict])
        batch = [ack, other] if ack_first else [other, ack]
        failed = reasons(await stream.confirmation(await stream.settle(batch)))
        assert failed == ({first.token: STALE} if ack_first else {})
        assert not (await stream.ack(*more)).failures
        await stream.resize(events=10)
        assert await stream.rest() == []
        assert await rows(database) == []


async def test_of_two_verdicts_that_end_an_attempt_the_first_counts(database: str) -> None:
    await append_many(database, 1)
    async with serving(database) as (_, stream):
        [delivery] = await stream.deliveries(1)
        batch = [
            pb.Settlement(token=delivery.token, reject=pb.Reject(reason="first")),
            pb.Settlement(token=delivery.token, retry=pb.Retry(reason="second")),
        ]
        assert reasons(await stream.confirmation(await stream.settle(batch))) == {delivery.token: STALE}
    [row] = await rows(database)
    assert (row["state"], row["reason"]) == ("dead", "first")
    assert len(await attempts(database)) == 1


async def test_the_same_verdict_twice_in_one_batch_is_one_attempt(database: str) -> None:
    await append_many(database, 1)
    async with serving(database) as (_, stream):
        [delivery] = await stream.deliveries(1)
        await stream.retry(delivery, delivery, delivery)
    [row] = await rows(database)
    assert row["attempt"] == len(await attempts(database)) == 1


@pytest.mark.parametrize("verdict", ["retry", "reject"])
@pytest.mark.parametrize(
    ("reason", "kept"),
    [
        ("x" * 10_000, "x" * 1000),
        ("a\x00b", "a\N{REPLACEMENT CHARACTER}b"),
        ("\N{PILE OF POO}\u2028'\"\\{}%s", "\N{PILE OF POO}\u2028'\"\\{}%s"),
    ],
)
async def test_whatever_a_consumer_gives_as_a_reason_is_kept_as_far_as_it_can_be(
    database: str, verdict: str, reason: str, kept: str
) -> None:
    await append_many(database, 1)
    async with serving(database) as (_, stream):
        [delivery] = await stream.deliveries(1)
        judge = stream.retry if verdict == "retry" else stream.reject
        assert not (await judge(delivery, reason=reason)).failures
    [row], [attempt] = await rows(database), await attempts(database)
    assert row["reason"] == attempt["reason"] == kept


async def test_a_missed_ack_deadline_is_a_failed_attempt(database: str) -> None:
    await append_many(database, 1)
    async with serving(database, {**QUICK, "max_attempts": 2}, ack_deadline="200ms") as (_, stream):
        first, second = await stream.deliveries(2)
        assert (first.attempt, second.attempt) == (1, 2)

        async def dead() -> bool:
            return await is_dead(database)

        await until(dead, "the second deadline passes as well")
    assert [(a["attempt"], a["outcome"], a["consumer"]) for a in await attempts(database)] == [
        (1, "expired", "tester"),
        (2, "expired", "tester"),
    ]
    [row] = await rows(database)
    assert "deadline" in row["reason"]


@pytest.mark.parametrize("verdict", ["retry", "reject"])
async def test_a_verdict_is_confirmed_only_after_its_commit(database: str, verdict: str) -> None:
    await append_many(database, 1)
    async with serving(database) as (_, stream):
        [delivery] = await stream.deliveries(1)
        async with locked_cursors(database):
            settlement = pb.Settlement(token=delivery.token, **VERDICTS[verdict])
            sequence = await stream.settle([settlement])
            await until_waiting_for_lock(database, "hookline relay all settlements")
            assert await stream.rest() == []
            assert not stream.has_confirmation(sequence)
            assert await rows(database) == []
        assert not (await stream.confirmation(sequence)).failures
        assert len(await rows(database)) == 1


async def test_a_verdict_that_another_relay_made_void_is_not_confirmed(database: str) -> None:
    await append_many(database, 1)
    async with serving(database) as (_, stream):
        [delivery] = await stream.deliveries(1)
        async with locked_cursors(database) as connection:
            sequence = await stream.settle([pb.Settlement(token=delivery.token, reject=pb.Reject())])
            await until_waiting_for_lock(database, "hookline relay all settlements")
            await connection.execute(
                "UPDATE hookline.cursors SET owner = 'another', epoch = epoch + 1,"
                " lease_until = now() + interval '1 hour'"
            )
            await connection.execute("COMMIT")
        assert reasons(await stream.confirmation(sequence)) == {delivery.token: STALE}
    assert await rows(database) == []
    assert await attempts(database) == []


async def test_an_ack_after_failures_takes_the_row_away_and_is_the_end_of_the_history(database: str) -> None:
    await append_many(database, 1)
    async with serving(database, QUICK) as (_, stream):
        for _ in range(2):
            await stream.retry(*await stream.deliveries(1))
        [delivery] = await stream.deliveries(1)
        assert delivery.attempt == 3
        assert not (await stream.ack(delivery)).failures
    assert await rows(database) == []
    assert [(a["attempt"], a["outcome"]) for a in await attempts(database)] == [
        (1, "retried"),
        (2, "retried"),
        (3, "acked"),
    ]


async def test_attempts_go_on_counting_at_the_next_relay(database: str) -> None:
    await append_many(database, 1)
    async with serving(database, QUICK) as (_, stream):
        await stream.retry(*await stream.deliveries(1))
        await stream.deliveries(1)
    async with serving(database, QUICK) as (_, stream):
        [delivery] = await stream.deliveries(1)
        assert delivery.attempt == 2


async def test_a_retry_takes_room_of_no_window(database: str) -> None:
    await append_many(database, 3)
    async with serving(database) as (relay, stream):
        await stream.retry(*await stream.deliveries(3))
        [holder] = relay.dispatcher().leases.holders
        assert (holder.window.events, holder.window.bytes) == (0, 0)


async def test_an_ack_from_before_a_restore_does_not_settle_another_event_that_waits_at_its_place(
    database: str,
) -> None:
    """The log of a database that was restored from a backup gives the same seqs to other events."""
    [event_id] = await append_many(database, 1)
    async with serving(database) as (relay, stream):
        [delivery] = await stream.deliveries(1)
        foreign = forged(relay, event_id, event={"event_id": uuid4()})
        await stream.retry(delivery)
        answer = await stream.confirmation(await stream.settle([pb.Settlement(token=foreign, ack=pb.Ack())]))
        assert reasons(answer) == {foreign: SETTLED}
        assert [row["state"] for row in await rows(database)] == ["waiting"]
        assert not (await stream.ack(delivery)).failures
        assert await rows(database) == []
