"""Webhooks answered with 200 per second, 64 connections, nobody consuming."""

from bench.memory import watch
from bench.rig import Rig
from bench.samples import Reading
from bench.service import Service


async def measure(rig: Rig, service: Service, database: str) -> Reading:
    """From the first request sent to the last answer read, after a warm-up."""
    async with service.edge(rig, database) as edge, rig.load(edge.port, edge.path) as generator:
        await rig.server.settle()
        await generator.closed(rig.warm_up)
        async with watch(edge.pids) as memory:
            outcome = await generator.closed(rig.seconds)
    return Reading(outcome.rate, "webhooks/s", outcome.summary(), memory)
