"""Plays applicants' journeys through a running stack, as Begini would, and checks that every webhook is accounted for.

Ends with 0 if it all adds up, else with 1. Other webhooks may pass through the stack at the same time.
"""

import asyncio
import os
import secrets
from datetime import timedelta
from typing import Annotated

import asyncpg
import httpx
import typer
from tenacity import (
    AsyncRetrying,
    RetryError,
    retry_if_exception_type,
    retry_if_result,
    stop_after_delay,
    wait_fixed,
)

from hookline.simulator.answer import Answer
from hookline.simulator.patience import Patience
from hookline.simulator.plan import Mix, draw_plan
from hookline.simulator.provider import Provider
from hookline.simulator.signature import Signer
from hookline.simulator.tally import Tally
from sample.account import Account, take

_MIX = Mix(duplicates=0.1, late=0.05, revisions=0.1, forged=0.05)
_PATIENCE = Patience(attempts=10, timeout=timedelta(seconds=15), longest_wait=timedelta(seconds=10))
"""Of the provider: longer than an edge may be away."""
_DELIVERY_PATIENCE = 90.0
"""Seconds that consumers may take after the last answer: longer than a lease, and some retries."""
_START_PATIENCE = 60.0
_SHOWN = 20
"""Differences: the first ones tell what is wrong."""
_REPORTS = 10
"""Lines of progress in a run."""


def main(
    *,
    journeys: Annotated[int, typer.Option(min=1, help="Applicants; each makes one to three events.")] = 25,
    rate: Annotated[float, typer.Option(min=0.1, help="Webhooks per second.")] = 25.0,
    seed: Annotated[
        int | None, typer.Option(help="The same seed sends the same bytes.", show_default=False)
    ] = None,
) -> None:
    """Play journeys through the running stack, and check the account."""
    chosen = secrets.randbelow(2**31) if seed is None else seed
    raise typer.Exit(asyncio.run(play(journeys=journeys, rate=rate, seed=chosen)))


async def play(*, journeys: int, rate: float, seed: int) -> int:
    """Send, wait and check; answers the exit code."""
    url = os.environ["HOOKLINE_URL"]
    try:
        await _ready(url)
    except RetryError:
        say(
            f"✗ {url} is not ready after {_START_PATIENCE:g} s; `make compose-ps` and `make compose-logs` say more"
        )
        return 1
    plan = draw_plan(journey_count=journeys, mix=_MIX, signer=Signer(os.environ["BEGINI_API_KEY"]), seed=seed)
    say(f"sending {len(plan)} webhooks of {journeys} applicants to {url}, seed {seed}")
    answered, again = 0, 0

    def report(_: Answer) -> None:
        nonlocal answered
        answered += 1
        if answered % max(1, len(plan) // _REPORTS) == 0:
            say(f"answered {answered} of {len(plan)}")

    def retrying(_: object) -> None:
        nonlocal again
        again += 1

    provider = Provider(url=f"{url}/v1/webhooks/begini", patience=_PATIENCE, rate=rate)
    tally = await provider.play(plan, report=report, retrying=retrying)
    say(f"the provider had to try {again} times again")
    account = await _settled(tally)
    wrong = list(tally.differences)
    for line in account.sums():
        say(f"{'✓' if line.holds else '✗'} {line.text}")
        if not line.holds:
            wrong.append(line.text)
    for difference in wrong[:_SHOWN]:
        say(f"does not add up: {difference}")
    if not wrong:
        say("Every webhook is accounted for.")
    return 1 if wrong else 0


def say(text: str) -> None:
    """Tell people, at once also where nobody looks at a terminal."""
    typer.echo(text)


async def _ready(url: str) -> None:
    async with httpx.AsyncClient(timeout=5) as client:
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(httpx.HTTPError),
            wait=wait_fixed(0.5),
            stop=stop_after_delay(_START_PATIENCE),
        ):
            with attempt:
                (await client.get(f"{url}/readyz")).raise_for_status()


async def _settled(tally: Tally) -> Account:
    """The account, once the consumers have done their work or have had enough time for it."""
    hookline = await asyncpg.connect(os.environ["HOOKLINE_DATABASE_URL"])
    consumers = await asyncpg.connect(os.environ["SAMPLE_DATABASE_URL"])
    try:
        persist = AsyncRetrying(
            retry=retry_if_result(lambda account: not account.is_settled),
            wait=wait_fixed(0.5),
            stop=stop_after_delay(_DELIVERY_PATIENCE),
            retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
        )
        account: Account = await persist(take, tally, hookline, consumers)
    finally:
        await hookline.close()
        await consumers.close()
    return account


if __name__ == "__main__":
    typer.run(main)
