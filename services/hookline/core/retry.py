"""When a failed delivery is tried again, and when it is given up: a tenacity `wait`/`stop` pair, asked and not run."""

from datetime import timedelta
from typing import Literal

import msgspec
from tenacity import AsyncRetrying, RetryCallState, stop_after_attempt, stop_after_delay, stop_any, stop_never
from tenacity.stop import stop_base
from tenacity.wait import wait_base, wait_chain, wait_fixed, wait_random_exponential

LONGEST_DELAY = timedelta(days=30)
"""No retry waits longer, whoever asks for it."""
_ASKED = AsyncRetrying()
"""tenacity wants a retrying object in the state that it judges; ours is never run."""


class ExponentialWait(msgspec.Struct, frozen=True, tag_field="kind", tag="exponential"):
    """Full jitter: drawn between `min` and a bound that starts there and doubles up to `max`.

    Source: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """

    min: timedelta = timedelta(seconds=1)
    max: timedelta = timedelta(minutes=10)

    @property
    def shortest(self) -> timedelta:
        """No retry comes sooner."""
        return self.min

    def wait(self) -> wait_base:
        """As tenacity knows it."""
        low = self.min.total_seconds()
        # The bound after the first attempt is twice the minimum, so that the first wait is drawn too.
        # A float as the base: doubling an integer 10,000 times makes a number too large to be converted.
        return wait_random_exponential(
            multiplier=2 * low, min=low, max=self.max.total_seconds(), exp_base=2.0
        )


class FixedWait(msgspec.Struct, frozen=True, tag_field="kind", tag="fixed"):
    """Always the same."""

    delay: timedelta

    @property
    def shortest(self) -> timedelta:
        """No retry comes sooner."""
        return self.delay

    def wait(self) -> wait_base:
        """As tenacity knows it."""
        return wait_fixed(self.delay)


class ListedWait(msgspec.Struct, frozen=True, tag_field="kind", tag="listed"):
    """One after the other; the last one stays."""

    delays: tuple[timedelta, ...]

    @property
    def shortest(self) -> timedelta:
        """No retry comes sooner."""
        return min(self.delays)

    def wait(self) -> wait_base:
        """As tenacity knows it."""
        return wait_chain(*(wait_fixed(delay) for delay in self.delays))


Wait = ExponentialWait | FixedWait | ListedWait
WaitKind = Literal["exponential", "fixed", "listed"]


class RetryPolicy(msgspec.Struct, frozen=True):
    """A subscription's policy."""

    wait: Wait = ExponentialWait()
    max_attempts: int | None = 20
    """Attempts before the delivery is dead. None: as many as the age allows."""
    max_age: timedelta | None = timedelta(days=3)
    """Since the first attempt: a failure after it is the last. None: no limit."""

    def next_delay(self, *, attempt: int, age: timedelta, asked: timedelta | None = None) -> timedelta | None:
        """How long to wait after a failed attempt; None: no more attempts.

        Args:
            attempt: The number of the attempt that failed, from 1.
            age: Time since the first attempt was handed over.
            asked: What the consumer asked for: a lower bound, as the policy's own wait is.
        """
        state = RetryCallState(_ASKED, None, (), {})
        state.attempt_number = attempt
        state.start_time = 0.0
        state.outcome_timestamp = age.total_seconds()
        if self._stop()(state):
            return None
        delay = timedelta(seconds=self.wait.wait()(state))
        if asked is not None:
            # The consumer knows better when, but never sooner than the policy allows at all.
            delay = max(asked, self.wait.shortest)
        return min(delay, LONGEST_DELAY)

    def _stop(self) -> stop_base:
        stops: list[stop_base] = []
        if self.max_attempts is not None:
            stops.append(stop_after_attempt(self.max_attempts))
        if self.max_age is not None:
            stops.append(stop_after_delay(self.max_age))
        return stop_any(*stops) if stops else stop_never
