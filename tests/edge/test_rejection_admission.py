"""What was refused becomes the event that it would have been: once, with its own time, in its own order."""

import asyncio
import base64
import hashlib
import hmac
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any
from uuid import UUID, uuid4

import pytest

from edge.fault_proxy import FaultProxy
from edge.provider import KEY, body, send, sign
from edge.refused import SEALING_KEY, keeper, refused, running
from edge.running import edge
from hookline.config import Settings
from hookline.edge.rejections.admission import Admission, Admitted, Verdict
from hookline.edge.rejections.desk import admission
from hookline.edge.rejections.rejection import Rejection
from hookline.errors import DatabaseUnavailable, IntakeUnavailable
from hookline.sealing import Sealer
from hookline.store.rejections import RejectionFilter
from hookline.store.session import Session
from store.waiting import until

START = datetime.now(UTC).replace(microsecond=123_456) - timedelta(hours=1)
STAMPED = {
    "signatures": [
        {
            "algorithm": "hmac-sha256",
            "at": "header:X-Signature",
            "template": "{timestamp}.{body}",
            "timestamp": {"at": "header:X-Timestamp"},
        }
    ],
    "event": {"dedup": ["json:/id"], "type": ["json:/type"]},
    "handshakes": [{"when": {"json:/type": "hello"}, "answer": {"body": "hello"}}],
}


@pytest.fixture(autouse=True)
def sealing_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEALING_KEY", base64.b64encode(SEALING_KEY).decode())


def settings(dsn: str, *, sealed: bool = True, **stamped: Any) -> Settings:
    values: dict[str, Any] = {
        "database_url": dsn,
        "schemes": {"stamped": STAMPED},
        "sources": {
            "begini": {"scheme": "begini", "secrets": ["env:BEGINI_API_KEY"]},
            "quiet": {"scheme": "stamped", "secrets": ["env:BEGINI_API_KEY"], **stamped},
        },
        "secrets": {"keys": ["env:SEALING_KEY"] if sealed else []},
    }
    return Settings(**values)


def genuine(number: int, uid: str = "u", *, key: str = KEY) -> Rejection:
    """Begini's webhook of a second, refused because the edge had another secret."""
    content = body(uid, type_=f"type.{number}")
    at = START + timedelta(seconds=number)
    headers = ((b"content-type", b"application/json"), (b"x-signature", sign(content, key).encode()))
    return refused(content, headers=headers, received_at=at)


def stamped(at: datetime, *, signed_at: datetime, key: str = KEY, type_: str = "x") -> Rejection:
    """One with a signed timestamp."""
    content = f'{{"id":"{uuid4()}","type":"{type_}"}}'.encode()
    timestamp = str(int(signed_at.timestamp())).encode()
    signature = hmac.new(key.encode(), timestamp + b"." + content, hashlib.sha256).hexdigest().encode()
    # A proxy's note of a time stands before the one that was signed.
    headers = (
        (b"content-type", b"application/json"),
        (b"x-request-start", b"1700000000"),
        (b"x-signature", signature),
        (b"x-timestamp", timestamp),
    )
    return refused(content, source="quiet", cause="stale_timestamp", headers=headers, received_at=at)


async def keep(dsn: str, *rejections: Rejection, **values: Any) -> list[UUID]:
    """Have them kept; answers their ids in order of receipt."""
    async with running(keeper(dsn, burst=10_000, **values)) as keeping:
        for number, rejection in enumerate(rejections):
            keeping.keep(rejection)
            if number % 500 == 499:
                written = keeping.written + 500

                async def caught_up(written: int = written) -> bool:
                    return keeping.written >= written or not keeping.held_bytes

                await until(caught_up, "the queue is written")
    session = Session(dsn, name="test")
    try:
        rows = await session.fetch(
            "SELECT id FROM hookline.rejections ORDER BY received_at, id", within=timedelta(seconds=20)
        )
    finally:
        await session.close()
    return [row["id"] for row in rows]


async def named(chosen: Settings, ids: Sequence[UUID], **how: Any) -> list[Admitted]:
    async with admission(chosen, **how) as desk:
        return [admitted async for admitted in desk.named(ids)]


