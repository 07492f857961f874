"""Where in a body something stands, as text: `$.event.details.traits[].key`.

    $            the body
    .name        a value of an object; a name that isn't plain is written `["a name"]`
    .*           a value of an object whose keys aren't told: they are data, such as the ids of a map
    []           every item of an array

A path never holds what may be a person: keys that read like an id, an address or a number become `*`.
"""

import json
import re
from functools import lru_cache

ROOT = "$"
ITEMS = "[]"
ANY = ".*"
LONGEST_KEY = 64
"""Characters. What is longer is data."""
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_STEP = re.compile(r'\.\*|\[\]|\.[A-Za-z_][A-Za-z0-9_-]*|\["(?:[^"\\]|\\.)*"\]')
_NUMBERED = re.compile(r"[A-Za-z_-]+[0-9]{1,3}")
"""`line_2`, `sha256`, `Q1`: still a name."""
_MANY_DIGITS = 5
_SHARE_OF_DIGITS = 1 / 3
_LEAST_HEX = 16
_HEX = re.compile(r"[0-9a-fA-F-]+")
_ID_CASE = re.compile(r"(?=.*[0-9])[A-Z0-9]{5,}")
"""As many providers write ids: `AB12CD`."""


def is_data(key: str) -> bool:
    """Whether an object's key reads like a value: an id, a number, an address or date, or something unprintable.

    A name that is taken for data costs a bit of detail; the opposite would put a person into the database. What
    reads like a word may still be data: that shows only over time (`core.shape_lesson`).
    """
    if not key or len(key) > LONGEST_KEY or not key.isprintable() or "@" in key or "://" in key:
        return True
    if _ID_CASE.fullmatch(key) or (len(key) >= _LEAST_HEX and _HEX.fullmatch(key)):
        return True
    if _NUMBERED.fullmatch(key):
        return False
    digits = sum(character.isdigit() for character in key)
    return digits >= _MANY_DIGITS or key[0] == "+" or digits > len(key) * _SHARE_OF_DIGITS


@lru_cache(maxsize=4096)
def step(key: str) -> str:
    """What leads from an object to the value of a key; `ANY` if the key is data."""
    return ANY if is_data(key) else name_step(key)


def name_step(key: str) -> str:
    """What leads from an object to the value of a key that is known to be a name."""
    return f".{key}" if _PLAIN.fullmatch(key) else f"[{json.dumps(key, ensure_ascii=not key.isprintable())}]"


def steps(path: str) -> list[str]:
    """The steps of a path, from the body on; [] for the body."""
    return _STEP.findall(path, len(ROOT))


def is_below(path: str, other: str) -> bool:
    """Whether the first stands somewhere inside of the other."""
    return path.startswith((f"{other}.", f"{other}[")) and path != other


def collapse(path: str, maps: frozenset[str]) -> str:
    """The path with the keys of every map in it left out.

    Args:
        path: Any path.
        maps: Paths of objects whose keys are data, with the keys of maps around them left out already.
    """
    if not maps:
        return path
    collapsed = ROOT
    for one in steps(path):
        collapsed += ANY if one != ITEMS and collapsed in maps else one
    return collapsed
