import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from os import getpid, kill
from typing import Any
from uuid import uuid4

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from hookline.client import Delivery, Reject, Retry, SettlementFailed
from hookline.client.push import SERVICE, PushServer, serve_push
from hookline.v1 import delivery_pb2 as pb
from hookline.v1.consumer_pb2 import DeliverRequest
from hookline.v1.consumer_pb2_grpc import ConsumerServiceStub
from path.rig.process import free_port
from path.rig.wait import PATIENCE, until

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


def pushed(body: bytes = b"{}", *, key: str = "", event_id: str = "") -> pb.Delivery:
    event_id = event_id or str(uuid4())
    return pb.Delivery(
        token=uuid4().bytes, event_id=event_id, source="begini", ordering_key=key, body=body, attempt=1
    )


class Relay:
    """Calls as a relay does."""

    def __init__(self, port: int) -> None:
        self.channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")

    def call(
        self, *deliveries: pb.Delivery, within: float | None = PATIENCE, subscription: str = "all"
    ) -> Any:
        request = DeliverRequest(subscription=subscription, deliveries=deliveries)
        return ConsumerServiceStub(self.channel).Deliver(request, timeout=within)

    async def deliver(self, *deliveries: pb.Delivery, within: float = PATIENCE) -> list[pb.Settlement | None]:
        """The verdict on each; None for one without."""
        answer = await self.call(*deliveries, within=within)
        named = {settlement.token: settlement for settlement in answer.settlements}
        assert len(named) == len(answer.settlements)
        return [named.get(delivery.token) for delivery in deliveries]

    async def health(self, service: str = "") -> int:
        request = health_pb2.HealthCheckRequest(service=service)
        return (await health_pb2_grpc.HealthStub(self.channel).Check(request)).status


@asynccontextmanager
async def serving(handler: Any, **options: Any) -> AsyncIterator[tuple[PushServer, Relay]]:
    async with PushServer(handler, "127.0.0.1:0", **options) as server:
        relay = Relay(server.port)
        try:
            yield server, relay
        finally:
            await relay.channel.close()


def verdicts(settlements: list[pb.Settlement | None]) -> list[str | None]:
    return [settlement.WhichOneof("verdict") if settlement else None for settlement in settlements]


async def ack(delivery: Delivery) -> None:
    del delivery


class Gate:
    """A handler whose work takes until it is told to end."""

    def __init__(self) -> None:
        self.begun: list[bytes] = []
        self.ended: list[bytes] = []
        self.cancelled: list[bytes] = []
        self.open = asyncio.Event()

    async def __call__(self, delivery: Delivery) -> None:
        self.begun.append(delivery.body)
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.cancelled.append(delivery.body)
            raise
        self.ended.append(delivery.body)


async def test_each_delivery_gets_the_verdict_of_its_own_handler() -> None:
    async def handler(delivery: Delivery) -> None:
        match delivery.body:
            case b"retry":
                raise Retry(timedelta(seconds=7), "busy")
            case b"reject":
                raise Reject("no such account")
            case b"bug":
                raise ValueError("Jane Doe")
            case b"own":
                await delivery.reject("by hand")

    async with serving(handler) as (_, relay):
        bodies = [b"ack", b"retry", b"reject", b"bug", b"own"]
        settlements = await relay.deliver(*map(pushed, bodies))
        assert verdicts(settlements) == ["ack", "retry", "reject", "retry", "reject"]
        _, retry, reject, bug, own = settlements
        assert (retry.retry.reason, retry.retry.delay.seconds) == ("busy", 7)
        assert (reject.reject.reason, own.reject.reason) == ("no such account", "by hand")
        assert (bug.retry.reason, bug.retry.HasField("delay")) == ("ValueError", False)


async def test_a_handler_sees_what_was_pushed() -> None:
    seen: list[Delivery] = []

    async def handler(delivery: Delivery) -> None:
        seen.append(delivery)

    async with serving(handler) as (_, relay):
        await relay.deliver(sent := pushed(b"\x00\xff", key="k"))
    [delivery] = seen
    assert (delivery.event_id, delivery.body, delivery.ordering_key) == (sent.event_id, b"\x00\xff", "k")
    assert (delivery.subscription, delivery.attempt) == ("all", 1)


