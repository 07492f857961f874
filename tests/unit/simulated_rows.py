"""The database as the pure engine sees it: one shard's log, its cursor and its delivery rows, in memory.

Follows the SQL functions settle, take_turns, add_deliveries, redrive and delete_dead_letters.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from hookline.core.subscription import AfterDeadLetter
from hookline.core.turns import Key, Place
from hookline.model import CursorState, LoggedEvent, OwnedCursor, Seq, Shard
from hookline.store.deliveries import DueDelivery, KeyWithRows
from hookline.store.settlements import DeliveryRow, Done, Written
from unit.logged_event import logged_event

SHARD = Shard(0)


@dataclass
class Row:
    event: LoggedEvent
    place: Place
    state: str
    due_at: float
    attempt: int = 0
    portion: int = 0
    is_news: bool = False
    """Somebody else than a relay wrote it, and no relay has looked since."""

    @property
    def key(self) -> Key:
        return Key(self.event.source, self.event.ordering_key)


class Database:
    """Each method is one transaction."""

    def __init__(self, after_dead_letter: AfterDeadLetter) -> None:
        self._dead_blocks = after_dead_letter == "block"
        self.clock = 0.0
        self.log: dict[Seq, LoggedEvent] = {}
        self.rows: dict[Place, Row] = {}
        self.cursor = CursorState(Seq(0), ())
        self.epoch = 0
        self.deleted: set[Seq] = set()
        """Given up by an operator."""
        self.acked: set[Place] = set()
        """Whose acks are committed."""

    def commit(self, key: str) -> None:
        seq = Seq(len(self.log) + 1)
        self.log[seq] = logged_event(ordering_key=key)._replace(seq=seq)

    def acquire(self) -> OwnedCursor:
        self.epoch += 1
        return OwnedCursor(SHARD, self.epoch, self.cursor)

    def is_unsettled(self, seq: Seq) -> bool:
        """By the cursor: neither settled nor a row."""
        return seq > self.cursor.position or seq in self.cursor.pending

    def is_live(self, row: Row) -> bool:
        return row.state != "dead" or self._dead_blocks

    def keys_with_rows(self) -> list[KeyWithRows]:
        keys = sorted({row.key for row in self.rows.values() if row.key.ordering_key})
        return [
            KeyWithRows(SHARD, key, lowest.place, lowest.state == "blocked")
            for key in keys
            if (lowest := self._lowest(key)) is not None
        ]

    def read_due(self, held: Collection[Place]) -> list[DueDelivery]:
        return [
            DueDelivery(row.event, row.place.replay, row.attempt, row.portion, None)
            for row in sorted(self.rows.values(), key=lambda row: (row.due_at, row.place))
            if row.state == "waiting" and row.due_at <= self.clock and row.place not in held
        ]

    def settle(
        self,
        cursor: OwnedCursor,
        *,
        done: Sequence[Done],
        rows: Sequence[DeliveryRow],
        turns: Sequence[tuple[Shard, Key]],
    ) -> Written:
        if cursor.epoch != self.epoch:
            return Written(set(), {}, {})
        assert cursor.state.position >= self.cursor.position, "a cursor never goes back"
        self.cursor = cursor.state
        places = [row.place for row in rows]
        # As Postgres says it: "ON CONFLICT DO UPDATE command cannot affect row a second time".
        assert len(places) == len(set(places)), "the statement is refused"
        for row in rows:
            self.rows[row.place] = Row(
                self.log[row.place.seq],
                row.place,
                row.state,
                self.clock + row.delay.total_seconds(),
                row.attempt,
                row.portion,
            )
        gone = {place: self.rows.pop(place).key for _, place, _ in done if place in self.rows}
        self._take_turns(key for _, key in turns)
        lowest = {key: self._lowest(key) for _, key in turns}
        return Written(
            {SHARD},
            {(SHARD, place): key for place, key in gone.items()},
            {(SHARD, key): row.place if row is not None else None for key, row in lowest.items()},
        )

    def replay(self, seqs: Iterable[Seq], replay: int) -> bool:
        """False if it has to wait, because an earlier event of a key is in somebody's hands without a row."""
        wanted = [self.log[seq] for seq in sorted(seqs)]
        for event in wanted:
            for pending in self.cursor.pending:
                earlier = self.log[pending]
                if (
                    earlier.ordering_key
                    and pending < event.seq not in self.cursor.pending
                    and (earlier.source, earlier.ordering_key) == (event.source, event.ordering_key)
                ):
                    return False
        for event in wanted:
            place, course = Place(event.seq, replay), self.rows.get(Place(event.seq, 0))
            if self.is_unsettled(event.seq) or (course is not None and course.state != "dead"):
                continue
            state = "blocked" if event.ordering_key else "waiting"
            self.rows[place] = Row(event, place, state, self.clock, is_news=True)
            self._take_turns([self.rows[place].key])
        return True

    def withdraw(self, replay: int) -> None:
        """The replay was cancelled."""
        self._remove(row for row in self.rows.values() if row.place.replay == replay and row.state != "dead")

    def redrive(self, letters: Iterable[Place]) -> None:
        again = [self.rows[place] for place in letters]
        for row in again:
            row.state = "blocked" if row.event.ordering_key else "waiting"
            row.attempt, row.due_at, row.is_news = 0, self.clock, True
        self._take_turns(row.key for row in again)

    def delete_dead(self, letters: Iterable[Place]) -> None:
        given_up = [self.rows[place] for place in letters]
        self.deleted.update(row.place.seq for row in given_up)
        self._remove(given_up)

    def dead(self) -> list[Place]:
        return sorted(place for place, row in self.rows.items() if row.state == "dead")

    def _remove(self, rows: Iterable[Row]) -> None:
        gone = list(rows)
        for row in gone:
            del self.rows[row.place]
        self._take_turns(row.key for row in gone)

    def _lowest(self, key: Key) -> Row | None:
        live = [row for row in self.rows.values() if row.key == key and self.is_live(row)]
        return min(live, key=lambda row: row.place, default=None)

    def _take_turns(self, keys: Iterable[Key]) -> None:
        for key in set(keys):
            lowest = self._lowest(key)
            if lowest is None or not key.ordering_key:
                continue
            for row in self.rows.values():
                if row.key == key and row.state == "waiting" and row.place > lowest.place:
                    row.state = "blocked"
            if lowest.state == "blocked":
                lowest.state, lowest.due_at = "waiting", max(lowest.due_at, self.clock)


class Owner:
    """In the place of `Ownership`: writes the cursor and the rows of the one shard."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def advance(self, _session: Any, shards: Iterable[Any], *, acked: Sequence[Any]) -> None:
        del acked  # a journal for people: nothing here depends on it
        for shard in shards:
            self._database.settle(shard.cursor(), done=[], rows=[], turns=[])

    async def settle(
        self,
        _session: Any,
        shards: Iterable[Any],
        *,
        done: Sequence[Done],
        rows: Sequence[DeliveryRow],
        attempts: Sequence[Any],
        turns: Sequence[tuple[Shard, Key]],
        acked: Sequence[Any],
    ) -> Written:
        del attempts, acked
        [shard] = shards
        return self._database.settle(shard.cursor(), done=done, rows=rows, turns=turns)
