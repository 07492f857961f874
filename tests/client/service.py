"""A consuming service in the test's own event loop: what its handlers do is the test's to say."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from client.scripted_relay import ScriptedRelay, ScriptedStream
from hookline.client import Consumer, Delivery
from path.rig.stream import PATIENCE


class Service:
    """Its handler begins, waits until it is told how to end, and ends so."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        """Event ids, in the order in which handlers began."""
        self.running: set[str] = set()
        self.deliveries: dict[str, Delivery] = {}
        self._ends: defaultdict[str, asyncio.Future[None]] = defaultdict(
            asyncio.get_running_loop().create_future
        )
        self._changed = asyncio.Condition()

    async def handle(self, delivery: Delivery) -> None:
        name = delivery.event_id
        assert name not in self.running, "two handlers of one event"
        self.deliveries[name] = delivery
        async with self._changed:
            self.begun.append(name)
            self.running.add(name)
            self._changed.notify_all()
        try:
            await self._ends[name]
        finally:
            self.running.discard(name)
            del self._ends[name]

    def end(self, *names: str, error: BaseException | None = None) -> None:
        """Let handlers end, by returning or with an error."""
        for name in names:
            if error is None:
                self._ends[name].set_result(None)
            else:
                self._ends[name].set_exception(error)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE), self._changed:
            await self._changed.wait_for(condition)

    async def until_begun(self, *names: str) -> None:
        """Wait until exactly these have begun, in this order."""
        await self.until(lambda: len(self.begun) >= len(names))
        assert self.begun == list(names)


@asynccontextmanager
async def serving(
    relay: ScriptedRelay, service: Service, *, grace: timedelta = timedelta(seconds=PATIENCE), **options: Any
) -> AsyncIterator[tuple[ScriptedStream, "asyncio.Task[None]", Consumer]]:
    """A consumer that runs the service's handler; its first stream, and the task that it runs in."""
    consumer = Consumer(relay.target, "all", **options)
    task = asyncio.create_task(consumer.run(service.handle, grace=grace))
    try:
        yield await relay.stream(), task, consumer
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