async def test_an_empty_call_is_answered() -> None:
    async with serving(ack) as (_, relay):
        assert await relay.deliver() == []


async def test_a_large_event_is_taken() -> None:
    async with serving(ack) as (_, relay):
        assert verdicts(await relay.deliver(pushed(bytes(6 * 1024 * 1024)))) == ["ack"]


async def test_awaiting_a_verdict_in_the_handler_does_not_wait_for_the_answer() -> None:
    async def handler(delivery: Delivery) -> None:
        await delivery.ack()

    async with serving(handler) as (_, relay):
        assert verdicts(await relay.deliver(pushed())) == ["ack"]


async def test_extending_a_push_call_fails_and_says_what_to_do() -> None:
    async def handler(delivery: Delivery) -> None:
        with pytest.raises(SettlementFailed, match=r"push\.deadline"):
            await delivery.extend()

    async with serving(handler) as (_, relay):
        assert verdicts(await relay.deliver(pushed())) == ["ack"]


async def test_one_of_a_key_at_a_time_in_order_and_other_keys_beside_it() -> None:
    running: dict[str, int] = {}
    order: dict[str, list[bytes]] = {"a": [], "b": []}
    together = 0

    async def handler(delivery: Delivery) -> None:
        nonlocal together
        key = delivery.ordering_key
        assert not running.get(key)
        running[key] = 1
        together = max(together, sum(running.values()))
        await asyncio.sleep(0.001)
        order[key].append(delivery.body)
        running[key] = 0

    async with serving(handler) as (_, relay):
        calls = [
            [pushed(b"%d" % (10 * call + number), key="ab"[number % 2]) for number in range(10)]
            for call in range(3)
        ]
        for settlements in await asyncio.gather(*(relay.deliver(*call) for call in calls)):
            assert verdicts(settlements) == ["ack"] * 10
    assert together == 2
    for bodies in order.values():
        for call in range(3):
            mine = [body for body in bodies if int(body) // 10 == call]
            assert mine == sorted(mine)


async def test_the_same_event_never_runs_twice_at_a_time() -> None:
    gate = Gate()
    async with serving(gate) as (_, relay):
        first = relay.call(pushed(b"first", event_id="e"))
        await until(lambda: gate.begun == [b"first"], "it has begun")
        second = relay.call(pushed(b"second", event_id="e"))
        third = relay.call(pushed(b"third", event_id="f"))
        await until(lambda: b"third" in gate.begun, "another event has begun")
        assert b"second" not in gate.begun
        gate.open.set()
        await asyncio.gather(first, second, third)
        assert gate.ended[-1] == b"second"


async def test_no_more_handlers_at_a_time_than_asked_for() -> None:
    gate = Gate()
    async with serving(gate, concurrency=3) as (server, relay):
        calls = [relay.call(*[pushed() for _ in range(4)]) for _ in range(2)]
        await until(lambda: len(server._batches) == 2, "both calls have arrived")
        await until(lambda: len(gate.begun) == 3, "three have begun")
        assert len(server._running) == 3
        gate.open.set()
        for answer in await asyncio.gather(*calls):
            assert len(answer.settlements) == 4


async def test_a_call_is_answered_before_its_deadline_with_what_was_done() -> None:
    gate = Gate()

    async def handler(delivery: Delivery) -> None:
        if delivery.body != b"quick":
            await gate(delivery)

    async with serving(handler, concurrency=2) as (server, relay):
        deliveries = [pushed(b"quick"), pushed(b"slow", key="k"), pushed(b"behind", key="k")]
        settlements = await relay.deliver(*deliveries, within=1.0)
        assert verdicts(settlements) == ["ack", "retry", "release"]
        assert settlements[1].retry.reason == "not done by the call's deadline"
        await until(lambda: not server._running, "the slow one is ended")
        assert gate.cancelled == [b"slow"]
        assert gate.begun == [b"slow"]
        # Nothing stays taken.
        assert verdicts(await relay.deliver(pushed(b"quick", key="k"))) == ["ack"]


async def test_a_relay_that_hangs_up_ends_the_work_it_asked_for() -> None:
    gate = Gate()
    async with serving(gate, concurrency=1) as (server, relay):
        call = relay.call(pushed(b"1", key="k"), pushed(b"2", key="k"))
        await until(lambda: gate.begun == [b"1"], "it has begun")
        call.cancel()
        await until(lambda: gate.cancelled == [b"1"] and not server._running, "it is ended")
        gate.open.set()
        assert verdicts(await relay.deliver(pushed(b"3", key="k"))) == ["ack"]
        assert gate.begun == [b"1", b"3"]


async def test_a_cancellation_from_inside_a_handler_is_a_retry() -> None:
    async def handler(delivery: Delivery) -> None:
        del delivery
        raise asyncio.CancelledError

    async with serving(handler) as (_, relay):
        [settlement] = await relay.deliver(pushed())
        assert settlement.retry.reason == "CancelledError"


async def test_it_serves_its_health() -> None:
    async with serving(ack) as (_, relay):
        assert [await relay.health(), await relay.health(SERVICE)] == [SERVING, SERVING]


async def test_stopping_lets_handlers_end_and_releases_what_waits() -> None:
    gate = Gate()
    async with serving(gate, concurrency=1) as (server, relay):
        watch = health_pb2_grpc.HealthStub(relay.channel).Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == SERVING
        deliveries = [pushed(b"1"), pushed(b"2")]
        answering = asyncio.create_task(relay.deliver(*deliveries))
        await until(lambda: gate.begun == [b"1"], "it has begun")
        stopping = asyncio.create_task(server.stop(timedelta(seconds=10)))
        assert (await watch.read()).status == NOT_SERVING
        gate.open.set()
        assert verdicts(await answering) == ["ack", "release"]
        watch.cancel()
        await asyncio.wait_for(stopping, PATIENCE)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await relay.deliver(pushed())
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        assert gate.begun == [b"1"]


async def test_a_handler_that_takes_longer_than_the_grace_is_cancelled_and_its_delivery_released() -> None:
    gate = Gate()
    async with serving(gate) as (server, relay):
        answering = asyncio.create_task(relay.deliver(pushed(b"1")))
        await until(lambda: gate.begun == [b"1"], "it has begun")
        await server.stop(timedelta(seconds=0.5))
        assert verdicts(await answering) == ["release"]
        assert gate.cancelled == [b"1"]


async def test_serve_push_ends_on_a_signal_when_its_handlers_have() -> None:
    gate, port = Gate(), free_port()
    serving = asyncio.create_task(serve_push(gate, f"127.0.0.1:{port}"))
    relay = Relay(port)
    await relay.channel.channel_ready()
    answering = asyncio.create_task(relay.deliver(pushed(b"1")))
    await until(lambda: gate.begun == [b"1"], "it has begun")
    kill(getpid(), signal.SIGTERM)
    async with asyncio.timeout(PATIENCE):
        await relay.channel.wait_for_state_change(grpc.ChannelConnectivity.READY)
    assert not serving.done()
    gate.open.set()
    assert verdicts(await answering) == ["ack"]
    await asyncio.wait_for(serving, PATIENCE)
    await relay.channel.close()


async def test_a_second_signal_does_not_wait_for_handlers() -> None:
    gate, port = Gate(), free_port()
    serving = asyncio.create_task(serve_push(gate, f"127.0.0.1:{port}"))
    relay = Relay(port)
    await relay.channel.channel_ready()
    answering = asyncio.create_task(relay.deliver(pushed(b"1")))
    await until(lambda: gate.begun == [b"1"], "it has begun")
    kill(getpid(), signal.SIGTERM)
    kill(getpid(), signal.SIGINT)
    await asyncio.wait_for(serving, PATIENCE)
    assert gate.cancelled == [b"1"]
    assert verdicts(await answering) == ["release"]
    await relay.channel.close()


def test_a_concurrency_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        PushServer(ack, "127.0.0.1:0", concurrency=0)
