"""What would be an edge, as far as it has secrets."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

import structlog

from hookline import config
from hookline.core.validity import ALWAYS
from hookline.edge.secrets import LiveSecrets
from hookline.errors import ConfigError
from hookline.model import SourceName
from hookline.sealing import Sealer
from hookline.store import secrets
from hookline.store.session import Session
from store.waiting import until

SEALER = Sealer([b"K" * 32])
STRIPE = SourceName("stripe")
WITHIN = timedelta(seconds=5)
PROMISE = 5.0
"""Seconds until a change counts everywhere."""
CANARY = "canary-secret"


def source(*references: Any) -> config.Source:
    return config.Source.model_validate({"scheme": "begini", "secrets": references})


class Edge:
    """What an edge would have."""

    def __init__(
        self, sources: Mapping[str, config.Source], dsn: str | None = None, sealer: Sealer | None = SEALER
    ) -> None:
        self.live: dict[str, tuple[bytes, ...]] = {}
        self.changes: list[tuple[str, tuple[bytes, ...]]] = []
        self.refused: set[bytes] = set()
        self.secrets = LiveSecrets(
            sources, Session(dsn, name="edge secrets") if dsn else None, sealer, self._changed
        )

    def _changed(self, name: str, live: tuple[bytes, ...]) -> None:
        if self.refused & set(live):
            raise ConfigError("the scheme can't use it")
        self.live[name] = live
        self.changes.append((name, live))

    async def has(self, *live: bytes, name: str = STRIPE, patience: float = PROMISE) -> float:
        """Wait until exactly these are live; answers how long it took."""
        began = monotonic()

        async def so() -> bool:
            return self.live[name] == live

        await until(so, f"{live!r} are live, and not {self.live[name]!r}", patience=patience)
        return monotonic() - began


@asynccontextmanager
async def edge(*references: Any, dsn: str | None = None, **more: config.Source) -> AsyncIterator[Edge]:
    async with edges({STRIPE: source(*references), **more}, dsn, count=1) as [one]:
        yield one


@asynccontextmanager
async def edges(
    sources: Mapping[str, config.Source], dsn: str | None = None, *, count: int = 2
) -> AsyncIterator[list[Edge]]:
    running = [Edge(sources, dsn) for _ in range(count)]
    for one in running:
        one.live = dict(await one.secrets.load())
    tasks = [asyncio.create_task(one.secrets.run()) for one in running]
    try:
        yield running
        assert not any(task.done() for task in tasks), "each runs until it is told to stop"
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def both_have(running: list[Edge], *live: bytes) -> None:
    """Each has it soon enough."""
    took = await asyncio.gather(*(one.has(*live) for one in running))
    assert max(took) < PROMISE
    print(f"effective after {max(took):.2f} s")


@contextmanager
def logged() -> Iterator[list[Any]]:
    """What is logged meanwhile; nothing of it is secret."""
    with structlog.testing.capture_logs() as lines:
        yield lines
    assert CANARY not in str(lines)


async def add(session: Session, secret_id: str, secret: bytes, **more: Any) -> None:
    arguments = {"source": STRIPE, "validity": ALWAYS, "sealer": SEALER, **more}
    sealer = arguments.pop("sealer")
    assert await secrets.add(session, sealer, secret, secret_id=secret_id, within=WITHIN, **arguments)


def warnings(said: list[Any]) -> list[Any]:
    return [line for line in said if line["log_level"] != "info"]


def in_(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)
