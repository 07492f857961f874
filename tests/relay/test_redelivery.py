from hookline.v1 import delivery_pb2 as pb
from path.rig.database import attempts, rows
from path.rig.events import append_many
from path.rig.relay import Relay
from path.rig.stream import RawStream, ids
from path.rig.wait import until

QUICK = {
    "all": {"start": "earliest", "retry": {"wait": "fixed", "delay": "100ms", "max_attempts": 3}},
}
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
        window = relay.dispatcher().leases.holders[0].window
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


async def test_what_a_consumer_held_when_it_died_goes_to_another_in_small_portions(
    relay: Relay, database: str
) -> None:
    """It may have been one of them that killed it; which one isn't known, so it is nobody's failed attempt."""
    await append_many(database, 20)
    async with RawStream(relay.target) as stays, RawStream(relay.target) as dies:
        await stays.start(events=0)
        await dies.start(events=20)
        held = await dies.deliveries(20)
        await dies.ack(*held[:5])
        await dies.die()
        await stays.resize(events=100)
        again: list[pb.Delivery] = []
        while len(again) < 15:
            portion = await stays.rest()
            assert len(portion) == min(2, 15 - len(again))
            assert not (await stays.ack(*portion)).failures
            again += portion
        assert sorted(ids(again)) == sorted(ids(held[5:]))
        assert {delivery.attempt for delivery in again} == {1}
        assert await stays.rest() == []
        assert await rows(database) == []


async def test_what_a_consumer_held_alone_when_it_died_has_failed(database: str) -> None:
    [sent] = await append_many(database, 1)
    async with Relay(database, QUICK) as relay, RawStream(relay.target) as stays:
        await stays.start(events=0)
        async with RawStream(relay.target) as dies:
            await dies.start(consumer="frail")
            await dies.deliveries(1)
            await dies.die()
        await stays.resize(events=1)
        [again] = await stays.deliveries(1)
        assert (again.event_id, again.attempt) == (sent, 2)
        [attempt] = await attempts(database)
        assert (attempt["outcome"], attempt["consumer"], attempt["attempt"]) == ("lost", "frail", 1)
        assert "stream" in attempt["reason"]


async def test_what_kills_every_consumer_dies_itself_and_takes_nothing_with_it(database: str) -> None:
    sent = await append_many(database, 30)
    killer, acked = sent[7], set[str]()

    async def has_died() -> bool:
        return any(row["state"] == "dead" for row in await rows(database))

    async with Relay(database, QUICK) as relay:
        deaths = 0
        while not await has_died():
            async with RawStream(relay.target) as frail:
                await frail.start()
                for _ in range(30):
                    if frail.heartbeats and await has_died():
                        break
                    if killer in ids(portion := await frail.rest()):
                        deaths += 1
                        await frail.die()
                        break
                    await frail.ack(*portion)
                    acked |= set(ids(portion))
        async with RawStream(relay.target) as last:
            await last.start()
            while len(acked) < 29:
                portion = await last.deliveries(1)
                await last.ack(*portion)
                acked |= set(ids(portion))
    assert acked == set(sent) - {killer}
    [dead] = await rows(database)
    assert (str(dead["event_id"]), dead["attempt"]) == (killer, 3)
    # Among thirty, among four, and then alone as often as the policy allows.
    assert deaths == 2 + 3


async def test_what_comes_again_comes_before_what_is_younger(relay: Relay, database: str) -> None:
    sent = await append_many(database, 10, shards=1)
    async with RawStream(relay.target) as stays:
        await stays.start(events=0)
        async with RawStream(relay.target) as leaves:
            await leaves.start(events=5)
            await leaves.deliveries(5)
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
