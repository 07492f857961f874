"""Pages of a list: how long they are, and the tokens that lead from one to the next (https://google.aip.dev/158).

A token holds the place of the last item in the list's order, not its number: what is added or removed meanwhile
neither repeats nor hides another. It fits the request that it came from, and no other.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from typing import TypeVar

import msgspec

from hookline.rpc import RpcError, invalid

DEFAULT_SIZE = 100
LARGEST = 1000
_MARK_BYTES = 8

Place = TypeVar("Place")


def page_size(asked: int) -> int:
    """How many items a page has.

    Raises:
        RpcError: The number is negative.
    """
    if asked < 0:
        raise invalid("INVALID_PAGE_SIZE", f"page_size: is {asked}; 0 means {DEFAULT_SIZE}")
    return min(asked or DEFAULT_SIZE, LARGEST)


def page_token(place: object, *, of: bytes) -> str:
    """The token that leads to what comes after a place.

    Args:
        place: A value that msgspec can write.
        of: What was asked for: the token is good for the same question only.
    """
    written = msgspec.json.encode(place)
    return urlsafe_b64encode(_mark(written, of) + written).rstrip(b"=").decode()


def read_page_token(token: str, type_: type[Place], *, of: bytes) -> Place:
    """The place in a token.

    Raises:
        RpcError: It isn't one that this list has given out, or it was given out for another question.
    """
    try:
        read = urlsafe_b64decode(token.encode() + b"=" * (-len(token) % 4))
        mark, written = read[:_MARK_BYTES], read[_MARK_BYTES:]
        if mark != _mark(written, of):
            raise _wrong_token()
        return msgspec.json.decode(written, type=type_)
    except ValueError:
        # binascii's and msgspec's errors are among them.
        raise _wrong_token() from None


def _wrong_token() -> RpcError:
    return invalid(
        "INVALID_PAGE_TOKEN",
        "page_token: isn't one that this list gave out for these parameters; begin again without one",
    )


def _mark(written: bytes, of: bytes) -> bytes:
    """What tells a token from other text; not a secret, because a token gives nothing away."""
    return sha256(len(of).to_bytes(8) + of + written).digest()[:_MARK_BYTES]
