"""What was decided is committed together; then those are told who wait for it."""

import asyncio
import contextlib
from dataclasses import dataclass, field
from time import monotonic
from typing import Protocol

import structlog

from hookline.core.turns import Key, Place
from hookline.errors import DatabaseUnavailable, StatementRefused
from hookline.model import Shard
from hookline.relay.delivery import Delivery
from hookline.relay.find import Gone
from hookline.relay.ownership import OwnedShard, Ownership
from hookline.store.acks import Ack
from hookline.store.session import Session
from hookline.store.settlements import Attempt, DeliveryRow, Done, Written

_log = structlog.get_logger(__name__)

_QUIET_SPACING = 0.002
_BUSY_SPACING = 0.015
_BUSY_EVENTS = 10
"""Settlements in one commit from which on the next may wait for more."""
_FULL = 400
"""Settlements that are committed without waiting for more."""
_IDLE_FLUSH = 1.0
"""Seconds after which positions are written that moved without a settlement, past events that nobody wants."""
_MOST_ROWS = 2_000
"""Rows in one transaction: the cursors' locks, and everyone behind them, wait for it."""
_TRANSIENT = "40"
"""SQLSTATE prefix of what goes well when it is tried again, such as a deadlock."""
_WITHOUT_JOURNAL = 30.0
"""Seconds in which acks aren't written down, after it was seen that nothing could be settled because of that."""


@dataclass(slots=True, eq=False)
class Changes:
    """What one decision changes; all of it is committed in one transaction, or the shard is lost."""

    acked: list[Delivery] = field(default_factory=list)
    """Settled for good. Those without a row only move a cursor."""
    late: list[Gone] = field(default_factory=list)
    """Acked, though not here any more: whether there is a row is the database's to say."""
    rows: list[tuple[OwnedShard, DeliveryRow]] = field(default_factory=list)
    dead: list[Delivery] = field(default_factory=list)
    """Those of `rows` whose keys go on without them."""
    attempts: list[Attempt] = field(default_factory=list)
    turns: list[tuple[OwnedShard, Key]] = field(default_factory=list)
    """Keys whose next row may go."""
    committed: "asyncio.Future[Written] | None" = None
    """Set if somebody waits."""

    @property
    def shards(self) -> set[OwnedShard]:
        """Those that it touches."""
        touched = {delivery.shard for delivery in self.acked} | {gone.shard for gone in self.late}
        for shard, _ in (*self.rows, *self.turns):
            touched.add(shard)
        return touched

    @property
    def size(self) -> int:
        """How much there is to write."""
        return len(self.acked) + len(self.late) + len(self.rows) + len(self.turns)

    def unwritten_acks(self) -> list[Ack]:
        """Acks that leave no row of an attempt: they go into the journal."""
        written = {attempt.place for attempt in self.attempts if attempt.outcome == "acked"}
        return [
            Ack(one.event.seq, one.handed_at if one.hand_over else None, one.consumer)
            for one in self.acked
            if not one.shard.lost and (not written or one.place not in written)
        ]


