"""Deliveries per second when events wait in the log: one consumer, confirmed acks."""

import asyncio
import time

from bench import hookline_service
from bench.memory import watch
from bench.rig import Rig
from bench.samples import Reading
from bench.tally import Tally

_PATIENCE = 120.0
_EVERY = 0.05


async def fill(rig: Rig, database: str) -> None:
    """Let the events in through the edge, as everybody else's come in, while no relay runs."""
    async with (
        hookline_service.edge(rig, database) as edge,
        rig.load(edge.port, edge.path, requests=rig.backlog_events) as generator,
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
        deadline = time.monotonic() + _PATIENCE
        while (tally := await consumer.ask("tally", Tally)).count < rig.backlog_events:
            if time.monotonic() > deadline:
                raise TimeoutError(f"only {tally.count} of {rig.backlog_events} settled")
            await asyncio.sleep(_EVERY)
    seconds = (tally.last - tally.first) / 1e9
    details = {"events": rig.backlog_events, "seconds": seconds}
    return Reading(tally.count / seconds, "deliveries/s", details, memory)
