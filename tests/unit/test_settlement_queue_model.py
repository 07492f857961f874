"""SettlementQueue against a model: every settlement is waiting, sent, or answered exactly once."""

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
        self.sent: dict[int, list[bytes]] = {}
        self.pending: dict[bytes, PendingSettlement] = {}
        self.confirmed: set[bytes] = set()
        self.failed: set[bytes] = set()
        self.count = 0
        self.closed = False

    @rule(more=st.sampled_from([1, 1, 2, 3, 1200]))
    def add(self, more: int) -> None:
        for _ in range(more):
            self.count += 1
            token = b"%d" % self.count
            self.pending[token] = PendingSettlement(pb.Settlement(token=token, ack=pb.Ack()))
            self.queue.add(self.pending[token])
            if self.closed:
                self.failed.add(token)
            else:
                self.waiting.append(token)

    @rule()
    def take(self) -> None:
        batch = self.queue.take()
        assert (batch is None) == (not self.waiting)
        if batch is not None:
            taken = [settlement.token for settlement in batch.settlements]
            assert batch.sequence not in self.sent
            assert taken == self.waiting[: len(taken)], "sent in the order of settling"
            del self.waiting[: len(taken)]
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
        self.failed |= stale
        self.confirmed |= set(tokens) - stale

    @rule(sequence=st.integers(1000, 2000))
    def answer_to_nothing(self, sequence: int) -> None:
        self.queue.confirm(pb.SettlementConfirmation(sequence=sequence))

    @rule()
    def break_stream(self) -> None:
        self.queue.send_again()
        self.waiting = [token for batch in self.sent.values() for token in batch] + self.waiting
        self.sent.clear()

    @rule()
    def close(self) -> None:
        self.queue.close("closed")
        self.closed = True
        self.failed |= {token for batch in self.sent.values() for token in batch} | set(self.waiting)
        self.sent.clear()
        self.waiting.clear()

    @invariant()
    def each_settlement_is_somewhere_once(self) -> None:
        unanswered = set(self.waiting).union(*self.sent.values())
        assert not unanswered & (self.confirmed | self.failed)
        for token, pending in self.pending.items():
            assert pending.is_done == (token not in unanswered)
            assert (pending._error is not None) == (token in self.failed)
        assert (self.queue.confirmed, self.queue.failed) == (len(self.confirmed), len(self.failed))

    @invariant()
    def it_knows_when_it_is_empty(self) -> None:
        assert self.queue.is_empty == (not self.waiting and not self.sent)
        assert self.queue._empty.is_set() == self.queue.is_empty
        assert self.queue._filled.is_set() == bool(self.waiting)


TestSettlementQueue = QueueMachine.TestCase
TestSettlementQueue.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)


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
