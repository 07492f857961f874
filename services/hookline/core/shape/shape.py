"""The shape of one source's bodies of one type: what is known of it, and what of it has drifted.

Pure: time is passed in, and what several edges have learned is added up in any order.
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import msgspec

from hookline.core.shape import types as shape_types
from hookline.core.shape.lesson import Lesson, Tally, merged_maps
from hookline.core.shape.look import MANY_PATHS
from hookline.core.shape.path import collapse, steps

MOST_PATHS = 1_000
"""Paths that one shape may have; what comes later is counted and not kept."""
GONE_AFTER = 50
"""Bodies in a row without a path that used to be there."""
_ALWAYS = 0.99
"""The share of bodies that a path must have been in, so that its absence says anything."""

DriftKind = Literal["new", "type", "vanished"]


@dataclass(frozen=True, slots=True)
class Learning:
    """How long a shape is only learned: until the first of the two is reached."""

    bodies: int = 100
    time: timedelta = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Drift:
    """A shape that is no longer as it was learned."""

    path: str
    kind: DriftKind
    was: int
    """Types, as `shape_types` writes them."""
    now: int
    count: int
    """Bodies that show it."""


class Place(msgspec.Struct, array_like=True):
    """What is known of one path."""

    known: int
    """The types that are no news. 0: the path itself is news."""
    seen: int
    """All types that were seen."""
    bodies: int
    """In how many bodies it was."""
    since: int
    """How many bodies there were before it was seen first."""
    absent: int = 0
    """In how many of the last bodies, one after the other, it was not."""


class Shape(msgspec.Struct):
    """What is known of the bodies of one type. Holds paths and types, never a value."""

    began: float
    """Unix time of the first body."""
    bodies: int = 0
    learned: bool = False
    """Whether the learning is over, so that a difference is drift."""
    places: dict[str, Place] = msgspec.field(default_factory=dict)
    maps: frozenset[str] = frozenset()
    """Paths of objects whose keys are data."""
    marks: dict[str, int] = msgspec.field(default_factory=dict)
    """How many bodies went over which bound, were unreadable, or were skipped."""

    def after(self, lesson: Lesson, *, now: float, learning: Learning) -> "tuple[Shape, list[Drift]]":
        """What is known after a lesson, and in what the lesson differs from what was known.

        Args:
            lesson: What was learned since.
            now: Unix time.
            learning: When the learning ends. It ends between lessons.
        """
        learned = self.learned or (
            self.bodies > 0
            and (self.bodies >= learning.bodies or now - self.began >= learning.time.total_seconds())
        )
        maps = merged_maps(self.maps | lesson.maps)
        lesson = lesson.under(maps)
        shape = Shape(
            began=self.began,
            bodies=self.bodies + lesson.bodies,
            learned=learned,
            places=_under(maps, self.places),
            maps=maps,
            marks=dict(Counter(self.marks) + Counter(lesson.marks)),
        )
        drifts = [drift for path in sorted(lesson.places) if (drift := shape._meet(path, lesson))]
        for path, place in shape.places.items():
            place.absent = 0 if path in lesson.places else place.absent + lesson.bodies
        if learned:
            drifts += shape._vanished(lesson.bodies)
        return shape, drifts

    def accepted(self, paths: Collection[str] | None = None) -> "Shape":
        """The same with drift as the new known shape; `paths` says of which paths, None of all."""
        places = {}
        for path, place in self.places.items():
            if paths is not None and path not in paths:
                places[path] = place
            elif not self._is_gone(place):
                places[path] = msgspec.structs.replace(place, known=place.known | place.seen)
        return msgspec.structs.replace(self, places=places)

    def _meet(self, path: str, lesson: Lesson) -> Drift | None:
        """Add what was seen at one path; answers how that differs from what was known."""
        tally = lesson.places[path]
        bodies = sum(tally.values())
        seen = _union(tally)
        place = self.places.get(path)
        if place is None:
            if len(self.places) >= MOST_PATHS:
                self.marks[MANY_PATHS] = self.marks.get(MANY_PATHS, 0) + bodies
                return None
            place = Place(known=0, seen=0, bodies=0, since=max(0, self.bodies - max(bodies, lesson.bodies)))
            self.places[path] = place
        place.seen |= seen
        place.bodies += bodies
        if not self.learned:
            place.known = place.seen
        elif not place.known:
            return Drift(path, "new", 0, place.seen, bodies)
        odd = {types: count for types, count in tally.items() if not shape_types.fits(types, place.known)}
        return Drift(path, "type", place.known, _union(odd), sum(odd.values())) if odd else None

    def _vanished(self, bodies: int) -> list[Drift]:
        """Paths that used to be there and no longer are. Not what stood inside of another of them."""
        if not bodies:
            return []
        gone = {path for path, place in self.places.items() if place.known and self._is_gone(place)}
        return [
            # All of them when it is noticed, and then those that come.
            Drift(
                path,
                "vanished",
                place.known,
                0,
                bodies if place.absent - bodies >= GONE_AFTER else place.absent,
            )
            for path, place in self.places.items()
            if path in gone and not _parents(path) & gone
        ]

    def _is_gone(self, place: Place) -> bool:
        present_until = self.bodies - place.absent
        return (
            place.absent >= GONE_AFTER
            and place.bodies >= GONE_AFTER
            and place.bodies >= _ALWAYS * (present_until - place.since)
        )


def _under(maps: frozenset[str], places: dict[str, Place]) -> dict[str, Place]:
    """Copies of the places, with the keys of maps left out."""
    merged: dict[str, Place] = {}
    for path, place in places.items():
        to = collapse(path, maps)
        other = merged.get(to)
        merged[to] = msgspec.structs.replace(place) if other is None else _both(place, other)
    return merged


def _both(one: Place, other: Place) -> Place:
    return Place(
        known=one.known | other.known,
        seen=one.seen | other.seen,
        bodies=max(one.bodies, other.bodies),
        since=min(one.since, other.since),
        absent=min(one.absent, other.absent),
    )


def _union(tally: Tally) -> int:
    union = 0
    for types in tally:
        union |= types
    return union


def _parents(path: str) -> set[str]:
    """The paths that one stands in, without the body itself."""
    above = steps(path)[:-1]
    return {"$" + "".join(above[:count]) for count in range(1, len(above) + 1)}
