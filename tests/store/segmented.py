"""A database with tiny segments, and events of a given age in them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID, uuid4

import asyncpg

from hookline.config import Retention
from hookline.embedded import EmbeddedPostgres
from hookline.model import Accepted
from hookline.store.ingest import ensure_segments, ingest
from hookline.store.session import Session
from store.webhooks import WITHIN, webhook

SEGMENT = 10
"""Seqs per segment: small, so that a test crosses many."""
KEEP = Retention(outbox=timedelta(days=1), attempts=timedelta(days=2), acks=timedelta(days=2))
OLD = timedelta(days=3)
_SMALL = f"""
DROP TABLE hookline.outbox_00000000, hookline.outbox_00000001, hookline.outbox_00000002;
UPDATE hookline.installation SET segment_events = {SEGMENT};
SELECT hookline.ensure_segments(2);
"""


@asynccontextmanager
async def segmented(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    """The URL of the database, which is dropped afterwards."""
    name = f"test_{uuid4().hex}"
    server = await asyncpg.connect(postgres.url)
    await server.execute(f"CREATE DATABASE {name} TEMPLATE hookline_template")
    url = urlunsplit(urlsplit(postgres.url)._replace(path=f"/{name}"))
    await make_small(url)
    yield url
    await server.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await server.close()


async def make_small(url: str) -> None:
    """Let the empty log of a database have tiny segments."""
    connection = await asyncpg.connect(url)
    await connection.execute(_SMALL)
    await connection.close()


async def append(session: Session, count: int, *, age: timedelta = OLD) -> list[UUID]:
    """Events that were received so long ago, in the order of the log."""
    ids: list[UUID] = []
    received_at = datetime.now(UTC) - age
    while len(ids) < count:
        await ensure_segments(session, within=WITHIN)
        batch = [
            webhook(uuid4().hex)._replace(received_at=received_at)
            for _ in range(min(SEGMENT, count - len(ids)))
        ]
        outcomes = await ingest(session, batch, within=WITHIN)
        assert all(isinstance(outcome, Accepted) for outcome in outcomes)
        ids += [event.event_id for event in batch]
    return ids


async def segments(foreign: Any) -> list[int]:
    """The numbers of those that there are."""
    rows = await foreign.fetch(
        "SELECT right(inhrelid::regclass::text, 8)::integer FROM pg_inherits"
        " WHERE inhparent = 'hookline.outbox'::regclass ORDER BY 1"
    )
    return [row[0] for row in rows]
