"""Hookline with three subscriptions to everything: each webhook makes three deliveries."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from bench import hookline_service
from bench.hookline_service import edge
from bench.rig import Rig
from bench.service import WholePath
from bench.tally import Tally

__all__ = ["edge", "path"]

_SUBSCRIPTIONS = ("bench-1", "bench-2", "bench-3")


@asynccontextmanager
async def path(rig: Rig, database: str) -> AsyncIterator[WholePath]:
    """Edge, one relay, and a consumer for each subscription.

    Each consumer is a process. That is how three services consume, and one process for all three would be a Python
    interpreter that takes three times what it takes in `hookline_service.path`: where there are cores enough, its
    limit would be measured and not the relay's. Where there are only two, the work is the same either way.
    """
    async with AsyncExitStack() as running:
        front = await running.enter_async_context(edge(rig, database))
        back, port = await running.enter_async_context(hookline_service.relay(rig, database, *_SUBSCRIPTIONS))
        takers = [
            await running.enter_async_context(
                hookline_service.consumer(rig, port, name, name=f"stream-consumer-{name}")
            )
            for name in _SUBSCRIPTIONS
        ]

        async def tally() -> Tally:
            each = await asyncio.gather(*(taker.ask("tally", Tally) for taker in takers))
            # The slowest counts: a subscription that is ahead doesn't make up for one that is behind.
            return Tally(
                count=len(each) * min(one.count for one in each),
                first=min(one.first for one in each),
                last=max(one.last for one in each),
            )

        yield WholePath(
            port=front.port,
            path=front.path,
            pids={**front.pids, "relay": back.pid},
            tally=tally,
            deliveries=len(_SUBSCRIPTIONS),
        )
