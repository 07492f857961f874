"""Learn the shape of one source's bodies of one type, and tell only what can't be a person.

A key may be data: `{"by_applicant": {"JANEDOE": …}}`. Keys that read like data are left out at once (`shape_path`).
One that reads like a word is told by name only

- where a JSON Schema names it, or
- once it stood in bodies of `SUBJECTS` different subjects, at a place where keys come back. Where ever new keys
  come, the object is a map, and none of its keys are told; those that were are forgotten.

Until then it stays in this process's memory, and after the learning it is told as `*`, so that nothing new goes
unnoticed.
"""

from collections import Counter
from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

from hookline.core.shape.lesson import Lesson, merged_maps
from hookline.core.shape.look import MANY_PATHS, WIDEST, Sighting, fingerprint, look
from hookline.core.shape.path import ANY, ITEMS, collapse, is_below, name_step, steps

SUBJECTS = 3
_LARGEST_PRINTED = 16 * 1024
"""Bytes. Whether a larger body was seen before costs more than to look at it within bounds."""
_MOST_PRINTS = 256
_MOST_PLACES = 2_000
"""Paths in memory, told or not."""
_LONGEST_WAIT = 1_000
"""Bodies after which a key that didn't come back is forgotten."""
_MAP_AFTER = 20
"""Bodies before an object can turn out to be a map."""
_STRANGERS = 32
"""Keys of one object that came and were too rare to be names, so that it is a map."""
_CALM = 4
"""Keys that may be undecided while another one becomes a name."""

Subject = bytes | str | int
"""Whom a body is about, or anything that is different for different subjects."""


class _Place:
    __slots__ = ("around", "born", "own", "subjects", "tally", "told", "total")

    def __init__(self, around: str, own: str, born: int) -> None:
        self.around = around
        self.own = own
        """The last step; "" for the body itself."""
        self.born = born
        self.subjects: set[Subject] | None = set() if own not in ("", ITEMS, ANY) else None
        """None: there were enough."""
        self.tally: Counter[int] = Counter()
        """Bodies by types, not told yet."""
        self.total = 0
        self.told = False

    @property
    def is_key(self) -> bool:
        return self.own not in ("", ITEMS, ANY)


class _Object(NamedTuple):
    """How many keys of an object are names, or could be told as such, and how many aren't decided yet."""

    decided: int
    undecided: int


class _Known:
    """Bodies of one fingerprint."""

    __slots__ = ("count", "sighting")

    def __init__(self, sighting: Sighting) -> None:
        self.sighting = sighting
        self.count = 0


