"""Keep a little ahead of the consumers: rows that are due, what former owners left, and the log."""

import asyncio
import contextlib
from collections.abc import Callable
from datetime import timedelta

import structlog

from hookline.core.filter import Filter
from hookline.core.subscription import Subscription
from hookline.core.turns import Key
from hookline.errors import DatabaseUnavailable, StatementRefused
from hookline.relay.inventory import Inventory
from hookline.relay.ownership import OwnedShard, Ownership
from hookline.relay.reader import LogReader
from hookline.relay.ready import ReadyQueue
from hookline.relay.settle import Changes, Settler
from hookline.store import deliveries
from hookline.store.session import Session
from hookline.telemetry.counts import Count

_log = structlog.get_logger(__name__)

READ_AHEAD_EVENTS = 2_000
READ_AHEAD_BYTES = 16 * 1024 * 1024
"""What may wait in memory for a free window, so that consumers need not wait for the database."""
_MOST_UNWRITTEN = 4_000
"""Changes that may wait for their commit before less is read: a blocked key turns whatever is read into rows."""
_QUIET_SPACING = 0.002
_BUSY_SPACING = 0.010
"""Seconds between two looks at the log near its head: events of that time share one."""
_BUSY_EVENTS = 10
"""A look costs the same whether it finds one event or a hundred: after one that finds this many, the next may wait."""
_AFTER_ERROR = 0.2
"""Seconds until the log is looked at again after an error."""
_NOTHING_DUE = timedelta(seconds=1)
"""How often to look for rows that others may have written, while none is known."""
_WITHIN = timedelta(seconds=30)


