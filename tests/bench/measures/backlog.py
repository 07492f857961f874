"""Deliveries per second when events wait in the log: one consumer, confirmed acks."""

import asyncio
import time
from collections.abc import Mapping

from bench import hookline_service
from bench.memory import Memory, watch
from bench.process import Process
from bench.rig import Rig
from bench.samples import Reading
from bench.tally import Tally

_PATIENCE = 120.0
_EVERY = 0.05


async def fill(rig: Rig, database: str, *, events: int, keys: int = 0) -> None:
    """Let events in through the edge, as everybody else's come in, while no relay runs.

    Args:
        rig: The server.
        database: Its database.
        events: How many.
        keys: How many ordering keys they share; 0 gives each a key of its own.
    """
    async with (
        hookline_service.edge(rig, database) as edge,
        rig.load(edge.port, edge.path, requests=events, keys=keys) as generator,
    ):
        # Ends when the requests are used up.
        await generator.closed(_PATIENCE)
    await rig.server.settle()


async def measure(rig: Rig, database: str, turn: int) -> Reading:
    """From the first delivery held to the last ack confirmed, of a subscription of its own."""
    subscription = f"bench-{turn}"
    async with (
        hookline_service.relay(rig, database, subscription) as (relay, port),
        watch({"relay": relay.pid}) as memory,
        hookline_service.consumer(rig, port, subscription) as consumer,
    ):
        tally = await drained(consumer, rig.backlog_events)
    return reading(tally, rig.backlog_events, memory)


async def drained(consumer: Process, events: int) -> Tally:
    """Wait until a consumer's verdicts on so many events are confirmed.

    Raises:
        TimeoutError: It takes too long.
    """
    deadline = time.monotonic() + _PATIENCE
    while (tally := await consumer.ask("tally", Tally)).count < events:
        if time.monotonic() > deadline:
            raise TimeoutError(f"only {tally.count} of {events} settled")
        await asyncio.sleep(_EVERY)
    return tally


def reading(
    tally: Tally, events: int, memory: Mapping[str, Memory], details: Mapping[str, object] | None = None
) -> Reading:
    """So many deliveries over the time from the first held to the last confirmed."""
    seconds = (tally.last - tally.first) / 1e9
    told = {"events": events, "seconds": seconds, **(details or {})}
    return Reading(events / seconds, "deliveries/s", told, memory)
