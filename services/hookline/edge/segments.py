"""Keep the outbox's segments ahead of the writers."""

import asyncio
from datetime import timedelta

import structlog

from hookline.errors import DatabaseUnavailable, StatementRefused
from hookline.store.ingest import ensure_segments
from hookline.store.session import Session

_log = structlog.get_logger(__name__)

_EVERY = 5.0
"""Seconds. Two segments ahead are far more than can be written in this time."""
_WITHIN = timedelta(seconds=5)


async def keep_ahead(session: Session) -> None:
    """Create segments before they are needed, until cancelled. A writer that finds none makes its own."""
    try:
        while True:
            try:
                await ensure_segments(session, within=_WITHIN)
            except (DatabaseUnavailable, StatementRefused) as error:
                _log.warning("outbox segments not checked", reason=str(error))
            await asyncio.sleep(_EVERY)
    finally:
        await session.close()
