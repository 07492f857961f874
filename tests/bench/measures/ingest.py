"""Webhooks answered with 200 per second, 64 connections, nobody consuming."""

from bench.memory import watch
from bench.rig import Rig
from bench.samples import Reading
from bench.service import Service


async def measure(rig: Rig, service: Service, database: str, *, settle: bool = True) -> Reading:
    """From the first request sent to the last answer read, after a warm-up.

    Args:
        rig: Server and time.
        service: What to measure.
        database: Its database.
        settle: Whether the server writes a checkpoint first.
    """
    async with service.edge(rig, database) as edge, rig.load(edge.port, edge.path) as generator:
        if settle:
            await rig.server.settle()
        await generator.closed(rig.warm_up)
        async with watch(edge.pids) as memory:
            outcome = await generator.closed(rig.seconds)
    return Reading(outcome.rate, "webhooks/s", outcome.summary(), memory)