class Settler:
    """Gathers the changes of one subscription and commits them together.

    Args:
        session: Its own connection.
        ownership: Writes the cursors, under their epochs.
        on_committed: Called after each commit with what was in it, in order, before anybody else is told.
    """

    def __init__(self, session: Session, ownership: Ownership, on_committed: "OnCommitted") -> None:
        self._session = session
        self._ownership = ownership
        self._on_committed = on_committed
        self._gathered: list[Changes] = []
        self._moved: set[OwnedShard] = set()
        self._wake = asyncio.Event()
        self.waiting = 0
        """How much is gathered and not written."""
        self._full = asyncio.Event()
        """Enough is gathered: windows wait for it."""
        self._idle = asyncio.Event()
        self._idle.set()
        self._journal_from = 0.0
        """When acks are written down again, by `monotonic`."""

    def __repr__(self) -> str:
        return f"<Settler waiting={self.waiting} moved={len(self._moved)}>"

    def add(self, changes: Changes) -> None:
        """Commit these with the next transaction."""
        self._gathered.append(changes)
        self.waiting += changes.size
        if self.waiting >= _FULL:
            self._full.set()
        self._idle.clear()
        self._wake.set()

    def skip(self, shard: OwnedShard) -> None:
        """Note that a shard's position moved past events that need no delivery."""
        self._moved.add(shard)

    async def run(self) -> None:
        """Commit until cancelled."""
        while True:
            try:
                async with asyncio.timeout(_IDLE_FLUSH):
                    await self._wake.wait()
            except TimeoutError:
                if not self._moved:
                    continue
            self._wake.clear()
            settled = await self._flush()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_BUSY_SPACING if settled >= _BUSY_EVENTS else _QUIET_SPACING):
                    await self._full.wait()

    async def drained(self) -> None:
        """Wait until everything that was given is committed, and everybody told."""
        await self._idle.wait()

    async def _flush(self) -> int:
        """Commit what was gathered; answers how much that was."""
        taken = self._take()
        moved, self._moved = self._moved, set()
        for changes in taken:
            moved |= changes.shards
        written = await self._write_at_last(moved, taken)
        self._on_committed(taken, written)
        for changes in taken:
            if changes.committed is not None and not changes.committed.done():
                changes.committed.set_result(written)
        if self._gathered:
            self._wake.set()
        else:
            self._idle.set()
        return sum(changes.size for changes in taken)

    def _take(self) -> list[Changes]:
        """The oldest changes, as many as fit into a transaction."""
        rows = count = 0
        for changes in self._gathered:
            rows += len(changes.rows) + len(changes.turns)
            if count and rows > _MOST_ROWS:
                break
            count += 1
        taken, self._gathered = self._gathered[:count], self._gathered[count:]
        # Not sooner: a cursor must not move past what is written by a later transaction, if ever.
        for changes in taken:
            for delivery in changes.acked:
                delivery.shard.progress.settle(delivery.event.seq)
            for shard, row in changes.rows:
                if row.place.replay == 0:
                    shard.progress.settle(row.place.seq)
        self.waiting = sum(changes.size for changes in self._gathered)
        if self.waiting < _FULL:
            self._full.clear()
        return taken

    async def _write_at_last(self, moved: set[OwnedShard], taken: list[Changes]) -> Written:
        """Write the same, which is harmless, until it is known what became of it."""
        journals = monotonic() >= self._journal_from
        refusal: StatementRefused | None = None
        while True:
            try:
                written = await self._write(moved, taken, journals=journals)
            except (DatabaseUnavailable, StatementRefused) as error:
                _log.warning("settlements not committed yet", reason=str(error))
                if isinstance(error, StatementRefused) and not error.sqlstate.startswith(_TRANSIENT):
                    # The journal of acks is for people: what is wrong with it must not keep us from settling.
                    refusal, journals = error, not journals
                await asyncio.sleep(0.2)
            else:
                break
        if refusal is not None and not journals:
            _log.error("acks are not written down for a while", reason=str(refusal), seconds=_WITHOUT_JOURNAL)
            self._journal_from = monotonic() + _WITHOUT_JOURNAL
        return written

    async def _write(self, moved: set[OwnedShard], taken: list[Changes], *, journals: bool) -> Written:
        done: list[Done] = []
        # A suspect may fail before it is written that it is one. A statement takes a row once; the last word counts.
        rows: dict[tuple[Shard, Place], DeliveryRow] = {}
        attempts: list[Attempt] = []
        turns: dict[tuple[Shard, Key], None] = {}
        acked: list[Ack] = []
        for changes in taken:
            done += [Done(d.shard.shard, d.place) for d in changes.acked if d.has_row and not d.shard.lost]
            done += [Done(g.shard.shard, g.place, g.event) for g in changes.late if not g.shard.lost]
            rows.update(((row.shard, row.place), row) for shard, row in changes.rows if not shard.lost)
            attempts += changes.attempts
            if journals:
                acked += changes.unwritten_acks()
            turns.update(((shard.shard, key), None) for shard, key in changes.turns if not shard.lost)
        if not (done or rows or attempts or turns):
            await self._ownership.advance(self._session, moved, acked=acked)
            return Written(set(), {}, {})
        return await self._ownership.settle(
            self._session,
            moved,
            done=done,
            rows=list(rows.values()),
            attempts=attempts,
            turns=list(turns),
            acked=acked,
        )


class OnCommitted(Protocol):
    """See `Settler`."""

    def __call__(self, taken: list[Changes], written: Written) -> None:
        """`taken` are durable, except what belongs to shards that were lost."""
