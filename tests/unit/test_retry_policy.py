"""When a failed delivery is tried again, against a model in a few lines."""

from datetime import timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hookline.core.retry import LONGEST_DELAY, ExponentialWait, FixedWait, ListedWait, RetryPolicy, Wait

MICROSECOND = timedelta(microseconds=1)
"""Delays are drawn as floats."""
delays = st.timedeltas(MICROSECOND, 2 * LONGEST_DELAY)
waits = (
    st.tuples(delays, delays).map(lambda pair: ExponentialWait(min=min(pair), max=max(pair)))
    | st.builds(FixedWait, delays)
    | st.lists(delays, min_size=1, max_size=5).map(tuple).map(ListedWait)
)
attempts = st.integers(1, 30) | st.integers(1, 2**31 - 1)
ages = st.timedeltas(timedelta(0), timedelta(days=3650))


def bounds(wait: Wait, attempt: int) -> tuple[timedelta, timedelta]:
    """The model: the shortest and the longest that the wait may be."""
    match wait:
        case FixedWait(delay=delay):
            return delay, delay
        case ListedWait(delays=listed):
            delay = listed[min(attempt, len(listed)) - 1]
            return delay, delay
        case ExponentialWait(min=low, max=high):
            bound = low
            for _ in range(min(attempt, 100)):
                bound = min(2 * bound, high)
            return low, bound


def endless(wait: Wait) -> RetryPolicy:
    return RetryPolicy(wait=wait, max_attempts=None, max_age=None)


@given(wait=waits, attempt=attempts, age=ages)
@example(wait=ExponentialWait(), attempt=10_000, age=timedelta(days=9))
@example(wait=ExponentialWait(), attempt=2**31 - 1, age=timedelta(days=9))
@example(wait=ExponentialWait(min=LONGEST_DELAY, max=LONGEST_DELAY), attempt=10_000, age=timedelta(0))
def test_a_wait_is_within_its_bounds_and_never_longer_than_the_longest(
    wait: Wait, attempt: int, age: timedelta
) -> None:
    low, high = bounds(wait, attempt)
    delay = endless(wait).next_delay(attempt=attempt, age=age)
    assert delay is not None
    assert min(low, LONGEST_DELAY) - MICROSECOND <= delay <= min(high, LONGEST_DELAY) + MICROSECOND


@given(wait=waits, attempt=attempts, asked=st.timedeltas(timedelta(days=-1), timedelta(days=999_999)))
def test_what_a_consumer_asks_for_is_kept_between_the_shortest_and_the_longest(
    wait: Wait, attempt: int, asked: timedelta
) -> None:
    shortest = min(bounds(wait, number)[0] for number in range(1, 9))
    assert wait.shortest == shortest
    delay = endless(wait).next_delay(attempt=attempt, age=timedelta(0), asked=asked)
    assert delay == min(max(asked, shortest), LONGEST_DELAY)


@given(
    wait=waits,
    max_attempts=st.none() | st.integers(1, 40),
    max_age=st.none() | st.timedeltas(MICROSECOND, timedelta(days=40)),
    attempt=st.integers(1, 60),
    age=st.timedeltas(timedelta(0), timedelta(days=60)),
    asked=st.none() | delays,
)
def test_it_ends_at_the_attempts_or_the_age_whichever_comes_first(
    *,
    wait: Wait,
    max_attempts: int | None,
    max_age: timedelta | None,
    attempt: int,
    age: timedelta,
    asked: timedelta | None,
) -> None:
    policy = RetryPolicy(wait=wait, max_attempts=max_attempts, max_age=max_age)
    over = (max_attempts is not None and attempt >= max_attempts) or (max_age is not None and age >= max_age)
    assert (policy.next_delay(attempt=attempt, age=age, asked=asked) is None) is over


@pytest.mark.parametrize(("attempt", "age", "ends"), [(19, 2.9, False), (20, 0.0, True), (1, 3.0, True)])
def test_without_another_word_it_is_twenty_attempts_and_three_days(
    attempt: int, age: float, *, ends: bool
) -> None:
    delay = RetryPolicy().next_delay(attempt=attempt, age=timedelta(days=age))
    assert (delay is None) is ends


def test_an_exponential_wait_is_drawn_from_the_whole_of_its_range() -> None:
    policy = endless(ExponentialWait(min=timedelta(seconds=1), max=timedelta(seconds=60)))
    for attempt, bound in ((1, 2), (3, 8), (10_000, 60)):
        drawn = [policy.next_delay(attempt=attempt, age=timedelta(0)) for _ in range(300)]
        seconds = [delay.total_seconds() for delay in drawn if delay is not None]
        width = bound - 1
        assert min(seconds) < 1 + 0.1 * width
        assert max(seconds) > bound - 0.1 * width
