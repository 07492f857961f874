"""SIGTERM and SIGINT: a real process ends what it has begun, gives back the rest, and returns."""

import asyncio
import os
import signal
import sys
import threading
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from client.scripted_relay import ScriptedRelay, message
from client.service import Service, serving
from hookline.client import Consumer
from path.rig.stream import PATIENCE
from path.rig.wait import until

_PROGRAM = Path(__file__).parent / "handling_process.py"


@asynccontextmanager
async def process(
    relay: ScriptedRelay, directory: Path, *, grace: float = PATIENCE, loop: str = "asyncio"
) -> AsyncIterator[Process]:
    running = await asyncio.create_subprocess_exec(
        sys.executable, str(_PROGRAM), relay.target, str(directory), str(grace), loop, stdout=PIPE
    )
    try:
        yield running
    finally:
        if running.returncode is None:
            running.kill()
            await running.wait()
        running._transport.close()  # type: ignore[attr-defined]


async def line(running: Process) -> str:
    assert running.stdout is not None
    async with asyncio.timeout(PATIENCE):
        return (await running.stdout.readline()).decode().strip()


async def ended(running: Process) -> int:
    async with asyncio.timeout(PATIENCE):
        return await running.wait()


@pytest.mark.parametrize(
    ("number", "loop"), [(signal.SIGTERM, "asyncio"), (signal.SIGINT, "asyncio"), (signal.SIGTERM, "uvloop")]
)
async def test_a_signal_lets_what_runs_end_and_releases_what_waits(
    scripted: ScriptedRelay, tmp_path: Path, number: signal.Signals, loop: str
) -> None:
    async with process(scripted, tmp_path, loop=loop) as running:
        stream = await scripted.stream()
        await stream.deliver(message("a1", key="a"), message("a2", key="a"))
        assert await line(running) == "begun a1"
        running.send_signal(number)
        await stream.until_verdicts(("release", "a2"))
        assert stream.windows == [0], "what is given back must not come straight back"
        await stream.deliver(message("late"))
        await stream.until_verdicts(("release", "a2"), ("release", "late"))
        (tmp_path / "a1").touch()
        await stream.until_verdicts(("release", "a2"), ("release", "late"), ("ack", "a1"))
        assert await line(running) == "returned"
        assert await ended(running) == 0
        assert stream.is_half_closed


async def test_it_returns_only_when_all_is_confirmed(scripted: ScriptedRelay, tmp_path: Path) -> None:
    scripted.confirms = False
    async with process(scripted, tmp_path) as running:
        stream = await scripted.stream()
        await stream.deliver(message("a"))
        assert await line(running) == "begun a"
        running.send_signal(signal.SIGTERM)
        await stream.until(lambda: stream.windows == [0])
        (tmp_path / "a").touch()
        await stream.until_verdicts(("ack", "a"))
        await stream.deliver(message("late"))
        await stream.until_verdicts(("ack", "a"), ("release", "late"))
        assert not stream.is_half_closed, "it is still there to hear"
        await stream.confirm()
        assert await line(running) == "returned"


async def test_what_outlasts_the_grace_is_cancelled_and_released(
    scripted: ScriptedRelay, tmp_path: Path
) -> None:
    async with process(scripted, tmp_path, grace=0.2) as running:
        stream = await scripted.stream()
        await stream.deliver(message("a"))
        assert await line(running) == "begun a"
        running.send_signal(signal.SIGTERM)
        await stream.until_verdicts(("release", "a"))
        assert await line(running) == "returned"
        assert await ended(running) == 0


async def test_a_second_signal_ends_it_at_once(scripted: ScriptedRelay, tmp_path: Path) -> None:
    async with process(scripted, tmp_path, grace=3600) as running:
        stream = await scripted.stream()
        await stream.deliver(message("a"))
        assert await line(running) == "begun a"
        running.send_signal(signal.SIGTERM)
        await stream.until(lambda: stream.windows == [0])
        running.send_signal(signal.SIGTERM)
        assert await line(running) == "returned"
        assert await ended(running) == 0
        assert stream.is_half_closed, "what it held is given back, not lost"


async def test_the_handlers_that_were_there_are_put_back(scripted: ScriptedRelay) -> None:
    def mine(_number: int, _frame: object) -> None: ...

    found = signal.signal(signal.SIGTERM, mine)
    try:
        async with serving(scripted, Service()) as (_, task, _consumer):
            assert signal.getsignal(signal.SIGTERM) is not mine
            os.kill(os.getpid(), signal.SIGTERM)
            async with asyncio.timeout(PATIENCE):
                await task
        assert signal.getsignal(signal.SIGTERM) is mine
    finally:
        signal.signal(signal.SIGTERM, found)


async def test_in_another_thread_it_runs_without_signals_and_is_cancelled(scripted: ScriptedRelay) -> None:
    found = signal.getsignal(signal.SIGTERM)
    cancel: list[Callable[[], object]] = []
    outcomes: list[str] = []

    async def run() -> None:
        service, task = Service(), asyncio.current_task()
        assert task is not None
        loop = asyncio.get_running_loop()
        cancel.append(lambda: loop.call_soon_threadsafe(task.cancel))
        try:
            await Consumer(scripted.target, "all").run(service.handle, grace=timedelta(0))
        except asyncio.CancelledError:
            outcomes.append("cancelled")

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    try:
        stream = await scripted.stream()
        assert signal.getsignal(signal.SIGTERM) is found
    finally:
        await until(lambda: bool(cancel), "it runs")
        cancel[0]()
        await until(lambda: not thread.is_alive(), "it ends")
    assert outcomes == ["cancelled"]
    await stream.until(lambda: stream.is_half_closed)
