"""Which shards of a subscription are ours, until when, and how far they have come."""

import asyncio
import contextlib
import math
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta

import structlog

from hookline.core.progress import ShardProgress
from hookline.core.share import fair_share
from hookline.core.turns import Key, Turns
from hookline.errors import DatabaseUnavailable, StatementRefused
from hookline.model import OwnedCursor, Shard, SubscriptionName
from hookline.relay.delivery import Delivery
from hookline.store import cursors, settlements
from hookline.store.acks import Ack
from hookline.store.session import Session
from hookline.store.settlements import Attempt, DeliveryRow, Done, Written
from hookline.telemetry.counts import Count

_log = structlog.get_logger(__name__)

_CLOCK_MARGIN = 0.2
"""Part of the lease that we don't use: our clock and the database's run at different speeds."""


_GATHER = 0.05
"""Seconds between a hint that the members changed and the look at them."""


class OwnedShard:
    """One shard under our lease."""

    __slots__ = ("epoch", "leaving", "lost", "out", "prepared", "progress", "shard", "turns", "valid_until")

    def __init__(self, cursor: OwnedCursor, *, valid_until: float) -> None:
        self.shard = cursor.shard
        self.epoch = cursor.epoch
        self.progress = ShardProgress(cursor.state)
        self.valid_until = valid_until
        """Loop time after which another relay may own it: nothing is handed over from then on."""
        self.lost = False
        """Another relay owns it: everything known here is void."""
        self.prepared = False
        """What its former owner left is known: it may be read."""
        self.leaving = False
        """It goes to another relay as soon as what is out is settled: nothing more of it is handed over."""
        self.out = 0
        """How many of its deliveries are in consumers' hands."""
        self.turns: Turns[Delivery] = Turns()
        """Whose turn it is, where the subscription is ordered."""

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
        on_lost: Called with shards that another relay took over, or that were given up.
        on_leaving: Called with shards that are more than our share: they are given up once nothing of them is out.
        losses: Counts shards that another relay took over.
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
        on_leaving: Callable[[list[OwnedShard]], None],
        losses: Count | None = None,
    ) -> None:
        self._session = session
        self._losses = losses or Count()
        self._subscription = subscription
        self._owner = owner
        self._lease = lease
        self._on_acquired = on_acquired
        self._on_lost = on_lost
        self._on_leaving = on_leaving
        self._nudged = asyncio.Event()
        self._joined_until = 0.0
        """Loop time until which we share. Without consumers of our own, those of other relays come first."""
        self.shards: dict[Shard, OwnedShard] = {}
        self._attempted = asyncio.Event()
        self._writing = asyncio.Lock()
        """Held while cursors are written: two statements over the same rows could wait for each other."""

    def __repr__(self) -> str:
        return f"<Ownership {self._subscription} shards={sorted(self.shards)}>"

    async def run(self) -> None:
        """Take our share of the shards and keep it, until cancelled."""
        interval = self._lease.total_seconds() / 4
        while True:
            self._nudged.clear()
            try:
                await self._renew()
                await self._share()
            except (DatabaseUnavailable, StatementRefused) as error:
                _log.warning("leases not renewed", subscription=self._subscription, reason=str(error))
                await asyncio.sleep(min(interval, 0.5))
            else:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(interval):
                        await self._nudged.wait()
                        # Whoever comes or leaves is seldom alone.
                        await asyncio.sleep(_GATHER)

    def join(self) -> None:
        """There are consumers: take part in sharing the shards."""
        if self._joined_until <= asyncio.get_running_loop().time():
            self.nudge()
        self._joined_until = math.inf

    def leave_after(self, seconds: float) -> None:
        """There are no more consumers: leave the shards to other relays' if none comes by then."""
        self._joined_until = asyncio.get_running_loop().time() + seconds

    def nudge(self) -> None:
        """Something changed among those who share the shards: look now."""
        self._nudged.set()

    async def attempted(self) -> None:
        """Wait until it was tried once to take what is free."""
        await self._attempted.wait()

    async def advance(
        self, session: Session, shards: Iterable[OwnedShard], *, acked: Sequence[Ack] = ()
    ) -> None:
        """Write how far shards have come, and what was acked; those that are no longer ours are marked lost.

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
                acked=acked,
                lease=self._lease,
                within=self._lease,
            )
        self._note(mine, kept, valid_until)

    async def settle(
        self,
        session: Session,
        shards: Iterable[OwnedShard],
        *,
        done: Sequence[Done],
        rows: Sequence[DeliveryRow],
        attempts: Sequence[Attempt],
        turns: Sequence[tuple[Shard, Key]],
        acked: Sequence[Ack] = (),
    ) -> Written:
        """As `advance`, and with it write what became of deliveries in trouble.

        Raises:
            DatabaseUnavailable: It can't be known whether anything was written.
        """
        mine = [shard for shard in shards if not shard.lost]
        if not mine:
            return Written(set(), {}, {})
        async with self._writing:
            valid_until = self._valid_until()
            written = await settlements.settle(
                session,
                self._subscription,
                [shard.cursor() for shard in mine],
                done=done,
                rows=rows,
                attempts=attempts,
                turns=turns,
                acked=acked,
                lease=self._lease,
                within=self._lease,
            )
        self._note(mine, written.kept, valid_until)
        return written

    async def give_up(self, shards: Sequence[OwnedShard]) -> None:
        """Leave shards to others, once all that was settled in them is committed."""
        mine = [shard for shard in shards if not shard.lost]
        if not mine:
            return
        async with self._writing:
            # From here on nothing of them is written under our epoch.
            self._forget(mine)
            await self._release(mine)
        _log.info("shards given up", subscription=self._subscription, shards=len(mine))
        self._on_lost(mine)

    async def release(self) -> None:
        """Give up all leases. A database that can't be reached is left to let them expire."""
        mine, self.shards = list(self.shards.values()), {}
        try:
            await cursors.leave(
                self._session, self._subscription, owner=self._owner, within=timedelta(seconds=1)
            )
        except (DatabaseUnavailable, StatementRefused) as error:
            _log.warning("leases not released", subscription=self._subscription, reason=str(error))
            return
        if mine:
            await self._release(mine)

    async def _release(self, mine: Sequence[OwnedShard]) -> None:
        epochs = [(shard.shard, shard.epoch) for shard in mine]
        try:
            await cursors.release(self._session, self._subscription, epochs, within=timedelta(seconds=1))
        except (DatabaseUnavailable, StatementRefused) as error:
            _log.warning("leases not released", subscription=self._subscription, reason=str(error))

    async def _share(self) -> None:
        """Take what is free up to our share, or begin to leave what is above it."""
        joined = self._joined_until > asyncio.get_running_loop().time()
        valid_until = self._valid_until()
        taken, members, total = await cursors.acquire(
            self._session,
            self._subscription,
            owner=self._owner,
            lease=self._lease,
            joining=joined,
            share=lambda members, total: self._fair_share(joined, members, total) - len(self.shards),
            within=self._lease,
        )
        # Our own lease may have expired before it was renewed: what we knew of it is void now.
        self._lose([self.shards[cursor.shard] for cursor in taken if cursor.shard in self.shards])
        acquired = [OwnedShard(cursor, valid_until=valid_until) for cursor in taken]
        self.shards.update((shard.shard, shard) for shard in acquired)
        if acquired:
            _log.info("shards acquired", subscription=self._subscription, shards=len(acquired))
            self._on_acquired(acquired)
        self._attempted.set()
        staying = [shard for shard in self.shards.values() if not shard.leaving]
        surplus = len(staying) - self._fair_share(joined, members, total)
        if surplus > 0:
            # Those with the least under way leave soonest.
            leaving = sorted(staying, key=lambda shard: (shard.out, len(shard.turns), shard.shard))[:surplus]
            for shard in leaving:
                shard.leaving = True
            self._on_leaving(leaving)

    def _fair_share(self, joined: bool, members: list[str], total: int) -> int:  # noqa: FBT001
        if joined:
            return fair_share(members, self._owner, total)
        return 0 if members else total

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
        self._forget(lost)
        if lost:
            _log.warning("shards lost", subscription=self._subscription, shards=len(lost))
            self._losses.add(len(lost))
            self._on_lost(lost)

    def _forget(self, shards: Iterable[OwnedShard]) -> None:
        for shard in shards:
            shard.lost = True
            if self.shards.get(shard.shard) is shard:
                del self.shards[shard.shard]
