"""ShardProgress against a model that keeps everything: what was read, and what of it is settled."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hookline.core.progress import ShardProgress
from hookline.model import CursorState, Seq


class ProgressMachine(RuleBasedStateMachine):
    """A shard's life: reads, settlements in any order, writes of the cursor, crashes."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[Seq] = []
        """Every seq ever committed to the shard, ascending."""
        self.settled: set[Seq] = set()
        self.written = CursorState(Seq(0), ())
        self.written_settled: set[Seq] = set()
        self.progress = ShardProgress(self.written)

    @rule(gap=st.integers(1, 5))
    def commit(self, gap: int) -> None:
        self.log.append(Seq((self.log[-1] if self.log else 0) + gap))

    def unread(self) -> list[Seq]:
        return [seq for seq in self.log if seq > self.progress.read_up_to]

    @precondition(lambda self: bool(self.unread()))
    @rule()
    def read(self) -> None:
        seq = self.unread()[0]
        assert not self.progress.is_settled(seq)
        self.progress.read(seq)

    @rule(data=st.data())
    def settle_any(self, data: st.DataObject) -> None:
        known = [seq for seq in self.log if seq <= self.progress.read_up_to]
        if not known:
            return
        seq = data.draw(st.sampled_from(known))
        assert self.progress.settle(seq) == (seq not in self.settled)
        self.settled.add(seq)

    @rule(seq=st.integers(1, 500))
    def settle_what_was_never_read(self, seq: int) -> None:
        if seq in self.log and seq <= self.progress.read_up_to:
            return
        assert not self.progress.settle(Seq(seq))

    @rule()
    def write(self) -> None:
        self.written = self.progress.state()
        self.written_settled = set(self.settled)

    @rule()
    def crash(self) -> None:
        """The next owner knows what was written, and nothing else."""
        self.progress = ShardProgress(self.written)
        self.settled = set(self.written_settled)

    @invariant()
    def everything_is_settled_unsettled_or_unread(self) -> None:
        unsettled = list(self.progress.unsettled())
        assert unsettled == sorted(unsettled)
        for seq in self.log:
            is_read = seq <= self.progress.read_up_to
            # After a crash, what was read above the written position is read again.
            assert self.progress.is_unsettled(seq) == (is_read and seq not in self.settled)
            assert self.progress.is_settled(seq) == (seq in self.settled)

    @invariant()
    def a_written_state_loses_no_settlement_and_skips_no_unsettled_event(self) -> None:
        state = self.progress.state()
        assert list(state.pending) == sorted(set(state.pending))
        assert all(seq <= state.position for seq in state.pending)
        to_come = {seq for seq in self.log if seq > state.position} | set(state.pending)
        assert to_come == set(self.log) - self.settled

    @invariant()
    def a_state_is_no_larger_than_it_must_be(self) -> None:
        state = self.progress.state()
        assert state.position == max(self.settled, default=0)


TestProgress = ProgressMachine.TestCase
TestProgress.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
