"""Settlements become cursor positions; confirmations follow the commit."""

import asyncio
import contextlib
from typing import Protocol

import structlog

from hookline.errors import DatabaseUnavailable, StatementRefused
from hookline.relay.delivery import Delivery
from hookline.relay.ownership import OwnedShard, Ownership
from hookline.store.session import Session

_log = structlog.get_logger(__name__)

_QUIET_SPACING = 0.002
_BUSY_SPACING = 0.015
_BUSY_EVENTS = 10
"""Seconds between two commits: settlements of that time share one, and where there are many the next may wait for
more. The first never waits."""
_FULL = 400
"""Settlements that are committed without waiting for more."""
_IDLE_FLUSH = 1.0
"""Seconds after which positions are written that moved without a settlement, past events that nobody wants."""


class Confirm(Protocol):
    """Tells a consumer what became of its settlements."""

    def __call__(self, committed: list[Delivery], lost: list[Delivery]) -> None:
        """`committed` are durable; the shards of `lost` belong to another relay now."""


class Settler:
    """Gathers settlements of one subscription and commits them together."""

    def __init__(self, session: Session, ownership: Ownership) -> None:
        self._session = session
        self._ownership = ownership
        self._acked: list[tuple[list[Delivery], Confirm]] = []
        self._moved: set[OwnedShard] = set()
        self._wake = asyncio.Event()
        self._gathered = 0
        self._full = asyncio.Event()
        """Enough settlements are gathered: their windows wait for them."""
        self._idle = asyncio.Event()
        self._idle.set()

    def __repr__(self) -> str:
        return f"<Settler batches={len(self._acked)} moved={len(self._moved)}>"

    def ack(self, deliveries: list[Delivery], confirm: Confirm) -> None:
        """Settle deliveries; `confirm` is called after their commit."""
        for delivery in deliveries:
            delivery.shard.progress.settle(delivery.event.seq)
        self._acked.append((deliveries, confirm))
        self._gathered += len(deliveries)
        if self._gathered >= _FULL:
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
        """Wait until every settlement that was given is committed and confirmed."""
        await self._idle.wait()

    async def _flush(self) -> int:
        """Commit what was gathered; answers how many settlements that were."""
        acked, self._acked = self._acked, []
        self._gathered = 0
        self._full.clear()
        moved, self._moved = self._moved, set()
        for deliveries, _ in acked:
            moved.update(delivery.shard for delivery in deliveries)
        while True:
            try:
                await self._ownership.advance(self._session, moved)
            except (DatabaseUnavailable, StatementRefused) as error:
                # Writing the same positions again is harmless, so try until it is known what became of them.
                _log.warning("settlements not committed yet", reason=str(error))
                await asyncio.sleep(0.2)
            else:
                break
        for deliveries, confirm in acked:
            lost = [delivery for delivery in deliveries if delivery.shard.lost]
            committed = (
                [delivery for delivery in deliveries if not delivery.shard.lost] if lost else deliveries
            )
            confirm(committed, lost)
        if not self._acked:
            self._idle.set()
        return sum(len(deliveries) for deliveries, _ in acked)
