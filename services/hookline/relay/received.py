"""The settlements of one message: each is judged on its own, and all are confirmed together."""

import asyncio
from collections.abc import Iterable
from time import time_ns

from hookline.relay.delivery import Delivery
from hookline.relay.dispatch import Dispatcher, Undecided
from hookline.relay.ownership import OwnedShard
from hookline.relay.stream import Stream
from hookline.v1 import delivery_pb2 as pb

_LOOK_AGAIN = 0.1
"""Seconds between two looks at a token that can't be judged yet."""
_Reason = pb.SettlementFailureReason
_INVALID = _Reason.SETTLEMENT_FAILURE_REASON_INVALID_TOKEN
_STALE = _Reason.SETTLEMENT_FAILURE_REASON_STALE_TOKEN
_SETTLED = _Reason.SETTLEMENT_FAILURE_REASON_ALREADY_SETTLED
_NO_VERDICT = _Reason.SETTLEMENT_FAILURE_REASON_NO_VERDICT
_DETAILS = {
    _INVALID: "not a token of this subscription; send tokens as they came",
    _STALE: "its lease has ended; the event will be delivered again",
    _SETTLED: "the event is settled already; nothing is left to do",
    _NO_VERDICT: "the settlement names no verdict that this relay knows; set one",
}


class ReceivedSettlements:
    """Settles what can be settled; the rest of the batch fails item by item."""

    def __init__(self, dispatcher: Dispatcher, stream: Stream, batch: pb.SettlementBatch) -> None:
        self._dispatcher = dispatcher
        self._stream = stream
        self._batch = batch
        self._arrived_at = time_ns()
        self._acked: dict[Delivery, pb.Settlement] = {}
        self._repeated: list[tuple[bytes, OwnedShard]] = []
        self._failures: list[pb.SettlementFailure] = []

    async def settle(self) -> None:
        """Judge the batch and hand it on to be committed.

        Returns at once, unless a relay before this one handed something of it out: then what the token names has
        to become known first, or the time is up.
        """
        undecided = self._judge(self._batch.settlements)
        patience = self._dispatcher.undecided_for
        while undecided and patience > 0:
            patience -= _LOOK_AGAIN
            await asyncio.sleep(_LOOK_AGAIN)
            undecided = self._judge(undecided)
        for settlement in undecided:
            self._fail(settlement.token, _STALE)
        # What was found at first may have been settled by somebody else meanwhile.
        self._repeated += [(self._acked[found].token, found.shard) for found in self._acked if found.settled]
        # Also without an ack: "already settled" must not be said before the first settlement is committed.
        self._dispatcher.ack([found for found in self._acked if not found.settled], self._confirm)

    def _judge(self, settlements: Iterable[pb.Settlement]) -> list[pb.Settlement]:
        """Sort settlements by what their tokens name; answers those of which it can't be said yet."""
        undecided: list[pb.Settlement] = []
        for settlement in settlements:
            found = self._dispatcher.find(settlement.token)
            if isinstance(found, Delivery):
                if settlement.HasField("ack"):
                    self._acked[found] = settlement
                else:
                    self._fail(settlement.token, _NO_VERDICT)
            elif isinstance(found, OwnedShard):
                self._repeated.append((settlement.token, found))
            elif isinstance(found, Undecided):
                undecided.append(settlement)
            else:
                self._fail(settlement.token, found)
        return undecided

    def _confirm(self, committed: list[Delivery], lost: list[Delivery]) -> None:
        traces = self._dispatcher.traces
        for delivery in committed if traces.is_recording else ():
            traces.settled(delivery, "ack", self._acked[delivery].traceparent, arrived_at=self._arrived_at)
        for delivery in lost:
            self._fail(self._acked[delivery].token, _STALE)
        for token, shard in self._repeated:
            # By now it is known what became of the first settlement.
            self._fail(token, _STALE if shard.lost else _SETTLED)
        self._stream.confirm(self._batch.sequence, self._failures)

    def _fail(self, token: bytes, reason: "pb.SettlementFailureReason.ValueType") -> None:
        self._failures.append(pb.SettlementFailure(token=token, reason=reason, detail=_DETAILS[reason]))
