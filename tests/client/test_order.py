"""Handlers of random durations: bounded, one of each key at a time, in order of arrival, whatever they end with."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from client.scripted_relay import message
from hookline.client import Delivery
from hookline.client.leases import Leases
from hookline.client.settlement_queue import SettlementQueue
from hookline.client.workers import Workers
from path.rig.stream import PATIENCE


@dataclass
class Job:
    key: str
    turns: int
    """Turns of the event loop that its handler takes."""
    fails: bool
    pause: int
    """Turns of the event loop until the next one arrives."""


class Watch:
    """Handlers, and a look at what runs beside each of them."""

    def __init__(self, jobs: list[Job], concurrency: int) -> None:
        self.jobs = jobs
        self.concurrency = concurrency
        self.running: list[int] = []
        self.begun: defaultdict[str, list[int]] = defaultdict(list)
        self.most = 0

    async def handle(self, delivery: Delivery) -> None:
        number = int(delivery.event_id)
        job = self.jobs[number]
        assert not job.key or job.key not in {self.jobs[other].key for other in self.running}
        self.begun[job.key].append(number)
        self.running.append(number)
        self.most = max(self.most, len(self.running))
        for _ in range(job.turns):
            await asyncio.sleep(0)
        self.running.remove(number)
        if job.fails:
            raise ValueError

    async def run(self) -> None:
        changed, queue = asyncio.Event(), SettlementQueue()
        leases = Leases("all", queue, on_ready=changed.set)
        leases.one_at_a_time = True
        workers = Workers(leases, self.handle, concurrency=self.concurrency, changed=changed)
        working = asyncio.create_task(workers.work())
        for number, job in enumerate(self.jobs):
            leases.receive([message(str(number), key=job.key)])
            for _ in range(job.pause):
                await asyncio.sleep(0)
        settled: set[bytes] = set()
        async with asyncio.timeout(PATIENCE):
            while len(settled) < len(self.jobs):
                await queue.filled()
                batch = queue.take()
                assert batch is not None
                settled |= {one.token for one in batch.settlements}
                assert all(
                    one.HasField("retry") == self.jobs[int(one.token)].fails for one in batch.settlements
                )
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


jobs = st.builds(
    Job,
    st.sampled_from(["", "a", "b", "c"]),
    st.integers(0, 12),
    st.booleans(),
    st.sampled_from([0, 0, 1, 5]),
)


@given(st.lists(jobs, max_size=30), st.integers(1, 5))
@settings(max_examples=100, deadline=None)
def test_each_key_keeps_its_order_and_the_concurrency_its_bound(jobs: list[Job], concurrency: int) -> None:
    watch = Watch(jobs, concurrency)
    asyncio.run(watch.run())
    for key, begun in watch.begun.items():
        assert len(begun) == sum(job.key == key for job in jobs), "each exactly once"
        assert begun == sorted(begun), "in order of arrival"
    assert watch.most <= concurrency
