"""A provider's patience: how often it tries, and how long it waits in between.

Begini retries everything that isn't a success, but publishes neither count nor schedule: these are ours.
"""

from dataclasses import dataclass
from datetime import timedelta

from tenacity import RetryCallState, stop_after_attempt, wait_exponential, wait_random
from tenacity.stop import stop_base
from tenacity.wait import wait_base

from hookline.simulator.reply import Reply


@dataclass(frozen=True, slots=True)
class Patience:
    """Exponential backoff, or the endpoint's Retry-After where that is longer; jitter on top of either.

    Raises:
        ValueError: fewer than one attempt, or no time for one.
    """

    attempts: int = 6
    timeout: timedelta = timedelta(seconds=10)  # of one attempt
    first_wait: timedelta = timedelta(
        milliseconds=200
    )  # doubled from attempt to attempt; also the most jitter
    longest_wait: timedelta = timedelta(seconds=30)  # a Retry-After beyond it is cut: a run has to end

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ValueError("a provider makes at least one attempt")
        if self.timeout <= timedelta():
            raise ValueError("an attempt needs a timeout above zero")

    @property
    def stop(self) -> stop_base:
        """When to give up."""
        return stop_after_attempt(self.attempts)

    @property
    def wait(self) -> wait_base:
        """How long to wait before the next attempt."""
        jitter = wait_random(0, self.first_wait)
        return (
            _BackoffOrRetryAfter(multiplier=self.first_wait.total_seconds(), max=self.longest_wait) + jitter
        )


class _BackoffOrRetryAfter(wait_exponential):
    """Seconds, as tenacity counts."""

    def __call__(self, retry_state: RetryCallState) -> float:
        assert retry_state.outcome is not None  # tenacity asks after an attempt only
        reply: Reply = retry_state.outcome.result()
        asked = (reply.retry_after or timedelta()).total_seconds()
        return max(super().__call__(retry_state), min(asked, self.max))
