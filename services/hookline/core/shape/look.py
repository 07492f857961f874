"""Look at one body: at which paths which types stand, and whether such a body was seen before."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from hookline.core.shape import types as shape_types
from hookline.core.shape.path import ANY, ITEMS, LONGEST_KEY, ROOT, step

DEEPEST = 32
"""Levels of arrays and objects that are looked into."""
MOST_VALUES = 10_000
"""Values of one body that are looked at; each takes about a microsecond."""
WIDEST = 512
"""Keys of one object; one with more is taken for a map."""
MOST_PLACES = 1_000
"""Paths of one body."""

DEEP = "deep"
LARGE = "large"
WIDE = "wide"
LONG_KEYS = "long_keys"
MANY_PATHS = "many_paths"


@dataclass(slots=True)
class Sighting:
    """What was seen in one body."""

    places: dict[str, int] = field(default_factory=dict)
    """Types by path."""
    marks: set[str] = field(default_factory=set)
    """Bounds that it went over: what is beyond them was not looked at."""
    _left: int = MOST_VALUES

    def _add(self, value: Any, path: str, depth: int, maps: Collection[str]) -> None:
        known = self.places.get(path)
        if known is None and len(self.places) >= MOST_PLACES:
            self.marks.add(MANY_PATHS)
            return
        kind = type(value)
        self.places[path] = (known or 0) | shape_types.OF[kind]
        if kind is dict or kind is list:
            self._add_children(value, path, depth, maps)

    def _add_children(self, value: Any, path: str, depth: int, maps: Collection[str]) -> None:
        if depth >= DEEPEST:
            if value:
                self.marks.add(DEEP)
            return
        if len(value) > self._left:
            self.marks.add(LARGE)
        if type(value) is list:
            self._left, items = max(0, self._left - len(value)), value[: self._left]
            below = path + ITEMS
            for item in items:
                self._add(item, below, depth + 1, maps)
            return
        if len(value) > WIDEST:
            self.marks.add(WIDE)
        is_map = path in maps or len(value) > WIDEST
        for key, child in value.items():
            if not self._left:
                return
            self._left -= 1
            if len(key) > LONGEST_KEY:
                self.marks.add(LONG_KEYS)
            self._add(child, path + (ANY if is_map else step(key)), depth + 1, maps)


def look(value: Any, maps: Collection[str]) -> Sighting:
    """See the shape of a decoded body. No value, and no key that reads like one, is in what is answered.

    Args:
        value: What `shape_body.read` answers, if that is JSON.
        maps: Paths of objects whose keys are data.
    """
    sighting = Sighting()
    sighting._add(value, ROOT, 0, maps)  # noqa: SLF001  (its own module)
    return sighting


def fingerprint(value: Any) -> int:
    """A number that is the same for bodies with the same keys, in the same order, and the same types.

    An array counts as the set of its items' fingerprints. What is nested beyond `DEEPEST` isn't looked at.
    """
    return hash(_print(value, DEEPEST))


def _print(value: Any, depth: int) -> object:
    if type(value) is dict:
        if not depth:
            return dict, not value
        return (
            *value,
            *[
                _print(child, depth - 1) if (kind := type(child)) is dict or kind is list else kind
                for child in value.values()
            ],
        )
    if type(value) is list:
        if not depth:
            return list, not value
        return frozenset(
            [
                _print(child, depth - 1) if (kind := type(child)) is dict or kind is list else kind
                for child in value
            ]
        )
    return type(value)
