"""Jobs beside a block: it ends when one of them fails, and they end with it."""

import asyncio

import pytest
from structlog.testing import capture_logs

from hookline.process import BackgroundFailed, beside


async def for_ever(ended: list[str], name: str) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        ended.append(name)


async def failing(reason: str) -> None:
    raise KeyError(reason)


async def done() -> None:
    pass


async def test_the_jobs_end_with_the_block() -> None:
    ended: list[str] = []
    async with beside(for_ever(ended, "one"), for_ever(ended, "two"), done()):
        await asyncio.sleep(0)
        assert not ended
    assert sorted(ended) == ["one", "two"]


async def test_a_job_that_fails_ends_the_block_and_the_others() -> None:
    ended: list[str] = []
    with capture_logs() as lines, pytest.raises(BackgroundFailed, match="the log says why"):
        async with beside(for_ever(ended, "one"), failing("canary")):
            await asyncio.Event().wait()
    assert ended == ["one"]
    assert [line["event"] for line in lines] == ["a task failed that never should"]
    assert "canary" not in str(lines)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_what_the_block_raises_is_what_comes_out() -> None:
    ended: list[str] = []

    async def block() -> None:
        async with beside(for_ever(ended, "one")):
            await asyncio.sleep(0)
            raise ValueError("of the block")

    with pytest.raises(ValueError, match="of the block"):
        await block()
    assert ended == ["one"]


async def test_who_is_cancelled_from_outside_stays_cancelled() -> None:
    ended: list[str] = []

    begun = asyncio.Event()

    async def job() -> None:
        begun.set()
        await for_ever(ended, "one")

    async def block() -> None:
        async with beside(job()):
            await asyncio.Event().wait()

    task = asyncio.create_task(block())
    await begun.wait()
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    assert ended == ["one"]
