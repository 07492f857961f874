"""`hookline send`: plays a provider against an endpoint."""

import asyncio
import secrets
import time
from datetime import timedelta
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from hookline.simulator.patience import Patience
from hookline.simulator.plan import Mix, Plan, draw_plan
from hookline.simulator.provider import Provider
from hookline.simulator.signature import DEFAULT_HEADER, Algorithm, Signer
from hookline.simulator.tally import Tally

_SHOWN = 20  # differences: the first ones tell what is wrong

# Locals in a traceback would show the key and applicants' bodies.
send_app = typer.Typer(
    name="send",
    help="Send webhooks as a provider would.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)


@send_app.callback()
def _send() -> None:
    """Send webhooks as a provider would."""


@send_app.command()
def begini(
    *,
    url: Annotated[str, typer.Option(help="Where to send.")] = "http://127.0.0.1:8080/v1/webhooks/begini",
    journeys: Annotated[int, typer.Option(min=1, help="Applicants; each makes one to three events.")] = 100,
    rate: Annotated[
        float | None,
        typer.Option(help="Webhooks per second; as fast as possible without it.", show_default=False),
    ] = None,
    duplicates: Annotated[
        float, typer.Option(min=0, max=1, help="Fraction sent twice at the same moment.")
    ] = 0.1,
    late: Annotated[float, typer.Option(min=0, max=1, help="Fraction sent again at the end.")] = 0.05,
    revisions: Annotated[
        float, typer.Option(min=0, max=1, help="Fraction of the scores scored again.")
    ] = 0.1,
    forged: Annotated[float, typer.Option(min=0, max=1, help="Fraction sent wrongly signed as well.")] = 0.05,
    seed: Annotated[
        int | None,
        typer.Option(
            help="The same seed sends the same bytes; drawn and shown without it.", show_default=False
        ),
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Applicants at the same time.")] = 16,
    key: Annotated[
        str,
        typer.Option(
            envvar="BEGINI_API_KEY",
            help="The API key that signs. Better set in the environment: arguments can be seen by others.",
            show_default=False,
        ),
    ] = "",
    header: Annotated[str, typer.Option(help="The header that carries the signature.")] = DEFAULT_HEADER,
    algorithm: Annotated[Algorithm, typer.Option(help="The HMAC's hash function.")] = "sha512",
    attempts: Annotated[
        int, typer.Option(min=1, help="Attempts per webhook before it counts as failed.")
    ] = 6,
    timeout: Annotated[
        float, typer.Option(min=0.001, max=3600, help="Seconds that one attempt may take.")
    ] = 10.0,
) -> None:
    """Send the webhooks of made-up applicants as Begini would, and check every answer.

    Ends with 1 if a webhook didn't end as it should: a genuine one lost or stored twice, a forged one taken.
    """
    if not key:
        raise typer.BadParameter(
            "No API key. Set BEGINI_API_KEY to the key that the endpoint verifies Begini's signatures with, "
            "for example `export BEGINI_API_KEY=...`, or give --key.",
            param_hint="--key",
        )
    seed = secrets.randbelow(2**31) if seed is None else seed
    try:
        mix = Mix(duplicates=duplicates, late=late, revisions=revisions, forged=forged)
        provider = Provider(
            url=url,
            header=header,
            patience=Patience(attempts=attempts, timeout=timedelta(seconds=timeout)),
            concurrency=concurrency,
            rate=rate,
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    plan = draw_plan(journey_count=journeys, mix=mix, signer=Signer(key, algorithm), seed=seed)
    started = time.monotonic()
    tally = asyncio.run(_play(provider, plan))
    _print(tally, seed=seed, elapsed=timedelta(seconds=time.monotonic() - started))
    if not tally.as_planned:
        raise typer.Exit(1)


async def _play(provider: Provider, plan: Plan) -> Tally:
    """Play the plan under a progress bar; the bar only where somebody can see it move."""
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task("sending", total=len(plan))
        return await provider.play(
            plan,
            report=lambda _: progress.update(bar, advance=1, description="sending"),
            retrying=lambda reply: progress.update(bar, description=f"trying again: {reply.problem}"),
        )


def _print(tally: Tally, *, seed: int, elapsed: timedelta) -> None:
    table = Table()
    table.add_column("outcome")
    table.add_column("webhooks", justify="right")
    for outcome, count in (
        ("accepted", tally.accepted),
        ("  of these revisions", tally.revisions),
        ("duplicate", tally.duplicate),
        ("refused", tally.refused),
        ("failed", tally.failed),
    ):
        table.add_row(outcome, str(count))
    console = Console()
    console.print(table)
    console.print(f"{tally.sent} webhooks in {elapsed.total_seconds():.1f} s, seed {seed}")
    errors = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    for difference in tally.differences[:_SHOWN]:
        errors.print(difference)
    if (more := len(tally.differences) - _SHOWN) > 0:
        errors.print(f"... and {more} more")
