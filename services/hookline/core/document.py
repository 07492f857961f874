"""JSON of strangers, as an expression may see it."""

import re
from codecs import BOM_UTF8
from collections.abc import Collection
from typing import Any, NamedTuple

import msgspec

DEEPEST = 100
"""Levels of arrays and objects. A few thousand end the process: the CEL library recurses without a bound."""
MOST_VALUES = 10_000
"""Each takes up to 3 µs to hand over to the CEL library, and nothing else happens meanwhile."""
_HIGH, _LOW = rb"\\u[dD][89abAB][0-9a-fA-F]{2}", rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_FINE = rb"[^\\]++|\\[^u]|\\u(?![dD][89a-fA-F])|" + _HIGH + _LOW
_LONE_SURROGATE = re.compile(rb"(?:" + _FINE + rb")++|(?P<lone>" + _HIGH + rb"|" + _LOW + rb")|.", re.DOTALL)
"""Parts a JSON text into what is fine and the escapes that stand for half a character."""


class TooMuch(Exception):
    """It is deeper, has more values, or a larger number, than an expression may be shown."""


class Document(NamedTuple):
    """What a JSON text says."""

    value: Any
    values: int
    """How many there are in `value`, itself included."""


def read(text: bytes, *, keys: Collection[str] | None = None) -> Document:
    """Read a JSON text (RFC 8259); what isn't one is null.

    Of a key that is there twice the last one counts, and half a character (a lone surrogate) is U+FFFD.

    Args:
        text: The text; a byte order mark before it is skipped.
        keys: If the text is an object, only these of its keys are of interest. None: all.

    Raises:
        TooMuch: It is JSON that can't be shown.
    """
    text = text.removeprefix(BOM_UTF8)
    try:
        value = _decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        try:
            # msgspec refuses lone surrogates; genuine bodies hold them, where a name was cut in the middle.
            value = _decode(_LONE_SURROGATE.sub(_whole, text))
        except (msgspec.DecodeError, UnicodeDecodeError):
            value = None
    if keys is not None and isinstance(value, dict):
        value = {key: value[key] for key in keys if key in value}
    return Document(value, _count(value))


def _decode(text: bytes) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.ValidationError:
        raise TooMuch("a number is larger than any double") from None
    except RecursionError:
        raise TooMuch("too deep") from None


def _whole(part: re.Match[bytes]) -> bytes:
    return rb"\ufffd" if part["lone"] else part[0]


def _count(value: Any) -> int:
    values = 0
    # Level by level: what is measured here may be too deep to recurse into.
    level = [value]
    for _ in range(DEEPEST + 1):
        values += len(level)
        if values > MOST_VALUES:
            raise TooMuch("too many values")
        level = [
            child
            for parent in level
            if isinstance(parent, dict | list)
            for child in (parent.values() if isinstance(parent, dict) else parent)
        ]
        if not level:
            return values
    raise TooMuch("too deep")
