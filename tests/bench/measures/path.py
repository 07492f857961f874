"""Webhooks per second through the whole path: from the first request to the last confirmed ack."""

import asyncio
import time

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
    """The time runs until the last webhook is settled, so a backlog that builds up is paid for."""
    async with service.path(rig, database) as path, rig.load(path.port, path.path) as generator:
        await rig.server.settle()
        warm = await generator.closed(rig.warm_up)
        await _settled(path, warm.ok)
        async with watch(path.pids) as memory:
            outcome = await generator.closed(rig.seconds)
            tally = await _settled(path, warm.ok + outcome.ok)
    rate = outcome.ok / ((tally.last - outcome.started) / 1e9)
    details = {
        **outcome.summary(),
        "ingest_rate_meanwhile": outcome.rate,
        "settled_after_last_answer_ms": (tally.last - outcome.ended) / 1e6,
        "settled_more_than_once": tally.count - warm.ok - outcome.ok,
    }
    return Reading(rate, "webhooks/s", details, memory)


async def _settled(path: WholePath, count: int) -> Tally:
    """Wait until `count` deliveries are settled."""
    deadline = time.monotonic() + _PATIENCE
    while (tally := await path.tally()).count < count:
        if time.monotonic() > deadline:
            raise UndeliveredError(f"{count} webhooks accepted, only {tally.count} settled")
        await asyncio.sleep(_EVERY)
    return tally
