"""One running edge with a source for each sender."""

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from edge.running import EdgeProcess
from hookline.embedded import EmbeddedPostgres
from hostile.runner import Runner
from hostile.senders import ENVIRONMENT, configuration
from store.recycled import database_of


@pytest.fixture
async def database(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    """The URL of an empty, migrated database that is this test's alone while it runs."""
    async with database_of(postgres) as url:
        yield url


@pytest.fixture
async def runner(database: str, tmp_path: Path) -> AsyncIterator[Runner]:
    """Runs cases against `hookline edge`, in a process of its own."""
    (tmp_path / "hookline.toml").write_text(configuration(), encoding="utf-8")
    edge = await EdgeProcess.start(database, tmp_path, **ENVIRONMENT)
    connection = await asyncpg.connect(database)
    try:
        yield Runner(edge, connection)
    finally:
        await connection.close()
        await edge.kill()
