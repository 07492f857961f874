"""Whatever operators and a relay do, each key has one row whose turn it is, and nothing is lost or stuck."""

import asyncio
from collections.abc import Iterable
from itertools import groupby
from random import Random
from typing import Any

import pytest

from admin.relay import OwningRelay
from admin.rig import Admin, refusal
from hookline.v1 import dead_letter_pb2 as dead_pb
from hookline.v1 import subscription_pb2 as pb
from path.rig.database import locked_cursors, until_waiting_for_lock

KEYS = ("a", "b", "c")
BLOCK, CONTINUE = pb.AFTER_DEAD_LETTER_BLOCK, pb.AFTER_DEAD_LETTER_CONTINUE


async def create(admin: Admin, policy: "pb.AfterDeadLetter.ValueType") -> None:
    await admin.create(ordering=pb.ORDERING_KEY, after_dead_letter=policy)


def disorder(rows: Iterable[Any], *, dead_blocks: bool) -> list[str]:
    """What is wrong with the keys' turns."""
    wrong = []
    by_key = sorted(rows, key=lambda row: (row["ordering_key"], row["seq"], row["replay"]))
    for key, of_key in groupby(by_key, key=lambda row: row["ordering_key"]):
        states = [(row["seq"], row["state"]) for row in of_key]
        counting = [state for _, state in states if dead_blocks or state != "dead"]
        live = [state for state in counting if state != "dead"]
        expected = ["blocked"] * len(live)
        if counting and counting[0] != "dead":
            expected[0] = "waiting"
        if live != expected:
            wrong.append(f"{key}: {states}")
    return wrong


async def letters(admin: Admin, random: Random) -> dead_pb.DeadLetterNames:
    """Some of the dead letters."""
    listed = [letter.name for letter in (await admin.list_dead(page_size=1000)).dead_letters]
    return dead_pb.DeadLetterNames(names=random.sample(listed, random.randint(0, len(listed))))


async def acked_to_the_end(relay: OwningRelay) -> None:
    """Ack whatever may go, until nothing may; each round acks at least one."""
    while rows := await relay.waiting():
        for row in rows:
            assert await relay.ack(row)


@pytest.mark.parametrize("seed", range(8))
async def test_random_courses_keep_every_key_in_order(admin: Admin, seed: int) -> None:  # noqa: C901  (a list of what may happen)
    random = Random(seed)
    policy = random.choice((BLOCK, CONTINUE))
    await create(admin, policy)
    came, deleted = 0, 0
    async with OwningRelay(admin.dsn) as relay:
        for step in range(50):
            rows = await relay.waiting()
            match random.choice(
                ("come", "come", "ack", "die", "die", "fail", "redrive", "redrive all", "delete", "policy")
            ):
                case "come":
                    # As a relay does: the first row of a key is a failed attempt, the later ones are parked.
                    for key in random.choices(KEYS, k=random.randint(1, 4)):
                        [row] = await admin.db.fetch(
                            "SELECT * FROM hookline.deliveries WHERE seq = $1",
                            (await admin.dead(key, state="blocked", ordered=True))[0],
                        )
                        came += 1
                        await relay.fail(row, "waiting")
                case "ack" if rows:
                    await relay.ack(random.choice(rows))
                    came -= 1
                case "die" if rows:
                    await relay.fail(random.choice(rows), "dead")
                case "fail" if rows:
                    await relay.fail(random.choice(rows), "waiting")
                case "redrive":
                    if (which := await letters(admin, random)).names:
                        assert await admin.redrive(dead_letters=which) == len(which.names)
                case "redrive all":
                    await admin.redrive(filter=dead_pb.DeadLetterFilter())
                case "delete":
                    if (which := await letters(admin, random)).names:
                        deleted += await admin.delete_dead(dead_letters=which)
                case "policy":
                    policy = CONTINUE if policy == BLOCK else BLOCK
                    subscription = pb.Subscription(name="all", after_dead_letter=policy)
                    await admin.subscriptions.UpdateSubscription(
                        pb.UpdateSubscriptionRequest(subscription=subscription)
                    )
                    await relay.take_over()
            rows = await admin.rows()
            assert not disorder(rows, dead_blocks=policy == BLOCK), step
            assert len(rows) == came - deleted, "no row is lost and none is made"
        await admin.redrive(filter=dead_pb.DeadLetterFilter())
        await acked_to_the_end(relay)
        assert await admin.rows() == [], "nothing is stuck"


@pytest.mark.parametrize("policy", [BLOCK, CONTINUE], ids=["block", "continue"])
async def test_redriving_and_deleting_while_a_relay_settles_loses_nothing(
    admin: Admin, policy: "pb.AfterDeadLetter.ValueType"
) -> None:
    await create(admin, policy)
    all_rows = set(await admin.dead(*(KEYS * 30), ordered=True))
    random = Random(5)
    acked: set[int] = set()
    deleted = 0

    async def settle(relay: OwningRelay) -> None:
        while len(acked) < 40:
            for row in (await relay.waiting())[:4]:
                if random.random() < 0.2:
                    assert await relay.ack(row)
                    acked.add(row["seq"])
                else:
                    assert await relay.fail(row, random.choice(("dead", "dead", "waiting")))

    async def operate() -> None:
        nonlocal deleted
        while not settling.done():
            await admin.redrive(filter=dead_pb.DeadLetterFilter())
            which = await letters(admin, random)
            if which.names:
                await admin.redrive(dead_letters=which)
            which = await letters(admin, random)
            if which.names and deleted < 20:
                gone = await admin.delete_dead(dead_letters=dead_pb.DeadLetterNames(names=which.names[:1]))
                deleted += gone

    async with OwningRelay(admin.dsn) as relay:
        settling = asyncio.create_task(settle(relay))
        await asyncio.gather(settling, operate(), operate())
        rows = await admin.rows()
        assert acked
        assert deleted
        assert not disorder(rows, dead_blocks=policy == BLOCK)
        assert len(rows) + len(acked) + deleted == len(all_rows)
        await admin.redrive(filter=dead_pb.DeadLetterFilter())
        await acked_to_the_end(relay)
        assert await admin.rows() == []


