"""Whether a consumer that is called can be called now: closed, open for a while, or half-open to try it out."""

from collections.abc import Callable
from enum import Enum, auto


class CircuitState(Enum):
    """What may be sent."""

    CLOSED = auto()
    """Everything: the consumer is well, as far as is known."""
    OPEN = auto()
    """Nothing: it failed several times in a row."""
    HALF_OPEN = auto()
    """One thing, to see whether it is well again."""


class Circuit:
    """Opens after several failures in a row, and longer each time that the trial after it fails too.

    Asked and told, never run: the times are the caller's, in seconds of any one clock. A success closes the circuit
    whatever its state is: it proves that the consumer is there. A failure that is told while the circuit is open
    is of a call made before, and says nothing new.

    Args:
        failures: So many in a row open it.
        cool_down: Seconds that it stays open the first time; each time after doubles them.
        longest: Seconds that it never stays open longer than.
        jitter: Draws from 0 to 1. The cool-down is shortened by up to half of it, so that the relays of a
            consumer that comes back don't all try it at the same moment.
    """

    def __init__(
        self, *, failures: int, cool_down: float, longest: float, jitter: Callable[[], float]
    ) -> None:
        self._most_failures = failures
        self._first_cool_down = min(cool_down, longest)
        self._longest = longest
        self._jitter = jitter
        self.state = CircuitState.CLOSED
        self._failures = 0
        """In a row, while it is closed."""
        self._cool_down = self._first_cool_down
        """Of the next opening, before jitter."""
        self.open_until = 0.0
        """When the consumer may be tried, while the circuit is open."""

    def __repr__(self) -> str:
        return f"<Circuit {self.state.name} failures={self._failures} open_until={self.open_until:.3f}>"

    def succeed(self) -> bool:
        """Note that the consumer answered; tells whether that closed the circuit."""
        closed = self.state is not CircuitState.CLOSED
        self.state = CircuitState.CLOSED
        self._failures = 0
        self._cool_down = self._first_cool_down
        return closed

    def fail(self, now: float) -> bool:
        """Note that the consumer failed; tells whether that opened the circuit."""
        if self.state is CircuitState.OPEN:
            return False
        self._failures += 1
        if self.state is CircuitState.CLOSED and self._failures < self._most_failures:
            return False
        self.state = CircuitState.OPEN
        self.open_until = now + self._cool_down * (1 - self._jitter() / 2)
        self._cool_down = min(2 * self._cool_down, self._longest)
        return True

    def half_open(self, now: float) -> bool:
        """Begin the trial if the circuit is open and has cooled down; tells whether it began."""
        if self.state is not CircuitState.OPEN or now < self.open_until:
            return False
        self.state = CircuitState.HALF_OPEN
        return True
