"""What checking a request comes to."""

from enum import StrEnum
from typing import NamedTuple


class Refusal(StrEnum):
    """Why a request doesn't verify: stable words, for logs, metrics and rejections."""

    MISSING_SIGNATURE = "missing_signature"
    """No signature where it belongs, or more than one header of that name."""
    MALFORMED_SIGNATURE = "malformed_signature"
    """Nothing there has the form of a signature."""
    BAD_SIGNATURE = "bad_signature"
    MISSING_TIMESTAMP = "missing_timestamp"
    MALFORMED_TIMESTAMP = "malformed_timestamp"
    STALE_TIMESTAMP = "stale_timestamp"
    """Too old, or too far ahead."""
    MISSING_ID = "missing_id"
    BAD_VERIFY_TOKEN = "bad_verify_token"  # noqa: S105  (a word, not a token)


class Verified(NamedTuple):
    """The request is the provider's."""

    id: str = ""
    """The provider's id of the message, if the signature covers one."""
    secret: int = 0
    """Which of the live secrets verified it, counted from 0: the one that the provider uses now."""
