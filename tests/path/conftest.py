"""Edge and relay as processes, over a database of their own."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from path.rig.process import EdgeProcess, RelayProcess, write_config

TABLES = {
    "sources.begini": {"scheme": "begini", "secrets": ["env:BEGINI_API_KEY"]},
    "subscriptions.all": {"start": "earliest"},
    "relay": {"lease": "1s", "heartbeat": "200ms", "poll": "50ms"},
}


@dataclass
class Stack:
    edge: EdgeProcess
    relay: RelayProcess
    database: str


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_config(tmp_path / "hookline.toml", TABLES)


@pytest.fixture
async def stack(database: str, config: Path) -> AsyncIterator[Stack]:
    async with AsyncExitStack() as parts:
        relay, edge = RelayProcess(database, config), EdgeProcess(database, config)
        for process in (relay, edge):
            process.start()
            parts.push_async_callback(process.__aexit__, None, None, None)
        yield Stack(await edge.ready(), await relay.ready(), database)
