"""What a delivery can be told, and how it is sent."""

import asyncio
from datetime import timedelta

import pytest

from client.scripted_relay import ScriptedRelay, message
from hookline.client import Consumer, Delivery
from hookline.client.settlement import PendingSettlement
from hookline.v1 import delivery_pb2 as pb
from path.rig.events import append_many
from path.rig.relay import Relay
from path.rig.stream import PATIENCE


class Sent:
    """A delivery, and what it said."""

    def __init__(self) -> None:
        self.settlements: list[pb.Settlement] = []
        self.delivery = Delivery(message("a"), self._settle, "decisioning")

    def _settle(self, _delivery: Delivery, settlement: pb.Settlement) -> PendingSettlement:
        self.settlements.append(settlement)
        return PendingSettlement(settlement)


def test_each_verdict_is_sent_as_the_contract_has_it() -> None:
    sent = [Sent() for _ in range(4)]
    sent[0].delivery.ack()
    sent[1].delivery.retry(timedelta(milliseconds=1500), "busy")
    sent[2].delivery.reject("wrong")
    sent[3].delivery.release()
    retry = pb.Retry(reason="busy")
    retry.delay.FromMilliseconds(1500)
    assert [one.settlements for one in sent] == [
        [pb.Settlement(token=b"a", ack=pb.Ack())],
        [pb.Settlement(token=b"a", retry=retry)],
        [pb.Settlement(token=b"a", reject=pb.Reject(reason="wrong"))],
        [pb.Settlement(token=b"a", release=pb.Release())],
    ]


def test_a_retry_without_a_delay_leaves_it_to_the_policy_and_one_of_zero_does_not() -> None:
    policy, at_once = Sent(), Sent()
    policy.delivery.retry()
    at_once.delivery.retry(timedelta(0))
    assert not policy.settlements[0].retry.HasField("delay")
    assert at_once.settlements[0].retry.HasField("delay")


def test_the_first_verdict_stands() -> None:
    sent = Sent()
    first = sent.delivery.reject()
    assert sent.delivery.ack() is sent.delivery.retry() is sent.delivery.release() is first
    assert sent.delivery.extend() is first
    assert len(sent.settlements) == 1
    assert sent.delivery.is_settled


def test_an_extension_is_no_verdict() -> None:
    sent = Sent()
    assert sent.delivery.extend() is not sent.delivery.extend(timedelta(hours=12))
    assert not sent.delivery.is_settled
    sent.delivery.ack()
    assert len(sent.settlements) == 3


def test_a_reason_is_cut_to_what_is_kept() -> None:
    sent, other = Sent(), Sent()
    sent.delivery.retry(reason="x" * 5000)
    other.delivery.reject("x" * 5000)
    assert len(sent.settlements[0].retry.reason) == len(other.settlements[0].reject.reason) == 1000


@pytest.mark.parametrize("lease", [timedelta(0), timedelta(seconds=-1), timedelta(hours=12, seconds=1)])
def test_a_lease_that_no_relay_grants_is_refused_at_once(lease: timedelta) -> None:
    sent = Sent()
    with pytest.raises(ValueError, match="at most 12 hours"):
        sent.delivery.extend(lease)
    assert sent.settlements == []


def test_a_negative_delay_is_refused_at_once_and_settles_nothing() -> None:
    sent = Sent()
    with pytest.raises(ValueError, match="0 or more"):
        sent.delivery.retry(timedelta(seconds=-1))
    assert not sent.delivery.is_settled


async def test_it_knows_its_subscription_and_its_replay(scripted: ScriptedRelay) -> None:
    async with asyncio.timeout(PATIENCE), Consumer(scripted.target, "decisioning") as consumer:
        stream = await scripted.stream()
        await stream.deliver(message("a"), message("b", replay="replays/7"))
        normal, replayed = await anext(consumer), await anext(consumer)
        assert (normal.subscription, normal.replay) == ("decisioning", "")
        assert replayed.replay == "replays/7"


async def test_the_largest_message_that_it_sends_is_one_that_a_relay_takes(
    relay: Relay, database: str
) -> None:
    """A thousand of the longest reasons there can be: a refusal would end the consumer for good."""
    await append_many(database, 1000)
    async with asyncio.timeout(2 * PATIENCE), Consumer(relay.target, "all", window=1000) as consumer:
        held = [await anext(consumer) for _ in range(1000)]
        verdicts = [delivery.retry(timedelta(days=1), "\U0001f600" * 2000) for delivery in held]
        for verdict in verdicts:
            await verdict
        assert (consumer.confirmed, consumer.failed) == (1000, 0)
