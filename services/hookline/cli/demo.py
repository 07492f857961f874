"""`hookline demo`: the whole path, played and checked in front of your eyes."""
# ruff: noqa: PLC0415  (an edge starts with this module, and needs none of what the demo needs)

import asyncio
import secrets
from typing import Annotated

import typer


def demo(
    *,
    journeys: Annotated[int, typer.Option(min=1, help="Applicants; each makes one to three events.")] = 25,
    seed: Annotated[
        int | None, typer.Option(help="The same seed plays the same journeys.", show_default=False)
    ] = None,
) -> None:
    """Start everything on a database of its own, play Begini journeys through it, and check that it adds up."""
    from rich.console import Console

    from hookline.demo.play import play

    console = Console(highlight=False, soft_wrap=True)
    chosen = secrets.randbelow(2**31) if seed is None else seed
    asyncio.run(play(console, journeys=journeys, seed=chosen))
