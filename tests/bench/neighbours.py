"""What else runs on this machine: a measurement beside a busy neighbour says little."""

import asyncio

import psutil

from bench.samples import Reading

LOUD = 10.0
"""Percent of all cores from which the neighbours are worth a warning."""
_WATCH = 1.0
"""Seconds."""


async def listen() -> Reading:
    """Percent of all cores that are taken while the bench itself rests."""
    psutil.cpu_times_percent()
    await asyncio.sleep(_WATCH)
    return Reading(100 - psutil.cpu_times_percent().idle, "% of the cores")
