"""Webhooks or deliveries per second through the whole path: from the first request to the last confirmed ack."""

import asyncio
import time

from bench.loadgen.generator import Generator
from bench.loadgen.messages import Outcome
from bench.memory import watch
from bench.rig import Rig
from bench.samples import Reading
from bench.service import Service, WholePath
from bench.tally import Tally

_PATIENCE = 120.0
"""Seconds that deliveries may take after the last webhook was accepted."""
_EVERY = 0.05


class UndeliveredError(Exception):
    """Some accepted webhooks never came out."""


async def measure(rig: Rig, service: Service, database: str) -> Reading:
    """The time runs until the last delivery is settled, so a backlog that builds up is paid for."""
    async with service.path(rig, database) as path, rig.load(path.port, path.path) as generator:
        await rig.server.settle()
        warm, _ = await offer(path, generator, rig.warm_up)
        async with watch(path.pids) as memory:
            outcome, tally = await offer(path, generator, rig.seconds, before=warm.ok)
    rate = outcome.ok * path.deliveries / ((tally.last - outcome.started) / 1e9)
    details = {
        **outcome.summary(),
        "ingest_rate_meanwhile": outcome.rate,
        "settled_after_last_answer_ms": (tally.last - outcome.ended) / 1e6,
        "settled_more_than_once": tally.count - (warm.ok + outcome.ok) * path.deliveries,
    }
    return Reading(rate, "webhooks/s" if path.deliveries == 1 else "deliveries/s", details, memory)


async def offer(
    path: WholePath, generator: Generator, seconds: float, *, before: int = 0
) -> tuple[Outcome, Tally]:
    """Offer load and wait until all of it is settled, as the `before` webhooks are that came earlier.

    Raises:
        UndeliveredError: It takes too long.
    """
    outcome = await generator.closed(seconds)
    wanted = (before + outcome.ok) * path.deliveries
    deadline = time.monotonic() + _PATIENCE
    while (tally := await path.tally()).count < wanted:
        if time.monotonic() > deadline:
            raise UndeliveredError(f"{wanted} deliveries to make, only {tally.count} settled")
        await asyncio.sleep(_EVERY)
    return outcome, tally
