"""What any relay does now and then.

Days for the attempts' history, dead letters that are old enough, subscriptions whose deletion was interrupted, and what
retention lets go of.
"""

import asyncio
import random
from datetime import timedelta

import structlog

from hookline.config import Retention
from hookline.errors import DatabaseUnavailable, StatementRefused
from hookline.store import attempts, dead_letters, retention, subscription_changes
from hookline.store.session import Session

_log = structlog.get_logger(__name__)

_EVERY = 300.0
"""Seconds, on average: relays that were started together do it at different times."""
_AFTER_ERROR = 10.0
_WITHIN = timedelta(seconds=60)


async def run(session: Session, keep: Retention) -> None:
    """Do what is due, until cancelled. Several relays may do it at the same time."""
    try:
        while True:
            pause = _EVERY * random.uniform(0.5, 1.5)  # noqa: S311  (nobody gains by guessing it)
            try:
                await attempts.ensure_days(session, within=_WITHIN)
                await subscription_changes.finish_deletions(session, within=_WITHIN)
                if expired := await dead_letters.expire(session, within=_WITHIN):
                    _log.info("dead letters expired", events=expired)
                _report(await retention.maintain(session, keep, within=_WITHIN))
            except (DatabaseUnavailable, StatementRefused) as error:
                _log.warning("chores not done", reason=str(error))
                pause = _AFTER_ERROR
            await asyncio.sleep(pause)
    finally:
        await session.close()


def _report(done: retention.Report) -> None:
    segments = [segment for segment in done.segments if segment.state == "dropped"]
    days = [day for day in done.days if day.dropped]
    if segments or days or done.rows or done.leftovers:
        _log.info(
            "old parts dropped",
            segments=len(segments),
            up_to_seq=max((segment.until_seq for segment in segments), default=None),
            days=len(days),
            bytes=sum(segment.bytes for segment in segments) + sum(day.bytes for day in days),
            rows=done.rows + done.leftovers,
        )
    if done.busy:
        _log.info("old parts not dropped yet", reason=done.busy)
