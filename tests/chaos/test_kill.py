"""Relays that are killed while they deliver."""

import random
from contextlib import AsyncExitStack
from pathlib import Path
from time import monotonic

import pytest

from chaos.audit import attempts, is_settled, violations
from chaos.consumers import BOTH, ConsumerProcess, addresses
from chaos.fleet import LEASE, Fleet
from chaos.ledger import balance
from chaos.load import Load
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
        assert ledger.is_balanced or subscription == "plain", (seed, ledger)
        assert not (ledger.lost or ledger.unexpected or ledger.after_confirmation), (seed, ledger)
        assert ledger.duplicates <= ROUNDS * WINDOW * len(consumers), (seed, ledger)
    assert await violations(database) == [], seed
    assert await attempts(database) == [], "a relay's death is no consumer's failure"
