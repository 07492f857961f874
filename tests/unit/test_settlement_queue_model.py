"""SettlementQueue against a model: every settlement is waiting, sent, or answered exactly once.

Extensions are, too, but end with the stream; verdicts are sent again.
"""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hookline.client.errors import SettlementFailed
from hookline.client.settlement import PendingSettlement
from hookline.client.settlement_queue import SettlementQueue
from hookline.v1 import delivery_pb2 as pb

STALE = pb.SettlementFailureReason.SETTLEMENT_FAILURE_REASON_STALE_TOKEN
SETTLED = pb.SettlementFailureReason.SETTLEMENT_FAILURE_REASON_ALREADY_SETTLED


class QueueMachine(RuleBasedStateMachine):
    """Settlements are added, taken, answered; streams break; in the end everybody gives up."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = SettlementQueue()
        self.waiting: list[bytes] = []
        self.extensions: list[bytes] = []
        self.sent: dict[int, list[bytes]] = {}
        self.pending: dict[bytes, PendingSettlement] = {}
        self.confirmed: set[bytes] = set()
        self.failed: set[bytes] = set()
        self.count = 0
        self.closed = False

    @rule(more=st.sampled_from([1, 1, 2, 3, 1200]), verdict=st.sampled_from(["ack", "retry", "reject"]))
    def add(self, more: int, verdict: str) -> None:
        for _ in range(more):
            self.put(verdict, self.waiting)

    @rule()
    def give_back(self) -> None:
        self.put("release", self.waiting)

    @rule(more=st.sampled_from([1, 1, 2, 1200]))
    def extend(self, more: int) -> None:
        for _ in range(more):
            self.put("extend", self.extensions)

    def put(self, verdict: str, queue: list[bytes]) -> None:
        self.count += 1
        token = b"%s %d" % (verdict.encode(), self.count)
        settlement = pb.Settlement(token=token)
        getattr(settlement, verdict).SetInParent()
        self.pending[token] = PendingSettlement(settlement, counts=verdict not in {"extend", "release"})
        self.queue.add(self.pending[token])
        if self.closed:
            self.failed.add(token)
        else:
            queue.append(token)

    @rule()
    def take(self) -> None:
        batch = self.queue.take()
        queue = self.extensions or self.waiting
        assert (batch is None) == (not queue)
        if batch is not None:
            taken = [settlement.token for settlement in batch.settlements]
            assert batch.sequence not in self.sent
            assert taken == queue[: len(taken)], "sent in the order of settling, extensions by themselves"
            del queue[: len(taken)]
            self.sent[batch.sequence] = taken

    @precondition(lambda self: bool(self.sent))
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        sequence = data.draw(st.sampled_from(sorted(self.sent)))
        tokens = self.sent.pop(sequence)
        stale = set(data.draw(st.lists(st.sampled_from(tokens), max_size=3)))
        settled = set(data.draw(st.lists(st.sampled_from(tokens), max_size=3))) - stale
        failures = [pb.SettlementFailure(token=t, reason=STALE, detail="stale") for t in sorted(stale)]
        failures += [pb.SettlementFailure(token=t, reason=SETTLED, detail="again") for t in sorted(settled)]
        self.queue.confirm(pb.SettlementConfirmation(sequence=sequence, failures=failures))
        # What is stale needn't be given back any more.
        failed = {token for token in stale if not token.startswith(b"release")}
        self.failed |= failed
        self.confirmed |= set(tokens) - failed

    @rule(sequence=st.integers(1000, 2000))
    def answer_to_nothing(self, sequence: int) -> None:
        self.queue.confirm(pb.SettlementConfirmation(sequence=sequence))

    @rule()
    def break_stream(self) -> None:
        self.queue.send_again()
        unanswered = [token for batch in self.sent.values() for token in batch]
        self.sent.clear()
        self.failed |= {token for token in unanswered + self.extensions if is_extension(token)}
        self.extensions.clear()
        self.waiting = [token for token in unanswered if not is_extension(token)] + self.waiting

    @rule(one_in=st.integers(1, 10))
    def close(self, one_in: int) -> None:
        if one_in < 10:
            return  # rarely: nothing happens after it
        self.queue.close("closed")
        self.closed = True
        self.failed |= self.unanswered()
        self.sent.clear()
        self.waiting.clear()
        self.extensions.clear()

    def unanswered(self) -> set[bytes]:
        return {*self.waiting, *self.extensions}.union(*self.sent.values())

    @invariant()
    def each_settlement_is_somewhere_once(self) -> None:
        unanswered = self.unanswered()
        assert not unanswered & (self.confirmed | self.failed)
        for token, pending in self.pending.items():
            assert pending.is_done == (token not in unanswered)
            assert (pending._error is not None) == (token in self.failed)
        assert self.queue.confirmed == sum(map(is_verdict, self.confirmed))
        assert self.queue.failed == sum(map(is_verdict, self.failed))

    @invariant()
    def it_knows_when_it_is_empty(self) -> None:
        assert self.queue.is_empty == (not self.unanswered())
        assert self.queue._empty.is_set() == self.queue.is_empty
        assert self.queue._filled.is_set() == bool(self.waiting or self.extensions)


def is_extension(token: bytes) -> bool:
    return token.startswith(b"extend")


def is_verdict(token: bytes) -> bool:
    """Whether it is of those that the machine lets count."""
    return not token.startswith((b"extend", b"release"))


TestSettlementQueue = QueueMachine.TestCase
TestSettlementQueue.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


async def test_awaiting_a_failed_settlement_raises_and_a_confirmed_one_does_not() -> None:
    queue = SettlementQueue()
    good, bad = (PendingSettlement(pb.Settlement(token=token)) for token in (b"good", b"bad"))
    queue.add(good)
    queue.add(bad)
    batch = queue.take()
    assert batch is not None
    failure = pb.SettlementFailure(token=b"bad", reason=STALE, detail="its lease has ended")
    queue.confirm(pb.SettlementConfirmation(sequence=batch.sequence, failures=[failure]))
    await good
    with pytest.raises(SettlementFailed, match="its lease has ended"):
        await bad
    await queue.emptied()
