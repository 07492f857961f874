"""Events, looked up by id and in lists, after real relays have delivered them."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import grpc
import pytest

from admin.rig import Admin, refusal
from hookline.admin.event_history import histories
from hookline.admin.events import EventService
from hookline.core.subscription import Subscription
from hookline.model import SubscriptionName
from hookline.store.acks import PastAck
from hookline.store.timeline import Passage
from hookline.v1 import dead_letter_pb2, replay_pb2
from hookline.v1 import event_pb2 as pb
from hookline.v1.dead_letter_pb2_grpc import DeadLetterServiceStub
from hookline.v1.event_pb2_grpc import EventServiceStub
from hookline.v1.replay_pb2_grpc import ReplayServiceStub
from path.rig.database import connect, cursors
from path.rig.events import append, append_many, event
from path.rig.process import RelayProcess, write_config
from path.rig.relay import Relay
from path.rig.stream import RawStream, StreamEnded, ids
from path.rig.wait import until
from relay.push_consumer import PushedTo

State = pb.EventDeliveryState
NAME = SubscriptionName("all")
SAMPLED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SUBSCRIPTIONS: Mapping[str, Any] = {
    "all": {"start": "earliest", "retry": {"wait": "fixed", "delay": "20ms", "max_attempts": 9}},
    "scores": {"start": "earliest", "types": ["score.*"]},
    "large": {"start": "earliest", "expression": "body.size > 5"},
}
Summary = tuple[str, str, str, list[tuple[int, str]]]


class Events:
    """Calls the service."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.stub: Any = EventServiceStub(channel)
        self.dead_letters: Any = DeadLetterServiceStub(channel)
        self.replays: Any = ReplayServiceStub(channel)

    async def get(self, event_id: str) -> pb.GetEventResponse:
        return await self.stub.GetEvent(pb.GetEventRequest(name=f"events/{event_id}"))

    async def deliveries(self, event_id: str) -> list[Summary]:
        return [summary(delivery) for delivery in (await self.get(event_id)).deliveries]

    async def delivery(self, event_id: str, subscription: str = "all", replay: str = "") -> pb.EventDelivery:
        found = (await self.get(event_id)).deliveries
        [one] = [one for one in found if (one.subscription, one.replay) == (subscription, replay)]
        return one

    async def list(self, *, size: int = 0, token: str = "", **values: Any) -> pb.ListEventsResponse:
        return await self.stub.ListEvents(
            pb.ListEventsRequest(filter=pb.EventFilter(**values), page_size=size, page_token=token)
        )


def summary(delivery: pb.EventDelivery) -> Summary:
    state = State.Name(delivery.state).removeprefix("EVENT_DELIVERY_STATE_").lower()
    attempts = [(attempt.number, attempt.outcome) for attempt in delivery.attempts]
    return delivery.subscription, delivery.replay, state, attempts


@asynccontextmanager
async def calling(target: str) -> AsyncIterator[Events]:
    async with grpc.aio.insecure_channel(target) as channel:
        yield Events(channel)


@asynccontextmanager
async def delivering(database: str) -> AsyncIterator[tuple[Relay, Events, RawStream]]:
    """A relay and a consumer of the subscription `all`; the others have none."""
    async with (
        Relay(database, SUBSCRIPTIONS) as relay,
        Admin(database) as admin,
        calling(admin.target) as events,
        RawStream(relay.target) as stream,
    ):
        await stream.start(consumer="scorer")
        yield relay, events, stream


