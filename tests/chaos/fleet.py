"""The relays of one installation."""

from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from chaos.audit import watch_cursors
from path.rig.database import cursors
from path.rig.process import RelayProcess, write_config

LEASE = 1.0
"""Seconds."""
_RETRY = {"wait": "fixed", "delay": "100ms", "max_attempts": "unlimited"}
_TABLES = {
    "relay": {"lease": f"{LEASE:g}s", "heartbeat": "1s", "poll": "100ms"},
    "subscriptions.plain": {"start": "earliest", "ack_deadline": "5s"},
    "subscriptions.plain.retry": _RETRY,
    "subscriptions.ordered": {"start": "earliest", "ack_deadline": "5s", "ordering": "key"},
    "subscriptions.ordered.retry": _RETRY,
}


class Fleet:
    """Relays with addresses of their own, over one database whose cursors are watched."""

    def __init__(self, dsn: str, directory: Path, *, relays: int = 3, ack_deadline: str = "5s") -> None:
        tables = {
            name: values | ({"ack_deadline": ack_deadline} if "ack_deadline" in values else {})
            for name, values in _TABLES.items()
        }
        config = write_config(directory / "hookline.toml", tables)
        self.dsn = dsn
        self.directory = directory
        self.relays = [RelayProcess(dsn, config, name=f"relay-{number}") for number in range(relays)]

    async def start(self, *relays: RelayProcess) -> None:
        """Start these, and wait until they serve."""
        for relay in relays:
            relay.start()
        for relay in relays:
            await relay.ready()

    def output(self) -> str:
        return "".join(relay.output() for relay in self.relays)

    async def __aenter__(self) -> Self:
        await watch_cursors(self.dsn)
        self._parts = AsyncExitStack()
        for relay in self.relays:
            self._parts.push_async_callback(relay.__aexit__, None, None, None)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._parts.aclose()


async def is_shared(dsn: str, subscription: str, relays: int) -> bool:
    """Whether so many relays have all shards between them, and none has two more than another."""
    rows = await cursors(dsn, subscription)
    shares = Counter(row["owner"] for row in rows.values())
    return "" not in shares and len(shares) == relays and max(shares.values()) - min(shares.values()) <= 1
