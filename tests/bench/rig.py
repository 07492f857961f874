"""What every measure needs: the server, the time it may take, a place for logs."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import process
from bench.loadgen import webhooks
from bench.loadgen.generator import Generator
from bench.loadgen.messages import Plan
from bench.postgres import Server

API_KEY = "an API key that signs webhooks only on loopback"
CONNECTIONS = 64
_MOST_PER_SECOND = 25_000
"""Signed requests made for each second of a closed loop. If they run out, the measure just ends earlier."""


@dataclass(frozen=True, slots=True)
class Rig:
    """Shared by all measures of a run."""

    server: Server
    logs: Path
    seconds: float
    """How long load is offered in one measurement."""
    warm_up: float
    """Seconds of load before the clock starts."""
    backlog_events: int
    ledger_rows: int
    stuck_events: int
    """Events behind keys that wait for a retry."""
    free_events: int
    """Events beside them, whose keys wait for nothing."""
    hold: float
    """How long a foreign transaction holds its snapshot, in seconds."""

    @asynccontextmanager
    async def load(
        self, port: int, path: str, *, requests: int | None = None, keys: int = 0, repeat: bool = False
    ) -> AsyncIterator[Generator]:
        """A load generator that is ready to send webhooks which nobody has seen.

        Args:
            port: Where the service listens.
            path: Where it takes webhooks.
            requests: How many to make.
            keys: How many ordering keys they share; 0 gives each a key of its own.
            repeat: Whether to start over when they are used up.
        """
        plan = Plan(
            port=port,
            path=path,
            api_key=API_KEY,
            run=f"{webhooks.SHARED_KEYS if keys else webhooks.OWN_KEYS}{secrets.token_hex(5)}",
            requests=requests or int((self.seconds + self.warm_up) * _MOST_PER_SECOND),
            connections=CONNECTIONS,
            keys=keys,
            repeat=repeat,
        )
        async with process.run_python("loadgen", "bench.loadgen", logs=self.logs, talks=True) as running:
            yield await Generator.prepare(running, plan)
