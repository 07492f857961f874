from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hookline.core.circuit import Circuit, CircuitState

FAILURES = 3
FIRST = 2.0
LONGEST = 30.0
jitters = st.floats(0, 1)


class CircuitMachine(RuleBasedStateMachine):
    """A consumer fails and answers at will; the model is the history since its last answer."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_000.0
        self.drawn = 0.0
        self.circuit = Circuit(failures=FAILURES, cool_down=FIRST, longest=LONGEST, jitter=lambda: self.drawn)
        self.failed = 0
        """While closed, since the last answer."""
        self.openings: list[tuple[float, float]] = []
        """When, and until when, since the last answer."""
        self.on_trial = False

    @rule(passed=st.floats(0, 40))
    def wait(self, passed: float) -> None:
        self.now += passed

    @rule()
    def answer(self) -> None:
        assert self.circuit.succeed() == bool(self.openings)
        self.failed, self.openings, self.on_trial = 0, [], False

    @rule(jitter=jitters)
    def failure(self, jitter: float) -> None:
        self.drawn = jitter
        if not self.openings:
            self.failed += 1
        opens = self.on_trial or (not self.openings and self.failed == FAILURES)
        assert self.circuit.fail(self.now) == opens
        if opens:
            self.on_trial = False
            self.openings.append((self.now, self.circuit.open_until))

    @rule()
    def trial(self) -> None:
        begins = bool(self.openings) and not self.on_trial and self.now >= self.openings[-1][1]
        assert self.circuit.half_open(self.now) == begins
        self.on_trial = self.on_trial or begins

    @precondition(lambda self: self.openings)
    @invariant()
    def each_cool_down_is_twice_the_one_before_less_at_most_half(self) -> None:
        for number, (opened, until) in enumerate(self.openings):
            bound = min(FIRST * 2**number, LONGEST)
            assert bound / 2 - 1e-6 <= until - opened <= bound + 1e-6

    @invariant()
    def its_state_follows_from_the_history(self) -> None:
        if not self.openings:
            expected = CircuitState.CLOSED
        else:
            expected = CircuitState.HALF_OPEN if self.on_trial else CircuitState.OPEN
        assert self.circuit.state is expected


TestCircuit = CircuitMachine.TestCase
TestCircuit.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)


@given(jitter=jitters)
def test_the_jitter_shortens_the_cool_down_in_proportion(jitter: float) -> None:
    circuit = Circuit(failures=1, cool_down=10, longest=60, jitter=lambda: jitter)
    circuit.fail(100.0)
    assert abs(circuit.open_until - (110 - 5 * jitter)) < 1e-6


def test_cool_downs_double_up_to_the_longest_and_begin_anew_after_an_answer() -> None:
    circuit = Circuit(failures=1, cool_down=2, longest=5, jitter=lambda: 0.0)

    def next_cool_down(now: float) -> float:
        circuit.fail(now)
        cool_down = circuit.open_until - now
        assert circuit.half_open(circuit.open_until)
        return cool_down

    assert [next_cool_down(100.0 * number) for number in range(4)] == [2, 4, 5, 5]
    circuit.succeed()
    assert next_cool_down(500.0) == 2


def test_a_first_cool_down_is_never_longer_than_the_longest() -> None:
    circuit = Circuit(failures=1, cool_down=10, longest=4, jitter=lambda: 0.0)
    circuit.fail(0.0)
    assert circuit.open_until == 4
