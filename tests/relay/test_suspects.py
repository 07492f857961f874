"""An event that kills its consumers ends as a dead letter, and takes nobody with it."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from path.rig.database import connect, cursors
from path.rig.events import append, append_many, event
from path.rig.relay import Relay
from path.rig.stream import RawStream, ids
from path.rig.wait import until
from relay import dying_consumer
from relay.dying_consumer import POISON

SOON = {"wait": "fixed", "delay": "100ms", "max_attempts": 3}
SUSPICIOUS: dict[str, Any] = {"all": {"start": "earliest", "retry": SOON}}


class Deployment:
    """Starts the consumer again whenever it is gone, as whatever runs it in production does."""

    def __init__(self, target: str, window: int) -> None:
        self._arguments = (dying_consumer.__file__, target, str(window))
        self.deaths = 0

    async def run(self) -> None:
        while True:
            process = await asyncio.create_subprocess_exec(sys.executable, *self._arguments)
            try:
                code = await process.wait()
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
            assert code == 1, "the consumer ends by the poison and by nothing else"
            self.deaths += 1


@asynccontextmanager
async def deployed(target: str, *, window: int) -> AsyncIterator[Deployment]:
    deployment = Deployment(target, window)
    running = asyncio.create_task(deployment.run())
    try:
        yield deployment
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def all_settled(dsn: str) -> bool:
    """Nothing is unread, out or in a row that isn't dead."""
    async with connect(dsn) as connection:
        # In one statement: rows come and cursors move in one transaction.
        return not await connection.fetchval(
            "SELECT EXISTS (SELECT FROM hookline.deliveries WHERE state <> 'dead')"
            " OR EXISTS (SELECT FROM hookline.outbox AS o JOIN hookline.cursors AS c USING (shard)"
            "             WHERE o.seq > c.position OR o.seq = ANY (c.pending))"
        )


async def dead(dsn: str) -> dict[str, int]:
    """The dead letters, and after how many attempts."""
    async with connect(dsn) as connection:
        rows = await connection.fetch(
            "SELECT event_id, attempt FROM hookline.deliveries WHERE state = 'dead'"
        )
    return {str(row["event_id"]): row["attempt"] for row in rows}


async def failed(dsn: str) -> dict[str, list[tuple[int, str]]]:
    """The attempts that failed."""
    async with connect(dsn) as connection:
        rows = await connection.fetch(
            "SELECT o.event_id, a.attempt, a.outcome FROM hookline.attempts AS a"
            " JOIN hookline.outbox AS o ON o.shard = a.shard AND o.seq = a.seq"
            " WHERE a.outcome <> 'acked' ORDER BY a.ended_at"
        )
    attempts: dict[str, list[tuple[int, str]]] = {}
    for row in rows:
        attempts.setdefault(str(row["event_id"]), []).append((row["attempt"], row["outcome"]))
    return attempts


async def portions(dsn: str) -> list[int]:
    async with connect(dsn) as connection:
        rows = await connection.fetch("SELECT portion FROM hookline.deliveries WHERE state = 'waiting'")
    return [row["portion"] for row in rows]


@pytest.mark.timeout(180)
@pytest.mark.parametrize("poisoned", [(2_500,), (1_700, 1_703)], ids=["one", "two"])
async def test_a_killer_among_5000_becomes_a_dead_letter_and_no_innocent_is_charged(
    database: str, poisoned: tuple[int, ...]
) -> None:
    bodies = [POISON if number in poisoned else b"{}" for number in range(5_000)]
    sent = await append(database, [event(body, shard=n % 4) for n, body in enumerate(bodies)])
    killers = {sent[number] for number in poisoned}
    async with Relay(database, SUSPICIOUS) as relay:
        async with deployed(relay.target, window=5_000) as deployment:
            await until(lambda: all_settled(database), "everything is acked or dead", patience=150)
        assert await dead(database) == dict.fromkeys(killers, 3)
        lost = [(number, "lost") for number in (1, 2, 3)]
        assert await failed(database) == dict.fromkeys(killers, lost), "no innocent has a failed attempt"
        assert deployment.deaths <= (5 + 3) * len(killers)


async def test_the_suspicion_survives_changes_of_the_relay(database: str) -> None:
    sent = await append_many(database, 64)
    held: list[Any] = []
    for portion, written in ((64, [8] * 64), (8, [1] * 8 + [8] * 56)):
        async with Relay(database, SUSPICIOUS) as relay:
            stream = RawStream(relay.target)
            await stream.start(events=100)
            held = await stream.deliveries(portion)
            assert await stream.rest() == []
            assert {delivery.attempt for delivery in held} == {1}
            await stream.die()

            async def is_written(written: list[int] = written) -> bool:
                return sorted(await portions(database)) == written

            await until(is_written, "it is written down who is suspect")
    assert await failed(database) == {}
    async with Relay(database, SUSPICIOUS) as relay, RawStream(relay.target) as stream:
        await stream.start(events=100)
        seen: list[str] = []
        while len(seen) < 64:
            handed = await stream.deliveries(1)
            assert not (await stream.ack(*handed)).failures
            seen += ids(handed)
        assert sorted(seen) == sorted(sent)
        assert max(stream.batches) <= 8
    assert await all_settled(database)
    assert await failed(database) == {}


async def test_one_that_dies_alone_is_charged_even_if_it_was_no_suspect(database: str) -> None:
    [sent] = await append_many(database, 1)
    async with Relay(database, SUSPICIOUS) as relay:
        for attempt in (1, 2, 3):
            stream = RawStream(relay.target)
            await stream.start()
            [delivery] = await stream.deliveries(1)
            assert delivery.attempt == attempt
            await stream.die()
        await until(lambda: all_settled(database), "it is dead")
    assert await dead(database) == {sent: 3}
    assert (await cursors(database))[0]["pending"] == []


async def test_others_flow_while_a_suspect_is_examined(database: str) -> None:
    await append_many(database, 2)
    async with Relay(database, SUSPICIOUS) as relay:
        stream = RawStream(relay.target)
        await stream.start()
        await stream.deliveries(2)
        await stream.die()
        async with RawStream(relay.target) as one, RawStream(relay.target) as two:
            await one.start()
            [suspect] = await one.deliveries(1)
            await two.start()
            others = await append_many(database, 20)
            seen: list[str] = []
            while len(seen) < 20:
                portion = await two.deliveries(1)
                await two.ack(*portion)
                seen += ids(portion)
            assert sorted(seen) == sorted(others)
            assert await one.rest() == []
            assert not (await one.ack(suspect)).failures
