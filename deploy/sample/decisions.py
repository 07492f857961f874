"""What the sample consumer does with an event: it notes a decision in a database of its own, once for each event."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg

from hookline.client import Delivery, Reject, create_inbox, once
from hookline.client.begini import Envelope, EnvelopeError

_TABLE = """
CREATE TABLE IF NOT EXISTS decisions (
    number bigint GENERATED ALWAYS AS IDENTITY,
    subscription text NOT NULL,
    event_id uuid NOT NULL,
    risk_band text,
    -- How often it was delivered again: a consumer that dies after its commit and before its ack gets it twice.
    repeats integer NOT NULL DEFAULT 0,
    PRIMARY KEY (subscription, event_id)
)"""
_INSERT = "INSERT INTO decisions (subscription, event_id, risk_band) VALUES ($1, $2, $3)"
_REPEAT = "UPDATE decisions SET repeats = repeats + 1 WHERE subscription = $1 AND event_id = $2"
_SETUP_LOCK = 5_001
"""Of an advisory lock: CREATE TABLE IF NOT EXISTS fails if two consumers do it at the same moment."""


class Decisions:
    """The handler of both consumers.

    Args:
        pool: The consumer's own database.
        work: Seconds that go into what else there is to do about an event, before it is acked.
    """

    def __init__(self, pool: asyncpg.Pool, *, work: float = 0.0) -> None:
        self._pool = pool
        self._work = work

    async def decide(self, delivery: Delivery) -> None:
        """Note what is to be done about an applicant.

        Raises:
            Reject: The event can't be understood, now or later.
        """
        try:
            envelope = Envelope.parse(delivery.body)
        except EnvelopeError as error:
            raise Reject(str(error)) from None
        key = (delivery.subscription, UUID(delivery.event_id))
        async with self._pool.acquire() as connection, connection.transaction():
            if await once(connection, delivery):
                await connection.execute(_INSERT, *key, envelope.risk_band)
            else:
                await connection.execute(_REPEAT, *key)
        await asyncio.sleep(self._work)


@asynccontextmanager
async def connected() -> AsyncIterator[Decisions]:
    """The handler, with its tables made, as long as the block runs."""
    async with asyncpg.create_pool(os.environ["SAMPLE_DATABASE_URL"], min_size=1, max_size=8) as pool:
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _SETUP_LOCK)
            await connection.execute(_TABLE)
            await create_inbox(connection)
        yield Decisions(pool, work=float(os.environ.get("SAMPLE_WORK") or 0))
