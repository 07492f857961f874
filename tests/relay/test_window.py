import asyncio
from datetime import timedelta

import pytest

from path.rig.database import locked_cursors
from path.rig.events import append, append_many, event
from path.rig.relay import Relay
from path.rig.stream import RawStream, ids
from path.rig.wait import until


@pytest.mark.parametrize("limit", [1, 7, 250])
async def test_exactly_as_many_events_are_out_as_the_window_holds(
    relay: Relay, database: str, limit: int
) -> None:
    await append_many(database, 300)
    async with RawStream(relay.target) as stream:
        await stream.start(events=limit)
        assert len(await stream.rest()) == limit


async def test_each_ack_makes_room_for_one_more(relay: Relay, database: str) -> None:
    sent = await append_many(database, 12)
    async with RawStream(relay.target) as stream:
        await stream.start(events=3)
        held = await stream.deliveries(3)
        seen = list(held)
        while len(seen) < 12:
            await stream.ack(held.pop(0))
            [more] = await stream.deliveries(1)
            held.append(more)
            seen.append(more)
        assert await stream.rest() == []
    assert sorted(ids(seen)) == sorted(sent)


async def test_bytes_bound_what_is_out(relay: Relay, database: str) -> None:
    await append(database, [event(b"x" * 1000) for _ in range(10)])
    async with RawStream(relay.target) as stream:
        await stream.start(events=100, size=3999)
        held = await stream.rest()
        assert len(held) == 3
        await stream.ack(held[0])
        assert len(await stream.rest()) == 1


async def test_an_event_larger_than_the_window_is_delivered_alone(relay: Relay, database: str) -> None:
    small, large, last = await append(database, [event(b"a"), event(b"b" * 5000), event(b"c")])
    async with RawStream(relay.target) as stream:
        await stream.start(events=100, size=1000)
        [first] = await stream.rest()
        assert first.event_id == small
        await stream.ack(first)
        [second] = await stream.rest()
        assert second.event_id == large
        await stream.ack(second)
        assert ids(await stream.rest()) == [last]


async def test_zero_events_pauses_and_a_window_resumes(relay: Relay, database: str) -> None:
    await append_many(database, 20)
    async with RawStream(relay.target) as stream:
        await stream.start(events=0)
        assert await stream.rest() == []
        await stream.resize(events=5)
        held = await stream.deliveries(5)
        await stream.resize(events=0)
        await stream.ack(*held)
        assert await stream.rest() == []
        await stream.resize(events=100)
        assert len(await stream.deliveries(15)) == 15


async def test_a_window_is_absolute_so_saying_it_twice_adds_nothing(relay: Relay, database: str) -> None:
    await append_many(database, 20)
    async with RawStream(relay.target) as stream:
        await stream.start(events=4)
        await stream.deliveries(4)
        for _ in range(5):
            await stream.resize(events=4)
        assert await stream.rest() == []


async def test_a_smaller_window_takes_nothing_back_and_hands_out_nothing_until_there_is_room(
    relay: Relay, database: str
) -> None:
    await append_many(database, 20)
    async with RawStream(relay.target) as stream:
        await stream.start(events=10)
        held = await stream.deliveries(10)
        await stream.resize(events=3)
        await stream.ack(*held[:7])
        assert await stream.rest() == []
        confirmation = await stream.ack(*held[7:])
        assert not confirmation.failures
        assert len(await stream.rest()) == 3


async def test_a_consumer_whose_bytes_are_full_does_not_keep_events_from_another(
    relay: Relay, database: str
) -> None:
    await append(database, [event(b"x" * 1000) for _ in range(10)])
    async with RawStream(relay.target) as full, RawStream(relay.target) as free:
        await full.start(events=1000, size=1000)  # most room in events, none in bytes
        await full.deliveries(1)
        await free.start(events=10)
        assert len(await free.deliveries(9)) == 9


async def test_what_waits_is_handed_out_once_leases_that_ran_out_are_renewed(database: str) -> None:

    # More than the relay reads ahead, so that no read comes along that would hand out by the way.
    await append_many(database, 2500)
    async with Relay(database, lease=timedelta(seconds=1)) as relay, RawStream(relay.target) as stream:
        await stream.start(events=0)
        dispatcher = relay.dispatcher()
        await until(lambda: not dispatcher._arrivals._has_room(), "the relay has read ahead")
        async with locked_cursors(database):
            shards = dispatcher._ownership.shards.values()

            def expired() -> bool:
                return all(shard.valid_until < asyncio.get_running_loop().time() for shard in shards)

            await until(expired, "the leases ran out")
            await stream.resize(events=10)
            assert await stream.rest() == []
        assert len(await stream.deliveries(10)) == 10
