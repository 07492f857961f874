"""Whose turn it is: within one shard, the events of a key are handed over one at a time, in their order."""

from bisect import insort
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Generic, NamedTuple, TypeVar

from hookline.model import Seq

Item = TypeVar("Item")


class Key(NamedTuple):
    """What events that wait for each other have in common."""

    source: str
    ordering_key: str


class Place(NamedTuple):
    """Where a delivery stands in the order of its key."""

    seq: Seq
    replay: int


class Arrival(Enum):
    """What becomes of a delivery that was read."""

    GO = auto()
    """It is its turn."""
    WAIT = auto()
    """It is kept here until its turn comes."""
    PARK = auto()
    """It belongs into the database, behind the rows that its key has there."""
    LATER = auto()
    """It has a row, and an earlier row of its key may be waiting: ask whose turn it is, and forget it until then."""


@dataclass(slots=True)
class _Entry(Generic[Item]):
    """What is known of one key, while anything of it is here or in rows."""

    active: tuple[Place, Item] | None = None
    is_out: bool = False
    """The active one is in a consumer's hands."""
    queue: list[tuple[Place, Item]] = field(default_factory=list)
    has_rows: bool = False
    """There are, or will be, rows of this key that aren't here."""
    held_by: Place | None = None
    """The lowest of those rows, as last heard: none above it may go."""
    asked: bool = False
    """An answer about the rows is on its way."""
    parked_meanwhile: bool = False
    """Something was parked since: an answer that there are no rows is out of date."""

    @property
    def is_idle(self) -> bool:
        return self.active is None and not self.queue and not self.has_rows and not self.asked


class Turns(Generic[Item]):
    """Decides about one shard's keys. Pure: it is told what happened and answers what follows.

    A key has at most one active delivery. Later ones wait here; behind a delivery that waits for its retry, or when
    there is no room, they wait as rows. Rows of a key come back one at a time: when the active one is done, whoever
    uses this asks the database, which makes the lowest row due, and it arrives like any other row that is due.
    """

    def __init__(self) -> None:
        self._entries: dict[Key, _Entry[Item]] = {}
        self.waiting = 0
        """How many deliveries wait here."""

    def __repr__(self) -> str:
        return f"<Turns keys={len(self._entries)} waiting={self.waiting}>"

    def __len__(self) -> int:
        return len(self._entries)

    def has_rows(self, key: Key, lowest: Place) -> None:
        """Note at take-over that a key has rows."""
        entry = self._entry(key)
        entry.has_rows = True
        entry.held_by = lowest

    def arrive(self, key: Key, place: Place, item: Item, *, room: bool) -> Arrival:
        """A new event was read from the log, above all that were read before.

        Args:
            key: Its key.
            place: Its place.
            item: The delivery.
            room: Whether one more may wait here.
        """
        entry = self._entry(key)
        if entry.has_rows or entry.asked or (entry.active is not None and not room):
            entry.has_rows = True
            entry.parked_meanwhile = True
            return Arrival.PARK
        if entry.active is None:
            entry.active = (place, item)
            return Arrival.GO
        entry.queue.append((place, item))
        self.waiting += 1
        return Arrival.WAIT

    def arrive_again(
        self, key: Key, place: Place, item: Item, *, is_row: bool
    ) -> tuple[Arrival, Item | None]:
        """Something known before was read: a row that is due, or what a relay before this one had in its hands.

        Also answers a delivery that must wait again, because this one's turn comes before.
        """
        entry = self._entry(key)
        # Where a row comes from, which others may have written, there may be more that wait for it.
        entry.has_rows = entry.has_rows or is_row
        if entry.held_by is not None and place > entry.held_by:
            return Arrival.LATER, None
        if entry.held_by == place:
            entry.held_by = None
        if entry.active is None:
            entry.active = (place, item)
            return Arrival.GO, None
        if place < entry.active[0] and not entry.is_out:
            displaced = entry.active
            entry.active = (place, item)
            self._enqueue(entry, displaced)
            return Arrival.GO, displaced[1]
        self._enqueue(entry, (place, item))
        return Arrival.WAIT, None

    def handed_out(self, key: Key) -> None:
        """The active delivery is in a consumer's hands, or settled: its turn isn't given to an earlier one."""
        self._entries[key].is_out = True

    def taken_back(self, key: Key) -> Item | None:
        """The active delivery is here again; answers the one whose turn it is instead, if there is an earlier one."""
        entry = self._entries[key]
        entry.is_out = False
        if not entry.queue or entry.active is None or entry.active[0] < entry.queue[0][0]:
            return None
        back = entry.active
        entry.active = entry.queue.pop(0)
        insort(entry.queue, back, key=_place)
        return entry.active[1]

    def done(self, key: Key) -> Item | None:
        """The active delivery is settled for good, and that is durable; answers whose turn it is."""
        entry = self._entries[key]
        entry.active = None
        return self._next(key, entry)

    def withdraw(self, key: Key, place: Place) -> bool:
        """Forget a delivery that waits here; False if it doesn't."""
        entry = self._entries.get(key)
        if entry is None:
            return False
        left = [waiting for waiting in entry.queue if waiting[0] != place]
        found = len(left) < len(entry.queue)
        entry.queue = left
        self.waiting -= found
        return found

    def failed(self, key: Key) -> tuple[Item | None, list[Item]]:
        """The active delivery becomes a row; answers whose turn it is, and what has to be parked behind the row."""
        entry = self._entries[key]
        assert entry.active is not None
        place = entry.active[0]
        entry.active = None
        behind = [item for other, item in entry.queue if other > place]
        entry.queue = [waiting for waiting in entry.queue if waiting[0] < place]
        self.waiting -= len(behind)
        entry.has_rows = entry.parked_meanwhile = True
        entry.held_by = min(place, entry.held_by) if entry.held_by is not None else place
        return self._next(key, entry), behind

    def row_gone(self, key: Key) -> None:
        """A row of the key was settled: others, which nobody has heard of, may have waited for it."""
        self._entry(key).has_rows = True

    def should_ask(self, key: Key) -> bool:
        """Whether to ask the database now whose turn it is. Answering yes counts as asking."""
        entry = self._entries.get(key)
        if entry is None or entry.asked or entry.active is not None or not entry.has_rows:
            return False
        entry.asked = True
        entry.parked_meanwhile = False
        return True

    def answered(self, key: Key, lowest: Place | None) -> None:
        """The database has answered: its lowest row of the key, or none."""
        entry = self._entries.get(key)
        if entry is None:
            return
        entry.asked = False
        if lowest is not None:
            entry.has_rows = True
            entry.held_by = lowest if entry.active is None or lowest != entry.active[0] else None
        elif not entry.parked_meanwhile:
            entry.has_rows = False
            entry.held_by = None
            self._forget_if_idle(key, entry)

    def _next(self, key: Key, entry: _Entry[Item]) -> Item | None:
        entry.is_out = False
        if entry.queue:
            entry.active = entry.queue.pop(0)
            self.waiting -= 1
            return entry.active[1]
        self._forget_if_idle(key, entry)
        return None

    def _enqueue(self, entry: _Entry[Item], waiting: tuple[Place, Item]) -> None:
        insort(entry.queue, waiting, key=_place)
        self.waiting += 1

    def _entry(self, key: Key) -> _Entry[Item]:
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = _Entry()
        return entry

    def _forget_if_idle(self, key: Key, entry: _Entry[Item]) -> None:
        if entry.is_idle:
            del self._entries[key]


def _place(waiting: tuple[Place, object]) -> Place:
    return waiting[0]
