"""The pace of a run: at most so many webhooks begun per second, evenly spread."""

import asyncio
import time
from collections.abc import Awaitable, Callable

Sleep = Callable[[float], Awaitable[None]]
"""Waits for a number of seconds."""


class Pace:
    """Hands out the moments at which webhooks may be begun; retries have their own waits."""

    def __init__(
        self, rate: float | None, *, clock: Callable[[], float] = time.monotonic, sleep: Sleep = asyncio.sleep
    ) -> None:
        if rate is not None and not rate > 0:
            raise ValueError("a rate has to be above zero; leave it out for no limit")
        self._interval = 0.0 if rate is None else 1 / rate  # seconds
        self._clock = clock
        self._sleep = sleep
        self._next = 0.0  # on the clock: the first moment nobody has been given

    async def turn(self) -> None:
        """Wait for the caller's moment. Time that nobody used is gone: there is no burst to catch up."""
        now = self._clock()
        moment = max(self._next, now)
        self._next = moment + self._interval
        if moment > now:
            await self._sleep(moment - now)
