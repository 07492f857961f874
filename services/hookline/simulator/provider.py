"""A provider at work: plays a plan against an endpoint, and tells how each webhook ended.

The events of one journey are sent in order, each after the one before has ended; journeys run side by side.
"""

import asyncio
import re
import time
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from datetime import timedelta

import httpx
from tenacity import AsyncRetrying, RetryCallState, retry_if_result

from hookline.simulator.answer import Answer
from hookline.simulator.pace import Pace, Sleep
from hookline.simulator.patience import Patience
from hookline.simulator.plan import Item, Kind, Plan, Track, rounds
from hookline.simulator.reply import Reply, post
from hookline.simulator.signature import DEFAULT_HEADER
from hookline.simulator.tally import Tally, tally

# RFC 9110, 5.6.2: what a header's name may be made of.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADERS = {"Content-Type": "application/json", "User-Agent": "hookline-simulator"}


def _ignore(_: object) -> None:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """Begini's sending side, aimed at one endpoint.

    Raises:
        ValueError: `url`, `header`, `concurrency` or `rate` can't be used.
    """

    url: str
    header: str = DEFAULT_HEADER  # carries the signature; older guides of Begini name another
    patience: Patience = field(default_factory=Patience)
    concurrency: int = 16  # journeys at once; a duplicate's second request comes on top
    rate: float | None = None  # webhooks begun per second; None: as fast as the endpoint answers
    sleep: Sleep = asyncio.sleep  # injected, so that tests own time

    def __post_init__(self) -> None:
        try:
            url = httpx.URL(self.url)
        except httpx.InvalidURL as error:
            raise ValueError(f"the URL can't be used: {error}") from None
        if url.scheme not in {"http", "https"} or not url.host:
            raise ValueError("the URL has to begin with http:// or https:// and a host")
        if not _TOKEN.fullmatch(self.header):
            raise ValueError("the signature header isn't a header name")
        if self.concurrency < 1:
            raise ValueError("at least one journey has to be sent at a time")
        Pace(self.rate)  # refuses a rate that can't be kept, now and not in the middle of a run

    async def play(
        self,
        plan: Plan,
        *,
        report: Callable[[Answer], None] = _ignore,
        retrying: Callable[[Reply], None] = _ignore,
    ) -> Tally:
        """Send every item of the plan, and judge how it went.

        Args:
            plan: what to send.
            report: called once per item, when it has ended.
            retrying: called with every reply that will be followed by another attempt.
        """
        answers: list[Answer] = []
        pace = Pace(self.rate, sleep=self.sleep)
        # The tracks bound the requests, so httpx needn't queue them; `post` bounds each attempt as a whole.
        unlimited = httpx.Limits(max_connections=None)
        timeout = self.patience.timeout.total_seconds()
        async with httpx.AsyncClient(timeout=timeout, limits=unlimited) as client:

            async def end(item: Item) -> None:
                await pace.turn()
                answer = await self._send(client, item, retrying)
                answers.append(answer)
                report(answer)

            for tracks in rounds(plan):
                await self._run(tracks, end)
        return tally(answers)

    async def _run(self, tracks: Iterable[Track], end: Callable[[Item], Coroutine[None, None, None]]) -> None:
        waiting = iter(tracks)  # shared: whoever is free takes the next journey

        async def work() -> None:
            for track in waiting:
                for together in track:
                    async with asyncio.TaskGroup() as step:
                        for item in together:
                            step.create_task(end(item))

        async with asyncio.TaskGroup() as workers:
            for _ in range(self.concurrency):
                workers.create_task(work())

    async def _send(self, client: httpx.AsyncClient, item: Item, retrying: Callable[[Reply], None]) -> Answer:
        attempts = 0

        async def attempt() -> Reply:
            nonlocal attempts
            attempts += 1
            headers = {**_HEADERS, self.header: item.signature}
            return await post(client, self.url, headers=headers, body=item.body, within=self.patience.timeout)

        def unfinished(reply: Reply) -> bool:
            refused = item.kind is Kind.FORGED and reply.status == httpx.codes.FORBIDDEN
            return reply.problem is not None and not refused

        started = time.monotonic()
        persist = AsyncRetrying(
            retry=retry_if_result(unfinished),
            stop=self.patience.stop,
            wait=self.patience.wait,
            sleep=self.sleep,
            before_sleep=lambda state: retrying(_last_reply(state)),
            retry_error_callback=_last_reply,  # giving up is an answer too, not an error
        )
        reply: Reply = await persist(attempt)
        return Answer(item, reply, attempts, timedelta(seconds=time.monotonic() - started))


def _last_reply(state: RetryCallState) -> Reply:
    assert state.outcome is not None  # both callers come after an attempt
    reply: Reply = state.outcome.result()
    return reply
