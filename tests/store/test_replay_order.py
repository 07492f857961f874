"""Replays into ordered subscriptions: keys stay in order whoever else writes rows."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hookline.core.subscription import AfterDeadLetter
from hookline.core.turns import Key, Place
from hookline.embedded import EmbeddedPostgres
from hookline.model import CursorState, OwnedCursor, Seq, Shard
from hookline.store import replays, settlements
from hookline.store.replays import Replay, Selection
from hookline.store.session import Session
from store.replaying import (
    LEASE,
    NAME,
    NOW,
    accept,
    assert_in_order,
    finish,
    own_database,
    pass_all,
    rows,
    start,
    step,
    subscribe,
)
from store.waiting import until
from store.webhooks import WITHIN


@pytest.fixture
async def database(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    async with own_database(postgres) as url:
        yield url


async def test_an_event_is_not_added_while_an_earlier_one_of_its_key_is_in_hand(
    session: Session, foreign: Any
) -> None:
    subscription = await subscribe(session, "key")
    await accept(session, 6, keys=1)
    # 3 is in a consumer's hands without a row; 5 was not wanted when the cursor passed it, now it is.
    await foreign.execute("UPDATE hookline.cursors SET position = 6, pending = '{3}'")
    await start(session)
    replay, advanced = await finish(session, subscription)
    assert advanced.is_held
    assert advanced.position == 3
    assert [row["seq"] for row in await rows(foreign)] == [1, 2]
    await foreign.execute("UPDATE hookline.cursors SET pending = '{}'")
    await step(session, replay, subscription, advanced.position)
    assert [row["seq"] for row in await rows(foreign)] == [1, 2, 4, 5, 6]
    await assert_in_order(foreign)


async def test_without_order_nothing_waits_for_what_is_in_hand(session: Session, foreign: Any) -> None:
    subscription = await subscribe(session)
    await accept(session, 6, keys=1)
    await foreign.execute("UPDATE hookline.cursors SET position = 6, pending = '{3}'")
    await start(session)
    _, advanced = await finish(session, subscription)
    assert advanced.state == "completed"
    assert [row["seq"] for row in await rows(foreign)] == [1, 2, 4, 5, 6]
    assert {row["ordering_key"] for row in await rows(foreign)} == {""}


async def test_a_replay_comes_before_later_rows_of_its_key_and_behind_earlier_ones(
    session: Session, foreign: Any
) -> None:
    subscription = await subscribe(session, "key")
    await accept(session, 9, keys=1)
    await pass_all(foreign)
    await foreign.execute(
        "INSERT INTO hookline.deliveries (seq, due_at, changed_at, event_id, shard, subscription, state, source,"
        " ordering_key) SELECT seq, now() + interval '1 hour', now(), event_id, shard, 'all',"
        " CASE seq WHEN 5 THEN 'waiting' ELSE 'blocked' END, source, ordering_key"
        " FROM hookline.outbox WHERE seq IN (5, 7)"
    )
    await start(session)
    await finish(session, subscription)
    await assert_in_order(foreign)
    made = {(row["seq"], row["replay"]): row for row in await rows(foreign)}
    assert list(made) == [(1, 1), (2, 1), (3, 1), (4, 1), (5, 0), (6, 1), (7, 0), (8, 1), (9, 1)]
    assert made[5, 0]["due_at"] > datetime.now(UTC) + timedelta(minutes=50)


async def test_behind_a_dead_letter_that_blocks_its_key_a_replay_waits(
    session: Session, foreign: Any
) -> None:
    subscription = await subscribe(session, "key", "block")
    await accept(session, 4, keys=1)
    await pass_all(foreign)
    await foreign.execute(
        "INSERT INTO hookline.deliveries (seq, due_at, changed_at, event_id, shard, subscription, state, source,"
        " ordering_key) SELECT seq, now(), now(), event_id, shard, 'all', 'dead', source, ordering_key"
        " FROM hookline.outbox WHERE seq = 2"
    )
    await start(session)
    await finish(session, subscription)
    states = {(row["seq"], row["replay"]): row["state"] for row in await rows(foreign)}
    expected = {(1, 1): "waiting", (2, 0): "dead", (2, 1): "blocked", (3, 1): "blocked", (4, 1): "blocked"}
    assert states == expected
    await assert_in_order(foreign, dead_blocks=True)


async def test_changing_the_order_while_a_writer_waits_for_the_lock_counts(
    new_session: Callable[..., Session], session: Session, foreign: Any
) -> None:
    await subscribe(session)
    await accept(session, 4, keys=1)
    await pass_all(foreign)
    shard = await foreign.fetchval("SELECT min(shard) FROM hookline.outbox")
    async with foreign.transaction():
        await foreign.execute("UPDATE hookline.subscriptions SET ordering = 'key'")
        adding = asyncio.create_task(
            new_session("adding").fetch(
                "SELECT hookline.add_deliveries('all', $1, 1, '{1,2,3,4}')", shard, within=WITHIN
            )
        )

        async def waits() -> bool:
            # From outside: a transaction sees the same activity all the time.
            [row] = await session.fetch(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'hookline adding'"
                " AND wait_event_type = 'Lock'",
                within=WITHIN,
            )
            return bool(row["count"])

        await until(waits, "it waits for the cursor")
    await adding
    assert [row["ordering_key"] for row in await rows(foreign)] == ["key-0"] * 4
    await assert_in_order(foreign)


class Owner:
    """Owns all shards and does at random what a relay does: reads, hands out, settles. Keeps the keys' order."""

    def __init__(
        self, session: Session, draw: random.Random, owned: Sequence[OwnedCursor], log: list[Any]
    ) -> None:
        self._session = session
        self._draw = draw
        self._cursors = {cursor.shard: cursor for cursor in owned}
        self._log = log
        self.settled = 0

    async def act(self, foreign: Any) -> None:
        """Read one event of a shard from the log, or settle something that is in hand."""
        shard = self._draw.choice(sorted({event["shard"] for event in self._log}))
        cursor = self._cursors[shard]
        waiting = await foreign.fetch(
            "SELECT * FROM hookline.deliveries WHERE shard = $1 AND state = 'waiting' AND due_at <= now()",
            shard,
        )
        unread = [e for e in self._log if e["shard"] == shard and e["seq"] > cursor.state.position]
        choices = [*waiting, *cursor.state.pending] + unread[:1] * 2
        if not choices:
            return
        chosen = self._draw.choice(choices)
        if isinstance(chosen, int):
            await self._settle(cursor, self._event(chosen), 0)
        elif "state" in chosen.keys():  # noqa: SIM118  (a record's `in` looks at values)
            await self._settle(cursor, chosen, chosen["replay"], has_row=True)
        else:
            await self._read(foreign, cursor, chosen)

    def _event(self, seq: int) -> Any:
        return next(event for event in self._log if event["seq"] == seq)

    async def _read(self, foreign: Any, cursor: OwnedCursor, event: Any) -> None:
        """Hand it out; park it behind rows of its key, or as a row behind what is in hand."""
        state = cursor.state
        has_rows = await foreign.fetchval(
            "SELECT count(*) FROM hookline.deliveries WHERE shard = $1 AND ordering_key = $2",
            cursor.shard,
            event["ordering_key"],
        )
        in_hand = any(
            self._event(seq)["ordering_key"] == event["ordering_key"] for seq in cursor.state.pending
        )
        if in_hand:
            return
        moved = CursorState(Seq(event["seq"]), state.pending)
        if has_rows:
            await self._write(cursor, moved, rows=[_row(event, Place(event["seq"], 0), "blocked", 0)])
        else:
            await self._write(cursor, CursorState(moved.position, (*moved.pending, Seq(event["seq"]))))

    async def _settle(self, cursor: OwnedCursor, event: Any, replay: int, *, has_row: bool = False) -> None:
        place = Place(event["seq"], replay)
        pending = cursor.state.pending
        if not has_row:
            pending = tuple(seq for seq in pending if seq != place.seq)
        state = CursorState(cursor.state.position, pending)
        outcome = self._draw.choice(["acked"] * 8 + ["waiting"] * 5 + ["dead"])
        self.settled += 1
        if outcome == "acked":
            await self._write(cursor, state, done=[settlements.Done(cursor.shard, place)], turns=[event])
        else:
            row = _row(event, place, "waiting" if outcome == "waiting" else "dead", 1)
            await self._write(cursor, state, rows=[row], turns=[event])

    async def _write(
        self,
        cursor: OwnedCursor,
        state: CursorState,
        *,
        done: Sequence[tuple[Shard, Place]] = (),
        rows: Sequence[settlements.DeliveryRow] = (),
        turns: Sequence[Any] = (),
    ) -> None:
        cursor = OwnedCursor(cursor.shard, cursor.epoch, state)
        written = await settlements.settle(
            self._session,
            NAME,
            [cursor],
            done=done,
            rows=rows,
            attempts=(),
            turns=[(cursor.shard, Key(event["source"], event["ordering_key"])) for event in [*turns]]
            + [(row.shard, row.key) for row in rows if row.key is not None],
            lease=LEASE,
            within=WITHIN,
        )
        assert written.kept == {cursor.shard}
        self._cursors[cursor.shard] = cursor


