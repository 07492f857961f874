"""What retention dropped and kept, on a terminal and for programs."""
# ruff: noqa: PLC0415  (an edge starts with this package, and needs no tables)

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import typer

from hookline.cli.relay_call import print_json, printable
from hookline.cli.tables import console

if TYPE_CHECKING:
    from hookline.store.retention import Need, Report, Segment, State

_KEPT: "tuple[tuple[State, str], ...]" = (
    ("young", "not old enough"),
    ("written", "being written, or next"),
    ("needed", "old, but needed"),
)
_SIZES = ("B", "KiB", "MiB", "GiB", "TiB")
_STEP = 1024


class Holder(NamedTuple):
    """One reason why old segments are kept, over all of them."""

    who: str
    segments: int
    bytes: int
    first_seq: int
    fix: str


def print_report(report: "Report", *, dry_run: bool) -> None:
    """Print what went and what stays, and a table of those who need what is old."""
    gone: State = "expired" if dry_run else "dropped"
    verb = "would drop" if dry_run else "dropped"
    typer.echo(f"log: {verb} {_amount(report.segments, gone)}")
    for state, meaning in _KEPT:
        typer.echo(f"log: kept {_amount(report.segments, state)}: {meaning}")
    days = [day for day in report.days if dry_run or day.dropped]
    size = _size(sum(day.bytes for day in days))
    typer.echo(f"histories: {verb} {_counted(len(days), 'day')}, {size}")
    if report.rows or report.leftovers:
        typer.echo(f"rows: deleted {report.rows} of histories, {report.leftovers} of relays that have died")
    found = holders(report.segments)
    if found:
        _print_holders(found)
    if report.busy:
        typer.echo(f"not all could be dropped: {report.busy}; try again later", err=True)


def print_report_json(report: "Report", *, dry_run: bool) -> None:
    """Print the same for programs, segment by segment."""
    print_json(
        {
            "dry_run": dry_run,
            "segments": [
                {
                    "name": segment.name,
                    "from_seq": segment.from_seq,
                    "until_seq": segment.until_seq,
                    "bytes": segment.bytes,
                    "newest_at": segment.newest_at.isoformat() if segment.newest_at else None,
                    "state": segment.state,
                    "needs": [need._asdict() for need in segment.needs],
                }
                for segment in report.segments
            ],
            "holders": [holder._asdict() for holder in holders(report.segments)],
            "days": [{**day._asdict(), "until_time": day.until_time.isoformat()} for day in report.days],
            "rows": report.rows,
            "leftovers": report.leftovers,
            "busy": report.busy,
        }
    )


def holders(segments: "Iterable[Segment]") -> list[Holder]:
    """Those who need old segments, whoever holds most first."""
    found: dict[tuple[str, str], Holder] = {}
    for segment in segments:
        for need in segment.needs:
            who, fix = _explained(need)
            known = found.get((who, fix), Holder(who, 0, 0, need.first_seq, fix))
            found[who, fix] = known._replace(segments=known.segments + 1, bytes=known.bytes + segment.bytes)
    return sorted(found.values(), key=lambda holder: (-holder.bytes, -holder.segments, holder.who))


def _explained(need: "Need") -> tuple[str, str]:
    name = need.subscription
    match need.kind:
        case "unread":
            return (
                f"subscription {name} has yet to read it",
                f"start its consumers, or `hookline subscriptions delete {name}`",
            )
        case "pending":
            return f"consumers of {name} have yet to settle it", f"start its consumers, or delete {name}"
        case "dead":
            return (
                f"dead letters of {name}",
                f"`hookline dead redrive` or `hookline dead delete`, or wait for {name}'s dead_letter_retention",
            )
        case "replay":
            return (
                f"replay {need.replay} to {name}",
                f"wait for it, or `hookline replays cancel {need.replay}`",
            )
        case kind:
            return (
                f"{kind} deliveries of {name}",
                f"start its consumers; `hookline subscriptions show {name}`",
            )


def _print_holders(found: list[Holder]) -> None:
    from rich.table import Table

    table = Table("needed by", "segments", "bytes", "from seq", "what to do", highlight=False)
    for holder in found:
        table.add_row(
            printable(holder.who),
            str(holder.segments),
            _size(holder.bytes),
            str(holder.first_seq),
            printable(holder.fix),
        )
    console().print(table)


def _amount(segments: "Iterable[Segment]", state: "State") -> str:
    chosen = [segment for segment in segments if segment.state == state]
    return f"{_counted(len(chosen), 'segment')}, {_size(sum(segment.bytes for segment in chosen))}"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _size(count: int) -> str:
    size = float(count)
    for unit in _SIZES[:-1]:
        if size < _STEP:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= _STEP
    return f"{size:.1f} {_SIZES[-1]}"
