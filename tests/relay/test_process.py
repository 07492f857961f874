"""A relay process and how it ends: killed, paused, told to stop."""

import signal
from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic

import grpc
import psutil
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from hookline.v1 import delivery_pb2 as pb
from path.rig.database import attempts, connect, cursors, locked_cursors, rows, until_waiting_for_lock
from path.rig.events import append, append_many, event
from path.rig.process import SERVICE, RelayProcess, write_config
from path.rig.relay import Relay
from path.rig.stream import RawStream, ids, reasons
from path.rig.wait import until

MIB = 1024 * 1024
SETTLED = pb.SettlementFailureReason.SETTLEMENT_FAILURE_REASON_ALREADY_SETTLED


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_config(
        tmp_path / "hookline.toml",
        {
            "relay": {"lease": "1s", "heartbeat": "200ms", "poll": "50ms"},
            "subscriptions.all": {"start": "earliest"},
        },
    )


@pytest.fixture
async def process(database: str, config: Path) -> AsyncIterator[RelayProcess]:
    async with RelayProcess(database, config) as process:
        yield process


async def test_acks_out_of_order_survive_a_kill(database: str, config: Path) -> None:
    sent = await append_many(database, 40, shards=2)
    async with RelayProcess(database, config) as process, RawStream(process.target) as stream:
        await stream.start()
        held = await stream.deliveries(40)
        acked = [delivery for number, delivery in enumerate(held) if number % 3]
        for delivery in reversed(acked):
            await stream.send_acks(delivery)
        last = await stream.ack()
        assert not last.failures
        await process.kill()
    async with RelayProcess(database, config) as process, RawStream(process.target) as stream:
        await stream.start()
        again = await stream.deliveries(len(held) - len(acked))
        assert sorted(ids(again)) == sorted(set(sent) - set(ids(acked)))
        assert await stream.rest() == []


async def test_another_relay_takes_over_when_the_lease_of_a_killed_one_ends(
    process: RelayProcess, database: str, config: Path
) -> None:
    async with (
        RawStream(process.target) as first,
        RelayProcess(database, config, name="other") as other,
        RawStream(other.target) as second,
    ):
        await first.start(events=10)
        sent = await append_many(database, 10)
        held = await first.deliveries(10)
        await first.ack(*held[:4])
        await second.start()
        assert await second.rest() == []
        await process.kill()
        assert sorted(ids(await second.deliveries(6))) == sorted(set(sent) - set(ids(held[:4])))


async def test_a_paused_relay_cannot_settle_what_another_took_over(
    process: RelayProcess, database: str, config: Path
) -> None:
    """The zombie of the promises: it wakes up and believes that it still owns its shards."""
    async with (
        RawStream(process.target) as zombies,
        RelayProcess(database, config, name="other") as other,
        RawStream(other.target) as heirs,
    ):
        await zombies.start()
        sent = await append_many(database, 12)
        held = await zombies.deliveries(12)
        process.signal(signal.SIGSTOP)
        try:
            rejects = [pb.Settlement(token=delivery.token, reject=pb.Reject()) for delivery in held]
            sequence = await zombies.settle(rejects)
            await heirs.start()
            again = await heirs.deliveries(12)
            assert sorted(ids(again)) == sorted(sent)
            assert not (await heirs.ack(*again[:6])).failures
            before = await cursors(database)
        finally:
            process.signal(signal.SIGCONT)
        confirmation = await zombies.confirmation(sequence)
        assert reasons(confirmation).keys() == {delivery.token for delivery in held}
        # It knows now, and wrote nothing; what it has from now on are new leases.
        assert await rows(database) == await attempts(database) == []
        for shard, row in (await cursors(database)).items():
            assert (row["epoch"], row["position"]) >= (before[shard]["epoch"], before[shard]["position"])
        assert not (await heirs.ack(*again[6:])).failures
        more = await append_many(database, 4)
        assert sorted(ids([*await heirs.rest(), *await zombies.rest()])) == sorted(more)


async def test_acks_of_a_paused_relay_are_carried_out_by_the_one_that_took_over(
    process: RelayProcess, database: str, config: Path
) -> None:
    """That the events were processed is true whichever relay says so."""
    async with (
        RawStream(process.target) as zombies,
        RelayProcess(database, config, name="other") as other,
        RawStream(other.target) as heirs,
    ):
        await zombies.start()
        await append_many(database, 12)
        held = await zombies.deliveries(12)
        process.signal(signal.SIGSTOP)
        try:
            sequence = await zombies.send_acks(*held)
            await heirs.start()
            again = await heirs.deliveries(12)
            settled = set(ids(again[:6]))
            assert not (await heirs.ack(*again[:6])).failures
        finally:
            process.signal(signal.SIGCONT)
        failed = reasons(await zombies.confirmation(sequence))
        assert failed == {d.token: SETTLED for d in held if d.event_id in settled}
        assert reasons(await heirs.ack(*again[6:])) == {d.token: SETTLED for d in again[6:]}
        assert await heirs.rest() == []


