"""A consumer of the stream, with the SDK, that does with every delivery what its manner says.

`python -m bench.stream_consumer TARGET SUBSCRIPTION MANNER` answers each line on stdin with the tally of confirmed
verdicts or, if asked for "arrivals", with when it held which webhook. The manners:

    ack         ack everything
    record      ack everything, and keep when each webhook was held
    hold        settle nothing, and keep the same
    hold-back   have webhooks that share their ordering key tried again in an hour, ack all others
"""

import asyncio
import sys
import time
from datetime import timedelta
from typing import Literal

import msgspec
import uvloop
from msgspec import Struct

from bench.loadgen import webhooks
from bench.tally import Tally, lines, say
from hookline.client import Consumer

Manner = Literal["ack", "record", "hold", "hold-back"]

_TICK = 0.005
"""Seconds between two looks at the count: how exactly the time of the last confirmation is known."""
_LATER = timedelta(hours=1)
"""Longer than any run of the bench."""


class Arrival(Struct, array_like=True):
    """When the consumer held a webhook, in nanoseconds of the monotonic clock."""

    sequence: int
    held_at: int


async def take(consumer: Consumer, tally: Tally) -> None:
    """Ack everything as it comes."""
    async for delivery in consumer:
        tally.first = tally.first or time.monotonic_ns()
        delivery.ack()


async def record(consumer: Consumer, arrivals: list[Arrival], *, ack: bool) -> None:
    """Keep when everything came, and ack it or not."""
    async for delivery in consumer:
        held_at = time.monotonic_ns()
        if ack:
            delivery.ack()
        arrivals.append(Arrival(webhooks.sequence(delivery.body), held_at))


async def hold_back(consumer: Consumer, tally: Tally) -> None:
    """Let keys that are shared wait: whatever comes after is stuck behind the retry."""
    async for delivery in consumer:
        tally.first = tally.first or time.monotonic_ns()
        if webhooks.shares_key(delivery.body):
            delivery.retry(_LATER)
        else:
            delivery.ack()


async def count(consumer: Consumer, tally: Tally) -> None:
    """Follow the number of verdicts that the relay has confirmed."""
    while True:
        await asyncio.sleep(_TICK)
        if more := consumer.confirmed - tally.count:
            tally.add(more)


async def answer(tally: Tally, arrivals: list[Arrival]) -> None:
    """Answer until stdin ends."""
    questions = await lines()
    while line := await questions.readline():
        say(arrivals if msgspec.json.decode(line) == "arrivals" else tally)


async def main(target: str, subscription: str, manner: Manner) -> None:
    tally, arrivals = Tally(), list[Arrival]()
    async with Consumer(target, subscription) as consumer:
        match manner:
            case "ack":
                work = take(consumer, tally)
            case "record" | "hold":
                work = record(consumer, arrivals, ack=manner == "record")
            case "hold-back":
                work = hold_back(consumer, tally)
        jobs = (work, count(consumer, tally), answer(tally, arrivals))
        tasks = [asyncio.create_task(job) for job in jobs]
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        for task in done:
            task.result()


if __name__ == "__main__":
    _target, _subscription, _manner = sys.argv[1:]
    uvloop.run(main(_target, _subscription, msgspec.convert(_manner, Manner)))
