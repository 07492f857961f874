"""ReplayService over a real server and database. The rows are looked at; nobody delivers here."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from uuid import UUID, uuid4

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from typer.testing import CliRunner

from admin.rig import Notices, refusal
from hookline.admin.replays import ReplayService
from hookline.cli.replays import replays_app
from hookline.core.subscription import Subscription
from hookline.model import SubscriptionName
from hookline.store import replays, subscriptions
from hookline.store.replayed_events import Choice, look
from hookline.store.session import Session
from hookline.v1 import replay_pb2 as pb
from hookline.v1.replay_pb2_grpc import ReplayServiceStub, add_ReplayServiceServicer_to_server
from path.rig.database import connect
from path.rig.events import append, append_many, event

WITHIN = timedelta(seconds=20)
INVALID = grpc.StatusCode.INVALID_ARGUMENT


class Admin:
    """The service on a port of its own, with a subscription `all` that has settled everything."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.session = Session(dsn, name="test")

    async def __aenter__(self) -> Self:
        self.service = ReplayService(self.dsn)
        self._server = grpc.aio.server()
        add_ReplayServiceServicer_to_server(self.service, self._server)
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()
        self._channel = grpc.aio.insecure_channel(f"127.0.0.1:{self.port}")
        self.stub = ReplayServiceStub(self._channel)
        await self.declare()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._channel.close()
        await self._server.stop(grace=0)
        await self.service.close()
        await self.session.close()

    async def declare(self, name: str = "all", **values: Any) -> Subscription:
        subscription = Subscription(SubscriptionName(name), **values)
        await subscriptions.declare(self.session, subscription, start="earliest", within=WITHIN)
        return subscription

    async def pass_all(self) -> None:
        async with connect(self.dsn) as foreign:
            await foreign.execute(
                "UPDATE hookline.cursors SET position = (SELECT last_value FROM hookline.outbox_seq)"
            )

    async def create(
        self, subscription: str = "all", *, validate_only: bool = False, **values: Any
    ) -> pb.Replay:
        if not values.keys() & {"events", "filter"}:
            values["filter"] = pb.ReplayFilter()
        request = pb.CreateReplayRequest(
            replay=pb.Replay(subscription=subscription, **values), validate_only=validate_only
        )
        return (await self.stub.CreateReplay(request)).replay

    async def get(self, name: str) -> pb.Replay:
        return (await self.stub.GetReplay(pb.GetReplayRequest(name=name))).replay

    async def list(self, subscription: str = "", size: int = 0, token: str = "") -> pb.ListReplaysResponse:
        return await self.stub.ListReplays(
            pb.ListReplaysRequest(subscription=subscription, page_size=size, page_token=token)
        )

    async def cancel(self, name: str) -> pb.Replay:
        return (await self.stub.CancelReplay(pb.CancelReplayRequest(name=name))).replay

    async def carry_out(self, subscription: Subscription) -> int:
        """What a relay does with the next replay; answers how many deliveries it made."""
        replay = await replays.acquire(self.session, owner="test", lease=WITHIN, within=WITHIN)
        assert replay is not None
        choice = Choice(replay.selection, subscription)
        position, added = replay.position, 0
        while True:
            looked = await look(
                self.session,
                choice,
                position=position,
                until_seq=replay.until_seq,
                span=4096,
                most=500,
                within=WITHIN,
            )
            advanced = await replays.advance(self.session, replay, looked, lease=WITHIN, within=WITHIN)
            assert advanced is not None
            position, added = advanced.position, added + advanced.added
            if advanced.state == "completed":
                return added


@pytest.fixture
async def admin(database: str) -> AsyncIterator[Admin]:
    async with Admin(database) as admin:
        yield admin


