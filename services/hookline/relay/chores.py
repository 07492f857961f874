"""What any relay does now and then.

Days for the attempts' history, dead letters that are old enough, subscriptions whose deletion was interrupted.
"""

import asyncio
from datetime import timedelta

import structlog

from hookline.errors import DatabaseUnavailable, StatementRefused
from hookline.store import attempts, dead_letters, subscription_changes
from hookline.store.session import Session

_log = structlog.get_logger(__name__)

_EVERY = 600.0
"""Seconds."""
_AFTER_ERROR = 10.0
_WITHIN = timedelta(seconds=60)


async def run(session: Session) -> None:
    """Do what is due, until cancelled. Several relays may do it at the same time."""
    try:
        while True:
            pause = _EVERY
            try:
                await attempts.ensure_days(session, within=_WITHIN)
                await subscription_changes.finish_deletions(session, within=_WITHIN)
                if expired := await dead_letters.expire(session, within=_WITHIN):
                    _log.info("dead letters expired", events=expired)
            except (DatabaseUnavailable, StatementRefused) as error:
                _log.warning("chores not done", reason=str(error))
                pause = _AFTER_ERROR
            await asyncio.sleep(pause)
    finally:
        await session.close()
