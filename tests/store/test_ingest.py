"""The ingest statement, event by event."""

import json
from typing import Any

import pytest

from hookline.errors import StatementRefused
from hookline.model import Accepted, Duplicate
from hookline.store.ingest import ingest
from hookline.store.session import Session
from store.webhooks import WITHIN, webhook


async def counts(foreign: Any) -> tuple[int, int]:
    row = await foreign.fetchrow(
        "SELECT (SELECT count(*) FROM hookline.events), (SELECT count(*) FROM hookline.outbox)"
    )
    return row[0], row[1]


async def test_a_new_event_is_one_row_in_the_ledger_and_one_in_the_outbox(
    session: Session, foreign: Any
) -> None:
    event = webhook("A", b'{"a":1}')
    [outcome] = await ingest(session, [event], within=WITHIN)
    assert isinstance(outcome, Accepted)
    assert (outcome.event_id, outcome.revision) == (event.event_id, False)
    ledger = await foreign.fetchrow("SELECT * FROM hookline.events")
    logged = await foreign.fetchrow("SELECT * FROM hookline.outbox")
    assert await counts(foreign) == (1, 1)
    assert (ledger["id"], ledger["lineage"], ledger["seq"]) == (event.event_id, event.lineage, outcome.seq)
    assert (ledger["size"], ledger["body_sha256"]) == (7, event.body_sha256)
    assert (logged["event_id"], logged["seq"], logged["body"]) == (event.event_id, outcome.seq, event.body)
    for column in ("shard", "source", "type", "ordering_key", "received_at", "traceparent", "tracestate"):
        assert ledger[column] == logged[column] == getattr(event, column)


async def test_the_same_event_again_writes_nothing(session: Session, foreign: Any) -> None:
    event = webhook("A")
    await ingest(session, [event], within=WITHIN)
    assert await ingest(session, [event], within=WITHIN) == [Duplicate(event.event_id)]
    assert await counts(foreign) == (1, 1)


async def test_another_body_under_the_same_key_is_a_revision(session: Session, foreign: Any) -> None:
    first, second, third = (webhook("A", body) for body in (b"1", b"2", b"3"))
    outcomes = [(await ingest(session, [event], within=WITHIN))[0] for event in (first, second, third)]
    assert [isinstance(o, Accepted) and o.revision for o in outcomes] == [False, True, True]
    assert len({first.lineage, second.lineage, third.lineage}) == 1
    stored = await foreign.fetch("SELECT revision, body FROM hookline.outbox ORDER BY seq")
    assert [tuple(row) for row in stored] == [(False, b"1"), (True, b"2"), (True, b"3")]
    ledger = await foreign.fetch("SELECT revision FROM hookline.events ORDER BY seq")
    assert [row["revision"] for row in ledger] == [False, True, True]


async def test_a_revision_again_is_a_duplicate(session: Session, foreign: Any) -> None:
    first, second = webhook("A", b"1"), webhook("A", b"2")
    for event in (first, second):
        await ingest(session, [event], within=WITHIN)
    assert await ingest(session, [second], within=WITHIN) == [Duplicate(second.event_id)]
    assert await ingest(session, [first], within=WITHIN) == [Duplicate(first.event_id)]
    assert await counts(foreign) == (2, 2)


async def test_a_source_with_event_ids_knows_no_revisions(session: Session, foreign: Any) -> None:
    first, other_body = webhook("A", b"1", revisions=False), webhook("A", b"2", revisions=False)
    assert isinstance((await ingest(session, [first], within=WITHIN))[0], Accepted)
    assert await ingest(session, [other_body], within=WITHIN) == [Duplicate(first.event_id)]
    assert await counts(foreign) == (1, 1)


async def test_neighbours_in_the_ledger_are_no_revisions_of_one_another(session: Session) -> None:
    # Enough events of one shard to lie on both sides of every lineage.
    events = [webhook(f"u{number}", shards=1) for number in range(300)]
    outcomes = await ingest(session, events, within=WITHIN)
    assert {isinstance(outcome, Accepted) and outcome.revision for outcome in outcomes} == {False}
    rescored = await ingest(session, [webhook(f"u{n}", b"2", shards=1) for n in range(300)], within=WITHIN)
    assert {isinstance(outcome, Accepted) and outcome.revision for outcome in rescored} == {True}


async def test_outcomes_come_in_the_order_of_the_batch_and_seqs_in_order_of_arrival(
    session: Session,
) -> None:
    known = [webhook(f"known{n}") for n in range(5)]
    await ingest(session, known, within=WITHIN)
    fresh = [webhook(f"fresh{n}") for n in range(5)]
    batch = [event for pair in zip(fresh, known, strict=True) for event in pair]
    outcomes = await ingest(session, batch, within=WITHIN)
    assert [outcome.event_id for outcome in outcomes] == [event.event_id for event in batch]
    assert [type(outcome) for outcome in outcomes] == [Accepted, Duplicate] * 5
    seqs = [outcome.seq for outcome in outcomes if isinstance(outcome, Accepted)]
    assert seqs == sorted(seqs)


async def test_headers_keep_their_order_case_and_repeats(session: Session, foreign: Any) -> None:
    headers = [["X-B", "1"], ["x-a", "ÿ\\u0000"], ["X-B", "2"], ["empty", ""]]
    await ingest(session, [webhook("A", headers=json.dumps(headers))], within=WITHIN)
    assert json.loads(await foreign.fetchval("SELECT headers::text FROM hookline.outbox")) == headers


BODIES = {
    "empty": b"",
    "nul": b"\0",
    "all bytes": bytes(range(256)) * 3,
    "not UTF-8": b'{"a":"\\u0000","b":"\xff\xfe","c":"\\ud800"}',
    "duplicate keys": b'{"b":1, "a":1.0, "a":1e2}\r\n',
    "byte order mark": b"\xef\xbb\xbf{}",
    "1 MiB": b"x" * 1_048_576,
}


async def test_a_body_is_stored_byte_for_byte(session: Session, foreign: Any) -> None:
    for name, body in BODIES.items():
        event = webhook(name, body)
        await ingest(session, [event], within=WITHIN)
        row = await foreign.fetchrow(
            "SELECT body, size FROM hookline.outbox JOIN hookline.events USING (seq) WHERE id = $1",
            event.event_id,
        )
        assert (row["body"], row["size"]) == (body, len(body)), name


async def test_a_batch_with_one_refused_event_writes_nothing(session: Session, foreign: Any) -> None:
    bad = webhook("B")._replace(body_sha256=b"short")
    with pytest.raises(StatementRefused):
        await ingest(session, [webhook("A"), bad, webhook("C")], within=WITHIN)
    assert await counts(foreign) == (0, 0)
