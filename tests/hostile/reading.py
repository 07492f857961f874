"""What is at a place of a JSON text, read as slowly and plainly as can be: the ruler for what the edge finds."""

import json
from collections.abc import Callable, Mapping
from typing import Any

Get = Callable[[str], str | None]
"""The text at a JSON Pointer; None if there is none that can be a key."""

_LONGEST = 512
_LONGEST_NUMBER = 40


class _Number(str):
    """A whole number as it is written."""

    __slots__ = ()


def nothing(_: str) -> None:
    """There is nothing anywhere."""


def look(body: bytes) -> Get:
    """Look into a body. What isn't UTF-8 may be anywhere but in a key."""
    try:
        document = json.loads(
            body.removeprefix(b"\xef\xbb\xbf").decode(errors="surrogateescape"),
            parse_int=_Number,
            parse_float=lambda _: None,
            parse_constant=lambda _: None,
        )
    except (ValueError, RecursionError):
        return nothing
    return lambda pointer: _at(document, pointer)


def override(get: Get, values: Mapping[str, str | None]) -> Get:
    """The same with other texts at a few places."""
    return lambda pointer: values[pointer] if pointer in values else get(pointer)


def is_key(text: str) -> bool:
    """Whether a text can be a key: neither empty nor endless, and Postgres can store it."""
    return 0 < len(text) <= _LONGEST and not any(
        character == "\0" or "\ud800" <= character <= "\udfff" for character in text
    )


def _at(value: Any, pointer: str) -> str | None:
    for step in pointer.split("/")[1:]:
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    if isinstance(value, _Number):
        return str(value) if len(value) <= _LONGEST_NUMBER else None
    return value if isinstance(value, str) and is_key(value) else None
