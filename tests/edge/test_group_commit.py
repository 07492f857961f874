"""Many requests, few transactions; one bad event doesn't take its neighbours with it; the queue is bounded."""

import asyncio
from typing import Any

import httpx

from edge.ledger import missing, rows
from edge.provider import Answer, body, send
from edge.running import edge
from store.waiting import hold_shards, let_shards_go, until, waiting_for_shard_locks

SHARDS = 8


async def together(address: str, foreign: Any, contents: list[bytes], *, writers: int = 2) -> list[Answer]:
    """Send all of them while the writers are held up, so that they meet in the queue."""
    await hold_shards(foreign, SHARDS)
    warm = [asyncio.create_task(send(address, body(f"warm{number}"))) for number in range(SHARDS * 4)]
    await waiting_for_shard_locks(foreign, writers)
    requests = [asyncio.create_task(send(address, content)) for content in contents]
    # Every request is read and queued before the edge answers what was sent after it.
    async with httpx.AsyncClient(base_url=address) as client:
        for _ in range(20):
            await client.get("/healthz")
    await let_shards_go(foreign)
    await asyncio.gather(*warm)
    return list(await asyncio.gather(*requests))


async def test_concurrent_requests_share_transactions(address: str, foreign: Any) -> None:
    answers = await together(address, foreign, [body(f"u{number}") for number in range(300)])
    assert [answer.status for answer in answers] == [200] * 300
    assert await missing(foreign, answers) == set()
    transactions = await foreign.fetchval("SELECT count(DISTINCT xmin::text) FROM hookline.events")
    assert transactions <= 30
    # A ledger row and its outbox row are of one transaction.
    torn = await foreign.fetchval(
        "SELECT count(*) FROM hookline.events AS e JOIN hookline.outbox AS o USING (shard, seq)"
        " WHERE e.xmin::text <> o.xmin::text"
    )
    assert torn == 0


async def test_revisions_and_repeats_in_one_rush_come_out_in_order_of_arrival(
    address: str, foreign: Any
) -> None:
    contents = [body("A", score=number % 4) for number in range(20)]
    answers = await together(address, foreign, contents)
    assert [answer.status for answer in answers] == [200] * 20
    words = [answer.json["status"] for answer in answers]
    assert words.count("accepted") == 4
    revisions = [answer.json["revision"] for answer in answers if answer.json["status"] == "accepted"]
    assert sorted(revisions) == [False, True, True, True]


async def test_one_event_that_postgres_refuses_does_not_take_its_batch_with_it(
    address: str, foreign: Any
) -> None:
    await foreign.execute("ALTER TABLE hookline.events ADD CONSTRAINT poison CHECK (type <> 'poison')")
    contents = [body(f"u{number}", type_="poison" if number == 37 else "fine") for number in range(100)]
    answers = await together(address, foreign, contents)
    assert [n for n, answer in enumerate(answers) if answer.status != 200] == [37]
    refused = answers[37]
    assert (refused.status, refused.json["code"]) == (503, "not_stored")
    assert "retry-after" in refused.headers
    assert await missing(foreign, answers) == set()
    assert (await send(address, body("later"))).status == 200


async def test_a_full_queue_is_503_and_takes_webhooks_again_when_it_drains(
    database: str, foreign: Any
) -> None:
    async with edge(database, queue_events=10) as address:
        await hold_shards(foreign, SHARDS)
        requests = [asyncio.create_task(send(address, body(f"u{number}"))) for number in range(30)]

        async def full() -> bool:
            return sum(request.done() for request in requests) >= 20

        await until(full, "what doesn't fit is refused")
        refused = [request.result() for request in requests if request.done()]
        assert {(answer.status, answer.json["code"]) for answer in refused} == {(503, "not_stored")}
        assert {answer.headers["retry-after"] for answer in refused} == {"2"}
        await let_shards_go(foreign)
        answers = await asyncio.gather(*requests)
        assert [answer.status for answer in answers].count(200) == 10
        assert await rows(foreign) == (10, 10)
        assert (await send(address, body("later"))).status == 200


async def test_the_queue_is_bounded_in_bytes_too_and_takes_one_large_body_alone(
    database: str, foreign: Any
) -> None:
    async with edge(database, queue_bytes=10_000) as address:
        assert (await send(address, body("large").ljust(50_000))).status == 200
        await hold_shards(foreign, SHARDS)
        requests = [asyncio.create_task(send(address, body(f"u{n}").ljust(4_000))) for n in range(5)]

        async def full() -> bool:
            return sum(request.done() for request in requests) >= 3

        await until(full, "what doesn't fit is refused")
        await let_shards_go(foreign)
        answers = await asyncio.gather(*requests)
    assert sorted(answer.status for answer in answers) == [200] * 2 + [503] * 3


async def test_requests_that_gave_up_still_count_until_they_leave_the_queue(
    database: str, foreign: Any
) -> None:
    # Memory is bounded: the body of a request that was answered 503 at its deadline is still in the queue.
    async with edge(
        database, writers=1, queue_events=10, request_deadline="200ms", commit_deadline="20s"
    ) as address:
        await hold_shards(foreign, SHARDS)
        first = await asyncio.gather(*(send(address, body(f"a{number}")) for number in range(10)))
        assert {answer.json["code"] for answer in first} == {"commit_timeout"}
        again = await asyncio.gather(*(send(address, body(f"b{number}")) for number in range(10)))
        await let_shards_go(foreign)
        assert {answer.json["code"] for answer in again} == {"not_stored"}, "the queue was full of the first"
