"""One consumer: its window, and what waits to be written to its gRPC stream."""

import asyncio
from datetime import timedelta
from itertools import islice

from hookline.core.window import Limit
from hookline.relay import wire
from hookline.relay.delivery import Delivery
from hookline.relay.holder import Holder
from hookline.relay.token import TokenCodec
from hookline.rpc import unavailable
from hookline.v1.delivery_pb2 import (
    Draining,
    SettlementConfirmation,
    SettlementFailure,
    SubscribeResponse,
)

_LEASE_DOUBTFUL = 0.02
"""Seconds until it is looked at again whether a lease was renewed."""
_MOST_OWED = 64
"""SettlementBatches of one stream that may wait for their confirmation."""


class Stream(Holder):
    """What the relay knows of one consumer that has connected.

    Args:
        consumer: The consumer's name for itself, for logs.
        limit: Its first window.
        tokens: Writes the tokens of its subscription.
    """

    def __init__(self, consumer: str, limit: Limit, tokens: TokenCodec) -> None:
        super().__init__(consumer, limit)
        self.error: Exception | None = None
        """What the stream must end with, once it must."""
        self.settling: set[asyncio.Task[None]] = set()
        """SettlementBatches that are being judged."""
        self._owed = 0
        """SettlementBatches whose confirmation isn't written yet."""
        self._nothing_owed = asyncio.Event()
        self._nothing_owed.set()
        self._tokens = tokens
        self._deliveries: dict[Delivery, None] = {}
        """What waits to be written, in order; once, however often it was taken back and leased again."""
        self._others: list[SubscribeResponse] = []
        self._wake = asyncio.Event()
        self.closed = asyncio.Event()
        """The call has ended."""

    def send(self, deliveries: list[Delivery]) -> None:
        """Lease deliveries to this consumer."""
        self._deliveries.update(dict.fromkeys(deliveries))
        self._wake.set()

    async def gone(self) -> None:
        """Wait until the call has ended: what was settled is confirmed by then."""
        await self.closed.wait()

    def confirm(self, sequence: int, failures: list[SettlementFailure]) -> None:
        """Answer a SettlementBatch."""
        self.say(SubscribeResponse(confirmation=SettlementConfirmation(sequence=sequence, failures=failures)))

    def drain(self, grace: timedelta) -> None:
        """Announce the end."""
        message = Draining()
        message.grace.FromTimedelta(grace)
        self.say(SubscribeResponse(draining=message))

    def owe_confirmation(self) -> None:
        """Note a SettlementBatch that is to be confirmed."""
        self._owed += 1
        self._nothing_owed.clear()

    def note_written(self, message: SubscribeResponse) -> None:
        """Note that a message was written."""
        if message.HasField("confirmation"):
            self._owed -= 1
            if self._owed == 0:
                self._nothing_owed.set()

    async def room_for_settlements(self) -> None:
        """Wait while too many SettlementBatches are unanswered: the consumer sends, and doesn't read."""
        if self._owed >= _MOST_OWED:
            await self.confirmed_all()

    async def confirmed_all(self) -> None:
        """Wait until every settlement that arrived was answered."""
        await self._nothing_owed.wait()

    def say(self, message: SubscribeResponse) -> None:
        """Queue a message; there is one for each of the consumer's own, so the queue is as bounded as its sending."""
        self._others.append(message)
        self._wake.set()

    def abort(self, reason: str) -> None:
        """End the stream with UNAVAILABLE."""
        self.fail(unavailable("RELAY_STOPPED", f"{reason}; connect again"))

    def fail(self, error: Exception) -> None:
        """End the stream with an error; the first one counts."""
        self.error = self.error or error
        self._wake.set()

    async def next_messages(self, *, silence: float) -> list[SubscribeResponse] | None:
        """Wait for what is to be written; None after `silence` seconds."""
        try:
            async with asyncio.timeout(silence):
                await self._wake.wait()
        except TimeoutError:
            return None
        now = asyncio.get_running_loop().time()
        others, self._others = self._others, []
        # One message's worth at a time: the event loop has other streams to serve.
        deliveries = list(islice(self._deliveries, wire.MAX_MESSAGE_EVENTS))
        for delivery in deliveries:
            del self._deliveries[delivery]
        if not self._deliveries:
            self._wake.clear()
        # What was taken back before it was written is somebody else's now.
        mine = [delivery for delivery in deliveries if delivery.holder is self and not delivery.settled]
        if mine and any(delivery.shard.valid_until <= now for delivery in mine):
            # We were stopped in between for longer than the lease: whose they are must be known first.
            self._deliveries = {**dict.fromkeys(mine), **self._deliveries}
            self._wake.set()
            await asyncio.sleep(_LEASE_DOUBTFUL)
            return others
        return [*others, *wire.messages(mine, self._tokens)]
