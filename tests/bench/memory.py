"""How much memory a process holds while it works."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import psutil
from msgspec import Struct

_EVERY = 0.25
"""Seconds between samples."""


class Memory(Struct):
    """Resident set size in bytes, sampled at even intervals: of the process and its children together."""

    samples: list[int]

    @property
    def most(self) -> int:
        """The most that was seen."""
        return max(self.samples)

    @property
    def growth(self) -> float:
        """The most of the second half over the most of the first: 1 is flat, a leak is more."""
        middle = len(self.samples) // 2 or 1
        return max(self.samples[middle:], default=self.most) / max(self.samples[:middle])


def _resident(processes: Sequence[psutil.Process]) -> int:
    """A process may end at any time: what is gone holds nothing."""
    total = 0
    for process in processes:
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


@asynccontextmanager
async def watch(pids: Mapping[str, int]) -> AsyncIterator[dict[str, Memory]]:
    """Sample processes by name until the context ends."""
    families = {}
    for name, pid in pids.items():
        # Children are looked for once: to look for them takes longer than to sample them.
        parent = psutil.Process(pid)
        families[name] = [parent, *parent.children(recursive=True)]
    seen = {name: Memory(samples=[_resident(family)]) for name, family in families.items()}

    async def sample() -> None:
        while True:
            await asyncio.sleep(_EVERY)
            for name, family in families.items():
                seen[name].samples.append(_resident(family))

    task = asyncio.create_task(sample())
    try:
        yield seen
    finally:
        task.cancel()
