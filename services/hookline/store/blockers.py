"""Who keeps a statement of ours waiting for a lock: seen while it waits, since afterwards nobody knows."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Self

from hookline.store.statements import load

if TYPE_CHECKING:
    import asyncpg

    from hookline.store.owner import Connection

_SQL = load("schema.sql")
_INTERVAL = 0.1
"""Seconds between two looks."""


@dataclass(frozen=True, slots=True)
class Blocker:
    """A server process, or several, whose locks are waited for."""

    pid: int
    """0 is a prepared transaction, which has none."""
    role: str
    application: str
    state: str
    age: timedelta | None
    """Of its transaction; None if our role may not know."""

    @classmethod
    def of(cls, row: "asyncpg.Record") -> Self:
        """As the database tells it."""
        return cls(row["pid"], row["role"], row["application"], row["state"], row["age"])

    def __str__(self) -> str:
        if not self.pid:
            return "a prepared transaction (see pg_prepared_xacts)"
        known = [f"application {self.application!r}"]
        if self.role:
            known.append(f"role {self.role!r}")
        if self.state:
            known.append(self.state)
        if self.age is not None:
            known.append(f"in a transaction for {self.age.total_seconds():.0f} s")
        return f"process {self.pid} ({', '.join(known)})"


class Blockers:
    """Looks, on a connection of its own, at what another one waits for.

    Args:
        connection: The one to look with.
    """

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection
        self.seen: tuple[Blocker, ...] = ()
        """Those of the last look that saw any."""

    def __str__(self) -> str:
        return "; ".join(map(str, self.seen)) or "somebody who was gone before it could be seen who"

    @asynccontextmanager
    async def of(self, pid: int) -> AsyncIterator[None]:
        """Look while the block lasts.

        Args:
            pid: The server process that may have to wait.
        """
        self.seen = ()
        looking = asyncio.create_task(self._look(pid))
        try:
            yield
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)

    async def _look(self, pid: int) -> None:
        while True:
            await asyncio.sleep(_INTERVAL)
            rows = await self._connection.fetch(_SQL["blockers"], pid)
            if rows:
                self.seen = tuple(map(Blocker.of, rows))
