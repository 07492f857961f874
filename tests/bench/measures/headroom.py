"""The load generator against a server that does nothing: its own limit."""

import asyncio

from bench.process import free_port, run_python
from bench.rig import Rig
from bench.samples import Reading

_REQUESTS = 20_000
"""Sent again and again: this server doesn't look at them."""


async def measure(rig: Rig) -> Reading:
    """From the first request sent to the last answer read."""
    port = free_port()
    async with run_python("trivial", "bench.trivial", str(port), logs=rig.logs) as server:
        await _listening(port)
        server.check()
        async with rig.load(port, "/", requests=_REQUESTS, repeat=True) as generator:
            await generator.closed(min(1.0, rig.warm_up))
            outcome = await generator.closed(min(3.0, rig.seconds))
    return Reading(outcome.rate, "requests/s", outcome.summary())


async def _listening(port: int) -> None:
    for _ in range(200):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
