"""What a subscription can't be is refused with the field, what is wrong with it, and how to mend it."""

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from admin.rig import Admin, refusal
from hookline.v1 import subscription_pb2 as pb

SECOND, MINUTE = Duration(seconds=1), Duration(seconds=60)


def retry(**values: object) -> pb.Subscription:
    return pb.Subscription(name="all", retry=pb.RetryPolicy(**values))  # type: ignore[arg-type]


def waits(**values: Duration) -> pb.Subscription:
    return retry(exponential=pb.ExponentialWait(**values))


def push(**values: object) -> pb.Subscription:
    return pb.Subscription(name="all", push=pb.Push(**{"target": "a:1", **values}))  # type: ignore[arg-type]


def deadline(seconds: int = 0, nanos: int = 0) -> pb.Subscription:
    return pb.Subscription(name="all", ack_deadline=Duration(seconds=seconds, nanos=nanos))


MISTAKES: dict[str, tuple[pb.Subscription, str, str]] = {
    "no name": (pb.Subscription(), "name", "lower-case"),
    "capitals in the name": (pb.Subscription(name="All"), "name", "'All'"),
    "a long name": (pb.Subscription(name="a" * 64), "name", "63"),
    "a line end in the name": (pb.Subscription(name="a\n"), "name", r"\n"),
    "an empty glob": (pb.Subscription(name="all", sources=["a", ""]), "sources[1]", "is empty"),
    "too many globs": (pb.Subscription(name="all", types=["a"] * 101), "types", "at most 100"),
    "a long glob": (pb.Subscription(name="all", types=["a" * 256]), "types[0]", "at most 255"),
    "a NUL in a glob": (pb.Subscription(name="all", types=["a\0"]), "types[0]", "can't be printed"),
    "an order that is none": (pb.Subscription(name="all", ordering=9), "ordering", "9"),  # type: ignore[arg-type]
    "a policy that is none": (
        pb.Subscription(name="all", after_dead_letter=9), "after_dead_letter", "9",  # type: ignore[arg-type]
    ),
    "no deadline": (deadline(0), "ack_deadline", "is zero"),
    "a deadline shorter than a microsecond": (deadline(nanos=999), "ack_deadline", "is zero"),
    "a negative deadline": (deadline(-1), "ack_deadline", "is negative"),
    "a slightly negative deadline": (deadline(nanos=-1), "ack_deadline", "is negative"),
    "a deadline above everything": (deadline(2**63 - 1), "ack_deadline", "at most"),
    "a deadline below everything": (deadline(-(2**63)), "ack_deadline", "is negative"),
    "nanos above a second": (deadline(1, 10**9), "ack_deadline", "nanos"),
    "nanos against the seconds": (deadline(1, -1), "ack_deadline", "nanos"),
    "a negative retention": (
        pb.Subscription(name="all", dead_letter_retention=Duration(seconds=-5)), "dead_letter_retention", "is negative",
    ),
    "fewer than no attempts": (retry(max_attempts=-1), "retry.max_attempts", "-1"),
    "a negative age": (retry(max_age=Duration(seconds=-1)), "retry.max_age", "is negative"),
    "a fixed wait of nothing": (retry(fixed=Duration()), "retry.fixed", "is zero"),
    "a fixed wait that is cut": (retry(fixed=Duration(seconds=86400 * 31)), "retry.fixed", "at most 30 days"),
    "no waits in a list": (retry(listed=pb.ListedWait()), "retry.listed.delays", "is empty"),
    "too many waits": (retry(listed=pb.ListedWait(delays=[SECOND] * 101)), "retry.listed.delays", "at most 100"),
    "a negative wait": (
        retry(listed=pb.ListedWait(delays=[SECOND, Duration(seconds=-1)])), "retry.listed.delays[1]", "is negative",
    ),
    "no wait for ever": (
        retry(listed=pb.ListedWait(delays=[SECOND, Duration()])), "retry.listed.delays[1]", "is zero",
    ),
    "a minimum above the maximum": (waits(min=MINUTE, max=SECOND), "retry.exponential.min", "above `max`"),
    "a minimum above the usual maximum": (waits(min=Duration(seconds=6000)), "retry.exponential.min", "0:10:00"),
    "a minimum of nothing": (waits(min=Duration()), "retry.exponential.min", "is zero"),
    "a negative maximum": (waits(max=Duration(nanos=-5)), "retry.exponential.max", "is negative"),
    "nobody to call": (push(target=""), "push.target", "dns:///"),
    "a target with a space": (push(target="a b"), "push.target", "'a b'"),
    "no events in a call": (push(max_events=-1), "push.max_events", "1 to"),
    "too many calls": (push(concurrency=2**31 - 1), "push.concurrency", "1 to"),
    "no time for a call": (push(deadline=Duration()), "push.deadline", "is zero"),
    "a certificate without its key": (
        push(tls=pb.PushTls(certificate_file="a")), "push.tls.key_file", "go together",
    ),
    "a key without its certificate": (
        push(tls=pb.PushTls(key_file="a")), "push.tls.certificate_file", "go together",
    ),
    "a NUL in a path": (push(tls=pb.PushTls(ca_file="\0")), "push.tls.ca_file", "can't be printed"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
async def test_a_field_that_can_not_be_is_named(admin: Admin, mistake: str) -> None:
    subscription, field, said = MISTAKES[mistake]
    request = pb.CreateSubscriptionRequest(subscription=subscription)
    refused = await refusal(admin.subscriptions.CreateSubscription(request))
    assert (refused.code, refused.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert refused.message.startswith(f"subscription.{field}: ")
    assert said in refused.message
    assert len(refused.message) < 400
    assert not (await admin.subscriptions.ListSubscriptions(pb.ListSubscriptionsRequest())).subscriptions


async def test_an_update_is_judged_as_a_whole(admin: Admin) -> None:
    before = await admin.create(retry=pb.RetryPolicy(exponential=pb.ExponentialWait(min=SECOND, max=MINUTE)))
    request = pb.UpdateSubscriptionRequest(
        subscription=waits(min=Duration(seconds=61)), update_mask=FieldMask(paths=["retry.exponential.min"])
    )
    refused = await refusal(admin.subscriptions.UpdateSubscription(request))
    assert refused.message.startswith("subscription.retry.exponential.min: ")
    assert "0:01:00" in refused.message
    after = await admin.subscriptions.GetSubscription(pb.GetSubscriptionRequest(name="all"))
    assert after.subscription == before


@pytest.mark.parametrize("expression", ["type ==", "nope == 1", "type == 'a", "(" * 5000])
async def test_an_expression_that_is_none_is_refused_before_it_is_stored(
    admin: Admin, expression: str
) -> None:
    refused = await refusal(admin.create(expression=expression))
    assert (refused.code, refused.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_EXPRESSION")
    assert refused.message.startswith("subscription.expression: ")
    await admin.create()
    request = pb.UpdateSubscriptionRequest(subscription=pb.Subscription(name="all", expression=expression))
    assert (await refusal(admin.subscriptions.UpdateSubscription(request))).reason == "INVALID_EXPRESSION"


STARTS = {
    "a time in the future": (pb.StartPosition(time=Timestamp(seconds=253_402_300_000)), "start.time"),
    "a time that is none": (pb.StartPosition(time=Timestamp(seconds=2**60)), "start.time"),
    "not the latest": (pb.StartPosition(latest=False), "start.latest"),
    "not the earliest": (pb.StartPosition(earliest=False), "start.earliest"),
}


@pytest.mark.parametrize("start", STARTS)
async def test_a_start_that_can_not_be_is_named(admin: Admin, start: str) -> None:
    position, field = STARTS[start]
    request = pb.CreateSubscriptionRequest(subscription=pb.Subscription(name="all"), start=position)
    refused = await refusal(admin.subscriptions.CreateSubscription(request))
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.message.startswith(f"{field}: ")
