"""A settlement on its way: sent until the relay confirms it."""

import asyncio
from collections.abc import Callable, Generator

from hookline.client.errors import SettlementFailed
from hookline.v1.delivery_pb2 import Settlement


class PendingSettlement:
    """What `delivery.ack()` and the other verdicts answer.

    Await it to know that the settlement is durable. Don't, to go on at once: it is sent and, after a reconnect,
    sent again until it is confirmed, and leaving the consumer's `async with` block waits for it.

    Args:
        message: What is sent.
        on_answer: Called when the relay has answered, or nobody will.
        counts: Whether it is a user's verdict on a delivery.
    """

    __slots__ = ("_error", "_future", "_on_answer", "counts", "is_done", "message")

    def __init__(
        self, message: Settlement, *, on_answer: Callable[[], object] | None = None, counts: bool = True
    ) -> None:
        self.message = message
        """What is sent."""
        self.counts = counts
        """Whether it is a user's verdict on a delivery; the others are the consumer's own housekeeping."""
        self.is_done = False
        """Whether the relay has answered."""
        self._on_answer = on_answer
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
        if self._on_answer is not None:
            self._on_answer()
        if self._future is not None and not self._future.done():
            self._future.set_result(None)
