"""A consumer of the stream, with the SDK: takes every delivery and acks it. The SDK counts what is confirmed.

`python -m bench.stream_consumer TARGET SUBSCRIPTION [arrivals]` answers each line on stdin with the tally or,
if asked for "arrivals", with when it held which webhook.
"""

import asyncio
import sys
import time

import msgspec
import uvloop
from msgspec import Struct

from bench.loadgen import webhooks
from bench.tally import Tally, lines, say
from hookline.client import Consumer

_TICK = 0.005
"""Seconds between two looks at the count: how exactly the time of the last confirmation is known."""


class Arrival(Struct, array_like=True):
    """When the consumer held a webhook, in nanoseconds of the monotonic clock."""

    sequence: int
    held_at: int


async def take(consumer: Consumer, tally: Tally) -> None:
    """Ack everything as it comes."""
    async for delivery in consumer:
        tally.first = tally.first or time.monotonic_ns()
        delivery.ack()


async def record(consumer: Consumer, arrivals: list[Arrival]) -> None:
    """Ack everything as it comes, and keep when that was."""
    async for delivery in consumer:
        held_at = time.monotonic_ns()
        delivery.ack()
        arrivals.append(Arrival(webhooks.sequence(delivery.body), held_at))


async def count(consumer: Consumer, tally: Tally) -> None:
    """Follow the number of acks that the relay has confirmed."""
    while True:
        await asyncio.sleep(_TICK)
        if more := consumer.confirmed - tally.count:
            tally.add(more)


async def answer(tally: Tally, arrivals: list[Arrival]) -> None:
    """Answer until stdin ends."""
    questions = await lines()
    while line := await questions.readline():
        say(arrivals if msgspec.json.decode(line) == "arrivals" else tally)


async def main(target: str, subscription: str, keep: str = "") -> None:
    tally, arrivals = Tally(), list[Arrival]()
    async with Consumer(target, subscription) as consumer:
        work = record(consumer, arrivals) if keep == "arrivals" else take(consumer, tally)
        jobs = (work, count(consumer, tally), answer(tally, arrivals))
        tasks = [asyncio.create_task(job) for job in jobs]
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        for task in done:
            task.result()


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
