from datetime import UTC, datetime, timedelta
from os import urandom

from hookline.model import NewEvent
from hookline.relay.wire import MAX_MESSAGE_EVENTS
from path.rig.events import append, append_many, event
from path.rig.relay import Relay
from path.rig.stream import RawStream, ids

MIB = 1024 * 1024


async def received(relay: Relay, count: int = 1) -> list:
    async with RawStream(relay.target) as stream:
        await stream.start(events=1000)
        return await stream.deliveries(count)


async def test_a_body_arrives_byte_for_byte(relay: Relay, database: str) -> None:
    bodies = [bytes(range(256)) * 3, b'{"a":"\x00","b":"\\ud800","a":1}', b"", b"\xff\xfe", urandom(MIB)]
    await append(database, [event(body) for body in bodies])
    assert [delivery.body for delivery in await received(relay, len(bodies))] == bodies


async def test_a_delivery_says_what_the_edge_knew(relay: Relay, database: str) -> None:
    headers = [("content-type", "application/json"), ("x-twice", "a"), ("x-twice", "b"), ("x-odd", "é\u2028")]
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
    new = event(b"{}", shard=3, source="begini-test", type_="x.y", headers=headers, traceparent=traceparent)
    await append(database, [new._replace(tracestate="vendor=1")])
    [delivery] = await received(relay)
    assert delivery.event_id == str(new.event_id)
    assert (delivery.source, delivery.type, delivery.ordering_key) == ("begini-test", "x.y", "subject-3")
    assert [(header.name, header.value) for header in delivery.headers] == headers
    assert (delivery.traceparent, delivery.tracestate) == (traceparent, "vendor=1")
    assert delivery.received_at.ToDatetime(UTC) == new.received_at
    assert (delivery.attempt, delivery.revision) == (1, False)


async def test_a_time_before_the_epoch_and_one_far_ahead_survive(relay: Relay, database: str) -> None:
    times = [datetime(1969, 12, 31, 23, 59, 59, 999999, UTC), datetime(2400, 1, 1, tzinfo=UTC)]
    await append(database, [event()._replace(received_at=time) for time in times])
    assert [d.received_at.ToDatetime(UTC) for d in await received(relay, 2)] == times


async def test_another_body_under_one_lineage_is_marked_as_a_revision(relay: Relay, database: str) -> None:
    def revisable(new: NewEvent, lineage: NewEvent) -> NewEvent:
        return new._replace(lineage=lineage.event_id)

    first = event(b"1")
    await append(database, [revisable(first, first)])
    await append(database, [revisable(event(b"2"), first)])
    assert [(d.body, d.revision) for d in await received(relay, 2)] == [(b"1", False), (b"2", True)]


async def test_a_backlog_comes_in_large_batches(relay: Relay, database: str) -> None:
    await append_many(database, 1000)
    async with RawStream(relay.target) as stream:
        await stream.start(events=1000)
        await stream.deliveries(1000)
    assert max(stream.batches) <= MAX_MESSAGE_EVENTS
    assert len(stream.batches) <= 50


async def test_messages_stay_below_what_a_client_takes_by_default(relay: Relay, database: str) -> None:
    sent = await append(database, [event(urandom(MIB - number)) for number in range(8)])
    # No option of ours: gRPC clients refuse more than 4 MiB.
    async with RawStream(relay.target, options=(("grpc.max_receive_message_length", 4 * MIB),)) as stream:
        await stream.start(events=1000)
        assert ids(await stream.deliveries(8)) == sent


async def test_events_of_a_shard_come_in_the_order_of_the_log(relay: Relay, database: str) -> None:
    sent = await append(database, [event(b"%d" % number, shard=5) for number in range(700)])
    assert ids(await received(relay, 700)) == sent


async def test_a_new_event_arrives_without_waiting_for_the_poll(database: str) -> None:
    async with Relay(database) as relay, RawStream(relay.target) as stream:
        relay.subscribers._settings = relay.subscribers._settings.model_copy(
            update={"poll": timedelta(hours=1)}
        )
        await stream.start()
        assert await stream.rest() == []
        sent = await append_many(database, 1)
        assert ids(await stream.deliveries(1)) == sent
