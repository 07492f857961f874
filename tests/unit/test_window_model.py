from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hookline.core.window import MAX_BYTES, MAX_EVENTS, Limit, Window

limits = st.builds(Limit, events=st.integers(0, 6), bytes=st.integers(1, 60))


class WindowMachine(RuleBasedStateMachine):
    """Events of any size come and go under a limit that changes at will."""

    def __init__(self) -> None:
        super().__init__()
        self.window = Window(Limit(events=3, bytes=30))
        self.out: list[int] = []

    @rule(limit=limits)
    def resize(self, limit: Limit) -> None:
        self.window.limit = limit

    @rule(size=st.integers(0, 100))
    def offer(self, size: int) -> None:
        limit = self.window.limit
        room = len(self.out) < limit.events
        fits = room and (not self.out or sum(self.out) + size <= limit.bytes)
        assert self.window.fits(size) == fits
        if fits:
            self.window.take(size)
            self.out.append(size)
            # Never exceeded, except by a single event that alone is larger.
            assert len(self.out) <= limit.events
            assert sum(self.out) <= limit.bytes or len(self.out) == 1

    @precondition(lambda self: bool(self.out))
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        size = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        self.window.give_back(size)

    @invariant()
    def it_counts_what_is_out_and_drifts_nowhere(self) -> None:
        assert (self.window.events, self.window.bytes) == (len(self.out), sum(self.out))


TestWindow = WindowMachine.TestCase
TestWindow.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@given(size=st.integers(0, 2**40), limit=st.builds(Limit, events=st.integers(1, 9), bytes=st.integers(1, 99)))
def test_an_empty_window_takes_one_event_of_any_size(size: int, limit: Limit) -> None:
    assert Window(limit).fits(size)


@given(size=st.integers(0, 99))
def test_zero_events_takes_none(size: int) -> None:
    assert not Window(Limit(events=0, bytes=2**40)).fits(size)


@given(events=st.integers(0, 2**31), bytes_=st.integers(0, 2**63))
def test_what_a_consumer_asks_for_is_cut_to_what_a_relay_allows(events: int, bytes_: int) -> None:
    limit = Limit.within_bounds(events=events, bytes_=bytes_)
    assert limit.events == min(events, MAX_EVENTS)
    assert limit.bytes == (MAX_BYTES if bytes_ == 0 else min(bytes_, MAX_BYTES))
