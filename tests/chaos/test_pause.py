"""Relays that are paused for longer than their lease and wake up as zombies, while others have taken over."""

import random
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from chaos.audit import attempts, is_settled, violations
from chaos.consumers import BOTH, ConsumerProcess, addresses
from chaos.fleet import Fleet
from chaos.ledger import balance
from chaos.load import Load
from path.rig.database import cursors
from path.rig.wait import until

ROUNDS = 5
WINDOW = 25


@pytest.mark.timeout(150)
async def test_a_relay_that_slept_through_its_lease_writes_nothing_when_it_wakes(
    database: str, tmp_path: Path, seed: int
) -> None:
    rng = random.Random(seed)
    async with AsyncExitStack() as parts:
        fleet = await parts.enter_async_context(Fleet(database, tmp_path))
        await fleet.start(*fleet.relays)
        # Each stays with its own relay if it can: the zombie's wakes up to what it had been sent.
        consumers = [
            await parts.enter_async_context(
                ConsumerProcess(tmp_path, addresses(fleet.relays, first), window=WINDOW)
            )
            for first in range(3)
        ]
        load = await parts.enter_async_context(Load(database, seed))

        def received() -> int:
            return sum(entry.kind == "received" for consumer in consumers for entry in consumer.entries())

        async def epochs_of(relay_pid: int) -> dict[tuple[str, int], int]:
            return {
                (name, shard): row["epoch"]
                for name in BOTH
                for shard, row in (await cursors(database, name)).items()
                if row["owner"].split(":")[1:2] == [str(relay_pid)]
            }

        await until(lambda: received() > 0, "the first event arrives")
        for _ in range(ROUNDS):
            zombie = rng.choice(fleet.relays)

            async def owns_some(pid: int = zombie.pid) -> bool:
                return bool(await epochs_of(pid))

            await until(owns_some, f"the relay has shards again (seed {seed})")
            goal = received() + rng.randint(1, 60)
            await until(lambda goal=goal: received() >= goal, f"events arrive (seed {seed})")
            before = await epochs_of(zombie.pid)
            zombie.signal(signal.SIGSTOP)
            try:

                async def taken_over(pid: int = zombie.pid) -> bool:
                    return not await epochs_of(pid)

                await until(taken_over, f"others take over from {before} (seed {seed})")
                goal = received() + rng.randint(1, 60)
                await until(lambda goal=goal: received() >= goal, f"events arrive from others (seed {seed})")
            finally:
                zombie.signal(signal.SIGCONT)
        await load.stop()
        await until(lambda: is_settled(database), f"everything is settled (seed {seed})", patience=30)
        journals = [consumer.entries() for consumer in consumers]
    assert "shards lost" in fleet.output()
    for subscription in BOTH:
        ledger = await balance(database, load.sent, journals, subscription)
        ledger.check(seed, ordered=subscription == "ordered")
        assert ledger.duplicates <= ROUNDS * WINDOW * len(consumers), (seed, ledger)
    assert await violations(database) == [], seed
    assert await attempts(database) == [], f"a zombie's streams are nobody's failure (seed {seed})"