def _row(event: Any, place: Place, state: settlements.State, attempt: int) -> settlements.DeliveryRow:
    return settlements.DeliveryRow(
        shard=Shard(event["shard"]),
        place=place,
        event_id=event["event_id"],
        key=Key(event["source"], event["ordering_key"]),
        source=event["source"],
        state=state,
        attempt=attempt,
    )


@pytest.mark.parametrize("after", ["continue", "block"])
@pytest.mark.parametrize("seed", [*range(4), None])
async def test_keys_stay_in_order_whoever_writes_rows(
    new_session: Callable[..., Session],
    session: Session,
    foreign: Any,
    seed: int | None,
    after: AfterDeadLetter,
) -> None:
    seed = random.randrange(2**32) if seed is None else seed
    print("seed", seed)
    draw = random.Random(seed)
    subscription = await subscribe(session, "key", after)
    await accept(session, 60, keys=3)
    log = await foreign.fetch(
        "SELECT seq, shard, event_id, source, ordering_key FROM hookline.outbox ORDER BY seq"
    )
    leased = await foreign.fetch(
        "UPDATE hookline.cursors SET owner = 'owner', lease_until = 'infinity' RETURNING shard, epoch, position"
    )
    owned = [OwnedCursor(Shard(c["shard"]), c["epoch"], CursorState(Seq(0), ())) for c in leased]
    owner = Owner(session, draw, owned, log)
    ids = [event["event_id"] for event in log]
    at_work: dict[int, Replay] = {}
    replaying, steps = new_session("replaying"), 0

    async def replay_step() -> None:
        replay = await replays.acquire(replaying, owner="owner", lease=LEASE, within=WITHIN)
        if replay is None:
            return
        if replay.state == "cancelled":
            await replays.withdraw(replaying, replay.id, most=3, within=WITHIN)
        else:
            at_work[replay.id] = replay
            await step(replaying, replay, subscription, replay.position, most=draw.randint(1, 4))
        await replays.release(replaying, replay, delay=NOW, within=WITHIN)

    while steps < 150:
        steps += 1
        match draw.randrange(12):
            case 0:
                await start(session)
            case 1:
                await start(session, Selection(tuple(draw.sample(ids, 5))))
            case 2 if at_work:
                await replays.cancel(session, draw.choice(list(at_work)), within=WITHIN)
            case 3 | 4 | 5:
                # At the same moment: the locks decide who is first.
                await asyncio.gather(owner.act(foreign), replay_step())
            case 6 | 7:
                await replay_step()
            case _:
                await owner.act(foreign)
        await assert_in_order(foreign, dead_blocks=after == "block")
    assert owner.settled
