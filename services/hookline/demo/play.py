"""Let a provider, Hookline and two consumers meet."""

import asyncio
import secrets
import tempfile
from collections.abc import Iterable
from pathlib import Path
from uuid import UUID

from rich.console import Console

from hookline.client import Consumer
from hookline.demo.journal import CRM, DECISIONING, Entry, Journal
from hookline.demo.ledger import stored_events, sums
from hookline.demo.stack import DemoFailed, Stack
from hookline.demo.table import print_head, print_row
from hookline.simulator.plan import Mix, draw_plan
from hookline.simulator.provider import Provider
from hookline.simulator.signature import Signer
from hookline.simulator.tally import Tally

_MIX = Mix(duplicates=0.1, late=0.1, revisions=0.1, forged=0.1)
_RATE = 20.0
"""Webhooks per second: slow enough to watch."""
_DELIVERY_PATIENCE = 30.0
"""Seconds that deliveries may take after the last webhook was answered."""


async def play(console: Console, *, journeys: int, seed: int) -> None:
    """Play the demo and check its ledger.

    Raises:
        DemoFailed: It doesn't add up; the message says what is missing or too much.
    """
    key = secrets.token_urlsafe(32)
    with tempfile.TemporaryDirectory(prefix="hookline-demo-", ignore_cleanup_errors=True) as directory:
        console.print("starting PostgreSQL, edge and relay …", style="dim")
        async with Stack(Path(directory), key) as stack:
            console.print(f"webhooks   http://{stack.http}/v1/webhooks/begini", style="dim")
            console.print(
                f"consumers  {stack.grpc}  ({CRM}: everything, {DECISIONING}: scores only)\n", style="dim"
            )
            journal = Journal()
            tally = await _meet(console, stack, journal, journeys=journeys, seed=seed, key=key)
            stored = await stored_events(stack.database_url)
    _check(console, tally, journal, stored)


async def _meet(
    console: Console, stack: Stack, journal: Journal, *, journeys: int, seed: int, key: str
) -> Tally:
    """Send everything, and wait until everything is delivered."""
    changed = asyncio.Event()

    def show(entries: Iterable[Entry]) -> None:
        for entry in entries:
            print_row(console, entry)
        changed.set()

    async def consume(subscription: str) -> None:
        async with Consumer(stack.grpc, subscription, name=f"demo-{subscription}") as consumer:
            async for delivery in consumer:
                await delivery.ack()
                show(journal.acked(subscription, UUID(delivery.event_id)))

    consumers = [asyncio.create_task(consume(subscription)) for subscription in journal.deliveries]
    try:
        plan = draw_plan(journey_count=journeys, mix=_MIX, signer=Signer(key), seed=seed)
        provider = Provider(url=f"http://{stack.http}/v1/webhooks/begini", concurrency=4, rate=_RATE)
        print_head(console)
        tally = await provider.play(plan, report=lambda answer: show(journal.answered(answer)))
        try:
            async with asyncio.timeout(_DELIVERY_PATIENCE):
                while not journal.is_complete:
                    changed.clear()
                    await changed.wait()
        except TimeoutError:
            pass  # the ledger tells what is missing
    finally:
        for consumer in consumers:
            consumer.cancel()
        await asyncio.gather(*consumers, return_exceptions=True)
    return tally


def _check(console: Console, tally: Tally, journal: Journal, stored: frozenset[UUID]) -> None:
    console.print()
    wrong = list(tally.differences)
    for line in sums(tally, journal, stored):
        console.print(f"{'✓' if line.holds else '✗'} {line.text}", style="green" if line.holds else "red")
        if not line.holds:
            wrong.append(f"does not hold: {line.text}")
    if wrong:
        raise DemoFailed("the demo did not end as it should:\n" + "\n".join(wrong))
    console.print("\nEvery webhook is accounted for.", style="bold green")
