"""How many connections to Postgres this process has, and how many it has lost."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from hookline.telemetry import instruments
from hookline.telemetry.instruments import Instrument
from hookline.telemetry.metrics import Reading

if TYPE_CHECKING:
    import asyncpg


class Connections:
    """Counts them. All sessions of a process share one, in one thread."""

    def __init__(self) -> None:
        self.open = 0
        self.used = 0
        """Those of which an answer is being waited for."""
        self.losses = 0
        """Those that broke, or were closed because nobody knew what became of a statement; since the start."""

    def __repr__(self) -> str:
        return f"<Connections open={self.open} used={self.used} losses={self.losses}>"

    def add(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        """Count a connection until it ends, whoever ends it."""
        self.open += 1
        connection.add_termination_listener(self._remove)

    def _remove(self, _: object) -> None:
        self.open -= 1


OF_PROCESS = Connections()


def readings(pool: str) -> Mapping[Instrument, Reading]:
    """What metrics tell of the connections of this process.

    Args:
        pool: Names them all together: each session has one connection of its own, and many sessions come and go.
    """
    return {
        instruments.DATABASE_CONNECTIONS: lambda: [
            ((pool, "used"), OF_PROCESS.used),
            ((pool, "idle"), OF_PROCESS.open - OF_PROCESS.used),
        ],
        instruments.DATABASE_LOSSES: lambda: [((), OF_PROCESS.losses)],
    }
