"""Retention against a model of who needs what: the segments that go are exactly those that may."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hookline.core.subscription import Subscription
from hookline.embedded import EmbeddedPostgres
from hookline.model import SubscriptionName
from hookline.store import retention
from hookline.store.session import Session
from hookline.store.subscriptions import declare
from store.segmented import KEEP, OLD, SEGMENT, append, segmented, segments
from store.webhooks import SHARDS, WITHIN

EVENTS = 60
NAMES = ("a", "b")
_SEQ = st.integers(1, EVENTS)


class Row(NamedTuple):
    """A delivery in trouble."""

    subscription: str
    seq: int
    state: str


class Need(NamedTuple):
    """Everything that anybody needs."""

    positions: list[int]
    """Of each subscription's cursors, shard by shard; the second subscription's come after the first one's."""
    pending: list[tuple[str, int]]
    rows: list[Row]
    replays: list[tuple[int, int]]
    """Position and last seq."""
    chosen: list[int]
    """Of one replay of single events."""
    young: list[int]


_DONE = EVENTS
NEEDS = st.builds(
    Need,
    positions=st.lists(
        st.one_of(st.just(_DONE), st.just(_DONE), st.just(_DONE), st.integers(0, EVENTS)),
        min_size=2 * SHARDS,
        max_size=2 * SHARDS,
    ),
    pending=st.lists(st.tuples(st.sampled_from(NAMES), _SEQ), max_size=2),
    rows=st.lists(
        st.builds(Row, st.sampled_from(NAMES), _SEQ, st.sampled_from(("waiting", "blocked", "dead"))),
        max_size=2,
        unique_by=lambda row: (row.subscription, row.seq),
    ),
    replays=st.lists(st.tuples(st.integers(0, EVENTS), _SEQ), max_size=1),
    chosen=st.lists(_SEQ, max_size=2, unique=True).map(sorted),
    young=st.lists(_SEQ, max_size=1),
)


@pytest.fixture
async def database(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    async with segmented(postgres) as url:
        yield url


@given(need=NEEDS)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_exactly_what_is_old_and_needed_by_nobody_goes(
    session: Session, foreign: Any, need: Need
) -> None:
    """One example works on the log that the one before has left: its events are those above `begin`."""
    begin = await _begin(session, foreign)
    shards = dict(await foreign.fetch("SELECT seq - $1, shard FROM hookline.outbox WHERE seq > $1", begin))
    assert len(shards) == EVENTS
    await _arrange(foreign, need, begin, shards)

    report = await retention.maintain(session, KEEP, within=WITHIN)

    kept = {(begin + seq) // SEGMENT for seq in needed(need, shards)}
    first, last = (begin + 1) // SEGMENT, (begin + EVENTS) // SEGMENT
    there = {number for number in await segments(foreign) if first <= number < last}
    # A replay of a range needs all that may be in it.
    assert there == kept & set(range(first, last))
    assert {s.from_seq // SEGMENT for s in report.segments if s.needs} <= there


def needed(need: Need, shards: dict[int, int]) -> set[int]:
    """The model."""
    found = {seq for _, seq in need.pending} | {row.seq for row in need.rows} | set(need.chosen)
    found |= {seq for place, upto in need.replays for seq in range(place + 1, upto + 1)}
    # What comes after a young event in its segment is young too.
    found |= set(need.young)
    for place, position in enumerate(need.positions):
        found |= {seq for seq, shard in shards.items() if shard == place % SHARDS and seq > position}
    return found


async def _begin(session: Session, foreign: Any) -> int:
    """A log of so many new events; the seq before them, at the end of a segment."""
    await foreign.execute(
        "DELETE FROM hookline.deliveries; DELETE FROM hookline.replays; DELETE FROM hookline.cursors;"
        " SELECT setval('hookline.outbox_seq', (SELECT last_value FROM hookline.outbox_seq) / 10 * 10 + 9)"
    )
    begin: int = await foreign.fetchval("SELECT last_value FROM hookline.outbox_seq")
    await append(session, EVENTS, age=OLD)
    for name in NAMES:
        await declare(session, Subscription(SubscriptionName(name)), start="earliest", within=WITHIN)
    return begin


async def _arrange(foreign: Any, need: Need, begin: int, shards: dict[int, int]) -> None:
    for place, position in enumerate(need.positions):
        await foreign.execute(
            "UPDATE hookline.cursors SET position = $1 WHERE subscription = $2 AND shard = $3",
            begin + position,
            NAMES[place // SHARDS],
            place % SHARDS,
        )
    for name, seq in need.pending:
        await foreign.execute(
            "UPDATE hookline.cursors SET pending = pending || $1::bigint WHERE subscription = $2 AND shard = $3",
            begin + seq,
            name,
            shards[seq],
        )
    for row in need.rows:
        await foreign.execute(
            "INSERT INTO hookline.deliveries"
            " (seq, due_at, changed_at, event_id, shard, subscription, state, source, ordering_key)"
            " SELECT seq, now(), now(), event_id, shard, $1, $2, source, '' FROM hookline.outbox WHERE seq = $3",
            row.subscription,
            row.state,
            begin + row.seq,
        )
    for place, upto in need.replays:
        await foreign.execute(
            "INSERT INTO hookline.replays (subscription, position, until_seq) VALUES ('a', $1, $2)",
            begin + place,
            begin + upto,
        )
    await foreign.execute(
        "INSERT INTO hookline.replays (subscription, position, until_seq, event_ids, seqs)"
        " SELECT 'a', 0, max(seq), array_agg(event_id ORDER BY seq), array_agg(seq ORDER BY seq)"
        "   FROM hookline.outbox WHERE seq = ANY ($1) HAVING count(*) > 0",
        [begin + seq for seq in need.chosen],
    )
    for seq in need.young:
        # With what comes after it, as it would be.
        await foreign.execute(
            "UPDATE hookline.outbox SET received_at = now() - $1::interval WHERE seq >= $2 AND seq / 10 = $2 / 10",
            timedelta(hours=1),
            begin + seq,
        )
