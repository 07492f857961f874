"""Durations as people write them: "250ms", "30s", "5m", "2h", "1d"."""

from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_LONGEST = timedelta(days=36_500)
"""Longer than anybody means, and short enough to be added to a time."""


def _read(value: object) -> object:
    """Read "30s", "5m" or "250ms"; everything else is pydantic's to judge."""
    if isinstance(value, str):
        for unit in ("ms", "s", "m", "h", "d"):
            number = value.removesuffix(unit)
            if number != value and number.replace(".", "", 1).isdecimal():
                return timedelta(
                    seconds=min(float(number) * _UNITS[unit], timedelta.max.total_seconds() // 2)
                )
    return value


def _bounded(value: timedelta) -> timedelta:
    if value > _LONGEST:
        raise ValueError("must not be longer than a hundred years")
    return value


def _not_negative(value: timedelta) -> timedelta:
    if value < timedelta(0):
        raise ValueError("must not be negative")
    return value


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise ValueError("must be longer than zero")
    return value


_AnyDuration = Annotated[timedelta, BeforeValidator(_read), AfterValidator(_bounded)]
Duration = Annotated[_AnyDuration, AfterValidator(_positive)]
DurationOrZero = Annotated[_AnyDuration, AfterValidator(_not_negative)]
