"""A reader that asks for what is above its position never misses a row that commits late."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable
from typing import Any
from uuid import UUID

import asyncpg

from hookline.model import LoggedEvent, NewEvent, Seq, Shard
from hookline.store.ingest import ingest
from hookline.store.log import read_log
from hookline.store.session import Session
from hookline.store.statements import load
from store.waiting import SHARD_LOCKS, waiting_for_shard_locks
from store.webhooks import SHARDS, WITHIN, webhook

WRITERS = 5
EVENTS = 5_000


class Reader:
    """Follows the log as a relay does."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._positions = {Shard(shard): Seq(0) for shard in range(SHARDS)}
        self.seen: defaultdict[Shard, list[LoggedEvent]] = defaultdict(list)

    @property
    def count(self) -> int:
        return sum(map(len, self.seen.values()))

    async def read(self) -> None:
        for event in await read_log(
            self._session,
            list(self._positions.items()),
            per_shard=100,
            events=1_000,
            body_bytes=1_000_000,
            within=WITHIN,
        ):
            self.seen[event.shard].append(event)
            self._positions[event.shard] = event.seq

    async def read_until(self, count: int) -> None:
        async with asyncio.timeout(WITHIN.total_seconds()):
            while self.count < count:
                await self.read()


def batches(events: list[NewEvent], chance: random.Random) -> list[list[NewEvent]]:
    result = []
    while events:
        size = chance.choice([1, 2, 5, 20, 100])
        result.append(events[:size])
        events = events[size:]
    return result


async def test_a_follower_sees_every_event_once_and_in_order_beside_many_writers(
    new_session: Callable[..., Session], foreign: Any
) -> None:
    chance = random.Random(20260805)
    events = [webhook(f"u{number}") for number in range(EVENTS)]
    shares = [batches(events[writer::WRITERS], chance) for writer in range(WRITERS)]
    # Somebody's report: a snapshot and a transaction id, held all along.
    await foreign.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT pg_current_xact_id();")

    async def write(session: Session, share: list[list[NewEvent]]) -> None:
        for batch in share:
            await ingest(session, batch, within=WITHIN)

    reader = Reader(new_session("reader"))
    async with asyncio.TaskGroup() as tasks:
        for number, share in enumerate(shares):
            tasks.create_task(write(new_session(f"writer {number}"), share))
        await reader.read_until(EVENTS)

    assert foreign.is_in_transaction()
    for shard, seen in reader.seen.items():
        seqs = [event.seq for event in seen]
        assert seqs == sorted(set(seqs)), f"shard {shard}"
    ids: list[UUID] = [event.event_id for seen in reader.seen.values() for event in seen]
    assert sorted(ids) == sorted(event.event_id for event in events)
    assert set(reader.seen) == set(range(SHARDS))
    await foreign.execute("ROLLBACK")


async def test_a_later_seq_of_a_shard_is_invisible_until_the_earlier_one_is_committed(
    database: str, new_session: Callable[..., Session], foreign: Any
) -> None:
    slow, quick = (webhook(uid) for uid in same_shard(2))
    reader = Reader(new_session("reader"))
    writer = await asyncpg.connect(database)
    try:
        transaction = writer.transaction()
        await transaction.start()
        await writer.fetch(
            load("ingest.sql")["ingest"],
            *([value] for value in slow),
        )
        waiting = asyncio.create_task(ingest(new_session("quick"), [quick], within=WITHIN))
        await waiting_for_shard_locks(foreign, 1)
        await reader.read()
        assert reader.count == 0
        assert not waiting.done()
        await transaction.commit()
        await waiting
    finally:
        await writer.close()
    await reader.read()
    [shard] = reader.seen
    assert [event.event_id for event in reader.seen[shard]] == [slow.event_id, quick.event_id]


async def test_a_writer_of_other_shards_does_not_wait(
    new_session: Callable[..., Session], foreign: Any
) -> None:
    held = webhook("A")
    other = next(event for n in range(100) if (event := webhook(f"u{n}")).shard != held.shard)
    await foreign.execute("SELECT pg_advisory_lock($1::integer, $2::integer)", SHARD_LOCKS, held.shard)
    waiting = asyncio.create_task(ingest(new_session("held"), [held], within=WITHIN))
    await waiting_for_shard_locks(foreign, 1)
    await ingest(new_session("other"), [other], within=WITHIN)
    assert not waiting.done()
    await foreign.execute("SELECT pg_advisory_unlock_all()")
    await waiting


async def test_the_read_keeps_to_its_bounds_and_leaves_no_holes(session: Session) -> None:
    events = [webhook(f"u{number}", b"x" * 100) for number in range(200)]
    await ingest(session, events, within=WITHIN)
    positions = [(Shard(shard), Seq(0)) for shard in range(SHARDS)]

    async def read(per_shard: int, count: int, size: int) -> list[LoggedEvent]:
        return await read_log(
            session, positions, per_shard=per_shard, events=count, body_bytes=size, within=WITHIN
        )

    everything = await read(1_000, 1_000, 1_000_000)
    assert len(everything) == 200
    for per_shard, count, size in ((3, 1_000, 1_000_000), (1_000, 17, 1_000_000), (1_000, 1_000, 1_050)):
        got = await read(per_shard, count, size)
        assert 0 < len(got) <= min(per_shard * SHARDS, count, size // 100 + 1)
        for shard in range(SHARDS):
            whole = [event.event_id for event in everything if event.shard == shard]
            part = [event.event_id for event in got if event.shard == shard]
            assert part == whole[: len(part)]
    assert len(await read(1_000, 1_000, 1)) == 1, "an oversized event is answered alone"


def same_shard(count: int) -> list[str]:
    shard = webhook("A").shard
    names = (f"u{number}" for number in range(10_000))
    return [name for name in names if webhook(name).shard == shard][:count]
