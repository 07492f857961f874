"""Subscriptions, managed over gRPC."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from admin.rig import Admin, Notices, refusal
from hookline.admin.server import AdminServices
from hookline.v1 import subscription_pb2 as pb
from hookline.v1.subscription_pb2_grpc import SubscriptionServiceStub
from path.rig.events import append_many
from path.rig.process import free_port

FULL = pb.Subscription(
    name="scores",
    sources=["begini"],
    types=["*.complete", "score.?"],
    expression="type != 'test'",
    ordering=pb.ORDERING_KEY,
    after_dead_letter=pb.AFTER_DEAD_LETTER_BLOCK,
    ack_deadline=Duration(seconds=45),
    retry=pb.RetryPolicy(
        exponential=pb.ExponentialWait(min=Duration(seconds=2), max=Duration(seconds=600)),
        max_attempts=7,
        max_age=Duration(seconds=3600),
    ),
    push=pb.Push(
        target="dns:///scoring:50051",
        max_events=10,
        deadline=Duration(seconds=5),
        concurrency=2,
        tls=pb.PushTls(ca_file="ca.pem", certificate_file="a.pem", key_file="a.key", server_name="scoring"),
    ),
    dead_letter_retention=Duration(seconds=86400),
)


def but(subscription: pb.Subscription, **values: Any) -> pb.Subscription:
    """The subscription with other values."""
    changed = pb.Subscription()
    changed.CopyFrom(subscription)
    for name in values:
        changed.ClearField(name)  # type: ignore[arg-type]
    changed.MergeFrom(pb.Subscription(**values))
    return changed


def wishes(subscription: pb.Subscription) -> pb.Subscription:
    """Without what only the server says."""
    wished = but(subscription, paused=False, etag="")
    wished.ClearField("create_time")
    wished.ClearField("update_time")
    return wished


async def create(admin: Admin, subscription: pb.Subscription, **values: Any) -> pb.Subscription:
    request = pb.CreateSubscriptionRequest(subscription=subscription, **values)
    return (await admin.subscriptions.CreateSubscription(request)).subscription


async def get(admin: Admin, name: str) -> pb.Subscription:
    return (await admin.subscriptions.GetSubscription(pb.GetSubscriptionRequest(name=name))).subscription


async def update(admin: Admin, *paths: str, **values: Any) -> pb.Subscription:
    mask = FieldMask(paths=paths) if paths else None
    request = pb.UpdateSubscriptionRequest(subscription=pb.Subscription(**values), update_mask=mask)
    return (await admin.subscriptions.UpdateSubscription(request)).subscription


async def positions(admin: Admin, name: str) -> dict[int, int]:
    return dict(
        await admin.db.fetch("SELECT shard, position FROM hookline.cursors WHERE subscription = $1", name)
    )


async def test_what_was_created_is_read_back_field_by_field(admin: Admin) -> None:
    created = await create(admin, FULL)
    assert wishes(created) == FULL
    assert await get(admin, "scores") == created
    assert created.create_time == created.update_time


async def test_what_is_left_out_is_as_usual(admin: Admin) -> None:
    created = await create(admin, pb.Subscription(name="all"))
    assert (list(created.sources), list(created.types), created.expression) == (["*"], ["*"], "")
    assert (created.ordering, created.after_dead_letter) == (
        pb.ORDERING_NONE,
        pb.AFTER_DEAD_LETTER_CONTINUE,
    )
    assert created.ack_deadline.seconds == 30
    assert created.retry.exponential.max.seconds == 600
    assert created.retry.max_attempts == 20
    assert not created.HasField("push")
    assert created.dead_letter_retention.ToTimedelta() == timedelta(days=30)
    assert not created.paused


@pytest.mark.parametrize(
    "retry",
    [
        pb.RetryPolicy(fixed=Duration(seconds=5)),
        pb.RetryPolicy(
            listed=pb.ListedWait(delays=[Duration(), Duration(nanos=500_000_000)]), max_attempts=3
        ),
    ],
    ids=["fixed", "listed"],
)
async def test_every_kind_of_retry_policy_is_kept(admin: Admin, retry: pb.RetryPolicy) -> None:
    assert (await create(admin, pb.Subscription(name="all", retry=retry))).retry == retry


async def test_a_new_one_begins_where_it_was_told_to(admin: Admin) -> None:
    await append_many(admin.dsn, 8, shards=4)
    between = datetime.now(UTC)
    later = await append_many(admin.dsn, 4, shards=2)
    ends = dict(await admin.db.fetch("SELECT shard, max(seq) FROM hookline.outbox GROUP BY shard"))
    time = Timestamp()
    time.FromDatetime(between)
    for name, start in {
        "default": None,
        "latest": pb.StartPosition(latest=True),
        "earliest": pb.StartPosition(earliest=True),
        "time": pb.StartPosition(time=time),
    }.items():
        await create(admin, pb.Subscription(name=name), start=start)
    everywhere = dict.fromkeys(range(8), 0)
    assert await positions(admin, "default") == everywhere | ends
    assert await positions(admin, "latest") == everywhere | ends
    assert await positions(admin, "earliest") == everywhere
    at_time = await positions(admin, "time")
    read = await admin.db.fetch(
        "SELECT event_id FROM hookline.outbox AS o JOIN hookline.cursors AS c USING (shard)"
        " WHERE c.subscription = 'time' AND o.seq > c.position"
    )
    assert {str(row["event_id"]) for row in read} == set(later)
    assert at_time.keys() == everywhere.keys()


async def test_a_name_can_be_taken_once(admin: Admin) -> None:
    answers = await asyncio.gather(
        *(create(admin, pb.Subscription(name="all")) for _ in range(5)), return_exceptions=True
    )
    assert sum(isinstance(answer, pb.Subscription) for answer in answers) == 1
    refused = await refusal(create(admin, pb.Subscription(name="all")))
    assert (refused.code, refused.reason) == (grpc.StatusCode.ALREADY_EXISTS, "SUBSCRIPTION_EXISTS")


async def test_what_is_not_there_is_said_so(admin: Admin) -> None:
    service = admin.subscriptions
    for name in ("nope", "NOPE", "x" * 100, "a\x00b"):
        for call in (
            service.GetSubscription(pb.GetSubscriptionRequest(name=name)),
            service.UpdateSubscription(pb.UpdateSubscriptionRequest(subscription=pb.Subscription(name=name))),
            service.DeleteSubscription(pb.DeleteSubscriptionRequest(name=name)),
            service.PauseSubscription(pb.PauseSubscriptionRequest(name=name)),
            service.ResumeSubscription(pb.ResumeSubscriptionRequest(name=name)),
        ):
            refused = await refusal(call)
            assert (refused.code, refused.reason) == (grpc.StatusCode.NOT_FOUND, "UNKNOWN_SUBSCRIPTION")
            assert len(refused.message) < 300
    assert (await refusal(get(admin, ""))).code is grpc.StatusCode.INVALID_ARGUMENT


async def test_without_a_mask_the_fields_that_are_set_change(admin: Admin) -> None:
    before = await create(admin, FULL)
    after = await update(
        admin,
        name="scores",
        ack_deadline=Duration(seconds=9),
        retry=pb.RetryPolicy(fixed=Duration(seconds=3)),
    )
    assert wishes(after) == but(
        FULL, ack_deadline=Duration(seconds=9), retry=pb.RetryPolicy(fixed=Duration(seconds=3))
    )
    assert after.etag != before.etag
    assert after.update_time.ToNanoseconds() > before.update_time.ToNanoseconds()
    assert after.create_time == before.create_time
    assert await get(admin, "scores") == after


async def test_a_mask_changes_what_it_names_and_nothing_else(admin: Admin) -> None:
    await create(admin, FULL)
    after = await update(
        admin, "retry.max_attempts", "push.target", "sources", name="scores",
        retry=pb.RetryPolicy(max_attempts=2, fixed=Duration(seconds=1)),
        push=pb.Push(target="dns:///other:1", max_events=99), types=["ignored"],
    )  # fmt: skip
    expected = but(FULL, sources=["*"])
    expected.retry.max_attempts = 2
    expected.push.target = "dns:///other:1"
    assert wishes(after) == expected


async def test_a_mask_takes_away_what_it_names_and_is_not_set(admin: Admin) -> None:
    await create(admin, FULL)
    after = await update(admin, "push", "expression", "ack_deadline", name="scores")
    assert not after.HasField("push")
    assert (after.expression, after.ack_deadline.seconds) == ("", 30)
    assert after.retry == FULL.retry


async def test_a_star_replaces_everything_but_the_name(admin: Admin) -> None:
    await create(admin, FULL)
    after = await update(admin, "*", name="scores")
    usual = await create(admin, pb.Subscription(name="usual"))
    assert wishes(after) == but(wishes(usual), name="scores")


@pytest.mark.parametrize(
    "path", ["nope", "retry.nope", "sources.x", "push.tls.nope", "", "retry..fixed", "*"]
)
async def test_an_unknown_path_is_named(admin: Admin, path: str) -> None:
    await create(admin, FULL)
    refused = await refusal(update(admin, "types", path, name="scores"))
    assert (refused.code, refused.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "UNKNOWN_FIELD")
    assert repr(path) in refused.message
    assert "ack_deadline" in refused.message, "and the known ones are listed"
    assert wishes(await get(admin, "scores")) == FULL


@pytest.mark.parametrize("path", ["name", "paused", "etag", "create_time", "update_time.seconds"])
async def test_what_can_not_be_changed_is_said_so(admin: Admin, path: str) -> None:
    await create(admin, FULL)
    refused = await refusal(update(admin, path, name="scores", paused=True))
    assert (refused.code, refused.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "UNCHANGEABLE_FIELD")
    assert not (await get(admin, "scores")).paused


async def test_an_update_that_changes_nothing_leaves_the_etag(admin: Admin) -> None:
    before = await create(admin, FULL)
    assert await update(admin, "types", name="scores", types=FULL.types) == before


async def test_of_two_updates_with_one_etag_one_is_aborted(admin: Admin) -> None:
    seen = await create(admin, FULL)
    answers = await asyncio.gather(
        *(
            update(admin, name="scores", etag=seen.etag, ack_deadline=Duration(seconds=100 + n))
            for n in range(6)
        ),
        return_exceptions=True,
    )
    changed = [answer for answer in answers if isinstance(answer, pb.Subscription)]
    assert len(changed) == 1
    assert await get(admin, "scores") == changed[0]
    refused = await refusal(update(admin, name="scores", etag=seen.etag, expression="true"))
    assert (refused.code, refused.reason) == (grpc.StatusCode.ABORTED, "ETAG_MISMATCH")


async def test_updates_of_different_fields_at_once_all_count(admin: Admin) -> None:
    await create(admin, FULL)
    await asyncio.gather(
        update(admin, name="scores", ack_deadline=Duration(seconds=77)),
        update(admin, name="scores", types=["a"]),
        update(admin, "retry.max_attempts", name="scores", retry=pb.RetryPolicy(max_attempts=1)),
        update(admin, "push", name="scores"),
    )
    after = await get(admin, "scores")
    assert (after.ack_deadline.seconds, list(after.types), after.retry.max_attempts) == (77, ["a"], 1)
    assert not after.HasField("push")


async def test_an_etag_of_a_deleted_one_does_not_fit_its_successor(admin: Admin) -> None:
    old = await admin.create()
    await admin.subscriptions.DeleteSubscription(pb.DeleteSubscriptionRequest(name="all", etag=old.etag))
    await admin.create()
    delete = admin.subscriptions.DeleteSubscription(pb.DeleteSubscriptionRequest(name="all", etag=old.etag))
    assert (await refusal(delete)).code is grpc.StatusCode.ABORTED
    assert await get(admin, "all")


async def test_pausing_and_resuming_twice_is_as_once(admin: Admin) -> None:
    await admin.create()
    pause, resume = pb.PauseSubscriptionRequest(name="all"), pb.ResumeSubscriptionRequest(name="all")
    paused = (await admin.subscriptions.PauseSubscription(pause)).subscription
    assert paused.paused
    assert (await admin.subscriptions.PauseSubscription(pause)).subscription == paused
    resumed = (await admin.subscriptions.ResumeSubscription(resume)).subscription
    assert not resumed.paused
    assert resumed.etag != paused.etag
    assert (await admin.subscriptions.ResumeSubscription(resume)).subscription == resumed


async def test_an_update_leaves_a_pause_alone(admin: Admin) -> None:
    await admin.create()
    await admin.subscriptions.PauseSubscription(pb.PauseSubscriptionRequest(name="all"))
    assert (await update(admin, name="all", types=["a"])).paused
    assert (await update(admin, "*", name="all", paused=False)).paused


async def test_pages_hold_every_subscription_once_while_others_come_and_go(admin: Admin) -> None:
    names = [f"s{number:02}" for number in range(25)]
    for name in names:
        await admin.create(name)
    seen: list[str] = []
    token = ""
    while True:
        request = pb.ListSubscriptionsRequest(page_size=7, page_token=token)
        page = await admin.subscriptions.ListSubscriptions(request)
        assert len(page.subscriptions) <= 7
        seen += [subscription.name for subscription in page.subscriptions]
        token = page.next_page_token
        if not token:
            break
        # The last one seen goes, and one comes before it.
        await admin.subscriptions.DeleteSubscription(pb.DeleteSubscriptionRequest(name=seen[-1]))
        await admin.create(f"{seen[0]}-{len(seen)}")
    assert seen == names


async def test_the_last_full_page_has_no_token(admin: Admin) -> None:
    for name in ("a", "b"):
        await admin.create(name)
    page = await admin.subscriptions.ListSubscriptions(pb.ListSubscriptionsRequest(page_size=2))
    assert (len(page.subscriptions), page.next_page_token) == (2, "")


async def test_a_foreign_token_and_a_negative_size_are_refused(admin: Admin) -> None:
    await admin.dead(*"abc")
    await admin.create()
    foreign = (await admin.list_dead(page_size=1)).next_page_token
    assert foreign
    for token in (foreign, "x", "é", "AAAA", "%%%", "a" * 5000):
        call = admin.subscriptions.ListSubscriptions(pb.ListSubscriptionsRequest(page_token=token))
        assert (await refusal(call)).reason == "INVALID_PAGE_TOKEN"
    call = admin.subscriptions.ListSubscriptions(pb.ListSubscriptionsRequest(page_size=-1))
    assert (await refusal(call)).reason == "INVALID_PAGE_SIZE"


async def test_every_change_hints_to_the_relays(admin: Admin) -> None:
    service = admin.subscriptions
    async with Notices(admin.db) as notices:
        await admin.create()
        await notices.wait()
        await update(admin, name="all", types=["a"])
        await notices.wait()
        await service.PauseSubscription(pb.PauseSubscriptionRequest(name="all"))
        await notices.wait()
        await service.ResumeSubscription(pb.ResumeSubscriptionRequest(name="all"))
        await notices.wait()
        await service.DeleteSubscription(pb.DeleteSubscriptionRequest(name="all"))
        await notices.wait()


async def test_without_a_database_the_answer_is_unavailable() -> None:
    services = AdminServices(f"postgresql://user:hunter2@127.0.0.1:{free_port()}/db")
    server = grpc.aio.server()
    services.register(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = SubscriptionServiceStub(channel).GetSubscription(pb.GetSubscriptionRequest(name="all"))
        refused = await refusal(call)
    await server.stop(grace=0)
    await services.close()
    assert (refused.code, refused.reason) == (grpc.StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE")
    assert "hunter2" not in refused.message
