"""Whoever holds deliveries: a stream, a lease that was pulled, a consumer that is called."""

import asyncio
from abc import ABC, abstractmethod
from datetime import timedelta
from typing import TYPE_CHECKING

from hookline.core.window import Limit, Window

if TYPE_CHECKING:
    from hookline.relay.delivery import Delivery


class Holder(ABC):
    """What a dispatcher knows of one consumer.

    Args:
        consumer: The consumer's name for itself, for logs and the history of attempts.
        limit: Its first window.
    """

    def __init__(self, consumer: str, limit: Limit) -> None:
        self.consumer = consumer
        self.window = Window(limit)
        self._emptied = asyncio.Event()
        self._emptied.set()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.consumer} {self.window!r}>"

    @abstractmethod
    def send(self, deliveries: "list[Delivery]") -> None:
        """Lease deliveries to this consumer."""

    def take(self, size: int) -> None:
        """Count a delivery that it is handed."""
        self.window.take(size)
        self._emptied.clear()

    def give_back(self, size: int) -> None:
        """Count a delivery that it doesn't hold any more."""
        self.window.give_back(size)
        if self.window.events == 0:
            self._emptied.set()

    async def emptied(self) -> None:
        """Wait until it holds nothing."""
        await self._emptied.wait()

    async def gone(self) -> None:
        """Wait until a relay that stops need not wait for it."""
        await self.emptied()

    @abstractmethod
    def drain(self, grace: timedelta) -> None:
        """Tell it that the relay is about to stop."""

    @abstractmethod
    def abort(self, reason: str) -> None:
        """End it: it isn't served here any more."""
