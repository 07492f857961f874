"""Settlements that the relay hasn't confirmed: waiting to be sent, or sent."""

import asyncio
from collections import deque

from hookline.client.settlement import PendingSettlement
from hookline.v1 import delivery_pb2 as pb

_AT_ONCE = 1000
"""Settlements in one message."""
_Reason = pb.SettlementFailureReason


class SettlementQueue:
    """Keeps every settlement until it is answered, across streams."""

    def __init__(self) -> None:
        self._waiting: deque[PendingSettlement] = deque()
        self._sent: dict[int, list[PendingSettlement]] = {}
        self._sequence = 0
        self._filled = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self._closed: str | None = None
        """Why nothing will be answered any more."""
        self.confirmed = 0
        """How many were committed."""
        self.failed = 0
        """How many had no effect."""

    def __repr__(self) -> str:
        return f"<SettlementQueue waiting={len(self._waiting)} sent={sum(map(len, self._sent.values()))}>"

    @property
    def is_empty(self) -> bool:
        """Whether every settlement was answered."""
        return not self._waiting and not self._sent

    def add(self, settlement: PendingSettlement) -> None:
        """Queue a settlement; it fails at once when nobody will answer it."""
        if self._closed is not None:
            self.failed += 1
            settlement.fail(self._closed)
            return
        self._waiting.append(settlement)
        self._filled.set()
        self._empty.clear()

    async def filled(self) -> None:
        """Wait until there is something to send."""
        await self._filled.wait()

    def take(self) -> pb.SettlementBatch | None:
        """As many as fit into a message; None if there is nothing to send."""
        if not self._waiting:
            return None
        self._sequence += 1
        taken = [self._waiting.popleft() for _ in range(min(_AT_ONCE, len(self._waiting)))]
        if not self._waiting:
            self._filled.clear()
        self._sent[self._sequence] = taken
        return pb.SettlementBatch(sequence=self._sequence, settlements=[one.message for one in taken])

    def confirm(self, confirmation: pb.SettlementConfirmation) -> None:
        """Take the relay's answer to a batch."""
        # Already settled is what was wanted: its first confirmation was lost with a stream.
        failures = {
            failure.token: failure.detail
            for failure in confirmation.failures
            if failure.reason != _Reason.SETTLEMENT_FAILURE_REASON_ALREADY_SETTLED
        }
        for settlement in self._sent.pop(confirmation.sequence, []):
            reason = failures.get(settlement.message.token) if failures else None
            if reason is None:
                self.confirmed += 1
                settlement.confirm()
            else:
                self.failed += 1
                settlement.fail(reason)
        if self.is_empty:
            self._empty.set()

    def send_again(self) -> None:
        """Queue again what was sent on a stream that broke before it was answered."""
        unanswered = [settlement for batch in self._sent.values() for settlement in batch]
        self._sent.clear()
        self._waiting.extendleft(reversed(unanswered))
        if self._waiting:
            self._filled.set()

    def close(self, reason: str) -> None:
        """Fail what is queued and what will be: nobody answers any more."""
        self._closed = self._closed or reason
        self.send_again()
        while self._waiting:
            self.failed += 1
            self._waiting.popleft().fail(reason)
        self._filled.clear()
        self._empty.set()

    async def emptied(self) -> None:
        """Wait until every settlement is answered."""
        await self._empty.wait()