async def matching(chosen: Settings, wanted: RejectionFilter | None = None, **how: Any) -> list[Admitted]:
    async with admission(chosen, **how) as desk:
        return [admitted async for admitted in desk.matching(wanted or RejectionFilter())]


def verdicts(admitted: Sequence[Admitted]) -> list[tuple[Verdict, str]]:
    return [(one.verdict, one.why) for one in admitted]


async def events(foreign: Any) -> list[Any]:
    return list(
        await foreign.fetch(
            "SELECT e.id, o.type, o.received_at, o.headers, o.body, o.traceparent FROM hookline.events AS e"
            " JOIN hookline.outbox AS o ON o.shard = e.shard AND o.seq = e.seq ORDER BY o.seq"
        )
    )


async def marks(foreign: Any) -> list[Any]:
    rows = await foreign.fetch("SELECT event_id FROM hookline.rejections ORDER BY received_at, id")
    return [row[0] for row in rows]


async def test_admitted_events_have_the_time_and_the_order_of_their_receipt(
    database: str, foreign: Any
) -> None:
    rejections = [genuine(number) for number in (3, 1, 4, 2)]
    await keep(database, *rejections)
    admitted = await matching(settings(database))
    assert verdicts(admitted) == [(Verdict.ACCEPTED, "")] * 4
    stored = await events(foreign)
    assert [row["type"] for row in stored] == ["type.1", "type.2", "type.3", "type.4"]
    assert [row["received_at"] for row in stored] == [START + timedelta(seconds=n) for n in range(1, 5)]
    assert [row["id"] for row in stored] == [one.event_id for one in admitted] == await marks(foreign)
    assert stored[0]["body"] == rejections[1].incoming.body
    assert all(len(row["traceparent"]) == 55 for row in stored)


async def test_an_admitted_event_is_the_one_that_the_edge_would_have_made(
    database: str, foreign: Any
) -> None:
    await keep(database, genuine(1))
    [admitted] = await matching(settings(database))
    async with edge(database) as address:
        again = await send(address, body("u", type_="type.1"))
    assert again.json == {"status": "duplicate", "event_id": str(admitted.event_id)}
    assert len(await events(foreign)) == 1


async def test_what_the_provider_sent_again_meanwhile_is_a_duplicate_and_marked(
    database: str, foreign: Any
) -> None:
    ids = await keep(database, genuine(1))
    async with edge(database) as address:
        event_id = (await send(address, body("u", type_="type.1"))).json["event_id"]
    foreseen = await named(settings(database), ids, dry_run=True)
    assert await marks(foreign) == [None]
    assert foreseen == await named(settings(database), ids)
    assert foreseen == [Admitted(ids[0], Verdict.DUPLICATE, event_id=UUID(event_id))]
    assert [str(mark) for mark in await marks(foreign)] == [event_id]


async def test_admitting_again_answers_the_event_that_it_became(database: str, foreign: Any) -> None:
    ids = await keep(database, genuine(1))
    [first] = await named(settings(database), ids)
    [second] = await named(settings(database), [*ids, *ids])
    assert second == Admitted(ids[0], Verdict.ADMITTED_BEFORE, event_id=first.event_id)
    assert await matching(settings(database)) == []
    assert len(await events(foreign)) == 1


async def test_two_who_admit_at_the_same_moment_admit_once(database: str, foreign: Any) -> None:
    await keep(database, *(genuine(number, f"u{number % 7}") for number in range(250)))
    both = await asyncio.gather(*(matching(settings(database)) for _ in range(2)))
    assert Counter(one.verdict for admitted in both for one in admitted)[Verdict.ACCEPTED] == 250
    assert {one.verdict for admitted in both for one in admitted} <= {
        Verdict.ACCEPTED,
        Verdict.DUPLICATE,
        Verdict.ADMITTED_BEFORE,
    }
    stored = await events(foreign)
    assert len(stored) == 250
    assert await marks(foreign) == [row["id"] for row in stored]


_KILLED = """
import asyncio, os, signal, sys
from edge.test_rejection_admission import matching, settings
from hookline.store import rejections

async def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

rejections.mark_admitted = die
asyncio.run(matching(settings(sys.argv[1])))
"""


