"""What every serving process needs: how it learns that it should stop, and calm garbage collection."""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager

import structlog

from hookline.errors import HooklineError
from hookline.telemetry.failure import report

_log = structlog.get_logger(__name__)

EXIT_CONFIG_ERROR = 2
"""Exit code when something has to be mended first, and the message says what: starting again would not help."""
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


class BackgroundFailed(HooklineError):
    """A task ended that serves as long as the process does; the log says why."""


class Background:
    """Tasks that run as long as the process serves: when one of them ends by itself, the process can't go on."""

    def __init__(self, *jobs: Coroutine[None, None, None]) -> None:
        self._tasks = {asyncio.create_task(job) for job in jobs}

    async def until(self, stop: Stop) -> None:
        """Wait until the process is to stop.

        Raises:
            BackgroundFailed: A task ended before.
        """
        asked = asyncio.create_task(stop.wait())
        ended, _ = await asyncio.wait({asked, *self._tasks}, return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        for task in ended - {asked}:
            error = task.exception() or BackgroundFailed("it returned")
            report(_log, "a task failed that never should", error)
        if asked not in ended:
            raise BackgroundFailed("this process can't go on; the log says why. Start it again")

    async def cancel(self) -> None:
        """End them all."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def beside(*jobs: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Run jobs while the block runs; one that fails ends the block.

    Raises:
        BackgroundFailed: One failed; the log says why.
    """
    owner = asyncio.current_task()
    assert owner is not None, "a block runs in a task"
    failed: list[BaseException] = []

    def on_end(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            failed.append(error)
            owner.cancel()

    tasks = [asyncio.create_task(job) for job in jobs]
    for task in tasks:
        task.add_done_callback(on_end)
    try:
        yield
    except asyncio.CancelledError:
        if not failed or owner.uncancel() > 0:
            raise
        report(_log, "a task failed that never should", failed[0])
        raise BackgroundFailed("this process can't go on; the log says why. Start it again") from None
    finally:
        for task in tasks:
            task.remove_done_callback(on_end)
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextmanager
def given_up_when(stopping: asyncio.Task[None], *, told: str) -> Iterator[None]:
    """Start in this block: who is told to stop meanwhile need not wait for a database that doesn't answer.

    Args:
        stopping: Ends when the process is told to stop.
        told: What is logged then.

    Raises:
        SystemExit: That happened; it is no failure.
    """
    starting = asyncio.current_task()
    assert starting is not None, "a start is a task's work"

    def give_up(_: asyncio.Task[None]) -> None:
        starting.cancel()

    stopping.add_done_callback(give_up)
    try:
        yield
    except asyncio.CancelledError:
        if stopping.done() and starting.uncancel() == 0:
            _log.info(told)
            raise SystemExit(0) from None
        raise
    finally:
        stopping.remove_done_callback(give_up)


def calm_garbage_collection() -> None:
    """Let the collector look at what is new, not at what the start left behind.

    Requests and deliveries make many objects and no cycles; with Python's defaults a tenth of a busy edge's time
    goes into looking for them.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
