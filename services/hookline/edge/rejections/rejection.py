"""A refused request, as the edge hands it over to be kept."""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from hookline.edge.schemes.incoming import Incoming


class Omitted(StrEnum):
    """Why a rejection is kept without its original, and can't be admitted: stable words."""

    NOT_READ = "not_read"
    """It was refused by its head: the body was never read to its end."""
    POLICY = "policy"
    """`rejections.body = "omit"`."""
    NO_KEY = "no_key"
    """There is no key to seal it with: `secrets.keys` is empty."""
    TOO_LARGE = "too_large"
    """It alone is more than its source may keep."""
    OVER_BUDGET = "over_budget"
    """Too many bytes were waiting to be written."""


class Rejection(NamedTuple):
    """One refused request."""

    source: str
    """"" if no source has the name that the sender used."""
    cause: str
    """A stable word of ours, never the sender's: what is dropped is counted by it."""
    status: int
    """The answer."""
    received_at: datetime
    """By the edge's clock, aware."""
    incoming: Incoming
    """All that verifying it again takes."""
    is_whole: bool
    """Whether the body was read to its end. If not, none of it is kept."""
    size: int
    """Bytes of the body, as far as they were read or announced."""