def at(time: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(time)
    return message


async def test_a_replay_by_filter_is_created_as_it_was_asked_for(admin: Admin) -> None:
    start, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    asked = pb.ReplayFilter(sources=["begini"], types=["a*", "b"], start_time=at(start), end_time=at(end))
    created = await admin.create(filter=asked, max_rate=2.5)
    assert created.name == "replays/1"
    assert created.filter == asked
    assert (created.subscription, created.max_rate) == ("all", 2.5)
    assert created.state == pb.REPLAY_STATE_RUNNING
    assert (created.scanned, created.created, created.outstanding) == (0, 0, 0)
    assert created.HasField("create_time")
    assert not created.HasField("end_time")
    assert await admin.get("replays/1") == created


async def test_a_replay_by_ids_holds_each_event_once_in_the_order_of_the_log(admin: Admin) -> None:
    ids = await append_many(admin.dsn, 5)
    asked = [ids[3], ids[1].upper(), ids[3], ids[0]]
    created = await admin.create(events=pb.EventIds(ids=asked))
    assert created.events.ids == [ids[0], ids[1], ids[3]]


async def test_creating_and_cancelling_hint_to_the_relays(admin: Admin) -> None:
    await append_many(admin.dsn, 3)
    async with connect(admin.dsn) as foreign, Notices(foreign) as notices:
        created = await admin.create()
        await notices.wait()
        await admin.cancel(created.name)
        await notices.wait()


async def test_progress_shows_what_was_made_and_what_is_not_settled(admin: Admin) -> None:
    await append_many(admin.dsn, 20)
    await admin.pass_all()
    created = await admin.create()
    assert await admin.carry_out(Subscription(SubscriptionName("all"))) == 20
    async with connect(admin.dsn) as foreign:
        await foreign.execute("DELETE FROM hookline.deliveries WHERE seq <= 5")
        await foreign.execute("UPDATE hookline.deliveries SET state = 'dead' WHERE seq = 6")
    done = await admin.get(created.name)
    assert (done.scanned, done.created, done.outstanding) == (20, 20, 14)
    assert done.state == pb.REPLAY_STATE_COMPLETED
    assert done.HasField("end_time")


@pytest.mark.parametrize(
    ("values", "asked"),
    [
        ({}, pb.ReplayFilter()),
        ({}, pb.ReplayFilter(types=["application.*"])),
        ({}, pb.ReplayFilter(sources=["nobody"])),
        ({"types": ("other.*",)}, pb.ReplayFilter()),
        ({"types": ("other.*",)}, pb.ReplayFilter(types=["application.*"])),
        ({"expression": "body.n >= 30"}, pb.ReplayFilter()),
        ({"expression": "body.n >= 30"}, pb.ReplayFilter(types=["other.*"])),
    ],
)
async def test_a_dry_run_counts_what_is_made_and_makes_nothing(
    admin: Admin, values: dict[str, Any], asked: pb.ReplayFilter
) -> None:
    subscription = await admin.declare("some", **values)
    await append(
        admin.dsn,
        [
            event(b'{"n": %d}' % n, shard=n % 4, type_=f"{'other' if n % 3 else 'application'}.x")
            for n in range(60)
        ],
    )
    await admin.pass_all()
    counted = await admin.create("some", filter=asked, validate_only=True)
    assert (counted.name, counted.reason) == ("", "")
    assert list((await admin.list()).replays) == []
    await admin.create("some", filter=asked)
    assert await admin.carry_out(subscription) == counted.created
    assert counted.created > 0 or asked.sources or values.get("types")


async def test_a_dry_run_leaves_out_what_comes_in_the_normal_course(admin: Admin) -> None:
    ids = await append_many(admin.dsn, 10)
    async with connect(admin.dsn) as foreign:
        await foreign.execute("UPDATE hookline.cursors SET position = 4")
    assert (await admin.create(validate_only=True)).created == 4
    by_id = await admin.create(events=pb.EventIds(ids=ids), validate_only=True)
    assert by_id.created == 4


async def test_a_dry_run_that_takes_too_long_says_at_most(database: str) -> None:
    async with Admin(database) as admin:
        await admin.declare("some", expression="body.n > 100")
        await append_many(database, 50)
        await admin.pass_all()
        hasty = ReplayService(database, count_patience=timedelta(seconds=-1))
        try:
            request = pb.CreateReplayRequest(
                replay=pb.Replay(subscription="some", filter=pb.ReplayFilter()), validate_only=True
            )
            counted = (await hasty._create(request)).replay
        finally:
            await hasty.close()
    assert counted.created == 50
    assert counted.reason.startswith("at most")


async def test_a_list_is_read_page_by_page_the_newest_first(admin: Admin) -> None:
    await admin.declare("other")
    names = [(await admin.create("all" if n % 3 else "other")).name for n in range(12)]
    found, token = [], ""
    while True:
        page = await admin.list("", 5, token)
        found += [replay.name for replay in page.replays]
        if token == "":
            # What is created meanwhile neither repeats nor hides another.
            await admin.create()
        token = page.next_page_token
        if not token:
            break
        assert len(page.replays) == 5
    assert found == names[::-1]
    others = await admin.list("other")
    assert [replay.name for replay in others.replays] == names[9::-3]
    assert others.next_page_token == ""


async def test_a_page_with_very_many_event_ids_is_short_and_goes_on(admin: Admin) -> None:
    ids = await append_many(admin.dsn, 9_000)
    names = [(await admin.create(events=pb.EventIds(ids=ids))).name for _ in range(4)]
    first = await admin.list()
    assert [replay.name for replay in first.replays] == names[:0:-1]
    second = await admin.list(token=first.next_page_token)
    assert [replay.name for replay in second.replays] == names[:1]
    assert second.next_page_token == ""


async def test_cancelling_withdraws_what_was_made(admin: Admin) -> None:
    await append_many(admin.dsn, 1_200)
    await admin.pass_all()
    created = await admin.create()
    await admin.carry_out(Subscription(SubscriptionName("all")))
    cancelled = await admin.cancel(created.name)
    assert cancelled.state == pb.REPLAY_STATE_CANCELLED
    assert (cancelled.created, cancelled.outstanding) == (1_200, 0)
    assert cancelled.HasField("end_time")
    again = await admin.cancel(created.name)
    assert again == cancelled


async def test_several_calls_at_once_are_all_answered(admin: Admin) -> None:
    await append_many(admin.dsn, 10)
    created = await asyncio.gather(*(admin.create() for _ in range(20)))
    assert sorted(int(replay.name.split("/")[1]) for replay in created) == list(range(1, 21))


@pytest.mark.parametrize("name", ["nobody", "NOT A NAME", "\0", "", "x" * 1000])
async def test_an_unknown_subscription_is_not_found(admin: Admin, name: str) -> None:
    for call in (admin.create(name), admin.create(name, validate_only=True)):
        refused = await refusal(call)
        assert (refused.code, refused.reason) == (grpc.StatusCode.NOT_FOUND, "SUBSCRIPTION_NOT_FOUND")


async def test_unknown_events_are_counted_and_the_first_ones_named(admin: Admin) -> None:
    known = await append_many(admin.dsn, 2)
    unknown = [str(UUID(bytes=bytes([n]) + uuid4().bytes[1:])) for n in (0, 1, 2, 200, 255)]
    refused = await refusal(admin.create(events=pb.EventIds(ids=known + unknown)))
    assert (refused.code, refused.reason) == (INVALID, "UNKNOWN_EVENTS")
    assert "5 of 7" in refused.message
    assert all(text in refused.message for text in unknown[:3])
    assert unknown[3] not in refused.message


async def test_events_that_the_log_has_lost_are_refused_with_the_reason(admin: Admin) -> None:
    ids = await append_many(admin.dsn, 4)
    async with connect(admin.dsn) as foreign:
        await foreign.execute("DELETE FROM hookline.outbox WHERE event_id = $1", UUID(ids[2]))
    refused = await refusal(admin.create(events=pb.EventIds(ids=ids)))
    assert (refused.code, refused.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "EVENTS_DROPPED")
    assert "1 of 4" in refused.message
    assert ids[2] in refused.message


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"events": pb.EventIds()}, "ids: is empty"),
        ({"events": pb.EventIds(ids=["x"])}, "ids[0]: is 'x'"),
        ({"events": pb.EventIds(ids=[str(uuid4()) for _ in range(10_001)])}, "at most 10000"),
        ({"max_rate": -1}, "max_rate: is -1"),
        ({"max_rate": float("nan")}, "max_rate: is nan"),
        ({"max_rate": float("inf")}, "max_rate: is inf"),
        ({"max_rate": 1e-300}, "max_rate: is 1e-300"),
        ({"filter": pb.ReplayFilter(sources=[""])}, "sources[0]: is empty"),
        ({"filter": pb.ReplayFilter(types=["\0"])}, "types[0]"),
        ({"filter": pb.ReplayFilter(types=["x"] * 101)}, "at most 100"),
        ({"filter": pb.ReplayFilter(start_time=Timestamp(seconds=10**15))}, "start_time"),
        (
            {"filter": pb.ReplayFilter(start_time=Timestamp(seconds=5), end_time=Timestamp(seconds=5))},
            "end_time: is 1970-01-01 00:00:05+00:00, which isn't after",
        ),
    ],
)
async def test_a_mistake_is_named_with_where_it_is(admin: Admin, values: dict[str, Any], said: str) -> None:
    refused = await refusal(admin.create(**values))
    assert refused.code == INVALID
    assert said in refused.message


