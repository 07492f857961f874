"""The settlements of one message: each is judged on its own, and all are answered together."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from time import time_ns
from typing import TYPE_CHECKING

from google.protobuf.duration_pb2 import Duration

from hookline.relay.delivery import Delivery
from hookline.relay.find import Gone, Undecided
from hookline.relay.observation import AttemptEnd
from hookline.relay.settle import Changes
from hookline.relay.token import Token
from hookline.v1 import delivery_pb2 as pb

if TYPE_CHECKING:
    from hookline.relay.dispatch import Dispatcher

_LOOK_AGAIN = 0.1
"""Seconds between two looks at a token that can't be judged yet."""
_MOST_DETAILS = 1_000
"""Failures of one message that are told to people too: the answer must be no larger than what a client takes."""
_LONGEST_EXTENSION = timedelta(hours=12)
_Reason = pb.SettlementFailureReason
_INVALID = _Reason.SETTLEMENT_FAILURE_REASON_INVALID_TOKEN
_STALE = _Reason.SETTLEMENT_FAILURE_REASON_STALE_TOKEN
_SETTLED = _Reason.SETTLEMENT_FAILURE_REASON_ALREADY_SETTLED
_NO_VERDICT = _Reason.SETTLEMENT_FAILURE_REASON_NO_VERDICT
_INVALID_VERDICT = _Reason.SETTLEMENT_FAILURE_REASON_INVALID_VERDICT
_DETAILS = {
    _INVALID: "not a token of this subscription; send tokens as they came",
    _STALE: "that hand-over has ended, so only an ack counts; the event will be delivered again",
    _SETTLED: "the event is settled already; nothing is left to do",
    _NO_VERDICT: "the settlement names no verdict that this relay knows; set one",
    _INVALID_VERDICT: "a delay or lease must not be negative, nor longer than 10,000 years",
}


