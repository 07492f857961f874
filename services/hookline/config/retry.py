"""`[subscriptions.NAME.retry]`: when a failed delivery is tried again, and when it is given up."""

from datetime import timedelta
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from hookline.config.duration import Duration, DurationOrZero
from hookline.config.section import Section
from hookline.core.retry import (
    LONGEST_DELAY,
    ExponentialWait,
    FixedWait,
    ListedWait,
    RetryPolicy,
    Wait,
    WaitKind,
)

_USUAL = RetryPolicy()
_USUAL_WAIT = ExponentialWait()
_WAIT_OF: dict[str, WaitKind] = {
    "min": "exponential",
    "max": "exponential",
    "delay": "fixed",
    "delays": "listed",
}


def _not_too_long(value: timedelta) -> timedelta:
    if value > LONGEST_DELAY:
        raise ValueError(f"must not be longer than {LONGEST_DELAY.days} days: no retry waits longer")
    return value


def _unlimited(value: object) -> object:
    return None if value == "unlimited" else value


_Delay = Annotated[Duration, AfterValidator(_not_too_long)]
_DelayOrZero = Annotated[DurationOrZero, AfterValidator(_not_too_long)]
_Attempts = Annotated[int, Field(ge=1, le=2**31 - 1)]


class Retry(Section):
    """One `[subscriptions.NAME.retry]`."""

    wait: WaitKind = "exponential"
    """Drawn between `min` and a bound that doubles up to `max`; always `delay`; or one of `delays` after the other."""
    min: _Delay | None = None
    max: _Delay | None = None
    delay: _Delay | None = None
    delays: Annotated[tuple[_DelayOrZero, ...], Field(min_length=1, max_length=100)] | None = None
    """The last one stays."""
    max_attempts: Annotated[_Attempts | None, BeforeValidator(_unlimited)] = _USUAL.max_attempts
    """Attempts before the delivery is dead. None, "unlimited" in the file: as many as the age allows."""
    max_age: Annotated[Duration | None, BeforeValidator(_unlimited)] = _USUAL.max_age
    """Since the first attempt: a failure after it is the last. None, "unlimited" in the file: no limit."""

    @field_validator(*_WAIT_OF)
    @classmethod
    def _belongs_to_the_wait(cls, value: object, info: ValidationInfo) -> object:
        wait, wanted = info.data.get("wait"), _WAIT_OF[info.field_name or ""]
        if wait is not None and wait != wanted:
            raise ValueError(f'belongs to wait = "{wanted}", and wait is "{wait}"; remove one of them')
        return value

    @model_validator(mode="after")
    def _makes_a_policy(self) -> Self:
        self.policy()
        return self

    def policy(self) -> RetryPolicy:
        """The policy that it describes."""
        return RetryPolicy(wait=self._wait(), max_attempts=self.max_attempts, max_age=self.max_age)

    def _wait(self) -> Wait:
        if self.wait == "fixed":
            if self.delay is None:
                raise ValueError('wait = "fixed" needs a delay, such as delay = "30s"')
            return FixedWait(self.delay)
        if self.wait == "listed":
            if self.delays is None:
                raise ValueError('wait = "listed" needs delays, such as delays = ["1s", "1m", "1h"]')
            if not self.delays[-1]:
                raise ValueError("the last of delays stays, so it must be longer than zero")
            return ListedWait(self.delays)
        shortest = _USUAL_WAIT.min if self.min is None else self.min
        longest = _USUAL_WAIT.max if self.max is None else self.max
        if shortest > longest:
            raise ValueError(f"min, {shortest}, is longer than max, {longest}; exchange them, or set both")
        return ExponentialWait(min=shortest, max=longest)
