"""Keeps an embedded PostgreSQL running in a process that a test may kill: `keeper.py DATA PROGRAMS`."""

import asyncio
import sys
from pathlib import Path

from hookline.embedded import EmbeddedPostgres


async def main() -> None:
    async with EmbeddedPostgres(Path(sys.argv[1]), programs=Path(sys.argv[2])) as server:
        print(f"pid {server.pid}", flush=True)
        await asyncio.to_thread(sys.stdin.read)


asyncio.run(main())
