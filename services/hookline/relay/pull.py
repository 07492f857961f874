"""Deliveries that were asked for once, in a single call."""

import asyncio
import contextlib
from datetime import timedelta
from typing import TYPE_CHECKING

from hookline.core.window import Limit
from hookline.relay import wire
from hookline.relay.delivery import Delivery
from hookline.relay.holder import Holder
from hookline.v1 import delivery_pb2 as pb

if TYPE_CHECKING:
    from hookline.relay.dispatch import Dispatcher

_NO_MORE = Limit(0, 0)


class PulledLease(Holder):
    """Holds what one call was given, until it is settled or its ack deadline passes."""

    def __init__(self, consumer: str, limit: Limit, dispatcher: "Dispatcher") -> None:
        super().__init__(consumer, limit)
        self._dispatcher = dispatcher
        self.deliveries: list[Delivery] = []
        self._filled = asyncio.Event()

    def send(self, deliveries: list[Delivery]) -> None:
        """Keep deliveries for the answer."""
        self.deliveries += deliveries
        self._filled.set()

    def drain(self, grace: timedelta) -> None:
        """Don't wait any longer."""
        del grace
        self.close()

    def abort(self, reason: str) -> None:
        """Don't wait any longer."""
        del reason
        self.close()

    def close(self) -> None:
        """Take no more."""
        self.window.limit = _NO_MORE
        self._filled.set()

    async def filled(self, wait: timedelta) -> None:
        """Wait until there is something to answer, or the time is up; nothing more is taken after it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait.total_seconds()):
                await self._filled.wait()
        self.close()

    def response(self) -> pb.PullResponse:
        """The answer to the call."""
        response = pb.PullResponse()
        response.ack_deadline.FromTimedelta(self._dispatcher.subscription.ack_deadline)
        for delivery in self.deliveries:
            if delivery.holder is self and not delivery.settled:
                wire.add(response.deliveries, delivery, self._dispatcher.tokens)
        return response