async def test_what_became_of_each_event_is_told_attempt_by_attempt(database: str) -> None:
    async with delivering(database) as (relay, events, stream):
        # Acked at once: there is no row of it anywhere but in the journal.
        first = event(b'{"size": 7}', traceparent=SAMPLED)
        [acked] = await append(database, [first])
        [delivery] = await stream.deliveries(1)
        assert summary(await events.delivery(acked)) == ("all", "", "pending", [])
        await stream.ack(delivery)
        found = await events.get(acked)
        assert [summary(one) for one in found.deliveries] == [
            ("all", "", "acked", [(1, "acked")]),
            ("large", "", "pending", []),
            ("scores", "", "filtered", []),
        ]
        described = found.event
        assert (described.name, described.id) == (f"events/{acked}", acked)
        assert (described.source, described.type, described.size) == ("begini", "application.complete", 11)
        assert described.receive_time.ToDatetime(UTC) == first.received_at
        assert (described.trace.trace_id, described.trace.sampled) == (SAMPLED[3:35], True)
        assert found.logged
        assert list(found.revisions) == []
        [attempt] = found.deliveries[0].attempts
        times = [
            described.receive_time,
            described.commit_time,
            attempt.start_time,
            attempt.end_time,
        ]
        moments = [time.ToDatetime(UTC) for time in times]
        assert moments == sorted(moments)
        assert moments[-1] - moments[0] < timedelta(seconds=20)
        assert (attempt.consumer, attempt.trace) == ("scorer", described.trace)

        # Tried again, and acked then.
        [retried] = await append(database, [event()])
        await stream.retry(*await stream.deliveries(1), reason="busy")
        await stream.ack(*await stream.deliveries(1))
        one = await events.delivery(retried)
        assert summary(one) == ("all", "", "acked", [(1, "retried"), (2, "acked")])
        assert [attempt.reason for attempt in one.attempts] == ["busy", ""]
        assert not one.attempts[1].trace.sampled
        assert summary(await events.delivery(retried, "large")) == ("large", "", "pending", [])

        # It waits, and says until when.
        [waiting] = await append(database, [event()])
        await stream.retry(*await stream.deliveries(1), delay=timedelta(hours=1), reason="later")
        one = await events.delivery(waiting)
        assert summary(one) == ("all", "", "waiting", [(1, "retried")])
        wait = one.due_time.ToDatetime(UTC) - one.state_time.ToDatetime(UTC)
        assert timedelta(minutes=59) < wait < timedelta(minutes=61)
        assert one.reason == "later"

        # Its consumer died with it in hand.
        [lost] = await append(database, [event()])
        await stream.deliveries(1)
        await stream.die()
        async with RawStream(relay.target) as other:
            await other.start(consumer="other")
            await other.ack(*await other.deliveries(1))
        one = await events.delivery(lost)
        assert summary(one) == ("all", "", "acked", [(1, "lost"), (2, "acked")])
        assert [attempt.consumer for attempt in one.attempts] == ["scorer", "other"]
    # What has a row of an attempt isn't written a second time.
    async with connect(database) as connection:
        assert await connection.fetchval("SELECT array_agg(length(entries)) FROM hookline.acks") == [8]


async def test_what_operators_had_delivered_again_or_gave_up_is_told(database: str) -> None:
    async with delivering(database) as (_, events, stream):
        # Dead, redriven, and acked.
        [rejected] = await append(database, [event()])
        await stream.reject(*await stream.deliveries(1), reason="wrong")
        one = await events.delivery(rejected)
        assert summary(one) == ("all", "", "dead", [(1, "rejected")])
        assert (one.reason, one.HasField("due_time")) == ("wrong", False)
        await events.dead_letters.RedriveDeadLetters(
            dead_letter_pb2.RedriveDeadLettersRequest(
                subscription="all", filter=dead_letter_pb2.DeadLetterFilter()
            )
        )
        await stream.ack(*await stream.deliveries(1))
        assert (await events.deliveries(rejected))[0] == ("all", "", "acked", [(1, "rejected"), (1, "acked")])

        # Dead and given up.
        [given_up] = await append(database, [event()])
        await stream.reject(*await stream.deliveries(1), reason="wrong")
        await events.dead_letters.DeleteDeadLetters(
            dead_letter_pb2.DeleteDeadLettersRequest(
                subscription="all", filter=dead_letter_pb2.DeadLetterFilter(), reason="a test"
            )
        )
        one = await events.delivery(given_up)
        assert summary(one) == ("all", "", "deleted", [(1, "rejected"), (1, "deleted")])
        assert one.attempts[1].reason == "a test"
        assert not one.attempts[1].HasField("trace")

        # Replayed: that is a delivery of its own.
        [acked] = await append(database, [event(b'{"size": 7}')])
        await stream.ack(*await stream.deliveries(1))
        replay = replay_pb2.Replay(subscription="all", events=replay_pb2.EventIds(ids=[acked]))
        made = (await events.replays.CreateReplay(replay_pb2.CreateReplayRequest(replay=replay))).replay
        [again] = await stream.deliveries(1)
        assert (await events.deliveries(acked))[1] == ("all", made.name, "waiting", [])
        await stream.ack(again)
        assert (await events.deliveries(acked))[:2] == [
            ("all", "", "acked", [(1, "acked")]),
            ("all", made.name, "acked", [(1, "acked")]),
        ]


async def test_pushed_deliveries_have_their_times_too(database: str) -> None:
    async with PushedTo() as consumer:
        subscriptions = {"pushed": {"start": "earliest", "push": f"127.0.0.1:{consumer.port}"}}
        async with Relay(database, subscriptions), Admin(database) as admin, calling(admin.target) as events:
            [pushed] = await append(database, [event()])

            async def acked() -> bool:
                return await events.deliveries(pushed) == [("pushed", "", "acked", [(1, "acked")])]

            await until(acked, "it is pushed and acked")
            [attempt] = (await events.delivery(pushed, "pushed")).attempts
            assert attempt.HasField("start_time")
            assert attempt.consumer


