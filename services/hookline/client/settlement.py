"""A settlement on its way: sent until the relay confirms it."""

import asyncio
from collections.abc import Generator

from hookline.client.errors import SettlementFailed
from hookline.v1.delivery_pb2 import Settlement


class PendingSettlement:
    """What `delivery.ack()` answers.

    Await it to know that the settlement is durable. Don't, to go on at once: it is sent and, after a reconnect,
    sent again until it is confirmed, and leaving the consumer's `async with` block waits for it.
    """

    __slots__ = ("_error", "_future", "is_done", "message")

    def __init__(self, message: Settlement) -> None:
        self.message = message
        """What is sent."""
        self.is_done = False
        """Whether the relay has answered."""
        self._error: SettlementFailed | None = None
        # Made when somebody waits: most settlements are never awaited.
        self._future: asyncio.Future[None] | None = None

    def __await__(self) -> Generator[object, None, None]:
        """Wait for the confirmation.

        Raises:
            SettlementFailed: The lease had ended; the event will be delivered again.
        """
        if not self.is_done:
            if self._future is None:
                self._future = asyncio.get_running_loop().create_future()
            # Shielded: that one waiter is cancelled doesn't take the answer from another.
            yield from asyncio.shield(self._future).__await__()
        if self._error is not None:
            raise self._error

    def confirm(self) -> None:
        """The relay committed it."""
        self._end(None)

    def fail(self, reason: str) -> None:
        """It had no effect."""
        self._end(SettlementFailed(reason))

    def _end(self, error: SettlementFailed | None) -> None:
        self.is_done = True
        self._error = error
        if self._future is not None and not self._future.done():
            self._future.set_result(None)
