"""Explain a wrong value: the file, the key, the value, and the fix."""

import os
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from hookline.config.place import PLACE
from hookline.config.settings import Settings

_NOT_A_TABLE = frozenset({"model_type", "model_attributes_type", "dict_type"})
_LIST = frozenset({"tuple_type", "list_type", "too_long", "too_short"})
_SECRET = ("url", "verify_token")
"""Ends of keys where a secret may stand: a URL's password, or the token itself instead of its place or a reference."""


def explain(where: str, detail: Any) -> str:
    """One mistake, on one line.

    Args:
        where: What was read.
        detail: What pydantic says about it.
    """
    key = ".".join(str(part) for part in detail["loc"] if part != "[key]")
    variable = _variable(detail["loc"])
    where = f"environment variable {variable}" if variable else where
    if detail["type"] == PLACE:
        return f"{where}: {key}.{detail['ctx']['place']}: {detail['msg']}"
    value = f" = {detail['input']!r}" if _may_be_shown(key, detail) else ""
    return f"{where}: {key}{value}: {_advice(key, detail)}"


def _may_be_shown(key: str, detail: Any) -> bool:
    """Whether a value may be repeated: a secret may stand where a reference or a table belongs, and in a URL."""
    if "secrets" in key or key.endswith(_SECRET) or detail["type"] in ("missing", "extra_forbidden"):
        return False
    whole = dict if detail["type"] == "value_error" else dict | list
    if detail["type"] in ("value_error", *_LIST) and isinstance(detail["input"], whole):
        # What is wrong with a table or a list as a whole is said by the advice.
        return False
    return detail["type"] not in _NOT_A_TABLE or isinstance(detail["input"], int | float)


def _advice(key: str, detail: Any) -> str:
    """What is wrong with a value, and how to mend it."""
    kind = detail["type"]
    if kind == "extra_forbidden":
        known = _known_keys(detail["loc"])
        close = get_close_matches(str(detail["loc"][-1]), known, n=1)
        return (
            f"no such setting; did you mean {close[0]!r}?"
            if close
            else f"no such setting; known here: {', '.join(known)}"
        )
    if kind.startswith("time_delta"):
        return 'must be a duration such as "250ms", "30s", "5m" or "2h"'
    if kind in _NOT_A_TABLE:
        of_a_list, _, place = key.rpartition(".")
        heading = f"[[{of_a_list}]]" if place.isdecimal() else f"[{key}]"
        return f"must be a table; write its settings under {heading}"
    if kind in _LIST:
        return _advice_on_list(key, detail)
    message: str = detail["msg"].removeprefix("Value error, ")
    advice = {
        "literal_error": f"must be one of {detail.get('ctx', {}).get('expected')}",
        "missing": "is missing; add it",
        "string_pattern_mismatch": (
            "use lower-case letters, digits, '-' and '_', with a letter or digit first"
            if detail["loc"][-1] == "[key]"
            else 'must be visible ASCII, such as "application/json"'
        ),
        "string_too_short": "must not be empty",
        "string_type": "must be a text in quotes",
    }
    return advice.get(kind, message[:1].lower() + message[1:])


def _advice_on_list(key: str, detail: Any) -> str:
    """What is wrong with a list as a whole."""
    if detail["type"] == "too_long":
        return (
            f"must have at most {detail['ctx']['max_length']} entries, not {detail['ctx']['actual_length']}"
        )
    if detail["type"] == "too_short":
        return f"must have at least {detail['ctx']['min_length']}, and has {detail['ctx']['actual_length']}"
    if isinstance(detail["input"], dict):
        return f"must be a list of tables; write each under [[{key}]]"
    return "must be a list, in brackets"


def _variable(location: tuple[str | int, ...]) -> str | None:
    """The environment variable that a value came from, if it did."""
    for length in range(len(location), 0, -1):
        name = "HOOKLINE_" + "__".join(str(part) for part in location[:length]).upper()
        if name in os.environ:
            return name
    return None


def _known_keys(location: tuple[str | int, ...]) -> list[str]:
    """The settings that exist beside an unknown one."""
    table: type[BaseModel] = Settings
    names = iter(location[:-1])
    for name in names:
        if isinstance(name, int):  # a place in a list of tables
            continue
        kind = table.model_fields[name].annotation
        table = next(_tables(kind))
        if get_origin(kind) is dict:
            next(names)  # the user's own name for one of its tables
    return sorted(table.model_fields)


def _tables(kind: Any) -> Iterator[type[BaseModel]]:
    """The tables in a type, such as `Retry | None` or `dict[str, Source]`."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
    for part in get_args(kind):
        yield from _tables(part)
