"""How a Hookline process learns that it should stop."""

import asyncio
import os
import signal
import sys

SUPERVISED = "HOOKLINE_SUPERVISED"
"""Set for the children of `hookline run`: they stop when their standard input closes, so that none of them outlives
a supervisor that was killed."""


class Stop:
    """A request to stop, from SIGTERM, SIGINT or the supervisor's end. Use inside a running event loop."""

    def __init__(self) -> None:
        self._requested = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._requested.set)
        if os.environ.get(SUPERVISED):
            loop.add_reader(sys.stdin.fileno(), self._on_stdin)

    async def wait(self) -> None:
        """Wait until somebody asks."""
        await self._requested.wait()

    def _on_stdin(self) -> None:
        if not os.read(sys.stdin.fileno(), 1024):
            asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
            self._requested.set()
