"""The journal of acks: written with the cursors, read by event."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from hookline.core.subscription import Subscription
from hookline.core.turns import Place
from hookline.model import CursorState, OwnedCursor, Seq, Shard, SubscriptionName
from hookline.store import acks, attempts, cursors, settlements
from hookline.store.acks import Ack, PastAck
from hookline.store.session import Session
from hookline.store.settlements import Attempt
from hookline.store.subscriptions import declare
from store.webhooks import WITHIN

NAME = SubscriptionName("all")
LEASE = timedelta(minutes=1)
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
BLOCK = 4096


async def owned(session: Session) -> list[OwnedCursor]:
    await declare(session, Subscription(NAME), start="earliest", within=WITHIN)
    found, _, _ = await cursors.acquire(
        session, NAME, owner="relay", lease=LEASE, joining=True, share=lambda _, shards: shards, within=WITHIN
    )
    return found


def ack(seq: int, consumer: str = "scorer", held: float = 0.25) -> Ack:
    return Ack(Seq(seq), datetime.now(UTC) - timedelta(seconds=held), consumer)


def moved(cursor: OwnedCursor, position: int = 1_000_000) -> OwnedCursor:
    return OwnedCursor(cursor.shard, cursor.epoch, CursorState(Seq(position), ()))


def stale(cursor: OwnedCursor) -> OwnedCursor:
    return OwnedCursor(cursor.shard, cursor.epoch - 1, cursor.state)


async def advance(session: Session, mine: Iterable[OwnedCursor], *acked: Ack) -> set[Shard]:
    return await cursors.advance(
        session, NAME, [moved(cursor) for cursor in mine], acked=acked, lease=LEASE, within=WITHIN
    )


async def settle(session: Session, mine: Iterable[OwnedCursor], *acked: Ack) -> None:
    await settlements.settle(
        session,
        NAME,
        [moved(cursor) for cursor in mine],
        done=[],
        rows=[],
        attempts=[],
        turns=[],
        acked=acked,
        lease=LEASE,
        within=WITHIN,
    )


async def found(session: Session, seq: int, shard: int = 0) -> list[PastAck]:
    return await acks.of_event(session, Shard(shard), Seq(seq), first_day=LONG_AGO, within=WITHIN)


async def test_a_transaction_writes_one_row_and_every_ack_in_it_is_found(
    session: Session, foreign: Any
) -> None:
    mine = await owned(session)
    # Of every pair of bytes there is, also such as end one entry and begin the next.
    seqs = range(BLOCK, BLOCK + 400)
    await advance(session, mine, *(ack(seq, f"consumer-{seq % 3}", held=seq / 1000) for seq in seqs))
    [row] = await foreign.fetch("SELECT * FROM hookline.acks")
    assert (row["block"], row["consumers"], row["lost"]) == (
        1,
        ["consumer-1", "consumer-2", "consumer-0"],
        None,
    )
    assert len(row["entries"]) == 400 * 8
    assert abs(row["acked_at"] - datetime.now(UTC)) < timedelta(minutes=1)
    for seq in seqs:
        [past] = await found(session, seq)
        assert (past.subscription, past.consumer) == (NAME, f"consumer-{seq % 3}")
        assert past.handed_at is not None
        held = (past.acked_at - past.handed_at).total_seconds()
        assert seq / 1000 <= held < seq / 1000 + 0.5
    for seq in (BLOCK - 1, BLOCK + 400, 2 * BLOCK + 1, 1):
        assert await found(session, seq) == []


async def test_acks_far_from_each_other_take_a_row_for_each_block(session: Session, foreign: Any) -> None:
    mine = await owned(session)
    far = [5, 6, BLOCK - 1, BLOCK, 2**40 + 5, 2**62]
    await settle(session, mine, *map(ack, far))
    blocks = [row["block"] for row in await foreign.fetch("SELECT block FROM hookline.acks ORDER BY block")]
    assert blocks == [0, 1, 2**28, 2**50]
    for seq in far:
        assert len(await found(session, seq)) == 1
    assert await found(session, 2**40 + 6) == []


async def test_what_belongs_to_a_lost_shard_is_not_acked(session: Session, foreign: Any) -> None:
    mine = await owned(session)
    for write in (advance, settle):
        await write(session, [stale(mine[0]), *mine[1:3]], ack(7))
        assert await found(session, 7, 0) == []
        assert len(await found(session, 7, 1)) == len(await found(session, 7, 2)) == 1
        assert await foreign.fetchval("SELECT lost FROM hookline.acks") == [0]
        await foreign.execute("TRUNCATE hookline.acks")
        await write(session, [stale(mine[0]), stale(mine[1])], ack(7))
        assert await foreign.fetchval("SELECT count(*) FROM hookline.acks") == 0


async def test_nothing_is_written_where_nothing_was_acked(session: Session, foreign: Any) -> None:
    mine = await owned(session)
    assert await advance(session, mine) == {cursor.shard for cursor in mine}
    await settle(session, mine)
    assert await foreign.fetchval("SELECT count(*) FROM hookline.acks") == 0


async def test_a_hand_over_that_is_not_known_and_a_strange_consumer_are_written_as_they_are(
    session: Session,
) -> None:
    mine = await owned(session)
    await advance(session, mine, Ack(Seq(1), None, ""), ack(2, "a\0b" + "x" * 2000))
    [first] = await found(session, 1)
    assert (first.handed_at, first.consumer) == (None, "")
    [second] = await found(session, 2)
    assert second.consumer == "a\N{REPLACEMENT CHARACTER}b" + "x" * 997


async def test_acks_go_into_the_partition_of_their_day(session: Session, foreign: Any) -> None:
    mine = await owned(session)
    await attempts.ensure_days(session, within=WITHIN)
    await advance(session, mine, ack(1))
    [(part, day)] = await foreign.fetch(
        "SELECT tableoid::regclass::text, 'hookline.acks_' || to_char(acked_at AT TIME ZONE 'UTC', 'YYYYMMDD')"
        " FROM hookline.acks"
    )
    assert part == day
    for table in ("acks", "attempts"):
        ahead = await foreign.fetchval(
            "SELECT count(*) FROM pg_inherits WHERE inhparent = ('hookline.' || $1)::regclass", table
        )
        assert ahead == 9, "today, seven days more, and the default"
    assert await foreign.fetchval("SELECT hookline.ensure_days('acks', 'acked_at', 9)") == 2
    await foreign.execute(
        "DO $$ BEGIN EXECUTE format('DROP TABLE hookline.acks_%s',"
        " to_char(clock_timestamp() AT TIME ZONE 'UTC' + interval '9 days', 'YYYYMMDD')); END $$"
    )


async def test_a_relay_of_the_version_before_settles_as_ever(session: Session, foreign: Any) -> None:
    mine = await owned(session)
    tried = {
        "ended_at": "2026-01-01T00:00:00Z",
        "started_at": "2026-01-01T00:00:00Z",
        "seq": 3,
        "replay": 0,
        "attempt": 1,
        "shard": mine[0].shard,
        "outcome": "retried",
        "consumer": "old",
        "reason": "busy",
    }
    answered = await foreign.fetch(
        "SELECT kind FROM hookline.settle($1, $2, $3, $4, $5, $6, '[]', '[]', $7, '[]')",
        NAME,
        LEASE,
        [mine[0].shard],
        [mine[0].epoch],
        [9],
        ["{}"],
        json.dumps([tried]),
    )
    assert [row["kind"] for row in answered] == ["kept"]
    written = await foreign.fetch("SELECT outcome, traceparent FROM hookline.attempts")
    assert [tuple(row) for row in written] == [("retried", "")]


async def test_an_attempt_keeps_its_trace(session: Session, foreign: Any) -> None:
    mine = await owned(session)
    now = datetime.now(UTC)
    one = Attempt(mine[0].shard, Place(Seq(1), 0), 1, "acked", "c", "", now, now, "00-ab-cd-01")
    await settlements.settle(
        session,
        NAME,
        [moved(mine[0])],
        done=[],
        rows=[],
        attempts=[one],
        turns=[],
        lease=LEASE,
        within=WITHIN,
    )
    assert await foreign.fetchval("SELECT traceparent FROM hookline.attempts") == "00-ab-cd-01"


async def test_one_event_is_found_among_many_rows_by_the_index_of_blocks(
    session: Session, foreign: Any
) -> None:
    """Half a million transactions of one ack each, which no statistics know of yet."""
    mine = await owned(session)
    await foreign.execute(
        "INSERT INTO hookline.acks (acked_at, block, subscription, consumers, entries)"
        " SELECT clock_timestamp(), n >> 12, 'all', '{scorer}', decode('0000000000000000', 'hex')"
        " FROM generate_series(1, 500000) AS n"
    )
    await advance(session, mine, ack(300_000))
    assert len(await found(session, 300_000)) == 1
    place = (300_000 & (BLOCK - 1)).to_bytes(2, "little").hex()
    for plan in ("custom", "generic"):
        await foreign.execute(f"SET plan_cache_mode = force_{plan}_plan")
        await foreign.execute(
            f"PREPARE {plan} (bigint, bytea, smallint, timestamptz) AS {acks._SQL['of_seq']}"
        )
        text = await foreign.fetchval(
            f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE {plan}"
            f" ({300_000 // BLOCK}, '\\x{place}', 0::smallint, '2026-01-01')"
        )
        read = [
            node for node in _nodes(json.loads(text)[0]["Plan"]) if "acks" in node.get("Relation Name", "")
        ]
        assert {node["Node Type"] for node in read} <= {"Index Scan", "Bitmap Heap Scan"}, read
        looked_at = sum(node["Actual Rows"] + node.get("Rows Removed by Filter", 0) for node in read)
        assert looked_at <= BLOCK + 1


def _nodes(plan: Any) -> list[Any]:
    return [plan, *(node for child in plan.get("Plans", []) for node in _nodes(child))]


async def test_events_that_were_there_before_have_no_commit_time_and_new_ones_have(foreign: Any) -> None:
    column = await foreign.fetchrow(
        "SELECT is_nullable, column_default FROM information_schema.columns"
        " WHERE table_schema = 'hookline' AND table_name = 'events' AND column_name = 'committed_at'"
    )
    assert tuple(column) == ("YES", "clock_timestamp()")