class Arrivals:
    """Reads for one subscription, as long as somebody wants it and there is room."""

    def __init__(
        self,
        session: Session,
        subscription: Subscription,
        *,
        ownership: Ownership,
        inventory: Inventory,
        ready: ReadyQueue,
        settler: Settler,
        poll: timedelta,
        filter_failures: Count,
    ) -> None:
        self._session = session
        self._filter_failures = filter_failures
        self._ownership = ownership
        self._inventory = inventory
        self._ready = ready
        self._settler = settler
        self._poll = poll.total_seconds()
        self._reader = LogReader(session)
        self._unprepared: list[OwnedShard] = []
        self._turnless: list[tuple[OwnedShard, Key]] = []
        """Keys whose rows nobody has let go, found at take-over."""
        self._due_look = 0.0
        """Loop time of the next look for rows that are due."""
        self._work = asyncio.Event()
        self.sought = 0
        """Batches of settlements that wait for something to be read."""
        self.is_wanted = False
        """There are consumers, and we aren't about to stop."""
        self.on_arrival: Callable[[], None] = lambda: None
        """Called when something may be there to be handed out."""
        self.update(subscription)

    def __repr__(self) -> str:
        return f"<Arrivals of {self._subscription.name} unprepared={len(self._unprepared)}>"

    def update(self, subscription: Subscription) -> None:
        """Read by a changed subscription from now on."""
        self._subscription = subscription
        self._filter = Filter(
            sources=subscription.sources, types=subscription.types, expression=subscription.expression
        )

    def prepare(self, shards: list[OwnedShard]) -> None:
        """Shards became ours: learn what their former owners left, then read them."""
        self._unprepared += shards
        self._due_look = 0.0
        self._work.set()

    def wake(self) -> None:
        """There may be something to read, or room for it."""
        self._work.set()

    def handed_out(self) -> None:
        """Something may have been handed out: read on when half of what was ahead is gone."""
        if self._ready.events < READ_AHEAD_EVENTS // 2:
            self._work.set()

    def look_for_due(self, after: timedelta = timedelta(0)) -> None:
        """A row is due, or will be."""
        at = asyncio.get_running_loop().time() + after.total_seconds()
        if at < self._due_look:
            self._due_look = at
            self._work.set()

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            self._work.clear()
            found, more = 0, False
            if self._has_room():
                try:
                    found, more = await self._read()
                except (DatabaseUnavailable, StatementRefused) as error:
                    _log.warning("log not read", subscription=self._subscription.name, reason=str(error))
                    await asyncio.sleep(_AFTER_ERROR)
                    continue
            # Also when nothing was read: a lease that had to be renewed first may be valid again.
            self.on_arrival()
            if more and self._has_room():
                continue
            await asyncio.sleep(_BUSY_SPACING if found >= _BUSY_EVENTS else _QUIET_SPACING)
            pause = self._poll
            if self._has_room():
                pause = min(pause, self._due_look - asyncio.get_running_loop().time())
            if pause > 0:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._work.wait()

    def _has_room(self) -> bool:
        return (
            ((self.is_wanted and not self._subscription.paused) or self.sought > 0)
            and self._ready.events < READ_AHEAD_EVENTS // 2
            and self._ready.bytes < READ_AHEAD_BYTES
            and self._settler.waiting < _MOST_UNWRITTEN
        )

    async def _read(self) -> tuple[int, bool]:
        """Read once; answers how many events were found, and whether more are known to wait."""
        if self._unprepared:
            await self._prepare()
        shards = {
            number: shard
            for number, shard in self._ownership.shards.items()
            if shard.prepared and not shard.leaving
        }
        if self._reader.has_pending:
            pending = await self._reader.read_pending(self._room_for_bytes())
            self._inventory.take_pending((shard, event) for shard, event in pending if not shard.leaving)
            return len(pending), True
        self._let_go()
        due = 0
        if shards and asyncio.get_running_loop().time() >= self._due_look:
            due = await self._read_due(list(shards.values()))
            if not self._has_room():
                return due, True
        found, more = await self._reader.read(
            shards,
            events=READ_AHEAD_EVENTS - self._ready.events,
            body_bytes=self._room_for_bytes(),
        )
        wanted = []
        for shard, event in found:
            if shard.leaving:
                continue
            if self._filter.matches(event):
                wanted.append((shard, event))
            else:
                shard.progress.settle(event.seq)
                self._settler.skip(shard)
        self._filter_failures.add(self._filter.failures)
        self._filter.failures = 0
        self._inventory.take_new(wanted)
        return len(found) + due, more

    async def _prepare(self) -> None:
        """Learn of rows that later events have to wait for, before any is read."""
        fresh = [shard for shard in self._unprepared if not shard.lost]
        if fresh and self._subscription.is_ordered:
            numbers = {shard.shard: shard for shard in fresh}
            for found in await deliveries.keys_with_rows(
                self._session, self._subscription.name, list(numbers), within=_WITHIN
            ):
                shard = numbers[found.shard]
                shard.turns.has_rows(found.key, found.lowest)
                if found.needs_turn:
                    self._turnless.append((shard, found.key))
        for shard in fresh:
            shard.prepared = True
        self._reader.add(fresh)
        self._unprepared = [shard for shard in self._unprepared if not shard.lost and not shard.prepared]

    def _let_go(self) -> None:
        """Let keys go on whose last owner stopped in between; what it had in its hands comes first."""
        turnless, self._turnless = self._turnless, []
        if turns := [
            (shard, key) for shard, key in turnless if not shard.lost and shard.turns.should_ask(key)
        ]:
            self._settler.add(Changes(turns=turns))

    async def _read_due(self, shards: list[OwnedShard]) -> int:
        by_number = {shard.shard: shard for shard in shards}
        room = READ_AHEAD_EVENTS - self._ready.events
        # Before the look, so that what is written meanwhile is looked for once more.
        self._due_look = asyncio.get_running_loop().time() + _NOTHING_DUE.total_seconds()
        found = await deliveries.read_due(
            self._session,
            self._subscription.name,
            list(by_number),
            held=self._inventory.before_due_is_read(),
            events=room,
            body_bytes=self._room_for_bytes(),
            within=_WITHIN,
        )
        here = [(by_number[due.event.shard], due) for due in found]
        self._inventory.take_due((shard, due) for shard, due in here if not shard.lost and not shard.leaving)
        if len(found) >= room or sum(len(due.event.body) for due in found) >= self._room_for_bytes():
            self.look_for_due()
            return len(found)
        wait = await deliveries.next_due(
            self._session, self._subscription.name, list(by_number), within=_WITHIN
        )
        if wait is not None:
            self.look_for_due(after=max(wait, timedelta(0)))
        return len(found)

    def _room_for_bytes(self) -> int:
        return max(1, READ_AHEAD_BYTES - self._ready.bytes)