async def test_a_death_between_the_event_and_its_mark_is_harmless(database: str, foreign: Any) -> None:
    ids = await keep(database, genuine(1), genuine(2))
    killed = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", _KILLED, database],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    before = await events(foreign)
    assert len(before) == 2
    assert await marks(foreign) == [None, None]
    again = await matching(settings(database))
    assert again == [
        Admitted(of, Verdict.DUPLICATE, event_id=row["id"]) for of, row in zip(ids, before, strict=True)
    ]
    assert await events(foreign) == before
    assert await marks(foreign) == [row["id"] for row in before]


async def test_what_does_not_verify_stays_refused_and_the_others_get_in(database: str, foreign: Any) -> None:
    await keep(database, genuine(1), genuine(2, key="somebody's guess"), genuine(3))
    admitted = await matching(settings(database))
    assert verdicts(admitted) == [
        (Verdict.ACCEPTED, ""),
        (Verdict.REFUSED, "bad_signature"),
        (Verdict.ACCEPTED, ""),
    ]
    assert len(await events(foreign)) == 2
    assert [mark is None for mark in await marks(foreign)] == [False, True, False]


async def test_a_signed_timestamp_is_judged_by_the_clock_of_the_receipt(database: str) -> None:
    old = START - timedelta(days=2)
    fresh_then = stamped(old, signed_at=old - timedelta(seconds=299))
    stale_then = stamped(old + timedelta(seconds=1), signed_at=old - timedelta(minutes=30))
    early_then = stamped(old + timedelta(seconds=2), signed_at=old + timedelta(minutes=30))
    forged = stamped(old + timedelta(seconds=3), signed_at=old - timedelta(minutes=30), key="a guess")
    ids = await keep(database, fresh_then, stale_then, early_then, forged)
    stale = (Verdict.REFUSED, "stale_timestamp")
    admitted = await named(settings(database), ids, dry_run=True)
    assert verdicts(admitted)[:3] == [(Verdict.ACCEPTED, ""), stale, stale]
    # The edge's clock or tolerance was wrong: the tolerance is widened.
    admitted = await named(settings(database, tolerance="31m"), ids, dry_run=True)
    assert verdicts(admitted)[:3] == [(Verdict.ACCEPTED, "")] * 3
    admitted = await named(settings(database), ids, ignore_clock=True)
    assert verdicts(admitted)[:3] == [(Verdict.ACCEPTED, "")] * 3
    assert admitted[3].verdict is Verdict.REFUSED, "no clock excuses a wrong signature"


async def test_what_can_not_be_admitted_says_why(database: str, foreign: Any) -> None:
    hello = stamped(START, signed_at=START, type_="hello")
    ids = await keep(
        database,
        refused(is_whole=False, received_at=START - timedelta(seconds=2)),
        genuine(-1)._replace(incoming=genuine(-1).incoming._replace(method="GET")),
        hello,
        genuine(1),
        genuine(2),
    )
    await foreign.execute(
        "UPDATE hookline.rejections SET source = 'renamed', original = set_byte(original, 20, 7) WHERE id = $1",
        ids[4],
    )
    ids += await keep(database, refused(received_at=START + timedelta(seconds=9)), body="omit")
    unknown = uuid4()
    admitted = await named(settings(database), [*dict.fromkeys(ids), unknown])
    impossible = Verdict.IMPOSSIBLE
    assert verdicts(admitted) == [
        (impossible, "it was refused by its head, so its body was not read"),
        (Verdict.REFUSED, "method_not_allowed"),
        (impossible, "it is a handshake, which carries no event"),
        (Verdict.ACCEPTED, ""),
        (impossible, admitted[4].why),
        (impossible, 'its body was not kept: rejections.body = "omit"'),
        (Verdict.NOT_FOUND, "it never was, or it is beyond its source's bounds"),
    ]
    assert "altered" in admitted[4].why
    assert len(await events(foreign)) == 1


