"""What became of one event: how far each subscription has come past it, its rows, its attempts."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hookline.core.subscription import Subscription
from hookline.model import Seq, Shard, SubscriptionName
from hookline.store import subscriptions
from hookline.store.events import LedgerEntry
from hookline.store.session import Session
from hookline.store.settlements import State
from hookline.store.statements import load

_SQL = load("timeline.sql")
_EARLY = timedelta(days=1)
"""How much later than another's clock an edge's may be."""


@dataclass(frozen=True, slots=True)
class Passage:
    """How far a subscription has come past an event."""

    subscription: Subscription
    created_at: datetime
    """What is recorded from before is another subscription's of that name."""
    is_read: bool
    is_held: bool
    """A relay or a consumer has it."""


@dataclass(frozen=True, slots=True)
class TroubledDelivery:
    """A delivery that has a row."""

    subscription: SubscriptionName
    replay: int
    state: State
    due_at: datetime
    changed_at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class PastAttempt:
    """An attempt that has ended."""

    subscription: SubscriptionName
    replay: int
    number: int
    outcome: str
    reason: str
    consumer: str
    started_at: datetime | None
    """None if it isn't known."""
    ended_at: datetime
    traceparent: str
    """"" is the event's."""


async def passages(session: Session, shard: Shard, seq: Seq, *, within: timedelta) -> list[Passage]:
    """How far all subscriptions have come past an event, by their names."""
    rows = await session.fetch(_SQL["subscriptions"], shard, seq, within=within)
    return [Passage(subscriptions.from_row(row), row["created_at"], row["read"], row["held"]) for row in rows]


async def troubled(session: Session, shard: Shard, seq: Seq, *, within: timedelta) -> list[TroubledDelivery]:
    """The event's deliveries that have rows."""
    rows = await session.fetch(_SQL["rows"], shard, seq, within=within)
    return [TroubledDelivery(*row) for row in rows]


async def attempts(
    session: Session, shard: Shard, seq: Seq, *, first_day: datetime, within: timedelta
) -> list[PastAttempt]:
    """The event's attempts that left rows, in order.

    Args:
        session: Where.
        shard: The event's.
        seq: The event's.
        first_day: Nothing that ended before is looked at.
        within: Deadline.
    """
    rows = await session.fetch(_SQL["attempts"], shard, seq, first_day, within=within)
    return [PastAttempt(*row) for row in rows]


def first_day_of(entry: LedgerEntry) -> datetime:
    """Before anything that is recorded of an event, though clocks differ."""
    received_at = entry.event.received_at
    first = min(received_at, entry.committed_at or received_at)
    return max(first, datetime.min.replace(tzinfo=UTC) + _EARLY) - _EARLY
