"""The journal of acks: when was what acked that left no row of an attempt.

It is written in the statement that moves the cursors, for every event there is. So a transaction writes a row for each
block of seqs that it touches, usually one or two, and the entries of a row are packed: arrays of Postgres would take
three times as long (docs/decisions/0014-ack-journal.md).
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from math import isnan, nan
from struct import Struct
from typing import NamedTuple

import asyncpg

from hookline.model import Seq, Shard, SubscriptionName
from hookline.store.session import Session
from hookline.store.statements import load
from hookline.store.text import storable

_SQL = load("acks.sql")
_BLOCK_BITS = 12
_IN_BLOCK = (1 << _BLOCK_BITS) - 1
_PLACE = Struct("<H")
_ENTRY = Struct("<HHf")
"""Place in the block; which of the row's consumers; seconds since it was handed over, NaN if that isn't known."""
_MOST_CONSUMERS = 2**16 - 1


class Ack(NamedTuple):
    """An ack to write down."""

    seq: Seq
    handed_at: datetime | None
    """None if another relay handed it over."""
    consumer: str


class PastAck(NamedTuple):
    """An ack that was committed."""

    subscription: SubscriptionName
    acked_at: datetime
    handed_at: datetime | None
    """By the database's clock, as `acked_at`; None if it isn't known."""
    consumer: str


def columns(acks: Iterable[Ack]) -> tuple[list[int], list[bytearray], list[str]]:
    """Blocks, their entries and the consumers, as the statements take them. Call it when the statement is sent."""
    now = datetime.now(UTC)
    pack = _ENTRY.pack
    blocks: dict[int, bytearray] = {}
    consumers: dict[str, int] = {}
    last: Ack | None = None
    held, who = nan, 0
    for ack in acks:
        seq, handed_at, consumer = ack
        # Those that were handed over together are acked together, mostly.
        if last is None or handed_at is not last.handed_at or consumer is not last.consumer:
            held = nan if handed_at is None else (now - handed_at).total_seconds()
            who = consumers.setdefault(consumer, min(len(consumers), _MOST_CONSUMERS))
            last = ack
        entry = pack(seq & _IN_BLOCK, who, held)
        block = blocks.get(seq >> _BLOCK_BITS)
        if block is None:
            blocks[seq >> _BLOCK_BITS] = bytearray(entry)
        else:
            block += entry
    return list(blocks), list(blocks.values()), [storable(consumer) for consumer in consumers]


async def of_event(
    session: Session, shard: Shard, seq: Seq, *, first_day: datetime, within: timedelta
) -> list[PastAck]:
    """The acks of one event by all subscriptions, in order.

    Args:
        session: Where.
        shard: The event's.
        seq: The event's.
        first_day: Nothing that was acked before is looked at.
        within: Deadline.
    """
    place = seq & _IN_BLOCK
    rows = await session.fetch(
        _SQL["of_seq"],
        seq >> _BLOCK_BITS,
        # The statement looks for the bytes wherever they are; which entry it is, if any, is seen below.
        _PLACE.pack(place),
        shard,
        first_day,
        within=within,
    )
    return [ack for row in rows for ack in _entries(row, place)]


def _entries(row: asyncpg.Record, place: int) -> Iterable[PastAck]:
    consumers: Sequence[str] = row["consumers"]
    for at, who, held in _ENTRY.iter_unpack(row["entries"]):
        if at == place:
            yield PastAck(
                row["subscription"],
                row["acked_at"],
                None if isnan(held) else row["acked_at"] - timedelta(seconds=held),
                consumers[who] if who < len(consumers) else "",
            )
