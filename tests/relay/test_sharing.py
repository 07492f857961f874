from path.rig.database import cursors
from path.rig.events import append, append_many, event
from path.rig.relay import Relay
from path.rig.stream import RawStream, ids
from path.rig.wait import until


async def test_two_consumers_share_a_subscription_and_no_event_goes_to_both(
    relay: Relay, database: str
) -> None:
    async with RawStream(relay.target) as one, RawStream(relay.target) as two:
        await one.start(events=50)
        await two.start(events=50)
        sent = await append_many(database, 100)
        first, second = ids(await one.deliveries(50)), ids(await two.deliveries(50))
        assert not set(first) & set(second)
        assert sorted(first + second) == sorted(sent)


async def test_two_subscriptions_get_everything_each_at_its_own_pace(database: str) -> None:
    sent = await append_many(database, 300)
    subscriptions = {"fast": {"start": "earliest"}, "stuck": {"start": "earliest"}}
    async with (
        Relay(database, subscriptions) as relay,
        RawStream(relay.target) as fast,
        RawStream(relay.target) as stuck,
    ):
        await stuck.start("stuck", events=1)
        [held] = await stuck.deliveries(1)
        await fast.start("fast", events=50)
        seen: list[str] = []
        while len(seen) < 300:
            portion = await fast.deliveries(50)
            await fast.ack(*portion)
            seen += ids(portion)
        assert sorted(seen) == sorted(sent)
        assert not (await stuck.ack(held)).failures
        await stuck.resize(events=1000)
        assert len(await stuck.deliveries(299)) == 299


async def test_a_subscription_gets_the_sources_and_types_that_it_asks_for(database: str) -> None:
    subscriptions = {
        "scores": {"start": "earliest", "sources": ["begini-*"], "types": ["*_score.complete", "x?"]},
    }
    wanted = [
        event(source="begini-test", type_="psychometric_score.complete"),
        event(source="begini-production", type_="android_score.complete", shard=1),
        event(source="begini-test", type_="xy", shard=2),
    ]
    others = [
        event(source="begini", type_="psychometric_score.complete"),
        event(source="begini-test", type_="application.complete", shard=1),
        event(source="begini-test", type_="psychometric_score.completed", shard=2),
        event(source="begini-test", type_="xyz", shard=2),
    ]
    await append(database, [*others, *wanted])
    async with Relay(database, subscriptions) as relay, RawStream(relay.target) as stream:
        await stream.start("scores")
        expected = sorted(str(new.event_id) for new in wanted)
        assert sorted(ids(await stream.deliveries(3))) == expected
        assert await stream.rest() == []


async def test_positions_move_past_events_that_nobody_wants(database: str) -> None:

    async with (
        Relay(database, {"none": {"start": "earliest", "types": ["never"]}}) as relay,
        RawStream(relay.target) as stream,
    ):
        await stream.start("none")
        await append_many(database, 100, shards=4)

        async def moved() -> bool:
            rows = await cursors(database, "none")
            return [rows[shard]["position"] > 96 for shard in range(4)] == [True] * 4

        await until(moved, "the cursors pass what was filtered out")


async def test_a_dispatcher_ends_with_its_last_consumer_and_frees_its_shards(
    relay: Relay, database: str
) -> None:

    await append_many(database, 3)
    async with RawStream(relay.target) as stream:
        await stream.start()
        await stream.deliveries(3)

    async def free() -> bool:
        return all(row["owner"] == "" for row in (await cursors(database)).values())

    await until(free, "the leases are given up")
    assert not relay.subscribers._served
