"""`[rejections]`: what is kept of the requests that the edge refused."""

from datetime import timedelta
from typing import Literal

from pydantic import Field

from hookline.config.duration import Duration
from hookline.config.section import Section

_MIB = 1024 * 1024


class Rejections(Section):
    """`[rejections]`. Each bound is for one source."""

    enabled: bool = True
    body: Literal["sealed", "omit"] = "sealed"
    """Whether the request as it was, its body above all, is kept: encrypted with `secrets.keys`, never in clear.
    What was omitted can be looked at and can't be admitted."""
    rate: float = Field(default=10, gt=0, le=10_000, allow_inf_nan=False)
    """Kept in a second by one edge in the long run; the rest is counted."""
    burst: int = Field(default=100, ge=1, le=100_000)
    """Kept at once by one edge, after a quiet time."""
    max_count: int = Field(default=10_000, ge=1, le=10_000_000)
    """Kept in the database, by all edges together. Past a bound the oldest go."""
    max_bytes: int = Field(default=64 * _MIB, ge=_MIB, le=2**40)
    max_age: Duration = timedelta(days=7)
