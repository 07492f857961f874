"""Read a stranger's JSON so that its shape can be seen: whatever it is, in good time and without an error."""

import json
import sys
from codecs import BOM_UTF8
from typing import Any, Final

import msgspec

_LONGEST_NUMBER = 300
"""Digits. Beyond, a number's size is no longer of interest, and Python would take long to read it."""
_HUGE: Final[int] = 10**_LONGEST_NUMBER


class Unreadable:
    """What stands for a body that isn't JSON, or is nested so deeply that nobody can read it."""

    def __repr__(self) -> str:
        return "UNREADABLE"


UNREADABLE: Final = Unreadable()
_decode = msgspec.json.Decoder().decode


def read(body: bytes) -> Any:
    """The value of a JSON text (RFC 8259), or `UNREADABLE`. Never raises.

    A byte order mark is skipped; of a key that is there twice the last one counts; a number beyond any double is a
    very large one.
    """
    try:
        return _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _read_with_care(body)


def _read_with_care(body: bytes) -> Any:
    """As above, for what msgspec refuses: a byte order mark, a lone surrogate, a number beyond any double."""
    try:
        text = body.removeprefix(BOM_UTF8).decode()
        return json.loads(text, parse_int=_integer, parse_float=_number, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return UNREADABLE


def _integer(digits: str) -> int:
    if len(digits) <= _LONGEST_NUMBER:
        return int(digits)
    return -_HUGE if digits[0] == "-" else _HUGE


def _number(digits: str) -> float:
    return max(-sys.float_info.max, min(sys.float_info.max, float(digits)))


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
