"""JSON that every reader understands the same way, for bodies that must be read before they are verified."""

from collections.abc import Sequence
from json import JSONDecoder
from typing import NewType, NoReturn

Integer = NewType("Integer", bytes)
"""A whole number, as it is written."""
_LONGEST_INTEGER = 20
_MOST_MARKS = 20_000
"""Brackets, braces and commas. Genuine bodies have hundreds, and each value that is built has one."""


def read_plain_json(body: bytes) -> object:
    """The document, or None if it isn't JSON, is ambiguous or has very many values.

    Of a name that is there twice in one object, one reader takes the first value and another the last, so what was
    verified need not be what is used: such a document is none. Whole numbers stay as they are written; fractions and
    endless numbers are None.
    """
    if sum(map(body.count, (b"{", b"[", b","))) > _MOST_MARKS:
        return None
    try:
        document: object = _DECODER.decode(body.decode())
    except (ValueError, RecursionError):
        return None
    return document


def member(value: object, *path: str) -> object:
    """What is at a path of names; None if anything on the way is no object or has no such member."""
    for name in path:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def _unambiguous(members: Sequence[tuple[str, object]]) -> dict[str, object]:
    found = dict(members)
    if len(found) != len(members):
        raise ValueError
    return found


def _integer(number: str) -> Integer | None:
    return Integer(number.encode()) if len(number) <= _LONGEST_INTEGER else None


def _nothing(_: str) -> None:
    return None


def _no_json(_: str) -> NoReturn:
    raise ValueError


_DECODER = JSONDecoder(
    object_pairs_hook=_unambiguous,
    parse_int=_integer,
    parse_float=_nothing,
    parse_constant=_no_json,  # NaN and Infinity are Python's
)
