"""The JSON types that were seen at one place, as a set in one small number."""

from enum import IntFlag
from typing import Any


class Types(IntFlag):
    """Some of the types that JSON has. `integer` is a number without fraction or exponent, as it was written."""

    NOTHING = 0
    NULL = 1
    BOOLEAN = 2
    INTEGER = 4
    NUMBER = 8
    STRING = 16
    ARRAY = 32
    OBJECT = 64


OF: dict[type, int] = {
    type(None): Types.NULL.value,
    bool: Types.BOOLEAN.value,
    int: Types.INTEGER.value,
    float: Types.NUMBER.value,
    str: Types.STRING.value,
    list: Types.ARRAY.value,
    dict: Types.OBJECT.value,
}
"""By the Python type of a decoded value. Plain numbers: they are combined for every value of every body."""


def of(value: Any) -> int:
    """The type of a decoded value."""
    return OF[type(value)]


def fits(seen: int, known: int) -> bool:
    """Whether what was seen is nothing new: an integer is also a number."""
    if known & Types.NUMBER:
        known |= Types.INTEGER.value
    return not seen & ~known


def names(types: int) -> list[str]:
    """As JSON Schema calls them."""
    return [kind.name.lower() for kind in Types if kind and types & kind and kind.name]


def written(types: int) -> str:
    """For people: "integer or null"; "" for none."""
    return " or ".join(names(types))
