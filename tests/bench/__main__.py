"""`python -m bench`: measure, print a table, write build/bench.json.

Exits 1 if a figure isn't what it must be.
"""

import asyncio
import shutil
import signal
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bench import postgres, report
from bench.rig import Rig
from bench.runner import Measure, Runner

_BUILD = Path(__file__).parents[2] / "build"


def main(
    *,
    only: Annotated[
        list[Measure] | None, typer.Option(help="Measure this alone; may be given several times.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="How often rulers and subject take turns.")] = 3,
    seconds: Annotated[float, typer.Option(min=1, help="How long load is offered in one measurement.")] = 8,
    quick: Annotated[
        bool, typer.Option("--quick", help="One short round on little data: does it work?")
    ] = False,
    output: Annotated[Path, typer.Option(help="Where the results go.")] = _BUILD / "bench.json",
) -> None:
    """Measure Hookline beside its rulers."""
    console = Console()
    work = _BUILD / "bench"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        runner = asyncio.run(
            _run(
                work,
                console,
                only=frozenset(only or Measure),
                rounds=1 if quick else rounds,
                seconds=min(seconds, 3) if quick else seconds,
                quick=quick,
                output=output,
            )
        )
    except (KeyboardInterrupt, asyncio.CancelledError):
        console.print("Stopped; nothing is left running.")
        raise typer.Exit(130) from None
    finally:
        shutil.rmtree(work / "postgres", ignore_errors=True)
    console.print(report.table(runner.samples))
    console.print(f"Samples are in {output}, logs in {work}.", soft_wrap=True)
    if missed := report.misses(runner.samples):
        console.print(f"Missed: {', '.join(missed)}", style="bold red")
        raise typer.Exit(1)


async def _run(
    work: Path,
    console: Console,
    *,
    only: frozenset[Measure],
    rounds: int,
    seconds: float,
    quick: bool,
    output: Path,
) -> Runner:
    # A bench that is told to end takes its processes with it, as it does after Ctrl-C.
    this = asyncio.current_task()
    assert this
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
    async with postgres.start(work / "postgres") as server:
        rig = Rig(
            server=server,
            logs=work,
            seconds=seconds,
            warm_up=min(2.0, seconds),
            backlog_events=20_000 if quick else 200_000,
            ledger_rows=200_000 if quick else 5_000_000,
            stuck_events=5_000 if quick else 100_000,
            free_events=10_000 if quick else 50_000,
            hold=5.0 if quick else 120.0,
        )
        runner = Runner(rig, only=only, rounds=rounds, tell=lambda line: console.print(line, highlight=False))
        await runner.run()
        plan = {
            "rounds": rounds,
            "seconds": seconds,
            "warm_up": rig.warm_up,
            "connections": 64,
            "backlog_events": rig.backlog_events,
            "ledger_rows": rig.ledger_rows,
            "stuck_events": rig.stuck_events,
            "free_events": rig.free_events,
            "hold": rig.hold,
        }
        report.write(output, runner.samples, postgres=await server.facts(), plan=plan)
    return runner


if __name__ == "__main__":
    typer.run(main)