async def test_a_redriven_letter_goes_before_what_waited_later(admin: Admin) -> None:
    await create(admin, CONTINUE)
    dead, waiting, blocked = await admin.dead("a", "a", "a", ordered=True)
    await admin.db.execute("UPDATE hookline.deliveries SET state = 'waiting' WHERE seq = $1", waiting)
    await admin.db.execute("UPDATE hookline.deliveries SET state = 'blocked' WHERE seq = $1", blocked)
    await admin.redrive(filter=dead_pb.DeadLetterFilter())
    assert await admin.states() == {dead: "waiting", waiting: "blocked", blocked: "blocked"}


async def test_with_block_the_next_goes_when_the_letter_is_deleted_and_not_before(admin: Admin) -> None:
    await create(admin, BLOCK)
    first, second, next_, other = await admin.dead("a", "a", "a", "b", ordered=True)
    await admin.db.execute(
        "UPDATE hookline.deliveries SET state = 'blocked' WHERE seq IN ($1, $2)", next_, other
    )
    names = {letter.name.rpartition("-")[2]: letter.name for letter in (await admin.list_dead()).dead_letters}
    await admin.delete_dead(dead_letters=dead_pb.DeadLetterNames(names=[names[str(first)]]))
    assert await admin.states() == {second: "dead", next_: "blocked", other: "blocked"}
    await admin.delete_dead(dead_letters=dead_pb.DeadLetterNames(names=[names[str(second)]]))
    assert await admin.states() == {next_: "waiting", other: "blocked"}, "and another key is left alone"


async def test_a_new_policy_for_dead_letters_holds_for_those_there_are(admin: Admin) -> None:
    await create(admin, CONTINUE)
    dead, waiting, blocked = await admin.dead("a", "a", "a", ordered=True)
    await admin.db.execute("UPDATE hookline.deliveries SET state = 'waiting' WHERE seq = $1", waiting)
    await admin.db.execute("UPDATE hookline.deliveries SET state = 'blocked' WHERE seq = $1", blocked)
    for policy, state in ((BLOCK, "blocked"), (CONTINUE, "waiting")):
        subscription = pb.Subscription(name="all", after_dead_letter=policy)
        await admin.subscriptions.UpdateSubscription(pb.UpdateSubscriptionRequest(subscription=subscription))
        assert await admin.states() == {dead: "dead", waiting: state, blocked: "blocked"}


async def test_a_new_ordering_puts_rows_in_order_and_shuts_out_who_held_the_old_one(admin: Admin) -> None:
    await admin.create()
    first, second, other, dead = await admin.dead("a", "a", "b", "a", state="waiting")
    [keyless] = await admin.dead("", state="waiting")
    await admin.db.execute("UPDATE hookline.deliveries SET state = 'dead' WHERE seq = $1", dead)

    async def order(ordering: "pb.Ordering.ValueType") -> None:
        subscription = pb.Subscription(name="all", ordering=ordering)
        await admin.subscriptions.UpdateSubscription(pb.UpdateSubscriptionRequest(subscription=subscription))

    async with OwningRelay(admin.dsn) as zombie:
        [row, *_] = await zombie.waiting()
        await order(pb.ORDERING_KEY)
        assert not await zombie.ack(row), "its epoch is over"
    assert await admin.states() == {
        first: "waiting", second: "blocked", other: "waiting", dead: "dead", keyless: "waiting",
    }  # fmt: skip
    assert [row["ordering_key"] for row in await admin.rows()] == ["a", "a", "b", "a", ""]
    await order(pb.ORDERING_NONE)
    assert await admin.states() == {
        first: "waiting", second: "waiting", other: "waiting", dead: "dead", keyless: "waiting",
    }  # fmt: skip
    assert {row["ordering_key"] for row in await admin.rows()} == {""}


async def test_block_needs_an_order(admin: Admin) -> None:
    refused = await refusal(admin.create(after_dead_letter=BLOCK))
    assert refused.message.startswith("subscription.after_dead_letter: ")
    assert "ORDERING_KEY" in refused.message


@pytest.mark.parametrize("action", ["redrive", "delete"])
async def test_turns_are_judged_after_whoever_writes_at_the_same_moment(admin: Admin, action: str) -> None:
    await create(admin, BLOCK)
    first, second, third = await admin.dead("a", "a", "a", ordered=True)
    await admin.db.execute("UPDATE hookline.deliveries SET state = 'blocked' WHERE seq = $1", third)
    names = {letter.name.rpartition("-")[2]: letter.name for letter in (await admin.list_dead()).dead_letters}
    which = dead_pb.DeadLetterNames(names=[names[str(second)]])
    async with locked_cursors(admin.dsn) as writer:
        # It settles the first one, as far as anybody can't see yet.
        await writer.execute("DELETE FROM hookline.deliveries WHERE seq = $1", first)
        call = admin.redrive if action == "redrive" else admin.delete_dead
        acting = asyncio.create_task(call(dead_letters=which))
        await until_waiting_for_lock(admin.dsn, "hookline admin dead letters")
        await writer.execute("COMMIT")
    assert await acting == 1
    assert await admin.states() == (
        {second: "waiting", third: "blocked"} if action == "redrive" else {third: "waiting"}
    )