async def test_an_ack_is_in_the_journal_if_and_only_if_the_cursor_knows_of_it(
    database: str, tmp_path: Path
) -> None:
    config = write_config(
        tmp_path / "hookline.toml",
        {
            "subscriptions.all": {"start": "earliest"},
            "relay": {"lease": "1s", "heartbeat": "200ms", "poll": "50ms"},
        },
    )
    wanted = await append_many(database, 150, shards=8)
    async with RelayProcess(database, config, name="killed") as first:
        await first.ready()
        async with RawStream(first.target) as stream:
            await stream.start(events=100)
            await stream.ack(*(delivered := await stream.deliveries(30)))
            # In the middle of these the relay dies; what was committed of them is not known.
            for _ in range(10):
                await stream.send_acks(*await stream.deliveries(6))
            await first.kill()
            with pytest.raises((StreamEnded, grpc.aio.AioRpcError)):
                await stream.deliveries(150)
    settled = await settled_by_the_cursors(database)
    async with Admin(database) as admin, calling(admin.target) as events:
        states = {one: await events.deliveries(one) for one in wanted}
        acked = {one for one, found in states.items() if found == [("all", "", "acked", [(1, "acked")])]}
        assert set(ids(delivered)) <= acked
        assert acked == settled
        assert {tuple(found[0][:3]) for one, found in states.items() if one not in acked} == {
            ("all", "", "pending")
        }
    async with RelayProcess(database, config, name="second") as second:
        await second.ready()
        async with RawStream(second.target) as stream, calling(second.target) as events:
            await stream.start(events=1000)
            rest = await stream.deliveries(len(wanted) - len(acked))
            await stream.ack(*rest)
            for one in wanted:
                assert await events.deliveries(one) == [("all", "", "acked", [(1, "acked")])]


async def settled_by_the_cursors(database: str) -> set[str]:
    """The events at or below their shards' positions that aren't pending."""
    known = await cursors(database)
    async with connect(database) as connection:
        rows = await connection.fetch("SELECT event_id, shard, seq FROM hookline.outbox")
    return {
        str(row["event_id"])
        for row in rows
        if row["seq"] <= known[row["shard"]]["position"] and row["seq"] not in known[row["shard"]]["pending"]
    }


async def test_revisions_name_each_other_and_ids_are_taken_with_dashes_or_without(admin: Admin) -> None:
    lineage = UUID("00123456-789a-8bcd-8000-000000000000")
    revisions = [
        event(bytes([number]))._replace(event_id=UUID(int=lineage.int + number), lineage=lineage)
        for number in (3, 1, 2)
    ]
    names = [f"events/{one}" for one in await append(admin.dsn, revisions)]
    await append(admin.dsn, [event()])
    async with calling(admin.target) as events:
        found = await events.get(revisions[1].event_id.hex.upper())
        assert found.event.name == names[1]
        assert list(found.revisions) == [names[0], names[2]]
        await admin.db.execute("UPDATE hookline.events SET committed_at = NULL")
        await admin.db.execute("DELETE FROM hookline.outbox")
        found = await events.get(str(revisions[1].event_id))
        assert not found.event.HasField("commit_time")
        assert not found.logged


