"""SIGTERM and SIGINT, counted while somebody wants to know."""

import asyncio
import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Interrupts:
    """Counts requests to stop while the block lasts, and puts back the handlers that it found.

    Python delivers signals to the main thread alone: in another thread nothing is counted and nothing touched.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._count = 0
        self._changed = asyncio.Event()
        self._found: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        # Not loop.add_signal_handler: what it replaces can't be put back.
        if threading.current_thread() is threading.main_thread():
            self._found = {number: signal.signal(number, self._on_signal) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, found in self._found.items():
            # None: installed by something other than Python, which can't be put back.
            signal.signal(number, signal.SIG_DFL if found is None else found)

    async def reach(self, count: int) -> None:
        """Wait until so many have come."""
        while self._count < count:
            self._changed.clear()
            await self._changed.wait()

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        # Between any two bytecodes of whatever runs, so that only this is safe.
        self._loop.call_soon_threadsafe(self._counted)

    def _counted(self) -> None:
        self._count += 1
        self._changed.set()
