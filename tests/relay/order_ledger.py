"""What was sent in which order of which key, and what consumers have seen of it."""

from collections.abc import Iterable, Sequence
from itertools import count

from hookline.model import NewEvent
from hookline.v1 import delivery_pb2 as pb
from path.rig.events import append, event


class OrderLedger:
    """Knows every event by its number; says which hand-over came too early."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._numbers = count()
        self._key: dict[str, str] = {}
        self._number: dict[str, int] = {}
        self._of_key: dict[str, list[str]] = {}
        self.finished: set[str] = set()
        """Acked or rejected, as far as consumers know."""
        self.inversions: list[str] = []
        self.hand_overs = 0

    async def send(self, keys: Iterable[str]) -> list[str]:
        """Commit an event for each key, in this order; answers their ids."""
        events: list[NewEvent] = []
        for key in keys:
            number = next(self._numbers)
            # A key has one shard; those of these tests have more than one key.
            new = event(str(number).encode(), shard=sum(key.encode()) % 4)._replace(ordering_key=key)
            name = str(new.event_id)
            self._key[name], self._number[name] = key, number
            if key:
                self._of_key.setdefault(key, []).append(name)
            events.append(new)
        return await append(self._dsn, events)

    def numbers(self, deliveries: Sequence[pb.Delivery]) -> list[int]:
        return [int(delivery.body) for delivery in deliveries]

    def handed_over(self, delivery: pb.Delivery) -> None:
        self.hand_overs += 1
        assert int(delivery.body) == self._number[delivery.event_id]
        key = self._key[delivery.event_id]
        for earlier in self._of_key.get(key, ()):
            if earlier == delivery.event_id:
                break
            if earlier not in self.finished:
                self.inversions.append(f"{key}: {delivery.body!r} before {self._number[earlier]}")

    def is_down_to(self, count: int) -> bool:
        """Whether no more than `count` are unfinished."""
        return len(self.unfinished) <= count

    @property
    def unfinished(self) -> set[str]:
        return set(self._key) - self.finished
