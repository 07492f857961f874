"""Count what a replay would deliver, without starting it."""

import asyncio
from datetime import timedelta
from typing import NamedTuple

from hookline.model import Seq
from hookline.store import replayed_events
from hookline.store.replayed_events import Choice
from hookline.store.session import Session

_SPAN = 250_000
"""Seqs that are counted in one statement."""
_SPAN_WITH_BODIES = 4_096
_EVENTS_WITH_BODIES = 100
_WITHIN = timedelta(seconds=30)


class Count(NamedTuple):
    """How many deliveries a replay would make."""

    events: int
    is_exact: bool
    """Otherwise it is the most that there can be."""


async def count(
    session: Session, choice: Choice, *, position: Seq, until_seq: Seq, patience: timedelta
) -> Count:
    """Count the events above `position` and up to `until_seq` that are wanted.

    Source and type are counted by the database. Where the subscription has a condition, or single events were named,
    they are looked at one by one. Each way may take `patience`; what wasn't come to in time counts as wanted.
    """
    loop = asyncio.get_running_loop()
    if choice.selection.event_ids is not None:
        exactly = await _count_exactly(
            session, choice, position, until_seq, ends=loop.time() + patience.total_seconds()
        )
        return Count(len(choice.selection.event_ids), False) if exactly is None else Count(exactly, True)
    most = await _count_by_type(
        session, choice, position, until_seq, ends=loop.time() + patience.total_seconds()
    )
    if not choice.reads_bodies or most.events == 0:
        return most
    exactly = await _count_exactly(
        session, choice, position, until_seq, ends=loop.time() + patience.total_seconds()
    )
    return most._replace(is_exact=False) if exactly is None else Count(exactly, True)


async def _count_by_type(
    session: Session, choice: Choice, position: Seq, until_seq: Seq, *, ends: float
) -> Count:
    events = 0
    while position < until_seq:
        if asyncio.get_running_loop().time() > ends:
            return Count(events + until_seq - position, False)
        upto = Seq(min(position + _SPAN, until_seq))
        found = await replayed_events.count(session, choice, position=position, upto=upto, within=_WITHIN)
        events += sum(count for (source, type_), count in found.items() if choice.may_want(source, type_))
        position = upto
    return Count(events, True)


async def _count_exactly(
    session: Session, choice: Choice, position: Seq, until_seq: Seq, *, ends: float
) -> int | None:
    """None if it takes too long."""
    events = 0
    while position < until_seq:
        if asyncio.get_running_loop().time() > ends:
            return None
        looked = await replayed_events.look(
            session,
            choice,
            position=position,
            until_seq=until_seq,
            span=_SPAN_WITH_BODIES,
            most=_EVENTS_WITH_BODIES,
            within=_WITHIN,
        )
        events += len(looked.wanted)
        position = looked.upto
    return events
