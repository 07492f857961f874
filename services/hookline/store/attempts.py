"""The history of attempts and the journal of acks, in a partition for each day."""

from datetime import timedelta

from hookline.store.session import Session
from hookline.store.statements import load

_SQL = load("attempts.sql")
_DAYS_AHEAD = 7


async def ensure_days(session: Session, *, within: timedelta) -> None:
    """Create the partitions of today and the next days. Safe to call from anywhere, at any time."""
    await session.fetch(_SQL["ensure_days"], _DAYS_AHEAD, within=within)
