"""A subscription is deleted with all that belongs to it, whatever happens at the same time."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest

from admin.relay import OwningRelay
from admin.rig import Admin, refusal
from hookline.model import SubscriptionName
from hookline.store import subscription_changes
from hookline.store.session import Session
from hookline.store.statements import load
from hookline.v1 import subscription_pb2 as pb
from path.rig.database import connect, locked_cursors, until_waiting_for_lock

TABLES = ("subscriptions", "cursors", "deliveries", "attempts", "members", "forwarded_settlements", "replays")
ADMIN = "hookline admin subscriptions"
WITHIN = timedelta(seconds=20)


async def furnish(admin: Admin, name: str, *, rows: int = 20) -> None:
    """Give a subscription something in every table."""
    await admin.create(name)
    for statement in (
        """INSERT INTO hookline.deliveries (seq, replay, due_at, changed_at, event_id, shard, subscription, state,
           source, ordering_key) SELECT n, n % 2, now(), now(), gen_random_uuid(), n % 8, $1, 'dead', 'begini', ''
           FROM generate_series(1, $2::integer) AS n""",
        """INSERT INTO hookline.attempts (ended_at, started_at, seq, replay, attempt, shard, subscription, outcome,
           consumer, reason) SELECT now() - n % 3 * interval '1 day', now(), n, n % 2, n % 5, n % 8, $1, 'lost', '', ''
           FROM generate_series(1, $2::integer) AS n""",
        """INSERT INTO hookline.members (alive_until, subscription, owner)
           SELECT now(), $1, n::text FROM generate_series(1, $2::integer) AS n""",
        """INSERT INTO hookline.forwarded_settlements (shard, subscription, settlement)
           SELECT n % 8, $1, '' FROM generate_series(1, $2::integer) AS n""",
        """INSERT INTO hookline.replays (position, until_seq, subscription)
           SELECT 0, 1, $1 FROM generate_series(1, $2::integer) AS n""",
    ):
        await admin.db.execute(statement, name, rows)


async def left(admin: Admin, name: str) -> dict[str, int]:
    """How many rows of a subscription each table has."""
    counts = {}
    for table in TABLES:
        column = "name" if table == "subscriptions" else "subscription"
        counts[table] = await admin.db.fetchval(
            f"SELECT count(*) FROM hookline.{table} WHERE {column} = $1", name
        )
    return counts


def delete(admin: Admin, name: str = "all", *, etag: str = "", timeout: float | None = None) -> Any:
    request = pb.DeleteSubscriptionRequest(name=name, etag=etag)
    return admin.subscriptions.DeleteSubscription(request, timeout=timeout)


NOTHING = dict.fromkeys(TABLES, 0)


@pytest.mark.parametrize("rows", [20, 12_000 * 8], ids=["a few", "more than a chunk in each shard"])
async def test_all_of_it_goes_and_nothing_of_another(admin: Admin, rows: int) -> None:
    await furnish(admin, "all", rows=rows)
    await furnish(admin, "all-of-another")
    before = await left(admin, "all-of-another")
    await delete(admin)
    assert await left(admin, "all") == NOTHING
    assert await left(admin, "all-of-another") == before
    assert all(before.values()), "every table was tried"


async def test_an_etag_that_is_not_the_current_one_deletes_nothing(admin: Admin) -> None:
    await furnish(admin, "all")
    before = await left(admin, "all")
    refused = await refusal(delete(admin, etag="1-x"))
    assert (refused.code, refused.reason) == (grpc.StatusCode.ABORTED, "ETAG_MISMATCH")
    assert await left(admin, "all") == before
    current = await admin.subscriptions.GetSubscription(pb.GetSubscriptionRequest(name="all"))
    await delete(admin, etag=current.subscription.etag)
    assert await left(admin, "all") == NOTHING


async def test_it_waits_for_a_relay_that_is_writing_and_shuts_it_out(admin: Admin) -> None:
    await admin.create()
    await admin.dead("a", "b", state="waiting")
    async with OwningRelay(admin.dsn) as relay:
        row, other = await relay.waiting()
        async with locked_cursors(admin.dsn):
            deleting = asyncio.create_task(_wait(delete(admin)))
            await until_waiting_for_lock(admin.dsn, ADMIN)
            settling = asyncio.create_task(relay.ack(row))
            await until_waiting_for_lock(admin.dsn, "hookline test relay")
        await asyncio.gather(deleting, settling)
        assert not await relay.fail(other, "dead"), "it finds no cursor"
    assert await left(admin, "all") == NOTHING


async def test_no_relay_takes_the_cursors_of_one_that_is_being_deleted(admin: Admin) -> None:
    await furnish(admin, "all")
    session = Session(admin.dsn, name="test relay")
    async with connect(admin.dsn) as holder, holder.transaction():
        await holder.execute("LOCK TABLE hookline.attempts IN SHARE MODE")
        deleting = asyncio.create_task(_wait(delete(admin)))
        await until_waiting_for_lock(admin.dsn, ADMIN)
        taken = await session.fetch(load("cursors.sql")["acquire"], "all", "me", WITHIN, 8, within=WITHIN)
        assert taken == []
    await deleting
    await session.close()


async def test_an_interrupted_deletion_keeps_the_name_until_it_is_finished(admin: Admin) -> None:
    await furnish(admin, "all")
    async with connect(admin.dsn) as holder, holder.transaction():
        await holder.execute("LOCK TABLE hookline.attempts IN SHARE MODE")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await delete(admin, timeout=1)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        gone = await refusal(admin.subscriptions.GetSubscription(pb.GetSubscriptionRequest(name="all")))
        assert gone.code is grpc.StatusCode.NOT_FOUND
        refused = await refusal(admin.create())
        assert (refused.code, refused.reason) == (
            grpc.StatusCode.FAILED_PRECONDITION,
            "SUBSCRIPTION_BEING_DELETED",
        )
        assert "DeleteSubscription" in refused.message
        for change in (
            admin.subscriptions.ResumeSubscription(pb.ResumeSubscriptionRequest(name="all")),
            admin.subscriptions.UpdateSubscription(
                pb.UpdateSubscriptionRequest(subscription=pb.Subscription(name="all", types=["a"]))
            ),
        ):
            assert (await refusal(change)).code is grpc.StatusCode.NOT_FOUND
    # With the etag that the first call had, too.
    await delete(admin, etag="1-x")
    assert await left(admin, "all") == NOTHING
    await admin.create()
    assert (await left(admin, "all"))["deliveries"] == 0


async def test_what_was_interrupted_is_finished_by_a_chore(admin: Admin) -> None:
    await furnish(admin, "all")
    await furnish(admin, "kept")
    before = await left(admin, "kept")
    await admin.db.execute("SELECT hookline.close_subscription('all', 0)")
    session = Session(admin.dsn, name="test")
    assert await subscription_changes.finish_deletions(session, within=WITHIN) == 1
    assert await subscription_changes.finish_deletions(session, within=WITHIN) == 0
    await session.close()
    assert await left(admin, "all") == NOTHING
    assert await left(admin, "kept") == before


async def test_the_end_of_one_deletion_leaves_a_new_one_of_that_name_alone(admin: Admin) -> None:
    await admin.create()
    await admin.dead("a")
    session = Session(admin.dsn, name="test")
    await session.fetch("SELECT hookline.forget_subscription('all')", within=WITHIN)
    await session.close()
    counts = await left(admin, "all")
    assert (counts["subscriptions"], counts["cursors"], counts["deliveries"]) == (1, 8, 1)


async def test_two_deletions_at_once_are_one(admin: Admin) -> None:
    await furnish(admin, "all")
    answers = await asyncio.gather(*(_wait(delete(admin)) for _ in range(4)), return_exceptions=True)
    for answer in answers:
        assert answer is None or (
            isinstance(answer, grpc.aio.AioRpcError) and answer.code() is grpc.StatusCode.NOT_FOUND
        )
    assert None in answers
    assert await left(admin, "all") == NOTHING


async def test_a_successor_has_epochs_above_its_predecessors(admin: Admin) -> None:
    await admin.create()
    async with OwningRelay(admin.dsn) as relay:
        await delete(admin)
        await admin.create()
        await admin.dead("a", state="waiting")
        [row] = await relay.waiting()
        assert not await relay.ack(row), "a relay of the predecessor settles nothing"
    created = await admin.subscriptions.GetSubscription(
        pb.GetSubscriptionRequest(name=SubscriptionName("all"))
    )
    assert created.subscription.create_time.ToDatetime(UTC) <= datetime.now(UTC)


async def _wait(call: Any) -> None:
    await call