async def test_it_must_be_said_which_events(admin: Admin) -> None:
    request = pb.CreateReplayRequest(replay=pb.Replay(subscription="all"))
    refused = await refusal(admin.stub.CreateReplay(request))
    assert (refused.code, refused.reason) == (INVALID, "WHICH_EXPECTED")


@pytest.mark.parametrize("name", ["", "1", "replays/0", "replays/x", "replays/1/2", "replays/" + "9" * 30])
async def test_what_is_no_name_of_a_replay_is_invalid(admin: Admin, name: str) -> None:
    assert (await refusal(admin.get(name))).code == INVALID
    assert (await refusal(admin.cancel(name))).code == INVALID


async def test_an_unknown_replay_is_not_found(admin: Admin) -> None:
    for call in (admin.get("replays/77"), admin.cancel("replays/77")):
        refused = await refusal(call)
        assert (refused.code, refused.reason) == (grpc.StatusCode.NOT_FOUND, "REPLAY_NOT_FOUND")


async def test_a_token_of_another_list_is_refused(admin: Admin) -> None:
    await admin.create()
    await admin.create()
    token = (await admin.list("all", 1)).next_page_token
    assert token
    assert (await refusal(admin.list("", 1, token))).reason == "INVALID_PAGE_TOKEN"
    assert (await refusal(admin.list("", 1, "zzz"))).reason == "INVALID_PAGE_TOKEN"
    assert (await refusal(admin.list("", -1))).reason == "INVALID_PAGE_SIZE"


