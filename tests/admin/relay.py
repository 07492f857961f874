"""What a relay writes, without the relay: it takes the cursors and settles rows of one shard as their owner."""

from datetime import UTC, datetime, timedelta
from typing import Self

import asyncpg

from hookline.core.turns import Key, Place
from hookline.model import CursorState, OwnedCursor, Seq, Shard, SubscriptionName
from hookline.store.session import Session
from hookline.store.settlements import Attempt, AttemptOutcome, DeliveryRow, Done, State, settle

NAME = SubscriptionName("all")
SHARD = Shard(0)
_LEASE = timedelta(minutes=1)
_WITHIN = timedelta(seconds=20)


class OwningRelay:
    """Owns shard 0 of the subscription `all`, on connections of its own."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._session = Session(dsn, name="test relay")

    async def __aenter__(self) -> Self:
        self._db = await asyncpg.connect(self._dsn)
        await self.take_over()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._session.close()
        await self._db.close()

    async def take_over(self) -> None:
        """Take the cursor, as after a lost lease."""
        self.epoch: int = await self._db.fetchval(
            "UPDATE hookline.cursors SET epoch = epoch + 1 WHERE subscription = $1 AND shard = $2 RETURNING epoch",
            NAME,
            SHARD,
        )

    async def waiting(self) -> list[asyncpg.Record]:
        """The rows that could be handed out."""
        return await self._db.fetch(
            "SELECT * FROM hookline.deliveries WHERE subscription = $1 AND state = 'waiting' ORDER BY seq",
            NAME,
        )

    async def ack(self, row: asyncpg.Record) -> bool:
        """Settle a row for good; answers whether the shard was ours."""
        return await self._settle(row, "acked", done=True)

    async def fail(self, row: asyncpg.Record, state: State) -> bool:
        """End an attempt: the row waits again, or is dead."""
        return await self._settle(row, "rejected" if state == "dead" else "failed", state=state)

    async def _settle(
        self, row: asyncpg.Record, outcome: AttemptOutcome, *, done: bool = False, state: State = "waiting"
    ) -> bool:
        place = Place(row["seq"], row["replay"])
        key = Key(row["source"], row["ordering_key"])
        now = datetime.now(UTC)
        troubled = DeliveryRow(
            SHARD, place, row["event_id"], key, row["source"], state, attempt=row["attempt"] + 1, first_at=now
        )
        written = await settle(
            self._session,
            NAME,
            [OwnedCursor(SHARD, self.epoch, CursorState(Seq(2**40), ()))],
            done=[Done(SHARD, place)] if done else [],
            rows=[] if done else [troubled],
            attempts=[Attempt(SHARD, place, row["attempt"] + 1, outcome, "test", "", now, now)],
            turns=[(SHARD, key)] if key.ordering_key else [],
            lease=_LEASE,
            within=_WITHIN,
        )
        return SHARD in written.kept
