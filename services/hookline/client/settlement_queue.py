"""Settlements that the relay hasn't confirmed: waiting to be sent, or sent."""

import asyncio
from collections import deque

from hookline.client.settlement import PendingSettlement
from hookline.v1 import delivery_pb2 as pb

_AT_ONCE = 1000
"""Settlements in one message."""
_Reason = pb.SettlementFailureReason
_SETTLED = _Reason.SETTLEMENT_FAILURE_REASON_ALREADY_SETTLED
_STALE = _Reason.SETTLEMENT_FAILURE_REASON_STALE_TOKEN
_BROKEN = "the connection broke, and with it the lease ended; the event will be delivered again"


class SettlementQueue:
    """Keeps every verdict until it is answered, across streams.

    Extensions live as long as the stream does: a lease ends with its stream, so there is nothing left to extend.
    Every other verdict is sent again. An ack counts however late it comes, and so may the others while the relay
    hasn't noticed yet that the old stream is gone.
    """

    def __init__(self) -> None:
        self._verdicts: deque[PendingSettlement] = deque()
        self._extensions: deque[PendingSettlement] = deque()
        self._sent: dict[int, list[PendingSettlement]] = {}
        self._sequence = 0
        self._filled = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self._closed: str | None = None
        """Why nothing will be answered any more."""
        self.confirmed = 0
        """How many verdicts were committed, of those that count."""
        self.failed = 0
        """How many of them had no effect."""

    def __repr__(self) -> str:
        waiting = len(self._verdicts) + len(self._extensions)
        return f"<SettlementQueue waiting={waiting} sent={sum(map(len, self._sent.values()))}>"

    @property
    def is_empty(self) -> bool:
        """Whether every settlement was answered."""
        return not self._verdicts and not self._extensions and not self._sent

    def add(self, settlement: PendingSettlement) -> None:
        """Queue a settlement; it fails at once when nobody will answer it."""
        if self._closed is not None:
            self._fail(settlement, self._closed)
            return
        queue = self._extensions if settlement.message.HasField("extend") else self._verdicts
        queue.append(settlement)
        self._filled.set()
        self._empty.clear()

    async def filled(self) -> None:
        """Wait until there is something to send."""
        await self._filled.wait()

    def take(self) -> pb.SettlementBatch | None:
        """As many as fit into a message; None if there is nothing to send.

        Extensions go first and by themselves: an answer names tokens, and the verdict on a delivery that was just
        extended has the same.
        """
        queue = self._extensions or self._verdicts
        if not queue:
            return None
        self._sequence += 1
        taken = [queue.popleft() for _ in range(min(_AT_ONCE, len(queue)))]
        if not self._extensions and not self._verdicts:
            self._filled.clear()
        self._sent[self._sequence] = taken
        return pb.SettlementBatch(sequence=self._sequence, settlements=[one.message for one in taken])

    def confirm(self, confirmation: pb.SettlementConfirmation) -> None:
        """Take the relay's answer to a batch."""
        # Already settled is what was wanted: its first confirmation was lost with a stream.
        failures = {failure.token: failure for failure in confirmation.failures if failure.reason != _SETTLED}
        for settlement in self._sent.pop(confirmation.sequence, []):
            failure = failures.get(settlement.message.token) if failures else None
            if failure is None or (failure.reason == _STALE and settlement.message.HasField("release")):
                # What had been taken from us already needn't be given back.
                self.confirmed += settlement.counts
                settlement.confirm()
            else:
                self._fail(settlement, failure.detail)
        self._note_emptiness()

    def send_again(self) -> None:
        """Queue again what was sent on a stream that broke before it was answered."""
        unanswered = [settlement for batch in self._sent.values() for settlement in batch]
        extensions = [settlement for settlement in unanswered if settlement.message.HasField("extend")]
        verdicts = [settlement for settlement in unanswered if not settlement.message.HasField("extend")]
        extensions.extend(self._extensions)
        self._sent.clear()
        self._extensions.clear()
        self._verdicts.extendleft(reversed(verdicts))
        for extension in extensions:
            self._fail(extension, _BROKEN)
        if self._verdicts:
            self._filled.set()
        else:
            self._filled.clear()
        self._note_emptiness()

    def close(self, reason: str) -> None:
        """Fail what is queued and what will be: nobody answers any more."""
        self._closed = self._closed or reason
        self.send_again()
        while self._verdicts:
            self._fail(self._verdicts.popleft(), reason)
        self._filled.clear()
        self._empty.set()

    async def emptied(self) -> None:
        """Wait until every settlement is answered."""
        await self._empty.wait()

    def _fail(self, settlement: PendingSettlement, reason: str) -> None:
        self.failed += settlement.counts
        settlement.fail(reason)

    def _note_emptiness(self) -> None:
        if self.is_empty:
            self._empty.set()
