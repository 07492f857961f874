"""Lanes against a model: one of each lane at a time, in order of arrival, and nothing is lost."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hookline.client.lanes import Lanes

lanes = st.sampled_from([None, "a", "b", "c"])
Item = tuple[int, str | None]


class LanesMachine(RuleBasedStateMachine):
    """Items come, are taken and end; now and then all that waits is taken out."""

    def __init__(self) -> None:
        super().__init__()
        self.lanes: Lanes[Item] = Lanes()
        self.waiting: list[Item] = []
        self.running: list[Item] = []
        self.count = 0

    @rule(lane=lanes)
    def add(self, lane: str | None) -> None:
        self.count += 1
        self.waiting.append((self.count, lane))
        self.lanes.add((self.count, lane), lane)

    @rule()
    def take(self) -> None:
        taken = self.lanes.take()
        free = [item for item in self.waiting if item[1] is None or item[1] not in self.busy()]
        if taken is None:
            assert not free, "something could have run"
            return
        assert taken in free, "its lane was taken, or it doesn't wait"
        if taken[1] is not None:
            assert taken == next(item for item in self.waiting if item[1] == taken[1]), (
                "the first of its lane"
            )
        self.waiting.remove(taken)
        self.running.append(taken)

    @precondition(lambda self: bool(self.running))
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        done = data.draw(st.sampled_from(self.running))
        self.running.remove(done)
        self.lanes.leave(done[1])

    @rule()
    def clear(self) -> None:
        assert sorted(self.lanes.clear()) == sorted(self.waiting)
        self.waiting.clear()

    def busy(self) -> set[str]:
        return {lane for _, lane in self.running if lane is not None}

    @invariant()
    def it_knows_how_many_wait(self) -> None:
        assert len(self.lanes) == len(self.waiting)

    @invariant()
    def it_forgets_lanes_that_nobody_uses(self) -> None:
        used = {lane for _, lane in self.waiting + self.running if lane is not None}
        assert set(self.lanes._behind) == used


TestLanes = LanesMachine.TestCase
TestLanes.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)


def test_items_without_a_lane_keep_their_order() -> None:
    queue: Lanes[int] = Lanes()
    for number in range(5):
        queue.add(number, None)
    assert [queue.take() for _ in range(6)] == [0, 1, 2, 3, 4, None]
