"""Write batches of verified webhooks: the one transaction behind every 2xx."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from hookline.model import Accepted, Duplicate, NewEvent, Outcome, Seq
from hookline.store.session import Session
from hookline.store.statements import load

_SQL = load("ingest.sql")
_SEGMENTS_AHEAD = 2


@dataclass(frozen=True, slots=True)
class Installation:
    """What was fixed when the database was initialised."""

    shards: int
    segment_events: int


async def read_installation(session: Session, *, within: timedelta) -> Installation:
    """Read what was fixed when the database was initialised."""
    [row] = await session.fetch(_SQL["read_installation"], within=within)
    return Installation(shards=row["shards"], segment_events=row["segment_events"])


async def ensure_segments(session: Session, *, within: timedelta) -> None:
    """Create the outbox segments that the coming events need."""
    await session.fetch(_SQL["ensure_segments"], _SEGMENTS_AHEAD, within=within)


async def notify(session: Session, *, within: timedelta) -> None:
    """Hint to listening relays that something was committed."""
    await session.fetch(_SQL["notify"], within=within)


async def ingest(session: Session, events: Sequence[NewEvent], *, within: timedelta) -> list[Outcome]:
    """Commit a batch in one statement and answer, event by event, what became of it.

    No two events of a batch may have the same id or lineage: the statement sees what was committed before it,
    not its own rows.

    Raises:
        DatabaseUnavailable: It can't be known what was committed.
        StatementRefused: Nothing was committed.
    """
    rows = await session.fetch(_SQL["ingest"], *zip(*events, strict=True), within=within)
    outcomes: list[Outcome] = [Duplicate(event.event_id) for event in events]
    for place, seq, revision in rows:
        outcomes[place - 1] = Accepted(events[place - 1].event_id, Seq(seq), revision)
    return outcomes