class Learner:
    """Looks at bodies, and answers what can be told of them."""

    def __init__(self, names: Collection[str] = ()) -> None:
        """Learn from nothing.

        Args:
            names: Keys that are names for sure, because a schema says so.
        """
        self._names = frozenset(name_step(name) for name in names)
        self._places: dict[str, _Place] = {}
        self._prints: dict[int, _Known] = {}
        self._maps: frozenset[str] = frozenset()
        self._strangers: Counter[str] = Counter()
        self._marks: Counter[str] = Counter()
        self._seen = 0
        """Bodies, ever."""
        self._told = 0
        """Bodies that the lessons so far were about."""

    def __repr__(self) -> str:
        return f"<Learner bodies={self._seen} places={len(self._places)} prints={len(self._prints)}>"

    def see(self, value: Any, *, size: int, subject: Subject) -> None:
        """Look at one decoded body.

        Args:
            value: The body; what could not be read is a mark instead.
            size: Its length in bytes.
            subject: Whom it is about.
        """
        self._seen += 1
        number = 0
        if size <= _LARGEST_PRINTED:
            number = fingerprint(value)
            known = self._prints.get(number)
            if known is not None:
                known.count += 1
                return
        sighting = look(value, self._maps)
        is_decided = self._add(sighting, subject)
        if is_decided and size <= _LARGEST_PRINTED:
            if len(self._prints) >= _MOST_PRINTS:
                self._fold()
            self._prints[number] = _Known(sighting)

    def mark(self, mark: str, count: int = 1) -> None:
        """Note what could not be looked at."""
        self._marks[mark] += count

    def know(self, paths: Iterable[str], maps: frozenset[str]) -> None:
        """Take over what others have told: their names are names, and their maps are maps."""
        self._declare(maps)
        for path in paths:
            place = self._place(collapse(path, self._maps))
            if place is not None:
                place.subjects = None
                place.told = True

    def teach(self, *, learned: bool) -> Lesson:
        """Everything that can be told and wasn't.

        Args:
            learned: Whether the learning is over, so that what isn't named yet is told as `*`.
        """
        self._fold()
        self._find_maps()
        objects = self._objects()
        places: dict[str, Counter[int]] = {}
        for path in sorted(self._places, key=len):  # what is around comes first
            place = self._places[path]
            if place.own and not self._places[place.around].told:
                continue
            place.told = place.told or self._may_be_told(place, objects)
            if place.told:
                _move(place, places, path)
        if learned:
            self._tell_unnamed(places)
        self._forget_rare()
        lesson = Lesson(
            bodies=self._seen - self._told, places=places, maps=self._maps, marks=dict(self._marks)
        )
        self._told = self._seen
        self._marks.clear()
        return lesson

    def _add(self, sighting: Sighting, subject: Subject, count: int = 1) -> bool:
        """Add what was seen in one body, or in many alike; answers whether all its keys are names or data."""
        is_decided = True
        for mark in sighting.marks:
            self._marks[mark] += count
        for path, types in sighting.places.items():
            place = self._place(path)
            if place is None:
                self._marks[MANY_PATHS] += count
                is_decided = False
                continue
            place.tally[types] += count
            place.total += count
            if place.subjects is not None:
                place.subjects.add(subject)
                if len(place.subjects) >= SUBJECTS:
                    place.subjects = None
            is_decided &= place.told
        return is_decided

    def _place(self, path: str) -> _Place | None:
        place = self._places.get(path)
        if place is None and len(self._places) < _MOST_PLACES:
            way = steps(path)
            own = way[-1] if way else ""
            place = _Place(path[: len(path) - len(own)], own, self._seen)
            self._places[path] = place
        return place

    def _may_be_told(self, place: _Place, objects: "dict[str, _Object]") -> bool:
        if not place.is_key or place.own in self._names:
            return True
        around = objects[place.around]
        return place.subjects is None and around.undecided <= max(_CALM, around.decided)

    def _objects(self) -> "dict[str, _Object]":
        """The objects of the bodies by path, with the number of their keys."""
        keys = Counter(place.around for place in self._places.values() if place.is_key)
        undecided = Counter(
            place.around for place in self._places.values() if place.subjects is not None and not place.told
        )
        return {path: _Object(keys[path] - undecided[path], undecided[path]) for path in keys}

    def _tell_unnamed(self, places: dict[str, Counter[int]]) -> None:
        """Add what stands at undecided keys as if they were data; what is inside of it isn't told."""
        for place in self._places.values():
            if place.told:
                continue
            if self._places[place.around].told:
                _move(place, places, place.around + ANY)
            else:
                place.tally.clear()

    def _find_maps(self) -> None:
        """Declare the objects to which ever new keys come."""
        found = set()
        for path, keys in self._objects().items():
            strangers = keys.undecided + self._strangers[path]
            ever_new = strangers > max(_STRANGERS, 2 * keys.decided)
            if (ever_new and self._places[path].total >= _MAP_AFTER) or sum(keys) > WIDEST:
                found.add(path)
        self._declare(frozenset(found))

    def _declare(self, maps: frozenset[str]) -> None:
        """Leave out the keys of these maps from here on, and of what was seen before."""
        merged = merged_maps(self._maps | maps)
        if merged == self._maps:
            return
        self._fold()
        self._maps = merged
        for path in sorted(self._places, key=len):
            to = collapse(path, merged)
            if to == path:
                continue
            place = self._places.pop(path)
            other = self._place(to)
            if other is not None:
                other.tally.update(place.tally)
                other.total += place.total
                if place.told:
                    other.told, other.subjects = True, None

    def _forget_rare(self) -> None:
        """Forget keys that came and didn't come back, with all that stands below them."""
        rare = [
            path
            for path, place in self._places.items()
            if place.is_key and not place.told and self._seen - place.born >= _LONGEST_WAIT
        ]
        for path in rare:
            self._strangers[self._places[path].around] += 1
        if rare:
            kept = {
                path for path in self._places if not any(path == one or is_below(path, one) for one in rare)
            }
            self._places = {path: self._places[path] for path in kept}

    def _fold(self) -> None:
        """Count what was only recognised, and forget the fingerprints."""
        prints, self._prints = self._prints, {}
        for known in prints.values():
            if known.count:
                self._add(known.sighting, 0, known.count)


def _move(place: _Place, places: dict[str, Counter[int]], path: str) -> None:
    if place.tally:
        places.setdefault(path, Counter()).update(place.tally)
        place.tally = Counter()
