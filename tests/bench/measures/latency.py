"""From sending the HTTP request to the consumer holding the event, at a fixed rate."""

import asyncio
import time

from bench import hookline_service
from bench.process import Process
from bench.rig import Rig
from bench.samples import Reading
from bench.stream_consumer import Arrival

PER_SECOND = 500
_PATIENCE = 10.0
_EVERY = 0.1


async def measure(rig: Rig, database: str) -> tuple[Reading, Reading]:
    """The median and the 99th percentile, in milliseconds."""
    requests = int((rig.seconds + rig.warm_up) * PER_SECOND) + 1
    subscription = hookline_service.SUBSCRIPTION
    async with (
        hookline_service.edge(rig, database) as edge,
        hookline_service.relay(rig, database, subscription) as (_, port),
        hookline_service.consumer(rig, port, subscription, manner="record") as consumer,
        rig.load(edge.port, edge.path, requests=requests) as generator,
    ):
        await rig.server.settle()
        await generator.open(rig.warm_up, PER_SECOND)
        outcome = await generator.open(rig.seconds, PER_SECOND)
        held = await _all_held(consumer, outcome.first + outcome.sent)
    took = sorted(
        (held[outcome.first + place] - sent_at) / 1e6 for place, sent_at in enumerate(outcome.send_times)
    )
    details = {
        **outcome.summary(),
        "webhooks": len(took),
        "ms_p90": _percentile(took, 0.90),
        "ms_p999": _percentile(took, 0.999),
        "ms_max": took[-1],
        "sent_late_ms_p99": outcome.late_p99 / 1e6,
    }
    return Reading(_percentile(took, 0.50), "ms", details), Reading(_percentile(took, 0.99), "ms", details)


async def first_held(consumer: Process) -> dict[int, int]:
    """When the consumer first held each webhook that it has held by now."""
    held: dict[int, int] = {}
    for arrival in await consumer.ask("arrivals", list[Arrival]):
        held.setdefault(arrival.sequence, arrival.held_at)
    return held


async def _all_held(consumer: Process, count: int) -> dict[int, int]:
    """The same, once so many have come."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        held = await first_held(consumer)
        if len(held) >= count:
            return held
        if time.monotonic() > deadline:
            raise TimeoutError(f"only {len(held)} of {count} webhooks were delivered")
        await asyncio.sleep(_EVERY)


def _percentile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
