"""Everything that was accepted is delivered, whatever the provider sends and whatever is killed."""

import asyncio
import random
from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from hookline.client import Consumer, SettlementFailed
from hookline.simulator.patience import Patience
from hookline.simulator.plan import Mix, Plan, draw_plan
from hookline.simulator.provider import Provider
from hookline.simulator.signature import Signer
from hookline.simulator.tally import Tally
from path.rig.database import connect
from path.rig.process import KEY
from path.rig.wait import until
from path.rig.webhooks import body, post

Stack = Any
WINDOW = 50
PATIENCE = Patience(
    attempts=60,
    timeout=timedelta(seconds=5),
    first_wait=timedelta(milliseconds=50),
    longest_wait=timedelta(milliseconds=500),
)


class Received:
    """What one consumer got, and what it was told is settled for good."""

    def __init__(self) -> None:
        self.deliveries: Counter[UUID] = Counter()
        self.confirmed: set[UUID] = set()
        self.after_confirmation: list[UUID] = []
        self.bodies: dict[UUID, bytes] = {}

    async def consume(self, target: str) -> None:
        """Ack everything, until cancelled."""
        acks: set[asyncio.Task[None]] = set()
        async with Consumer(target, "all", window=WINDOW) as consumer:
            async for delivery in consumer:
                event_id = UUID(delivery.event_id)
                if event_id in self.confirmed:
                    self.after_confirmation.append(event_id)
                self.deliveries[event_id] += 1
                self.bodies[event_id] = delivery.body
                ack = asyncio.create_task(self._ack(event_id, delivery))
                acks.add(ack)
                ack.add_done_callback(acks.discard)

    async def _ack(self, event_id: UUID, delivery: Any) -> None:
        try:
            await delivery.ack()
        except SettlementFailed:
            return
        self.confirmed.add(event_id)


async def stored(dsn: str) -> set[UUID]:
    async with connect(dsn) as connection:
        rows = await connection.fetch("SELECT event_id FROM hookline.outbox")
    return {UUID(bytes=row["event_id"].bytes) for row in rows}


async def unsettled(dsn: str) -> int:
    """Events of the log that the subscription's cursors say are still to be delivered."""
    async with connect(dsn) as connection:
        count: int = await connection.fetchval(
            "SELECT count(*) FROM hookline.outbox AS o JOIN hookline.cursors AS c USING (shard)"
            " WHERE c.subscription = 'all' AND (o.seq > c.position OR o.seq = ANY (c.pending))"
        )
    return count


def plan(seed: int, journeys: int) -> Plan:
    mix = Mix(duplicates=0.2, late=0.2, revisions=0.3, forged=0.2)
    return draw_plan(journey_count=journeys, mix=mix, signer=Signer(KEY), seed=seed)


async def test_what_a_provider_sends_adds_up_to_what_a_consumer_gets(stack: Stack) -> None:
    received = Received()
    consuming = asyncio.create_task(received.consume(stack.relay.target))
    drawn = plan(seed=7, journeys=120)
    tally = await Provider(url=stack.edge.url, patience=PATIENCE).play(drawn)
    assert tally.as_planned, tally.differences
    await until(lambda: received.confirmed == tally.event_ids, "all that was accepted is acked")
    consuming.cancel()
    await asyncio.gather(consuming, return_exceptions=True)
    assert set(received.deliveries) == tally.event_ids == await stored(stack.database)
    assert received.deliveries.total() == tally.accepted, "each exactly once while nothing breaks"
    assert {received.bodies[event_id] for event_id in tally.event_ids} == {
        item.body for item in drawn if item.kind.value in ("new", "revision")
    }


@pytest.mark.timeout(100)
async def test_killing_edge_and_relay_under_load_loses_nothing(stack: Stack) -> None:
    seed = random.randrange(2**31)
    print("seed", seed)
    rng = random.Random(seed)
    received, kills = Received(), 0
    consuming = asyncio.create_task(received.consume(stack.relay.target))
    provider = Provider(url=stack.edge.url, patience=PATIENCE, rate=150)
    playing = asyncio.create_task(provider.play(plan(seed=seed, journeys=300)))
    for victim in (stack.relay, stack.edge, stack.relay):
        # At a random place of the load, however fast this machine is.
        goal = len(received.confirmed) + rng.randint(20, 80)
        await until(lambda goal=goal: len(received.confirmed) >= goal or playing.done(), "load goes on")
        await victim.kill()
        kills += victim is stack.relay
        victim.start()
        await victim.ready()
    tally: Tally = await playing
    assert tally.failed == 0

    async def all_settled() -> bool:
        return await unsettled(stack.database) == 0

    # Not "all confirmed": a relay that is killed between commit and confirmation has settled for good, too.
    await until(all_settled, "everything accepted is settled", patience=30)
    consuming.cancel()
    await asyncio.gather(consuming, return_exceptions=True)
    assert set(received.deliveries) == tally.event_ids == await stored(stack.database), "lost or unexpected"
    assert not received.after_confirmation, "delivered again after its confirmation"
    assert received.deliveries.total() - len(received.deliveries) <= kills * WINDOW


async def test_an_answer_of_200_is_in_the_log_though_the_edge_is_killed_at_once(stack: Stack) -> None:
    answers = await asyncio.gather(*(post(stack.edge.url, body()) for _ in range(20)))
    await stack.edge.kill()
    assert await stored(stack.database) >= {UUID(answer["event_id"]) for answer in answers}