async def test_without_the_key_or_the_source_nothing_is_admitted_and_the_fix_is_named(
    database: str, foreign: Any
) -> None:
    ids = await keep(database, genuine(1))
    [keyless] = await named(settings(database, sealed=False), ids)
    assert (keyless.verdict, "set secrets.keys" in keyless.why) == (Verdict.IMPOSSIBLE, True)
    without = settings(database).model_copy(update={"sources": {}})
    assert verdicts(await named(without, ids)) == [(Verdict.REFUSED, "unknown_source")]
    assert await events(foreign) == []


async def test_a_dry_run_writes_nothing(database: str, foreign: Any) -> None:
    await keep(database, genuine(1), genuine(1), genuine(2, key="a guess"))
    foreseen = await matching(settings(database), dry_run=True)
    assert sorted(one.verdict for one in foreseen) == ["accepted", "duplicate", "still refused"]
    assert await events(foreign) == []
    assert await marks(foreign) == [None] * 3
    done = await matching(settings(database))
    assert sorted(done) == sorted(foreseen)


async def test_a_filter_chooses(database: str) -> None:
    await keep(database, genuine(1), genuine(2)._replace(cause="other"), stamped(START, signed_at=START))
    chosen = settings(database)
    wanted = RejectionFilter(source="begini", since=START + timedelta(seconds=2))
    assert len(await matching(chosen, wanted)) == 1
    assert len(await matching(chosen, RejectionFilter(cause="bad_signature"))) == 1
    assert len(await matching(chosen, RejectionFilter(source="quiet"))) == 1
    assert await matching(chosen) == []


async def test_thousands_are_admitted_in_order(database: str, foreign: Any) -> None:
    many = [genuine(number, f"u{number % 3}") for number in range(2_500)]
    await keep(database, *many, max_age="30d")
    begun = perf_counter()
    admitted = await matching(settings(database))
    print(f"2,500 admitted in {perf_counter() - begun:.1f} s")
    assert Counter(one.verdict for one in admitted) == {Verdict.ACCEPTED: 2_500}
    stored = await events(foreign)
    assert [row["type"] for row in stored] == [f"type.{number}" for number in range(2_500)]


async def test_what_is_refused_meanwhile_is_left_for_the_next_time(database: str) -> None:
    first = await keep(database, *(genuine(number) for number in range(150)))
    async with admission(settings(database)) as desk:
        admitting = desk.matching(RejectionFilter())
        admitted = [await anext(admitting)]
        await keep(database, genuine(1_000))
        admitted += [one async for one in admitting]
    assert [one.id for one in admitted] == first
    assert len(await matching(settings(database))) == 1


async def test_relays_are_woken(database: str, foreign: Any) -> None:
    woken = asyncio.Event()
    await foreign.add_listener("hookline", lambda *_: woken.set())
    await keep(database, genuine(1))
    await matching(settings(database))
    async with asyncio.timeout(5):
        await woken.wait()


class _FullIntake:
    async def commit(self, event: Any) -> Any:
        del event
        raise IntakeUnavailable("too many events are waiting for their commit")


async def test_what_could_not_be_stored_says_so_and_is_not_marked(database: str, foreign: Any) -> None:
    await keep(database, genuine(1))
    session = Session(database, name="test")
    async with admission(settings(database)) as desk:
        full = Admission(session, _FullIntake(), desk._judge, Sealer([SEALING_KEY]))  # type: ignore[arg-type]
        admitted = [one async for one in full.matching(RejectionFilter())]
    await session.close()
    assert verdicts(admitted) == [(Verdict.NOT_STORED, "too many events are waiting for their commit")]
    assert await marks(foreign) == [None]


async def test_a_database_that_goes_away_ends_it_and_it_may_be_asked_again(
    database: str, proxy: FaultProxy, foreign: Any
) -> None:
    ids = await keep(database, genuine(1))
    async with admission(settings(proxy.dsn)) as desk:
        proxy.cut()
        with pytest.raises(DatabaseUnavailable):
            [one async for one in desk.named(ids)]
    proxy.mend()
    assert verdicts(await named(settings(proxy.dsn), ids)) == [(Verdict.ACCEPTED, "")]
    assert len(await events(foreign)) == 1
