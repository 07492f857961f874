"""The same webhook at the same moment, as two edges would write it."""

import asyncio
from collections.abc import Callable
from typing import Any

from hookline.model import Accepted, Duplicate, Outcome
from hookline.store.ingest import ingest
from hookline.store.session import Session
from store.waiting import hold_shards, let_shards_go, waiting_for_shard_locks
from store.webhooks import SHARDS, WITHIN, webhook

ROUNDS = 100


def accepted(outcomes: list[Outcome]) -> list[Accepted]:
    return [outcome for outcome in outcomes if isinstance(outcome, Accepted)]


async def test_one_webhook_through_two_sessions_is_accepted_exactly_once(
    new_session: Callable[..., Session], foreign: Any
) -> None:
    left, right = new_session("left"), new_session("right")
    for number in range(ROUNDS):
        event = webhook(f"u{number}")
        answers = await asyncio.gather(
            ingest(left, [event], within=WITHIN), ingest(right, [event], within=WITHIN)
        )
        assert sorted(type(answer[0]).__name__ for answer in answers) == ["Accepted", "Duplicate"]
    assert await foreign.fetchval("SELECT count(*) FROM hookline.events") == ROUNDS
    assert await foreign.fetchval("SELECT count(*) FROM hookline.outbox") == ROUNDS


async def test_two_revisions_through_two_sessions_are_one_original_and_one_revision(
    new_session: Callable[..., Session],
) -> None:
    left, right = new_session("left"), new_session("right")
    for number in range(ROUNDS):
        [a], [b] = await asyncio.gather(
            ingest(left, [webhook(f"u{number}", b"1")], within=WITHIN),
            ingest(right, [webhook(f"u{number}", b"2")], within=WITHIN),
        )
        first, second = sorted(accepted([a, b]), key=lambda outcome: outcome.seq)
        assert (first.revision, second.revision) == (False, True)


async def test_a_writer_that_waited_for_the_lock_sees_what_was_committed_meanwhile(
    new_session: Callable[..., Session], foreign: Any
) -> None:
    # Both statements begin before either commits: a snapshot from before the lock would see no earlier revision.
    sessions = [new_session(f"writer {number}") for number in range(4)]
    await hold_shards(foreign, SHARDS)
    async with asyncio.TaskGroup() as tasks:
        writers = [
            tasks.create_task(ingest(session, [webhook("A", b"%d" % (number % 3))], within=WITHIN))
            for number, session in enumerate(sessions)
        ]
        await waiting_for_shard_locks(foreign, len(sessions))
        await let_shards_go(foreign)
    outcomes = [outcome for writer in writers for outcome in writer.result()]
    revisions = [outcome.revision for outcome in sorted(accepted(outcomes), key=lambda o: o.seq)]
    assert revisions == [False, True, True]
    assert [type(outcome) for outcome in outcomes].count(Duplicate) == 1


async def test_batches_that_overlap_in_opposite_order_neither_deadlock_nor_repeat(
    new_session: Callable[..., Session], foreign: Any
) -> None:
    left, right = new_session("left"), new_session("right")
    for number in range(30):
        events = [webhook(f"u{number}-{place}") for place in range(20)]
        a, b = await asyncio.gather(
            ingest(left, events, within=WITHIN), ingest(right, events[::-1], within=WITHIN)
        )
        assert len(accepted(a)) + len(accepted(b)) == len(events)
    assert await foreign.fetchval("SELECT count(*) FROM hookline.outbox") == 30 * 20
