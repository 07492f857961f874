from datetime import timedelta
from time import monotonic

from path.rig.events import append_many
from path.rig.relay import HEARTBEAT, Relay
from path.rig.stream import RawStream


async def test_an_idle_relay_shows_that_it_lives(relay: Relay) -> None:
    async with RawStream(relay.target) as stream:
        await stream.start()
        began = monotonic()
        while len(stream.heartbeats) < 3:
            await stream.read()
    assert monotonic() - began >= 2 * HEARTBEAT.total_seconds()
    assert not any(heartbeat.HasField("oldest_unsettled_age") for heartbeat in stream.heartbeats)


async def test_a_heartbeat_tells_the_age_of_the_oldest_unsettled_event(relay: Relay, database: str) -> None:
    async with RawStream(relay.target) as stream:
        await stream.start()
        await append_many(database, 2)
        held = await stream.deliveries(2)
        await stream.rest()
        ages = [heartbeat.oldest_unsettled_age.ToTimedelta() for heartbeat in stream.heartbeats[-2:]]
        assert timedelta(0) < ages[0] < ages[1]
        await stream.ack(*held)
        await stream.rest()
        assert not stream.heartbeats[-1].HasField("oldest_unsettled_age")


async def test_a_consumer_that_never_settles_still_gets_heartbeats(relay: Relay, database: str) -> None:
    await append_many(database, 50)
    async with RawStream(relay.target) as stream:
        await stream.start(events=1)
        await stream.rest()
        assert len(stream.heartbeats) >= 2