async def test_what_is_no_event_is_said(admin: Admin) -> None:
    one = str(uuid4())
    async with calling(admin.target) as events:
        for name in (
            "",
            "events/",
            "events/7",
            one,
            f"events/{{{one}}}",
            f"events/{one}0",
            f"events/{one}\n",
        ):
            refused = await refusal(events.stub.GetEvent(pb.GetEventRequest(name=name)))
            assert (refused.code, refused.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_EVENT_NAME")
        for unknown in (one, str(UUID(int=2**128 - 1))):
            refused = await refusal(events.get(unknown))
            assert (refused.code, refused.reason) == (grpc.StatusCode.NOT_FOUND, "EVENT_NOT_FOUND")


async def test_lists_hold_each_event_that_fits_once_the_newest_first(admin: Admin) -> None:
    old = datetime.now(UTC) - timedelta(days=2)
    made = [
        event(source=source, type_=type_, shard=number % 8)
        for number, (source, type_) in enumerate(
            [("begini", "a.x"), ("stripe", "a.y"), ("begini", "b[1]")] * 40
        )
    ]
    # Admitted from the rejections: received long before what is next to it in the log.
    admitted = [one._replace(received_at=old) for one in (event(type_="old"), event(type_="old"))]
    newest_first = (await append(admin.dsn, made + admitted))[::-1]
    async with calling(admin.target) as events:
        page = await events.list()
        assert [one.id for one in page.events] == newest_first[:100]
        assert not page.events[0].HasField("commit_time")
        rest = await events.list(token=page.next_page_token)
        assert [one.id for one in rest.events] == newest_first[100:]
        assert rest.next_page_token == ""
        by_sevens: list[str] = []
        token = ""
        while True:
            page = await events.list(size=7, token=token, source="beg*", type="a.?")
            by_sevens += [one.id for one in page.events]
            token = page.next_page_token
            if not token:
                break
            await append(admin.dsn, [event(type_="a.x")])
        assert by_sevens == [
            str(one.event_id) for one in made[::-1] if (one.source, one.type) == ("begini", "a.x")
        ]
        recent = pb.EventFilter()
        recent.start_time.FromDatetime(old + timedelta(days=1))
        assert len((await events.list(size=1000, start_time=recent.start_time, type="old")).events) == 0
        assert len((await events.list(size=1000, start_time=recent.start_time, type="b[[]1]")).events) == 40
        before = await events.list(end_time=recent.start_time)
        assert [one.type for one in before.events] == ["old", "old"]
        refused = await refusal(events.list(token=token or by_sevens[0]))
        assert refused.reason == "INVALID_PAGE_TOKEN"
        assert (await refusal(events.list(type="[z-a]"))).reason == "INVALID_FIELD"
        backwards = events.list(start_time=recent.start_time, end_time=recent.start_time)
        assert (await refusal(backwards)).message.startswith("filter.start_time:")


async def test_a_search_that_takes_long_ends_its_page_and_one_for_new_events_ends_with_the_old(
    admin: Admin,
) -> None:
    """40,000 events of a while ago, a gap, and one of now."""
    await append(admin.dsn, [event(type_="first")])
    await admin.db.execute(
        "INSERT INTO hookline.events (id, lineage, seq, received_at, size, shard, revision, body_sha256, source, type,"
        " ordering_key, traceparent, tracestate, committed_at)"
        " SELECT id, id, n, now() - interval '1 day', 2, n % 8, false, decode(repeat('00', 32), 'hex'), 'begini',"
        " 'old', '', '', '', now() - interval '1 day'"
        " FROM (SELECT n, gen_random_uuid() AS id FROM generate_series(2, 40001) AS n) AS made"
    )
    await admin.db.execute(
        "INSERT INTO hookline.outbox (event_id, seq, received_at, shard, revision, source, type, ordering_key,"
        " traceparent, tracestate, headers, body)"
        " SELECT id, seq, received_at, shard, false, source, type, '', '', '', '[]', '{}' FROM hookline.events"
        "  WHERE type = 'old'"
    )
    await admin.db.execute("SELECT setval('hookline.outbox_seq', 45000)")
    await append(admin.dsn, [event(type_="last")])
    # Above it a rejection that was admitted: received long ago, and committed just now.
    await admin.db.execute("SELECT setval('hookline.outbox_seq', 47000)")
    await append(
        admin.dsn, [event(type_="admitted")._replace(received_at=datetime.now(UTC) - timedelta(days=1))]
    )
    hasty = EventService(admin.dsn, patience=timedelta(0))
    try:
        request = pb.ListEventsRequest(filter=pb.EventFilter(type="first"))
        pages = 0
        while True:
            answered = await hasty._list(request)
            if not answered.next_page_token:
                break
            assert list(answered.events) == []
            request.page_token = answered.next_page_token
            pages += 1
            hasty._patience = 0.001 if pages < 3 else 10.0
        assert [one.type for one in answered.events] == ["first"]
        assert pages >= 2
    finally:
        await hasty.close()
    async with calling(admin.target) as events:
        since = pb.EventFilter()
        since.start_time.FromDatetime(datetime.now(UTC) - timedelta(minutes=5))
        page = await events.list(start_time=since.start_time)
        # The very first is of now, too, but below what was committed long ago: that is nothing but this test's making.
        assert [one.type for one in page.events] == ["last"]
        assert page.next_page_token == ""


def passage(created_at: datetime) -> Passage:
    return Passage(Subscription(NAME), created_at, is_read=True, is_held=False)


def test_an_ack_that_was_written_twice_is_told_once() -> None:
    now = datetime.now(UTC)
    twice = [PastAck(NAME, now + timedelta(seconds=n), now, "c") for n in (1, 0)]
    [one] = histories([passage(now - timedelta(days=1))], [], [], twice, wants=lambda _: True)
    assert [(attempt.outcome, attempt.ended_at) for attempt in one.attempts] == [("acked", now)]
    # One of a subscription that was deleted, and one of a new one of that name.
    [one] = histories([passage(now + timedelta(milliseconds=500))], [], [], twice, wants=lambda _: True)
    assert len(one.attempts) == 2
    [one] = histories([passage(now + timedelta(seconds=5))], [], [], twice, wants=lambda _: True)
    assert one.state == "passed"
    [one] = histories([], [], [], twice, wants=lambda _: True)
    assert one.state == "acked"
