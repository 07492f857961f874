from datetime import timedelta

from hookline.core.window import MAX_BYTES, MAX_EVENTS
from path.rig.events import append, append_many, event
from path.rig.relay import HEARTBEAT, Relay
from path.rig.stream import RawStream, ids


async def test_started_tells_how_the_subscription_is_served(database: str) -> None:
    async with (
        Relay(database, {"crm": {"ack_deadline": "45s"}}) as relay,
        RawStream(relay.target) as stream,
    ):
        started = await stream.start("crm", events=7, size=1000)
    assert started.subscription == "crm"
    assert started.ack_deadline.ToTimedelta() == timedelta(seconds=45)
    assert started.heartbeat_interval.ToTimedelta() == HEARTBEAT
    assert (started.window.max_events, started.window.max_bytes) == (7, 1000)


async def test_a_window_beyond_the_relays_limits_is_cut_and_said_so(relay: Relay) -> None:
    async with RawStream(relay.target) as stream:
        started = await stream.start(events=2**31 - 1, size=2**62)
    assert (started.window.max_events, started.window.max_bytes) == (MAX_EVENTS, MAX_BYTES)


async def test_zero_bytes_asks_for_the_relays_limit(relay: Relay) -> None:
    async with RawStream(relay.target) as stream:
        started = await stream.start(events=1, size=0)
    assert started.window.max_bytes == MAX_BYTES


async def test_latest_begins_after_what_was_in_the_log_and_earliest_with_it(database: str) -> None:
    before = await append_many(database, 5)
    subscriptions = {"old": {"start": "earliest"}, "new": {"start": "latest"}}
    async with (
        Relay(database, subscriptions) as relay,
        RawStream(relay.target) as old,
        RawStream(relay.target) as new,
    ):
        await old.start("old")
        await new.start("new")
        after = await append_many(database, 5)
        assert set(ids(await old.deliveries(10))) == {*before, *after}
        assert set(ids(await new.deliveries(5))) == set(after)
        assert await new.rest() == []


async def test_latest_counts_from_the_declaration_and_not_from_the_first_consumer(database: str) -> None:
    async with Relay(database, {"new": {"start": "latest"}}) as relay:
        between = await append_many(database, 5)
        async with RawStream(relay.target) as stream:
            await stream.start("new")
            assert set(ids(await stream.deliveries(5))) == set(between)


async def test_a_known_subscription_keeps_its_place_when_it_is_declared_again(database: str) -> None:
    async with Relay(database) as relay, RawStream(relay.target) as stream:
        [first] = await append(database, [event(shard=1)])
        await stream.start()
        [delivery] = await stream.deliveries(1)
        assert delivery.event_id == first
        await stream.ack(delivery)
    async with Relay(database, {"all": {"start": "earliest"}}) as relay, RawStream(relay.target) as stream:
        [second] = await append(database, [event(shard=1)])
        await stream.start()
        assert ids(await stream.deliveries(1)) == [second]
        assert await stream.rest() == []
