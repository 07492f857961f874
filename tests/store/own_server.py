"""A PostgreSQL for one test alone: its settings may be changed, and it may be stopped or killed."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from hookline.embedded import EmbeddedPostgres


@asynccontextmanager
async def server_like(other: EmbeddedPostgres) -> AsyncIterator[EmbeddedPostgres]:
    """A new server with the same programs.

    Not under pytest's own directory: each run of pytest takes other users' access to all of it away, and as root
    the server is another user.
    """
    with tempfile.TemporaryDirectory(prefix="hookline-test-") as directory:
        async with EmbeddedPostgres(Path(directory) / "data", programs=other._programs) as server:
            yield server
