"""What some bodies of one source and type taught: to be added up, and to be told to the database."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

from hookline.core.shape.path import collapse

Tally = Mapping[int, int]
"""Number of bodies by the types that one path had in them."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """A sum over bodies; adding is commutative and associative, and the empty lesson changes nothing."""

    bodies: int = 0
    """How many were looked at."""
    places: Mapping[str, Tally] = field(default_factory=dict)
    """By path."""
    maps: frozenset[str] = frozenset()
    """Paths of objects whose keys are data."""
    marks: Mapping[str, int] = field(default_factory=dict)
    """How many bodies went over which bound, were unreadable, or were skipped."""

    def __bool__(self) -> bool:
        return bool(self.bodies or self.places or self.maps or self.marks)

    def __add__(self, other: Self) -> Self:
        maps = merged_maps(self.maps | other.maps)
        return type(self)(
            bodies=self.bodies + other.bodies,
            places=_sum([self.places, other.places], maps),
            maps=maps,
            marks=Counter(self.marks) + Counter(other.marks),
        )

    def under(self, maps: frozenset[str]) -> Self:
        """The same, with the keys of these maps left out too."""
        return self + type(self)(maps=maps) if maps - self.maps else self


def merged_maps(maps: frozenset[str]) -> frozenset[str]:
    """The paths of maps, each with the keys of the maps around it left out."""
    merged: frozenset[str] = frozenset()
    for path in sorted(maps, key=len):  # what is around comes first
        merged |= {collapse(path, merged)}
    return merged


def _sum(tallies: Iterable[Mapping[str, Tally]], maps: frozenset[str]) -> dict[str, Tally]:
    total: dict[str, Counter[int]] = {}
    for places in tallies:
        for path, tally in places.items():
            total.setdefault(collapse(path, maps), Counter()).update(tally)
    return {path: dict(tally) for path, tally in total.items()}
