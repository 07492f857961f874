"""Never a 2xx before the commit."""

import asyncio
from typing import Any

from edge.fault_proxy import FaultProxy
from edge.ledger import missing, rows
from edge.provider import body, send
from edge.running import edge
from store.waiting import hold_shards, let_shards_go, until, waiting_for_shard_locks

SHARDS = 8


async def test_while_the_commit_waits_no_answer_comes(address: str, foreign: Any) -> None:
    await hold_shards(foreign, SHARDS)
    requests = [asyncio.create_task(send(address, body(f"u{number}"))) for number in range(20)]
    await waiting_for_shard_locks(foreign, 2)
    # Everything but the commit is done; a moment more changes nothing.
    done, _ = await asyncio.wait(requests, timeout=0.3)
    assert not done
    assert await rows(foreign) == (0, 0)
    await let_shards_go(foreign)
    answers = await asyncio.gather(*requests)
    assert [answer.status for answer in answers] == [200] * 20
    assert await missing(foreign, answers) == set()


async def test_a_duplicate_waits_for_the_original_s_commit(address: str, foreign: Any) -> None:
    await hold_shards(foreign, SHARDS)
    requests = [asyncio.create_task(send(address, body("A"))) for _ in range(5)]
    await waiting_for_shard_locks(foreign, 1)
    done, _ = await asyncio.wait(requests, timeout=0.2)
    assert not done
    await let_shards_go(foreign)
    answers = await asyncio.gather(*requests)
    assert sorted(answer.json["status"] for answer in answers) == ["accepted"] + ["duplicate"] * 4
    assert await rows(foreign) == (1, 1)


async def test_a_commit_that_the_edge_was_not_told_of_is_not_answered(
    proxy: FaultProxy, foreign: Any
) -> None:
    async with edge(proxy.dsn) as address:
        assert (await send(address, body("warm"))).status == 200
        proxy.keep_answers_back()
        request = asyncio.create_task(send(address, body("A")))

        async def committed() -> bool:
            return await rows(foreign) == (2, 2)

        await until(committed, "the event is committed")
        done, _ = await asyncio.wait([request], timeout=0.3)
        assert not done
        proxy.thaw()
        assert (await request).json["status"] == "accepted"


async def test_a_connection_lost_after_the_commit_is_a_duplicate_and_no_second_event(
    proxy: FaultProxy, foreign: Any
) -> None:
    async with edge(proxy.dsn) as address:
        assert (await send(address, body("warm"))).status == 200
        proxy.keep_answers_back()
        request = asyncio.create_task(send(address, body("A")))

        async def committed() -> bool:
            return await rows(foreign) == (2, 2)

        await until(committed, "the event is committed")
        proxy.cut()
        proxy.mend()
        proxy.thaw()
        answer = await request
    assert (answer.status, answer.json["status"]) == (200, "duplicate")
    assert await rows(foreign) == (2, 2)


async def test_past_the_commit_s_deadline_the_answer_is_503(database: str, foreign: Any) -> None:
    async with edge(database, request_deadline="500ms", commit_deadline="10s") as address:
        await hold_shards(foreign, SHARDS)
        answer = await send(address, body("A"))
        assert (answer.status, answer.json["code"]) == (503, "commit_timeout")
        assert answer.headers["retry-after"].isdigit()
        await let_shards_go(foreign)
