"""Relays that join and leave while consumers run: their shards go to those who are there, in fair shares."""

import random
import signal
from contextlib import AsyncExitStack
from pathlib import Path
from time import monotonic

import pytest

from chaos.audit import attempts, is_settled, violations
from chaos.consumers import BOTH, ConsumerProcess
from chaos.fleet import LEASE, Fleet, is_shared
from chaos.ledger import balance
from chaos.load import Load
from path.rig.database import connect
from path.rig.process import RelayProcess
from path.rig.wait import until

ROUNDS = 8
WINDOW = 25
FAIR_WITHIN = LEASE + 4
"""Seconds."""


@pytest.mark.timeout(150)
async def test_relays_that_join_and_leave_at_random_share_fairly_and_lose_nothing(
    database: str, tmp_path: Path, seed: int
) -> None:
    rng = random.Random(seed)
    kills = 0
    slowest = 0.0
    consumers: list[ConsumerProcess] = []
    present: dict[RelayProcess, ConsumerProcess] = {}
    async with AsyncExitStack() as parts:
        fleet = await parts.enter_async_context(Fleet(database, tmp_path))
        load = await parts.enter_async_context(Load(database, seed))
        for _ in range(ROUNDS):
            # One is always there: whom else should the events go to?
            relay = rng.choice([relay for relay in fleet.relays if len(present) > 1 or relay not in present])
            if relay not in present:
                what = "joins"
                await fleet.start(relay)
                consumer = ConsumerProcess(tmp_path, f"ipv4:{relay.target}", window=WINDOW)
                present[relay] = await parts.enter_async_context(consumer)
                consumers.append(consumer)
                await until(lambda pid=relay.pid: has_joined(database, pid), f"it joins (seed {seed})")
            else:
                consumer = present.pop(relay)
                what = rng.choice(["is killed", "is stopped", "is left by its consumer"])
                if what == "is killed":
                    await relay.kill()
                    kills += 1
                elif what == "is stopped":
                    relay.signal(signal.SIGTERM)
                    assert await relay.ended() == 0, relay.output()
                await consumer.leave()
                if what == "is left by its consumer":
                    relay.signal(signal.SIGTERM)
                    assert await relay.ended() == 0, relay.output()
            since = monotonic()
            for subscription in BOTH:
                await until(
                    lambda name=subscription: is_shared(database, name, len(present)),
                    f"{len(present)} relays share {subscription} after one {what} (seed {seed})",
                    patience=FAIR_WITHIN,
                )
            slowest = max(slowest, monotonic() - since)
            received = sum(len(consumer.entries()) for consumer in consumers)
            await until(
                lambda received=received: sum(len(c.entries()) for c in consumers) > received,
                f"events arrive after one {what} (seed {seed})",
            )
        await load.stop()
        await until(lambda: is_settled(database), f"everything is settled (seed {seed})", patience=30)
        journals = [consumer.entries() for consumer in consumers]
    print(f"fair after {slowest:.2f} s at the latest; {kills} kills")
    for subscription in BOTH:
        ledger = await balance(database, load.sent, journals, subscription)
        ledger.check(seed, ordered=subscription == "ordered")
        # A relay that leaves politely repeats nothing.
        assert ledger.duplicates <= kills * WINDOW, (seed, kills, ledger)
    assert await violations(database) == [], seed
    assert await attempts(database) == [], f"nobody failed (seed {seed})"


async def has_joined(dsn: str, relay_pid: int) -> bool:
    """Whether the relay shares in both subscriptions."""
    async with connect(dsn) as connection:
        joined = await connection.fetchval(
            "SELECT count(*) FROM hookline.members"
            " WHERE split_part(owner, ':', 2) = $1 AND alive_until > clock_timestamp()",
            str(relay_pid),
        )
    return bool(joined == len(BOTH))
