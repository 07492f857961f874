"""Handlers and a real relay: what a handler does is what becomes of the event."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from hookline.client import Consumer, Delivery, Reject, Retry, create_inbox, once
from path.rig.database import connect
from path.rig.events import append_many
from path.rig.relay import Relay
from path.rig.stream import PATIENCE, RawStream
from path.rig.wait import until

SOON = {"wait": "fixed", "delay": "20ms", "max_attempts": 3}
SUBSCRIPTION: dict[str, Any] = {"start": "earliest", "retry": SOON}


@pytest.fixture
async def patient(database: str) -> AsyncIterator[Relay]:
    """Serves `all`, which tries three times in quick succession."""
    async with Relay(database, {"all": SUBSCRIPTION}) as relay:
        yield relay


@asynccontextmanager
async def running(
    relay: Relay, handler: Callable[[Delivery], Awaitable[object]], **options: Any
) -> AsyncIterator[Consumer]:
    consumer = Consumer(relay.target, "all", **options)
    task = asyncio.create_task(consumer.run(handler))
    try:
        yield consumer
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def rows(dsn: str, table: str) -> list[dict[str, Any]]:
    async with connect(dsn) as connection:
        return [dict(row) for row in await connection.fetch(f"SELECT * FROM hookline.{table}")]


async def test_what_a_handler_raises_is_tried_again_until_it_returns(patient: Relay, database: str) -> None:
    attempts: list[int] = []

    async def handler(delivery: Delivery) -> None:
        attempts.append(delivery.attempt)
        if delivery.attempt < 3:
            raise KeyError("canary")

    await append_many(database, 1)
    async with running(patient, handler) as consumer:
        await until(lambda: consumer.confirmed == 3, "two retries and an ack")
    assert attempts == [1, 2, 3]
    assert await rows(database, "deliveries") == []
    failures = [row for row in await rows(database, "attempts") if row["outcome"] != "acked"]
    assert sorted((row["attempt"], row["outcome"], row["reason"]) for row in failures) == [
        (1, "retried", "KeyError"),
        (2, "retried", "KeyError"),
    ]


@pytest.mark.parametrize("error", [Reject("no such applicant"), ValueError()])
async def test_what_is_rejected_or_always_fails_ends_dead_with_its_reason(
    patient: Relay, database: str, error: Exception
) -> None:
    async def handler(_delivery: Delivery) -> None:
        raise error

    async def is_dead() -> bool:
        return [row["state"] for row in await rows(database, "deliveries")] == ["dead"]

    await append_many(database, 1)
    async with running(patient, handler) as consumer:
        await until(is_dead, "it is among the dead letters")
        await until(lambda: consumer.confirmed == (1 if isinstance(error, Reject) else 3), "it hears of it")
    [row] = await rows(database, "deliveries")
    assert ("no such applicant" if isinstance(error, Reject) else "ValueError") in row["reason"]


async def test_a_retry_with_a_delay_waits_that_long(patient: Relay, database: str) -> None:
    async def handler(_delivery: Delivery) -> None:
        raise Retry(timedelta(hours=1), "the bureau is closed")

    await append_many(database, 1)
    async with running(patient, handler) as consumer:
        await until(lambda: consumer.confirmed == 1, "the retry is committed")
    [row] = await rows(database, "deliveries")
    assert row["state"] == "waiting"
    assert timedelta(minutes=59) < row["due_at"] - row["changed_at"] <= timedelta(hours=1)


async def test_a_handler_may_outlast_the_ack_deadline(database: str) -> None:
    ends = asyncio.Event()
    begun: list[tuple[str, int]] = []

    async def handler(delivery: Delivery) -> None:
        begun.append((delivery.event_id, delivery.attempt))
        await ends.wait()

    async with Relay(database, {"all": {**SUBSCRIPTION, "ack_deadline": "1s"}}) as relay:
        [slow] = await append_many(database, 1)
        async with running(relay, handler, window=1) as consumer, RawStream(relay.target) as other:
            await until(lambda: begun == [(slow, 1)], "the handler runs")
            await other.start()
            await append_many(database, 1)
            # The other consumer extends nothing, so that it tells when two deadlines have passed.
            expired = [(await other.deliveries(1))[0].attempt for _ in range(3)]
            assert expired == [1, 2, 3]
            ends.set()
            await until(lambda: consumer.confirmed >= 1, "its ack counts")
    assert [attempt for event_id, attempt in begun if event_id == slow] == [1]
    assert slow not in {str(row["event_id"]) for row in await rows(database, "deliveries")}


async def test_an_event_that_ends_its_consumer_each_time_uses_up_its_attempts(
    patient: Relay, database: str
) -> None:
    attempts: list[int] = []

    async def crash() -> None:
        async with asyncio.timeout(PATIENCE), Consumer(patient.target, "all") as consumer:
            async for delivery in consumer:
                attempts.append(delivery.attempt)
                raise ZeroDivisionError

    await append_many(database, 1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            await crash()
    assert attempts == [1, 2, 3]
    [row] = await rows(database, "deliveries")
    assert (row["state"], row["attempt"]) == ("dead", 3)


async def test_what_is_given_back_goes_to_the_next_consumer_and_costs_no_attempt(
    patient: Relay, database: str
) -> None:
    ends = asyncio.Event()
    begun: list[str] = []

    async def handler(delivery: Delivery) -> None:
        begun.append(delivery.event_id)
        await ends.wait()

    sent = await append_many(database, 10, shards=1)
    async with running(patient, handler, concurrency=1):
        await until(lambda: len(begun) == 1, "one runs, nine wait")
    async with RawStream(patient.target) as other:
        await other.start()
        again = await other.deliveries(10)
        assert sorted(delivery.event_id for delivery in again) == sorted(sent)
        assert {delivery.attempt for delivery in again} == {1}
    assert await rows(database, "attempts") == []


async def test_once_makes_an_effect_once_though_its_ack_was_lost(patient: Relay, database: str) -> None:
    """The handler fails after its transaction: for Hookline the event is not done, for the database it is."""
    effects: list[bool] = []

    async def handler(delivery: Delivery) -> None:
        async with connect(database) as connection, connection.transaction():
            effects.append(await once(connection, delivery))
        if delivery.attempt == 1:
            raise ConnectionResetError

    async with connect(database) as connection:
        await create_inbox(connection)
    await append_many(database, 1)
    async with running(patient, handler) as consumer:
        await until(lambda: consumer.confirmed == 2, "a retry and an ack")
    assert effects == [True, False]
