"""Which shards of a subscription are ours, until when, and how far they have come."""

import asyncio
from collections.abc import Callable, Iterable
from datetime import timedelta

import structlog

from hookline.core.progress import ShardProgress
from hookline.errors import DatabaseUnavailable, StatementRefused
from hookline.model import OwnedCursor, Shard, SubscriptionName
from hookline.store import cursors
from hookline.store.session import Session

_log = structlog.get_logger(__name__)

_CLOCK_MARGIN = 0.2
"""Part of the lease that we don't use: our clock and the database's run at different speeds."""


class OwnedShard:
    """One shard under our lease."""

    __slots__ = ("epoch", "lost", "progress", "shard", "valid_until")

    def __init__(self, cursor: OwnedCursor, *, valid_until: float) -> None:
        self.shard = cursor.shard
        self.epoch = cursor.epoch
        self.progress = ShardProgress(cursor.state)
        self.valid_until = valid_until
        """Loop time after which another relay may own it: nothing is handed over from then on."""
        self.lost = False
        """Another relay owns it: everything known here is void."""

    def __repr__(self) -> str:
        return f"<OwnedShard {self.shard} epoch={self.epoch} lost={self.lost} {self.progress!r}>"

    def cursor(self) -> OwnedCursor:
        """What to write."""
        return OwnedCursor(self.shard, self.epoch, self.progress.state())


class Ownership:
    """Takes and keeps the leases of one subscription.

    Args:
        owner: Names this relay process, uniquely.
        on_acquired: Called with shards that became ours.
        on_lost: Called with shards that another relay took over.
    """

    def __init__(
        self,
        session: Session,
        subscription: SubscriptionName,
        *,
        owner: str,
        lease: timedelta,
        on_acquired: Callable[[list[OwnedShard]], None],
        on_lost: Callable[[list[OwnedShard]], None],
    ) -> None:
        self._session = session
        self._subscription = subscription
        self._owner = owner
        self._lease = lease
        self._on_acquired = on_acquired
        self._on_lost = on_lost
        self.shards: dict[Shard, OwnedShard] = {}
        self._attempted = asyncio.Event()
        self._writing = asyncio.Lock()
        """Held while cursors are written: two statements over the same rows could wait for each other."""

    def __repr__(self) -> str:
        return f"<Ownership {self._subscription} shards={sorted(self.shards)}>"

    async def run(self) -> None:
        """Acquire what is free and renew what is ours, until cancelled."""
        interval = self._lease.total_seconds() / 4
        while True:
            try:
                await self._renew()
                await self._acquire()
            except (DatabaseUnavailable, StatementRefused) as error:
                _log.warning("leases not renewed", subscription=self._subscription, reason=str(error))
                await asyncio.sleep(min(interval, 0.5))
            else:
                await asyncio.sleep(interval)

    async def attempted(self) -> None:
        """Wait until it was tried once to take what is free."""
        await self._attempted.wait()

    async def advance(self, session: Session, shards: Iterable[OwnedShard]) -> None:
        """Write how far shards have come; those that are no longer ours are marked lost.

        Raises:
            DatabaseUnavailable: It can't be known whether the cursors moved.
        """
        mine = [shard for shard in shards if not shard.lost]
        if not mine:
            return
        async with self._writing:
            valid_until = self._valid_until()
            kept = await cursors.advance(
                session,
                self._subscription,
                [shard.cursor() for shard in mine],
                lease=self._lease,
                within=self._lease,
            )
        self._note(mine, kept, valid_until)

    async def release(self) -> None:
        """Give up all leases. A database that can't be reached is left to let them expire."""
        mine, self.shards = list(self.shards.values()), {}
        if not mine:
            return
        epochs = [(shard.shard, shard.epoch) for shard in mine]
        try:
            await cursors.release(self._session, self._subscription, epochs, within=timedelta(seconds=1))
        except (DatabaseUnavailable, StatementRefused) as error:
            _log.warning("leases not released", subscription=self._subscription, reason=str(error))

    async def _acquire(self) -> None:
        valid_until = self._valid_until()
        taken = await cursors.acquire(
            self._session, self._subscription, owner=self._owner, lease=self._lease, within=self._lease
        )
        # Our own lease may have expired before it was renewed: what we knew of it is void now.
        self._lose([self.shards[cursor.shard] for cursor in taken if cursor.shard in self.shards])
        acquired = [OwnedShard(cursor, valid_until=valid_until) for cursor in taken]
        self.shards.update((shard.shard, shard) for shard in acquired)
        if acquired:
            _log.info("shards acquired", subscription=self._subscription, shards=len(acquired))
            self._on_acquired(acquired)
        self._attempted.set()

    async def _renew(self) -> None:
        mine = list(self.shards.values())
        if not mine:
            return
        async with self._writing:
            valid_until = self._valid_until()
            kept = await cursors.renew(
                self._session,
                self._subscription,
                [(shard.shard, shard.epoch) for shard in mine],
                lease=self._lease,
                within=self._lease,
            )
        self._note(mine, kept, valid_until)

    def _valid_until(self) -> float:
        """When a lease that is written from now on must not be used any more. Taken before the statement is sent."""
        return asyncio.get_running_loop().time() + self._lease.total_seconds() * (1 - _CLOCK_MARGIN)

    def _note(self, asked: list[OwnedShard], kept: set[Shard], valid_until: float) -> None:
        for shard in asked:
            if shard.shard in kept:
                shard.valid_until = max(shard.valid_until, valid_until)
        self._lose([shard for shard in asked if shard.shard not in kept])

    def _lose(self, shards: list[OwnedShard]) -> None:
        lost = [shard for shard in shards if not shard.lost]
        for shard in lost:
            shard.lost = True
            if self.shards.get(shard.shard) is shard:
                del self.shards[shard.shard]
        if lost:
            _log.warning("shards lost", subscription=self._subscription, shards=len(lost))
            self._on_lost(lost)