async def test_terminating_drains(process: RelayProcess, database: str) -> None:
    async with RawStream(process.target) as stream, grpc.aio.insecure_channel(process.target) as channel:
        await stream.start(events=10)
        await append_many(database, 30)
        held = await stream.deliveries(10)
        health = health_pb2_grpc.HealthStub(channel)
        watch = health.Watch(health_pb2.HealthCheckRequest(service=SERVICE))
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        process.signal(signal.SIGTERM)
        asked = monotonic()
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        draining = await stream.until_draining()
        assert draining.grace.ToTimedelta().total_seconds() > 0
        async with RawStream(process.target) as late:
            start = pb.Start(subscription="all", window=pb.Window(max_events=1))
            await late.send(pb.SubscribeRequest(start=start))
            code, info = await late.refusal()
            assert (code, info.reason, info.domain) == (grpc.StatusCode.UNAVAILABLE, "DRAINING", "hookline")
        assert not (await stream.ack(*held)).failures
        await stream.finish()
        assert await stream.deliveries(0) == []
        assert not stream._deliveries, "nothing is handed out once the relay drains"
        watch.cancel()
        assert await process.ended() == 0
        assert monotonic() - asked < 5
    assert all(row["owner"] == "" for row in (await cursors(database)).values())
    async with Relay(database) as next_relay, RawStream(next_relay.target) as stream:
        await stream.start()
        assert len(await stream.deliveries(20)) == 20
        assert await stream.rest() == []


async def test_a_consumer_that_ignores_the_drain_does_not_hold_it_up(
    process: RelayProcess, database: str
) -> None:
    async with RawStream(process.target) as stream:
        await stream.start()
        await append_many(database, 3)
        await stream.deliveries(3)
        process.signal(signal.SIGTERM)
        asked = monotonic()
        code, info = await stream.refusal()
        assert (code, info.reason) == (grpc.StatusCode.UNAVAILABLE, "RELAY_STOPPED")
        assert await process.ended() == 0
        assert monotonic() - asked < 5
    assert all(row["owner"] == "" for row in (await cursors(database)).values())


async def test_health_and_reflection_answer(process: RelayProcess) -> None:
    async with grpc.aio.insecure_channel(process.target) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for service in ("", SERVICE):
            answer = await health.Check(health_pb2.HealthCheckRequest(service=service))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        reflection = reflection_pb2_grpc.ServerReflectionStub(channel)
        requests = [
            reflection_pb2.ServerReflectionRequest(list_services=""),
            reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICE),
        ]
        services, files = [answer async for answer in reflection.ServerReflectionInfo(iter(requests))]
    assert SERVICE in {service.name for service in services.list_services_response.service}
    assert files.file_descriptor_response.file_descriptor_proto


async def test_a_consumer_that_never_reads_does_not_fill_the_relay(
    process: RelayProcess, database: str
) -> None:
    async with RawStream(process.target) as other:
        await other.start(events=0)
        memory = psutil.Process(process.pid)
        before = memory.memory_info().rss
        await append(database, [event(bytes(MIB)) for _ in range(160)])
        async with RawStream(process.target) as silent:
            window = pb.Window(max_events=10_000, max_bytes=16 * MIB)
            start = pb.Start(subscription="all", window=window)
            await silent.send(pb.SubscribeRequest(start=start))
            await until(lambda: memory.memory_info().rss > before + 20 * MIB, "the relay reads ahead")
            most = 0
            for _ in range(5):
                await other.rest()
                most = max(most, memory.memory_info().rss - before)
    # Its window, what is read ahead, and what gRPC and the allocator keep of both; never the 160 MiB.
    assert most < 110 * MIB


async def test_an_ack_that_was_never_confirmed_is_lost_or_kept_but_its_event_is_not(
    process: RelayProcess, database: str
) -> None:
    sent = await append_many(database, 5)
    async with RawStream(process.target) as stream:
        await stream.start()
        held = await stream.deliveries(5)
        async with locked_cursors(database):
            sequence = await stream.send_acks(*held)
            await until_waiting_for_lock(database, "hookline relay all settlements")
            await process.kill()
            await stream.until_end()
            assert not stream.has_confirmation(sequence)
            async with connect(database) as connection:
                # What the dead relay's connections still do must not be what this test waits for.
                await connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE application_name LIKE 'hookline relay%' AND datname = current_database()"
                )
    async with Relay(database) as relay, RawStream(relay.target) as stream:
        await stream.start()
        assert sorted(ids(await stream.deliveries(5))) == sorted(sent)