async def run(admin: Admin, *arguments: str, said: str = "") -> Any:
    """The command, with what somebody types."""
    where = ["--relay", f"127.0.0.1:{admin.port}"]
    return await asyncio.to_thread(CliRunner().invoke, replays_app, [*arguments, *where], said)


async def test_the_command_shows_the_size_and_asks_before_it_starts(admin: Admin) -> None:
    await append_many(admin.dsn, 12)
    await admin.pass_all()
    refused = await run(admin, "start", "all", "--all", said="n\n")
    assert refused.exit_code == 1
    assert "Deliver 12 events to all once more?" in refused.output
    assert list((await admin.list()).replays) == []
    agreed = await run(admin, "start", "all", "--type", "application.*", "--rate", "0.5", said="y\n")
    assert agreed.exit_code == 0, agreed.output
    assert "replays/1 started" in agreed.output
    created = await admin.get("replays/1")
    assert (created.filter.types, created.max_rate) == (["application.*"], 0.5)


async def test_the_command_starts_follows_lists_shows_and_cancels(admin: Admin) -> None:
    ids = await append_many(admin.dsn, 3)
    await admin.pass_all()
    started = await run(admin, "start", "all", "--events-from", "-", "--yes", said="\n".join(ids[:2]) + "\n")
    assert started.exit_code == 0, started.output
    assert list((await admin.get("replays/1")).events.ids) == ids[:2]
    following = asyncio.create_task(run(admin, "show", "1", "--follow"))
    await admin.carry_out(Subscription(SubscriptionName("all")))
    async with connect(admin.dsn) as foreign:
        await foreign.execute("DELETE FROM hookline.deliveries")
    followed = await following
    assert followed.exit_code == 0, followed.output
    assert "completed, 2 scanned, 2 created, 0 outstanding" in followed.output
    await run(admin, "start", "all", "--all", "--yes")
    cancelled = await run(admin, "cancel", "replays/2")
    assert "cancelled" in cancelled.output
    listed = await run(admin, "list")
    assert "cancelled" in listed.output
    assert "completed" in listed.output
    assert (await run(admin, "start", "all")).exit_code == 2
    assert (await run(admin, "start", "all", "--all", "--event", ids[0])).exit_code == 2
