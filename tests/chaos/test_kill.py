"""Relays that are killed while they deliver."""

import random
from contextlib import AsyncExitStack
from pathlib import Path
from time import monotonic

import pytest

from chaos.audit import attempts, is_settled, violations
from chaos.consumers import BOTH, ConsumerProcess, addresses
from chaos.fleet import LEASE, Fleet, is_shared
from chaos.ledger import balance
from chaos.load import Load
from path.rig.database import cursors
from path.rig.events import append_many
from path.rig.stream import RawStream, ids
from path.rig.wait import until

ROUNDS = 20
WINDOW = 25


@pytest.mark.timeout(150)
async def test_twenty_kills_at_random_moments_lose_nothing(database: str, tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    fleet = Fleet(database, tmp_path, relays=2)
    async with AsyncExitStack() as parts:
        await parts.enter_async_context(fleet)
        await fleet.start(*fleet.relays)
        consumers = [
            await parts.enter_async_context(
                ConsumerProcess(tmp_path, addresses(fleet.relays, first), window=WINDOW)
            )
            for first in range(2)
        ]
        load = await parts.enter_async_context(Load(database, seed))

        def received() -> int:
            return sum(entry.kind == "received" for consumer in consumers for entry in consumer.entries())

        await until(lambda: received() > 0, "the first event arrives")
        for _ in range(ROUNDS):
            victim = await rng.choice(fleet.relays).ready()
            # At a random place of the load, however fast this machine is.
            goal = received() + rng.randint(1, 100)
            await until(lambda goal=goal: received() >= goal, f"events arrive in spite of seed {seed}")
            await victim.kill()
            victim.start()
        await load.stop()
        await until(lambda: is_settled(database), "everything is settled", patience=30)
        journals = [consumer.entries() for consumer in consumers]
    for subscription in BOTH:
        ledger = await balance(database, load.sent, journals, subscription)
        ledger.check(seed, ordered=subscription == "ordered")
        assert ledger.duplicates <= ROUNDS * WINDOW * len(consumers), (seed, ledger)
    assert await violations(database) == [], seed
    assert await attempts(database) == [], f"a relay's death is no consumer's failure (seed {seed})"


@pytest.mark.parametrize("subscription", BOTH)
async def test_what_a_killed_relay_had_handed_out_comes_again_within_lease_and_five_seconds(
    database: str, tmp_path: Path, subscription: str
) -> None:
    async with Fleet(database, tmp_path, relays=2) as fleet:
        await fleet.start(*fleet.relays)
        first, second = fleet.relays
        async with RawStream(first.target) as doomed, RawStream(second.target) as heir:
            await doomed.start(subscription)
            await heir.start(subscription)
            await until(lambda: is_shared(database, subscription, 2), "the relays share the shards")
            sent = await append_many(database, 8, shards=8)
            held = await doomed.deliveries(4)
            assert not (await heir.ack(*await heir.deliveries(4))).failures
            await first.kill()
            killed_at = monotonic()
            again = await heir.deliveries(4)
            took = monotonic() - killed_at
            print(f"{subscription}: came again {took:.2f} s after the kill, with a lease of {LEASE:g} s")
            assert sorted(ids(again)) == sorted(ids(held))
            assert set(ids(held)) < set(sent)
            assert {delivery.attempt for delivery in again} == {1}
            assert took <= LEASE + 5
            assert not (await heir.ack(*again)).failures
    assert {row["pending"] == [] for row in (await cursors(database, subscription)).values()} == {True}
    assert await violations(database) == []
