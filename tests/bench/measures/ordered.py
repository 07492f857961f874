"""What keys that are stuck cost the others: an ordered subscription drains free keys beside them, and without them.

The log holds the stuck events first, of a few keys, and then the free ones, each with a key of its own. A key is stuck
because a consumer asked to have its first event again in an hour; the relay itself makes rows of all that comes
behind. That takes longer than to write the rows by SQL, but they are the rows that there would be.
"""

import asyncio
import time
from collections.abc import Sequence
from datetime import datetime

from bench import hookline_service
from bench.measures import backlog
from bench.memory import watch
from bench.rig import Rig
from bench.samples import Reading
from bench.stream_consumer import Manner

STUCK_KEYS = 100
_PATIENCE = 300.0
"""Seconds until all stuck events are rows."""
_EVERY = 0.25
_ROWS = "SELECT count(*) FROM hookline.deliveries WHERE subscription = $1 AND state IN ('waiting', 'blocked')"


async def fill(rig: Rig, database: str, turns: Sequence[int]) -> datetime:
    """Let in all events, and get a subscription for each round stuck; answers when the free events begin."""
    await backlog.fill(rig, database, events=rig.stuck_events, keys=STUCK_KEYS)
    for turn in turns:
        await _get_stuck(rig, database, _beside(turn))
    free_from = await rig.server.value("SELECT clock_timestamp()", database)
    assert isinstance(free_from, datetime)
    await backlog.fill(rig, database, events=rig.free_events)
    return free_from


async def free(rig: Rig, database: str, turn: int, free_from: datetime) -> Reading:
    """A subscription that has nothing to do with the stuck events: it begins after them."""
    return await _drain(rig, database, f"free-{turn}", start=free_from.isoformat())


async def beside(rig: Rig, database: str, turn: int) -> Reading:
    """A subscription whose stuck events are rows by now."""
    return await _drain(rig, database, _beside(turn))


async def among(rig: Rig, database: str, turn: int) -> Reading:
    """A subscription that comes upon the stuck events first and makes them rows while the time runs."""
    return await _drain(rig, database, f"among-{turn}", manner="hold-back", heads=STUCK_KEYS)


async def _drain(
    rig: Rig,
    database: str,
    subscription: str,
    *,
    start: str = "earliest",
    manner: Manner = "ack",
    heads: int = 0,
) -> Reading:
    """Free events per second; `heads` are the deliveries that come beside them and aren't counted."""
    began = time.monotonic_ns()
    async with (
        hookline_service.relay(rig, database, subscription, ordering="key", start=start) as (relay, port),
        watch({"relay": relay.pid}) as memory,
        hookline_service.consumer(rig, port, subscription, manner=manner) as consumer,
    ):
        tally = await backlog.drained(consumer, rig.free_events + heads)
        rows = await rig.server.value(_ROWS, database, subscription)
    details = {
        "rows": rows,
        "seconds_to_first_delivery": (tally.first - began) / 1e9,
        # It is over too soon to tell whether memory stays flat, so this is no sample of it.
        "relay_rss_mb": memory["relay"].most / 1e6,
    }
    return backlog.reading(tally, rig.free_events, {}, details)


async def _get_stuck(rig: Rig, database: str, subscription: str) -> None:
    async with (
        hookline_service.relay(rig, database, subscription, ordering="key") as (_, port),
        hookline_service.consumer(rig, port, subscription, manner="hold-back"),
    ):
        deadline = time.monotonic() + _PATIENCE
        while (rows := await rig.server.value(_ROWS, database, subscription)) != rig.stuck_events:
            if time.monotonic() > deadline:
                raise TimeoutError(f"only {rows} of {rig.stuck_events} stuck events are rows")
            await asyncio.sleep(_EVERY)


def _beside(turn: int) -> str:
    return f"beside-{turn}"
