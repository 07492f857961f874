from hookline.v1 import delivery_pb2 as pb
from path.rig.events import append_many
from path.rig.relay import Relay
from path.rig.stream import RawStream, ids
from path.rig.wait import until

SHORT = {"all": {"start": "earliest", "ack_deadline": "500ms"}}


async def test_what_is_not_settled_by_its_deadline_is_delivered_again(database: str) -> None:
    sent = await append_many(database, 3)
    async with Relay(database, SHORT) as relay, RawStream(relay.target) as stream:
        await stream.start()
        first = await stream.deliveries(3)
        second = await stream.deliveries(3)
        assert sorted(ids(first)) == sorted(ids(second)) == sorted(sent)
        assert [delivery.attempt for delivery in first] == [1, 1, 1]
        assert [delivery.attempt for delivery in second] == [2, 2, 2]
        # Either hand-over's token settles it: that it was processed is true whichever lease it was under.
        assert not (await stream.ack(first[0], second[1], second[2])).failures


async def test_a_deadline_that_passes_leaves_the_window_as_large_as_it_was(database: str) -> None:
    await append_many(database, 10)
    async with Relay(database, SHORT) as relay, RawStream(relay.target) as stream:
        await stream.start(events=4)
        for _ in range(3):
            await stream.deliveries(4)
        window = relay.dispatcher()._holders[0].window
        assert window.events <= 4
        await stream.resize(events=0)
        await until(lambda: window.events == 0, "the last deadline passes")
        assert window.bytes == 0


async def test_a_late_ack_by_a_former_holder_counts(database: str) -> None:
    await append_many(database, 1)
    async with (
        Relay(database, SHORT) as relay,
        RawStream(relay.target) as slow,
        RawStream(relay.target) as next_,
    ):
        await slow.start()
        [first] = await slow.deliveries(1)
        await slow.resize(events=0)
        await next_.start()
        [second] = await next_.deliveries(1)
        assert (second.event_id, second.attempt) == (first.event_id, 2)
        assert not (await slow.ack(first)).failures
        [failure] = (await next_.ack(second)).failures
        assert failure.reason == pb.SettlementFailureReason.SETTLEMENT_FAILURE_REASON_ALREADY_SETTLED
        assert await next_.rest() == []


async def test_what_a_consumer_held_when_it_vanished_goes_to_another(relay: Relay, database: str) -> None:
    sent = await append_many(database, 20)
    async with RawStream(relay.target) as stays:
        await stays.start(events=0)
        async with RawStream(relay.target) as vanishes:
            await vanishes.start(events=20)
            held = await vanishes.deliveries(20)
            await vanishes.ack(*held[:5])
            await stays.resize(events=100)
        again = await stays.deliveries(15)
        assert sorted(ids(again)) == sorted(ids(held[5:]))
        assert {delivery.attempt for delivery in again} == {2}
        assert len(sent) == 20
        assert await stays.rest() == []


async def test_what_comes_again_comes_before_what_is_younger(relay: Relay, database: str) -> None:
    sent = await append_many(database, 10, shards=1)
    async with RawStream(relay.target) as stays:
        await stays.start(events=0)
        async with RawStream(relay.target) as vanishes:
            await vanishes.start(events=5)
            await vanishes.deliveries(5)
        await stays.rest()
        await stays.resize(events=10)
        assert ids(await stays.deliveries(10)) == sent


async def test_closing_our_side_hands_the_rest_on(relay: Relay, database: str) -> None:
    await append_many(database, 5)
    async with RawStream(relay.target) as leaves, RawStream(relay.target) as stays:
        await leaves.start()
        held = await leaves.deliveries(5)
        await stays.start()
        await leaves.finish()
        assert sorted(ids(await stays.deliveries(5))) == sorted(ids(held))
