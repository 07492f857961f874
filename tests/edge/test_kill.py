"""An edge killed in the middle of its work: what it answered is stored."""

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from edge.ledger import missing, rows
from edge.provider import Answer, Wire, body
from edge.running import EdgeProcess
from store.waiting import hold_shards, let_shards_go, until, waiting_for_shard_locks

ROUNDS = 10
CONNECTIONS = 12
SHARDS = 8
Start = Callable[..., Awaitable[EdgeProcess]]


async def flood(address: str, name: str, answers: list[Answer]) -> None:
    """Send until the other side is gone."""
    with suppress(OSError):
        async with Wire(address) as wire:
            number = 0
            while True:
                answers.append(await wire.send(body(f"{name}-{number}")))
                number += 1


def enough(answers: list[Answer], goal: int) -> Callable[[], Awaitable[bool]]:
    async def reached() -> bool:
        return len(answers) >= goal

    return reached


@pytest.mark.timeout(240)
async def test_killed_at_any_moment_every_answered_webhook_is_in_ledger_and_outbox(
    start_process: Start, foreign: Any
) -> None:
    chance = random.Random(4711)
    answers: list[Answer] = []
    ahead = asyncio.create_task(start_process())
    for turn in range(ROUNDS):
        process = await ahead
        if turn + 1 < ROUNDS:
            ahead = asyncio.create_task(start_process())  # comes up while this one is under load
        goal = len(answers) + chance.randint(1, 150)
        floods = [
            asyncio.create_task(flood(process.address, f"{turn}-{number}", answers))
            for number in range(CONNECTIONS)
        ]
        await until(enough(answers, goal), "webhooks are answered")
        await process.kill()
        await asyncio.gather(*floods)
    assert {answer.status for answer in answers} == {200}
    assert len(answers) > ROUNDS
    assert await missing(foreign, answers) == set()
    events, outbox = await rows(foreign)
    assert events == outbox >= len(answers)


async def test_two_edges_that_get_the_same_webhook_at_once_store_one_event(
    start_process: Start, foreign: Any
) -> None:
    left, right = await asyncio.gather(start_process(), start_process())
    async with Wire(left.address) as one, Wire(right.address) as two:
        for number in range(100):
            content = body(f"u{number}")
            answers = await asyncio.gather(one.send(content), two.send(content))
            assert sorted(answer.json["status"] for answer in answers) == ["accepted", "duplicate"]
            assert len({answer.json["event_id"] for answer in answers}) == 1
    assert await rows(foreign) == (100, 100)


async def test_told_to_stop_it_answers_what_it_has_taken(start_process: Start, foreign: Any) -> None:
    process = await start_process()
    wires = [Wire(process.address) for _ in range(10)]
    for wire in wires:
        await wire.__aenter__()
    await hold_shards(foreign, SHARDS)
    requests = [asyncio.create_task(wire.send(body(f"u{n}"))) for n, wire in enumerate(wires)]
    await waiting_for_shard_locks(foreign, 2)
    process.signal(signal.SIGTERM)
    async with asyncio.timeout(10):
        with suppress(OSError):
            while True:  # until nobody listens any more
                async with Wire(process.address):
                    pass
    assert process.is_running
    assert not any(request.done() for request in requests)
    await let_shards_go(foreign)
    answers = await asyncio.gather(*requests)
    assert [answer.status for answer in answers] == [200] * len(requests)
    assert await missing(foreign, answers) == set()
    assert await process.wait() == 0
    for wire in wires:
        await wire.__aexit__(None, None, None)


async def test_its_log_names_no_applicant_and_no_key(start_process: Start, foreign: Any) -> None:
    canary = "CANARY4711"
    await foreign.execute("ALTER TABLE hookline.events ADD CONSTRAINT poison CHECK (type <> 'poison')")
    process = await start_process()
    async with Wire(process.address) as wire:
        assert (await wire.send(body(canary))).status == 200
        assert (await wire.send(body(canary, type_="poison"))).status == 503
        assert (await wire.send(b"\xff" + canary.encode())).status == 200
        assert (await wire.send(body(canary), key="wrong")).status == 403
    process.signal(signal.SIGTERM)
    assert await process.wait() == 0
    text = str(process.lines)
    assert "edge listening" in text
    assert "an event could not be stored" in text
    for secret in (canary, "current-key", "wrong", "5399505"):
        assert secret not in text
