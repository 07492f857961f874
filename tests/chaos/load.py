"""A provider that never stops: events of a few subjects, put into the log as the edge does."""

import asyncio
import random
from types import TracebackType
from typing import Self

from path.rig.events import append, event

_SUBJECTS = 24
_SHARDS = 8
_MOST_AT_ONCE = 24
_PAUSE = 0.1
"""Seconds between two commits: some 120 events a second."""


class Load:
    """Commits events while the block lasts."""

    def __init__(self, dsn: str, seed: int) -> None:
        self._dsn = dsn
        self._rng = random.Random(seed)
        self._stopping = asyncio.Event()
        self.sent: list[str] = []

    async def stop(self) -> None:
        """Commit nothing more."""
        self._stopping.set()
        await self._task

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    async def _run(self) -> None:
        while not self._stopping.is_set():
            subjects = [self._rng.randrange(_SUBJECTS) for _ in range(self._rng.randint(1, _MOST_AT_ONCE))]
            self.sent += await append(
                self._dsn,
                [
                    event(shard=subject % _SHARDS)._replace(ordering_key=f"subject-{subject}")
                    for subject in subjects
                ],
            )
            await asyncio.sleep(_PAUSE)