class ReceivedSettlements:
    """Settles what can be settled; the rest of the batch fails item by item."""

    def __init__(
        self, dispatcher: "Dispatcher", settlements: Sequence[pb.Settlement], *, forwarding: bool
    ) -> None:
        self._dispatcher = dispatcher
        self._forwarding = forwarding
        self._settlements = settlements
        self._arrived_at = time_ns()
        self._acked: dict[Delivery, pb.Settlement] = {}
        self._gone: list[tuple[pb.Settlement, Gone]] = []
        self._changes = Changes()
        self._judged: list[tuple[pb.Settlement, Delivery]] = []
        """Those that ended an attempt."""
        self._elsewhere: list[pb.Settlement] = []
        """Those whose shards other relays own."""
        self._failures: list[pb.SettlementFailure] = []

    async def settle(self) -> list[pb.SettlementFailure]:
        """Judge the batch, commit it, and answer what had no effect.

        Waits for a commit even if nothing is to be written: "already settled" must not be said before the first
        settlement is durable.
        """
        undecided = self._judge(self._settlements)
        await self._commit()
        if undecided:
            with self._dispatcher.reading_on():
                await self._judge_later(undecided)
        return self._failures

    async def _judge_later(self, undecided: list[pb.Settlement]) -> None:
        """A relay before this one handed these out: what their tokens name has to become known first."""
        patience = self._dispatcher.undecided_for
        while undecided and patience > 0:
            patience -= _LOOK_AGAIN
            await asyncio.sleep(_LOOK_AGAIN)
            again = ReceivedSettlements(self._dispatcher, undecided, forwarding=self._forwarding)
            still = again._judge(undecided)
            if len(still) < len(undecided):
                await again._commit()
                self._failures += again._failures
            undecided = still
        for settlement in undecided:
            self._fail(settlement, _STALE)

    async def _commit(self) -> None:
        """Commit what was judged, and note what had no effect."""
        self._changes.acked = list(self._acked)
        self._changes.late = [gone for _, gone in self._gone]
        written = await self._dispatcher.commit(self._changes)
        for settlement, gone in self._gone:
            if gone.shard.lost:
                self._elsewhere.append(settlement)
            elif (gone.shard.shard, gone.place) not in written.done:
                self._fail(settlement, _SETTLED)
        for settlement, delivery in self._judged:
            if delivery.shard.lost:
                self._fail(settlement, _STALE)
            else:
                self._dispatcher.observation.judged(delivery, settlement, arrived_at=self._arrived_at)
        ended_at = datetime.now(UTC)
        for delivery in self._changes.acked:
            if delivery.shard.lost:
                self._elsewhere.append(self._acked[delivery])
            else:
                self._observe(delivery, ended_at)
        if self._elsewhere:
            await self._forward()

    def _judge(self, settlements: Iterable[pb.Settlement]) -> list[pb.Settlement]:
        """Sort settlements by what their tokens name; answers those of which it can't be said yet."""
        undecided: list[pb.Settlement] = []
        for settlement in settlements:
            verdict = settlement.WhichOneof("verdict")
            if verdict is None:
                self._fail(settlement, _NO_VERDICT)
                continue
            token, found = self._dispatcher.find(settlement.token)
            if token is None:
                self._fail(settlement, _INVALID)
            elif isinstance(found, Delivery):
                self._apply(settlement, verdict, token, found)
            elif found is Undecided.SHARD_NOT_OURS:
                self._elsewhere.append(settlement)
            elif found is Undecided.NOT_READ_YET:
                undecided.append(settlement)
            elif isinstance(found, Gone) and verdict == "ack":
                self._gone.append((settlement, found))
            else:
                self._fail(settlement, _STALE)
        # An earlier one of its key has failed in this batch, so it becomes a row behind that one: the row's to ack.
        overtaken = [delivery for delivery in self._acked if delivery.settled]
        return undecided + [self._acked.pop(delivery) for delivery in overtaken]

    def _apply(self, settlement: pb.Settlement, verdict: str, token: Token, delivery: Delivery) -> None:
        if verdict == "ack":
            self._acked[delivery] = settlement
        elif delivery in self._acked or not token.is_latest(delivery):
            self._fail(settlement, _STALE)
        elif verdict == "retry":
            asked = duration(settlement.retry.delay) if settlement.retry.HasField("delay") else timedelta(0)
            if asked is None:
                self._fail(settlement, _INVALID_VERDICT)
                return
            self._judged.append((settlement, delivery))
            wanted = asked if settlement.retry.HasField("delay") else None
            self._dispatcher.failures.fail_in(
                self._changes, delivery, "retried", settlement.retry.reason or "retry", asked=wanted
            )
        elif verdict == "reject":
            self._judged.append((settlement, delivery))
            self._dispatcher.failures.fail_in(
                self._changes, delivery, "rejected", settlement.reject.reason or "rejected"
            )
        elif verdict == "release":
            self._dispatcher.leases.release([delivery])
        else:
            lease = duration(settlement.extend.lease) if settlement.extend.HasField("lease") else None
            if settlement.extend.HasField("lease") and lease is None:
                self._fail(settlement, _INVALID_VERDICT)
                return
            self._dispatcher.leases.extend(
                delivery, min(lease, _LONGEST_EXTENSION) if lease is not None else None
            )

    async def _forward(self) -> None:
        if not self._forwarding:
            for settlement in self._elsewhere:
                self._fail(settlement, _STALE)
            return
        answers = await self._dispatcher.forward(self._elsewhere)
        for settlement, reason in zip(self._elsewhere, answers, strict=True):
            if reason is not None:
                self._fail(settlement, reason)

    def _observe(self, delivery: Delivery, ended_at: datetime) -> None:
        self._dispatcher.observation.acked(
            AttemptEnd(delivery, "acked", ended_at),
            self._acked[delivery],
            arrived_at=self._arrived_at,
        )

    def _fail(self, settlement: pb.Settlement, reason: "pb.SettlementFailureReason.ValueType") -> None:
        self._failures.append(
            pb.SettlementFailure(
                token=settlement.token,
                reason=reason,
                detail=_DETAILS[reason] if len(self._failures) < _MOST_DETAILS else "",
            )
        )


def duration(message: Duration) -> timedelta | None:
    """A duration that isn't negative; None for one that is, or that no timedelta can hold."""
    try:
        duration: timedelta = message.ToTimedelta()
    except (ValueError, OverflowError):
        return None
    return duration if duration >= timedelta(0) else None
