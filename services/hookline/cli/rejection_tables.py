"""Rejections on a terminal."""
# ruff: noqa: PLC0415  (an edge starts with this package, and needs no tables)

import sys
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import IO, TYPE_CHECKING

import typer

from hookline.cli.relay_call import printable
from hookline.cli.tables import console

if TYPE_CHECKING:
    from hookline.edge.rejections.admission import Admitted, Verdict
    from hookline.store.rejections import Rejection


def print_rejections(rejections: "Sequence[Rejection]", *, more: bool) -> None:
    """Print a table, and a word if the list goes on."""
    from rich.table import Table

    table = Table(highlight=False)
    # The id is there to be copied.
    table.add_column("id", no_wrap=True)
    for name in ("when", "source", "cause", "status", "size", "body", "admitted"):
        table.add_column(name, overflow="fold")
    for rejection in rejections:
        table.add_row(
            str(rejection.id),
            _when(rejection.received_at),
            rejection.source,
            rejection.cause,
            str(rejection.status),
            str(rejection.size),
            rejection.omitted or "kept",
            _when(rejection.admitted_at) if rejection.admitted_at else "",
        )
    screen = console()
    screen.print(table)
    if more:
        screen.print(f"the newest {len(rejections)}; --limit shows more")


def print_rejection(rejection: "Rejection", *, to: IO[str]) -> None:
    """Print everything that is known of one, but not its body."""
    lines = [
        ("id", str(rejection.id)),
        ("source", rejection.source),
        ("received", _when(rejection.received_at)),
        ("cause", rejection.cause),
        ("answer", str(rejection.status)),
        ("request", f"{rejection.method} {rejection.target}"),
        ("size", f"{rejection.size} bytes"),
        ("body", f"not kept ({rejection.omitted})" if rejection.omitted else "kept, sealed"),
        ("admitted", _when(rejection.admitted_at) if rejection.admitted_at else ""),
        ("event", str(rejection.event_id) if rejection.event_id else ""),
    ]
    for name, value in lines:
        if value:
            typer.echo(f"{name:<10} {printable(value)}", file=to)
    for name, value in rejection.headers:
        typer.echo(f"  {printable(name)}: {printable(value)}", file=to)


def write_body(body: bytes) -> None:
    """Write it to standard output, byte for byte; to a terminal, which would obey some of them, escaped."""
    if sys.stdout.isatty():
        typer.echo(repr(body.decode(errors="backslashreplace")))
        return
    sys.stdout.buffer.write(body)
    sys.stdout.buffer.flush()


def print_admitted(admitted: "Admitted", *, dry_run: bool) -> None:
    """Print what became of one, or would become."""
    is_foreseen = dry_run and not admitted.why
    line = f"{admitted.id}  {'would be ' if is_foreseen else ''}{admitted.verdict}"
    if admitted.why:
        line += f": {printable(admitted.why)}"
    if admitted.event_id is not None:
        line += f"  event {admitted.event_id}"
    typer.echo(line)


def print_summary(verdicts: "Counter[Verdict]") -> None:
    """Print how many of each, on standard error: standard output is a line for each."""
    typer.echo(
        ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items()) or "nothing to admit", err=True
    )


def as_json(rejection: "Rejection", *, headers: bool = False) -> dict[str, object]:
    """The same for programs."""
    values: dict[str, object] = {
        "id": str(rejection.id),
        "received_at": rejection.received_at.isoformat(),
        "source": rejection.source,
        "cause": rejection.cause,
        "status": rejection.status,
        "method": rejection.method,
        "target": rejection.target,
        "size": rejection.size,
        "is_body_kept": not rejection.omitted,
        "omitted": rejection.omitted or None,
        "admitted_at": rejection.admitted_at.isoformat() if rejection.admitted_at else None,
        "event_id": str(rejection.event_id) if rejection.event_id else None,
    }
    if headers:
        values["headers"] = [list(header) for header in rejection.headers]
    return values


def admitted_as_json(admitted: "Admitted") -> dict[str, object]:
    """The same for programs; `verdict` is a stable word."""
    return {
        "id": str(admitted.id),
        "verdict": admitted.verdict.name.lower(),
        "why": admitted.why or None,
        "event_id": str(admitted.event_id) if admitted.event_id else None,
    }


def _when(time: datetime) -> str:
    return time.astimezone().strftime("%Y-%m-%d %H:%M:%S")
