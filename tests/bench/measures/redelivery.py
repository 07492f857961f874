"""A relay is killed that has handed out what nobody has settled: how long until another has handed it out again.

Two relays share the shards of a subscription, each with a consumer. One consumer settles nothing of what it gets; its
relay is killed without warning.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

from bench import hookline_service
from bench.measures.latency import first_held
from bench.rig import Rig
from bench.samples import Reading

_WEBHOOKS = 1000
"""Together; each consumer has about half, so a window holds them."""
_PATIENCE = 60.0
_EVERY = 0.05
# Half of the shards are one relay's and half the other's.
_IS_SHARED = """
SELECT count(*) = 2 AND sum(shards) = (SELECT shards FROM hookline.installation) AND max(shards) - min(shards) <= 1
  FROM (SELECT count(*) AS shards FROM hookline.cursors
         WHERE subscription = $1 AND owner <> '' GROUP BY owner) AS owners
"""


async def measure(rig: Rig, database: str) -> Reading:
    """Seconds from the kill to the last of what was held, and not settled, being held by the other consumer."""
    subscription = hookline_service.SUBSCRIPTION
    async with (
        hookline_service.edge(rig, database) as edge,
        hookline_service.relay(rig, database, subscription, name="relay-1") as (relay, port),
        hookline_service.relay(rig, database, subscription, name="relay-2") as (_, other_port),
        hookline_service.consumer(
            rig, port, subscription, manner="hold", name="stream-consumer-1"
        ) as holding,
        hookline_service.consumer(
            rig, other_port, subscription, manner="record", name="stream-consumer-2"
        ) as other,
        rig.load(edge.port, edge.path, requests=_WEBHOOKS) as generator,
    ):

        async def is_shared() -> bool:
            return await rig.server.value(_IS_SHARED, database, subscription) is True

        async def is_handed_out() -> bool:
            return len(await first_held(holding)) + len(await first_held(other)) == _WEBHOOKS

        async def is_redelivered() -> bool:
            return stranded <= (await first_held(other)).keys()

        await _until(is_shared, "the relays share the shards")
        await generator.closed(_PATIENCE)
        await _until(is_handed_out, "every webhook is held")
        stranded = (await first_held(holding)).keys()
        killed = time.monotonic_ns()
        await relay.kill()
        await _until(is_redelivered, "what was held comes again")
        held = await first_held(other)
    waits = [(held[sequence] - killed) / 1e9 for sequence in stranded]
    details = {"webhooks": _WEBHOOKS, "held_unsettled": len(waits), "seconds_to_first": min(waits)}
    return Reading(max(waits), "seconds", details)


async def _until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait for it.

    Raises:
        TimeoutError: It takes too long.
    """
    deadline = time.monotonic() + _PATIENCE
    while not await condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {_PATIENCE:.0f} s until {what}")
        await asyncio.sleep(_EVERY)
