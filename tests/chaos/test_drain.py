"""A relay that is told to stop while several consumers hold deliveries, each of which takes it in another way."""

import signal
from contextlib import AsyncExitStack
from pathlib import Path
from time import monotonic

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from chaos.audit import attempts, is_settled, violations
from chaos.consumers import BOTH
from chaos.fleet import Fleet
from hookline.v1 import delivery_pb2 as pb
from path.rig.database import connect, cursors
from path.rig.events import append_many
from path.rig.process import SERVICE
from path.rig.stream import RawStream, ids
from path.rig.wait import until


@pytest.mark.parametrize("subscription", BOTH)
async def test_a_drain_tells_every_stream_ends_in_time_and_costs_no_attempt(
    database: str, tmp_path: Path, subscription: str
) -> None:
    async with AsyncExitStack() as parts:
        fleet = await parts.enter_async_context(Fleet(database, tmp_path, relays=2))
        first, second = fleet.relays
        await fleet.start(first)
        channel = await parts.enter_async_context(grpc.aio.insecure_channel(first.target))
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=SERVICE))
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        streams = [await parts.enter_async_context(RawStream(first.target)) for _ in range(4)]
        for stream in streams:
            await stream.start(subscription, events=2)
        # Eight keys, so that with order too each of the four has its two.
        sent = await append_many(database, 24, shards=8)
        settling, releasing, closing, ignoring = streams
        held = [await stream.deliveries(2) for stream in streams]
        assert not (await settling.ack(held[0][0])).failures

        first.signal(signal.SIGTERM)
        asked = monotonic()
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        for stream in streams:
            assert (await stream.until_draining()).grace.ToTimedelta().total_seconds() > 0
        # Between its first ack and the signal it may have been handed one more.
        others = [held[0][1], *settling._deliveries]
        assert not (await settling.ack(*others)).failures
        await settling.finish()
        release = [pb.Settlement(token=delivery.token, release=pb.Release()) for delivery in held[1]]
        assert not (await releasing.confirmation(await releasing.settle(release))).failures
        await releasing.finish()
        await closing.finish()
        code, info = await ignoring.refusal()
        assert (code, info.reason) == (grpc.StatusCode.UNAVAILABLE, "RELAY_STOPPED")
        watch.cancel()
        assert await first.ended() == 0
        assert monotonic() - asked < 5
        assert {row["owner"] for row in (await cursors(database, subscription)).values()} == {""}
        assert await attempts(database) == []
        async with connect(database) as connection:
            assert await connection.fetchval("SELECT count(*) FROM hookline.deliveries") == 0

        await fleet.start(second)
        heir = await parts.enter_async_context(RawStream(second.target))
        await heir.start(subscription)
        acked = {held[0][0].event_id, *ids(others)}
        again: list[pb.Delivery] = []
        while len(again) < len(sent) - len(acked):
            [delivery] = await heir.deliveries(1)
            again.append(delivery)
            assert not (await heir.ack(delivery)).failures
        assert sorted(ids(again)) == sorted(set(sent) - acked)
        assert {delivery.attempt for delivery in again} == {1}
        assert await heir.rest() == []
        await until(lambda: is_settled(database, subscription), "everything is settled")
    assert await violations(database) == []
    assert await attempts(database) == []
