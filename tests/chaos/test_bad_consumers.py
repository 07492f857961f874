"""Consumers that crash, hang, never settle, or ack what isn't theirs, beside honest ones."""

import random
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from chaos.audit import attempts, is_settled, violations
from chaos.consumers import BOTH, ConsumerProcess, addresses
from chaos.fleet import Fleet
from chaos.ledger import balance
from chaos.load import Load
from path.rig.wait import until

CRASHES = 6
MODEST, GREEDY = 10, 40
"""Windows of honest and of bad consumers: whoever has the most room is handed the most."""


@pytest.mark.timeout(150)
async def test_bad_consumers_delay_events_but_none_is_lost_reordered_or_settled_by_them(
    database: str, tmp_path: Path, seed: int
) -> None:
    rng = random.Random(seed)
    async with AsyncExitStack() as parts:
        fleet = await parts.enter_async_context(Fleet(database, tmp_path, relays=2, ack_deadline="2s"))
        await fleet.start(*fleet.relays)

        async def consumer(behaviour: str) -> ConsumerProcess:
            target = addresses(fleet.relays, rng.randrange(2))
            window = MODEST if behaviour == "honest" else GREEDY
            process = ConsumerProcess(tmp_path, target, behaviour, seed=seed, window=window)
            consumers.append(process)
            return await parts.enter_async_context(process)

        consumers: list[ConsumerProcess] = []
        for behaviour in ("honest", "honest", "hanging", "silent", "forging"):
            await consumer(behaviour)
        load = await parts.enter_async_context(Load(database, seed))
        for _ in range(CRASHES):
            await (await consumer("crashing")).ended()
        by_kind = {
            kind: [c for c in consumers if c.behaviour == kind] for kind in {c.behaviour for c in consumers}
        }
        for kind, processes in by_kind.items():
            await until(
                lambda processes=processes: any(c.entries() for c in processes),
                f"{kind} consumers are handed something (seed {seed})",
            )
        await until(
            lambda: any(e.kind == "refused" for c in by_kind["forging"] for e in c.entries()),
            f"forged acks are answered (seed {seed})",
        )
        await load.stop()
        for process in consumers:
            if process.behaviour != "honest":
                await process.kill()
        await until(lambda: is_settled(database), f"everything is settled (seed {seed})", patience=45)
        journals = [process.entries() for process in consumers]
    entries = [entry for journal in journals for entry in journal]
    assert not [entry for entry in entries if entry.kind == "taken"], f"a forged ack counted (seed {seed})"
    for subscription in BOTH:
        # Lost would be what only bad consumers saw: none of them ever settles anything.
        ledger = await balance(database, load.sent, journals, subscription)
        ledger.check(seed, ordered=subscription == "ordered")
        assert ledger.duplicates == 0, (seed, ledger)
    assert await violations(database) == [], seed
    failed = [attempt for attempt in await attempts(database) if attempt["outcome"] != "acked"]
    assert {attempt["outcome"] for attempt in failed} <= {"lost", "expired"}, seed
    assert not [
        attempt
        for attempt in failed
        if attempt["consumer"] not in {"crashing", "hanging", "silent", "forging"}
    ]
