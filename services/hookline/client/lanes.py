"""What waits its turn: one at a time in each lane, in order of arrival. Pure."""

from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Lanes(Generic[T]):
    """A queue in which items of one lane wait for each other.

    A lane is taken from the moment that one of its items is ready until `leave` is called for it.
    """

    def __init__(self) -> None:
        self._ready: deque[tuple[Hashable | None, T]] = deque()
        self._behind: dict[Hashable, deque[T]] = {}
        """Every lane that is taken, with what waits in it."""
        self._waiting = 0

    def __len__(self) -> int:
        """How many items wait, ready or not."""
        return self._waiting

    def __repr__(self) -> str:
        return f"<Lanes waiting={self._waiting} ready={len(self._ready)} taken={len(self._behind)}>"

    def add(self, item: T, lane: Hashable | None) -> None:
        """Queue an item; one without a lane waits for nobody."""
        self._waiting += 1
        if lane is None:
            self._ready.append((None, item))
        elif (behind := self._behind.get(lane)) is not None:
            behind.append(item)
        else:
            self._behind[lane] = deque()
            self._ready.append((lane, item))

    def take(self) -> T | None:
        """The item that has been ready longest; None if none is. It keeps its lane until `leave`."""
        if not self._ready:
            return None
        self._waiting -= 1
        return self._ready.popleft()[1]

    def leave(self, lane: Hashable | None) -> None:
        """The item that was taken from this lane is done: the next one is ready."""
        if lane is None:
            return
        if behind := self._behind[lane]:
            self._ready.append((lane, behind.popleft()))
        else:
            del self._behind[lane]

    def clear(self) -> list[T]:
        """Take out everything that waits. Lanes of what was taken before stay taken."""
        cleared = [item for _, item in self._ready]
        for lane, _ in self._ready:
            if lane is not None:
                cleared.extend(self._behind.pop(lane))
        for behind in self._behind.values():
            cleared.extend(behind)
            behind.clear()
        self._ready.clear()
        self._waiting = 0
        return cleared
