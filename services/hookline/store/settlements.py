"""The transaction that settles: cursors move, rows come and go, attempts are written down, all under the epochs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple
from uuid import UUID

import msgspec

from hookline.core.turns import Key, Place
from hookline.model import OwnedCursor, Shard, SubscriptionName
from hookline.store import acks
from hookline.store.acks import Ack
from hookline.store.session import Session
from hookline.store.statements import load
from hookline.store.text import storable

_SQL = load("settlements.sql")

State = Literal["waiting", "blocked", "dead"]
AttemptOutcome = Literal["acked", "retried", "rejected", "expired", "lost", "failed"]


class Done(NamedTuple):
    """A delivery that is settled for good, and may have a row."""

    shard: Shard
    place: Place
    event: int | None = None
    """The last 32 bits of the event's id, if the row must be compared with it: a token from before a restore from
    backup can name the place of another event."""


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """A delivery that is in trouble from now on."""

    shard: Shard
    place: Place
    event_id: UUID
    key: Key | None
    source: str
    state: State
    delay: timedelta = timedelta(0)
    """How long it waits."""
    attempt: int = 0
    """Attempts that failed."""
    first_at: datetime | None = None
    portion: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt that has ended."""

    shard: Shard
    place: Place
    number: int
    outcome: AttemptOutcome
    consumer: str
    reason: str
    started_at: datetime
    ended_at: datetime
    traceparent: str = ""
    """The context that the consumer was given; "" for what is stored with the event."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a settling transaction found."""

    kept: set[Shard]
    """The shards that are still ours: of the others nothing was written."""
    done: dict[tuple[Shard, Place], Key]
    """Rows that were there and aren't any more; their keys."""
    turns: dict[tuple[Shard, Key], Place | None]
    """The lowest row of each key that was asked for."""


async def settle(
    session: Session,
    subscription: SubscriptionName,
    cursors: Sequence[OwnedCursor],
    *,
    done: Sequence[Done],
    rows: Sequence[DeliveryRow],
    attempts: Sequence[Attempt],
    turns: Sequence[tuple[Shard, Key]],
    acked: Sequence[Ack] = (),
    lease: timedelta,
    within: timedelta,
) -> Written:
    """Write everything in one transaction, as far as the shards are still ours, and renew their leases.

    Args:
        session: Where.
        subscription: Whose.
        cursors: Those of all shards that are touched.
        done: Deliveries settled for good that may have a row.
        rows: Deliveries that need one.
        attempts: What goes into the history.
        turns: Keys whose lowest row may go now.
        acked: What goes into the journal of acks.
        lease: How long the shards stay ours.
        within: Deadline.

    Raises:
        DatabaseUnavailable: It can't be known whether it was written. Writing it again is harmless.
    """
    found = await session.fetch(
        _SQL["settle"],
        subscription,
        lease,
        [cursor.shard for cursor in cursors],
        [cursor.epoch for cursor in cursors],
        [cursor.state.position for cursor in cursors],
        ["{" + ",".join(map(str, cursor.state.pending)) + "}" for cursor in cursors],
        _json([_done(one) for one in done]),
        _json([_row(row) for row in rows]),
        _json([_attempt(attempt) for attempt in attempts]),
        _json(
            [{"shard": shard, "source": key.source, "ordering_key": key.ordering_key} for shard, key in turns]
        ),
        *acks.columns(acked),
        within=within,
    )
    written = Written(set(), {}, {})
    for row in found:
        shard = Shard(row["at_shard"])
        place = Place(row["at_seq"], row["at_replay"]) if row["at_seq"] is not None else None
        if row["kind"] == "kept":
            written.kept.add(shard)
        elif row["kind"] == "done":
            assert place is not None
            written.done[shard, place] = Key(row["of_source"], row["of_key"])
        else:
            written.turns[shard, Key(row["of_source"], row["of_key"])] = place
    return written


def _done(done: Done) -> dict[str, Any]:
    return {
        "shard": done.shard,
        "seq": done.place.seq,
        "replay": done.place.replay,
        "event": None if done.event is None else f"{done.event:08x}",
    }


def _row(row: DeliveryRow) -> dict[str, Any]:
    return {
        "shard": row.shard,
        "seq": row.place.seq,
        "replay": row.place.replay,
        "delay": row.delay.total_seconds(),
        "first_at": row.first_at,
        "event_id": row.event_id,
        "attempt": row.attempt,
        "portion": row.portion,
        "state": row.state,
        "source": row.source,
        "ordering_key": row.key.ordering_key if row.key is not None else "",
        "reason": storable(row.reason),
    }


def _attempt(attempt: Attempt) -> dict[str, Any]:
    return {
        "shard": attempt.shard,
        "seq": attempt.place.seq,
        "replay": attempt.place.replay,
        "attempt": attempt.number,
        "outcome": attempt.outcome,
        "consumer": storable(attempt.consumer),
        "reason": storable(attempt.reason),
        "started_at": attempt.started_at,
        "ended_at": attempt.ended_at,
        "traceparent": attempt.traceparent,
    }


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
