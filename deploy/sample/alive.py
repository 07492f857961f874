"""Whether a consumer works: it touches a file as long as its event loop turns, and `python -m sample.alive` looks."""

import asyncio
import sys
import time
from pathlib import Path

_FILE = Path("/tmp/alive")  # noqa: S108  (a memory file system of the container, which nobody else sees)
_PERIOD = 2.0
_PATIENCE = 15.0
"""Both in seconds."""


async def keep_saying_so() -> None:
    """Touch the file, for as long as the process lives."""
    while True:
        _FILE.touch()  # noqa: ASYNC240  (nothing in memory keeps the loop waiting)
        await asyncio.sleep(_PERIOD)


if __name__ == "__main__":
    if not _FILE.exists() or time.time() - _FILE.stat().st_mtime > _PATIENCE:
        sys.exit(f"nothing has touched {_FILE} for {_PATIENCE:g} s: the consumer hangs, or hasn't begun")
