"""Runs a handler for many deliveries at a time, and for one of each key."""

import asyncio
from functools import partial

from opentelemetry import context as current_context

from hookline.client.delivery import Delivery
from hookline.client.leases import Leases
from hookline.client.outcome import Handler, handle

_UNWINDING = 0.5
"""Seconds that cancelled handlers have to clean up."""


class Workers:
    """Takes deliveries as long as there is room for another handler.

    Args:
        leases: Where deliveries come from.
        handler: Does the work.
        concurrency: The most handlers that run at the same time.
        changed: Set when there may be something to take, here or by `leases`.
    """

    def __init__(self, leases: Leases, handler: Handler, *, concurrency: int, changed: asyncio.Event) -> None:
        self._leases = leases
        self._handler = handler
        self._concurrency = concurrency
        self._changed = changed
        self._running: set[asyncio.Task[None]] = set()
        self._cancelled = False
        """Whether what is cancelled from now on is cancelled by us."""

    def __repr__(self) -> str:
        return f"<Workers running={len(self._running)} of {self._concurrency}>"

    async def work(self) -> None:
        """Start handlers until cancelled; those that run go on then."""
        while True:
            self._changed.clear()
            while len(self._running) < self._concurrency and (delivery := self._leases.take()) is not None:
                task = asyncio.create_task(self._handle(delivery))
                self._running.add(task)
                task.add_done_callback(partial(self._ended, delivery))
            await self._changed.wait()

    async def finish(self, within: float) -> None:
        """Let the handlers that run come to their end; cancel those that take more than `within` seconds."""
        if self._running:
            await asyncio.wait(self._running, timeout=within)
        self.cancel()
        if self._running:
            await asyncio.wait(self._running, timeout=_UNWINDING)

    def cancel(self) -> None:
        """Cancel the handlers that run, and release their deliveries: what ends them is no fault of theirs."""
        self._cancelled = True
        for task in self._running:
            task.cancel()

    async def _handle(self, delivery: Delivery) -> None:
        if delivery.context is not None:
            current_context.attach(delivery.context)
        try:
            await handle(self._handler, delivery)
        except asyncio.CancelledError:
            if self._cancelled:
                delivery.release()
            else:
                # From inside the handler, such as a task of its own that somebody cancelled.
                delivery.retry(reason="CancelledError")

    def _ended(self, delivery: Delivery, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._leases.leave(delivery)
