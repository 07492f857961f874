"""Postgres goes away: a short outage costs latency, a longer one a 503, and none costs an event or a restart."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import asyncpg
import httpx
import pytest

from edge.fault_proxy import FaultProxy
from edge.ledger import missing, rows
from edge.provider import Answer, Wire, body, send
from edge.running import edge
from hookline.edge.intake import Intake
from hookline.embedded import EmbeddedPostgres
from hookline.model import Accepted
from hookline.process import beside
from store.waiting import hold_shards, let_shards_go, until
from store.webhooks import webhook

SHARDS = 8


async def works(address: str, uid: str = "probe") -> bool:
    return (await send(address, body(uid))).status == 200


async def is_ready(address: str) -> bool:
    async with httpx.AsyncClient(base_url=address) as client:
        return (await client.get("/readyz")).status_code == 200


class Load:
    """Webhooks without end over several connections; each answer is kept."""

    def __init__(self, address: str) -> None:
        self._address = address
        self.answers: list[Answer] = []
        self.sent = 0

    async def _send(self) -> None:
        async with Wire(self._address) as wire:
            while True:
                self.sent += 1
                self.answers.append(await wire.send(body(f"load{self.sent}")))

    async def answered(self, count: int) -> None:
        """Wait for this many answers more."""
        goal = len(self.answers) + count

        async def reached() -> bool:
            return len(self.answers) >= goal

        await until(reached, f"{count} answers more")

    async def accepted(self, count: int) -> None:
        """Wait for this many 200s more."""
        goal = self.statuses().count(200) + count

        async def reached() -> bool:
            return self.statuses().count(200) >= goal

        await until(reached, f"{count} webhooks more are accepted")

    def statuses(self) -> list[int]:
        return [answer.status for answer in self.answers]

    @classmethod
    @asynccontextmanager
    async def on(cls, address: str, connections: int = 8) -> AsyncIterator["Load"]:
        load = cls(address)
        tasks = [asyncio.create_task(load._send()) for _ in range(connections)]
        try:
            yield load
        finally:
            failed = [task for task in tasks if task.done()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        assert not failed, "every request was answered"


async def test_a_short_cut_costs_latency_only(proxy: FaultProxy, foreign: Any) -> None:
    async with edge(proxy.dsn) as address, Load.on(address) as load:
        for _ in range(3):
            await load.answered(50)
            proxy.cut()
            proxy.mend()
        await load.answered(50)
    assert set(load.statuses()) == {200}
    assert await missing(foreign, load.answers) == set()


async def test_a_long_cut_is_503_until_the_database_is_back(proxy: FaultProxy, foreign: Any) -> None:
    async with edge(proxy.dsn) as address:
        assert await works(address)
        proxy.cut()
        answer = await send(address, body("A"))
        assert (answer.status, answer.json["code"]) == (503, "not_stored")
        assert answer.headers["retry-after"] == "2"
        assert answer.headers["content-type"] == "application/problem+json"
        # Now it is known to be away: refused at once, and said to the load balancer.
        assert (await send(address, body("B"))).status == 503
        assert not await is_ready(address)
        proxy.mend()

        async def back() -> bool:
            return await works(address, "A") and await is_ready(address)

        await until(back, "webhooks are accepted again, without a restart")
    assert await rows(foreign) == (2, 2)


async def test_a_dead_route_is_503_at_the_deadline_and_is_left_for_a_new_one(
    proxy: FaultProxy, foreign: Any
) -> None:
    async with edge(proxy.dsn, commit_deadline="300ms", request_deadline="5s") as address:
        assert await works(address)
        proxy.freeze()
        assert (await send(address, body("A"))).status == 503
        proxy.thaw()

        async def back() -> bool:
            return await works(address, "A")

        await until(back, "webhooks are accepted again")
    assert await rows(foreign) == (2, 2)


async def test_it_recovers_when_every_waiting_request_had_given_up(proxy: FaultProxy) -> None:
    # The requests' deadline passes before the commit's: nobody waits for the batch when it fails.
    async with edge(proxy.dsn, writers=1, commit_deadline="800ms", request_deadline="300ms") as address:
        assert await works(address)
        proxy.freeze()
        assert (await send(address, body("A"))).status == 503

        async def known() -> bool:
            return not await is_ready(address)

        await until(known, "the edge knows that the database is away")
        proxy.thaw()

        async def back() -> bool:
            return await works(address)

        await until(back, "webhooks are accepted again", patience=8)


async def test_it_recovers_when_the_first_event_after_an_outage_is_refused(
    proxy: FaultProxy, foreign: Any
) -> None:
    await foreign.execute("ALTER TABLE hookline.events ADD CONSTRAINT poison CHECK (type <> 'poison')")
    async with edge(proxy.dsn, writers=1) as address:
        assert await works(address)
        await hold_shards(foreign, SHARDS)
        request = asyncio.create_task(send(address, body("A", type_="poison")))

        async def waits() -> bool:
            return bool(
                await foreign.fetchval(
                    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
                    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
                )
            )

        await until(waits, "the writer waits")
        proxy.cut()
        proxy.mend()
        await let_shards_go(foreign)
        assert (await request).status == 503
        # Longer than queued events wait for a lost database; Postgres was there all the time.
        await asyncio.sleep(1.1)

        async def back() -> bool:
            return await works(address)

        await until(back, "webhooks are accepted again", patience=8)


async def test_postgres_restarted_under_load_loses_nothing(own_server: EmbeddedPostgres) -> None:
    async with edge(own_server.url) as address, Load.on(address) as load:
        for _ in range(2):
            await load.accepted(100)
            await own_server.stop()
            await own_server.start()
        await load.accepted(100)
    assert set(load.statuses()) <= {200, 503}
    connection = await asyncpg.connect(own_server.url)
    assert await missing(connection, load.answers) == set()
    assert len(set(await rows(connection))) == 1
    await connection.close()


async def test_postgres_away_for_long_is_503_and_then_it_goes_on(own_server: EmbeddedPostgres) -> None:
    async with edge(own_server.url) as address, Load.on(address, connections=2) as load:
        await load.accepted(20)
        await own_server.stop()

        async def refused() -> bool:
            return load.statuses()[-1:] == [503]

        await until(refused, "webhooks are refused")
        await own_server.start()
        await load.accepted(20)
    connection = await asyncpg.connect(own_server.url)
    assert await missing(connection, load.answers) == set()
    await connection.close()


async def test_an_edge_without_webhooks_notices_that_its_database_is_away(
    proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hookline.edge.health._EVERY", 0.05)
    monkeypatch.setattr("hookline.edge.health._PATIENCE", 0.5)

    async def is_not_ready() -> bool:
        return not await is_ready(address)

    async with edge(proxy.dsn) as address:
        assert await is_ready(address)
        proxy.cut()
        await until(is_not_ready, "it is not ready, and nothing was sent")
        proxy.mend()
        await until(lambda: is_ready(address), "it is ready by itself")
        connection = await asyncpg.connect(proxy.dsn)
        name = await connection.fetchval("SELECT current_database()")
        await connection.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
        await connection.close()
        proxy.cut()
        proxy.mend()
        await until(is_not_ready, "it is not ready where nothing can be written")


async def test_the_time_of_a_commit_includes_the_wait_for_a_lost_database(proxy: FaultProxy) -> None:
    commits: list[tuple[int, float]] = []
    intake = Intake(
        proxy.dsn,
        writers=1,
        max_events=10,
        max_bytes=1000,
        commit_deadline=timedelta(seconds=5),
        on_commit=lambda events, seconds: commits.append((events, seconds)),
    )
    async with beside(intake.run()):
        proxy.cut()
        outcome = asyncio.create_task(intake.commit(webhook("A")))
        await asyncio.sleep(0.3)
        proxy.mend()
        assert isinstance(await outcome, Accepted)
    [(events, seconds)] = commits
    assert events == 1
    assert 0.3 <= seconds < 5
