"""`hookline sources drift` and `hookline sources shape`: what bodies look like, and how that changes."""
# ruff: noqa: PLC0415  (an edge starts with this package, and needs none of this)

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from typer.core import TyperGroup

from hookline.cli.relay_call import JsonOption, print_json, printable
from hookline.cli.serve import ConfigOption
from hookline.cli.tables import console

if TYPE_CHECKING:
    from hookline.core.shape.shape import Shape
    from hookline.store.session import Session
    from hookline.store.shapes import DriftRow, FindingRow

_WITHIN = timedelta(seconds=30)
_TIMES = ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z")
_EVER = datetime(1, 1, 1, tzinfo=UTC)
_Answer = TypeVar("_Answer")


class _ListsByDefault(TyperGroup):
    """`drift [SOURCE]` is `drift list [SOURCE]`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the command in where none is named."""
        if not args or (args[0] not in self.commands and args[0] != "--help"):
            args = ["list", *args]
        return super().parse_args(ctx, args)


drift_app = typer.Typer(
    name="drift",
    cls=_ListsByDefault,
    help="Show where bodies are no longer as they were learned: drift [SOURCE] [--type T] [--since T] [--json].",
    pretty_exceptions_show_locals=False,
)

SourceArgument = Annotated[str, typer.Argument(metavar="SOURCE", help="Name of the source.")]
AnySourceArgument = Annotated[
    str | None,
    typer.Argument(metavar="[SOURCE]", help="Name of the source; by default all.", show_default=False),
]
TypeOption = Annotated[
    str | None, typer.Option("--type", help="Of this event type alone.", show_default=False)
]
SinceOption = Annotated[
    str | None,
    typer.Option("--since", help="Seen since: a time, or an age such as 2h or 7d.", show_default=False),
]
PathOption = Annotated[
    list[str] | None,
    typer.Option("--path", help="At this path alone; may be given several times.", show_default=False),
]


@drift_app.command("list")
def list_(
    source: AnySourceArgument = None,
    *,
    type_: TypeOption = None,
    since: SinceOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Show what has drifted and what schemas didn't allow, the latest first."""
    from hookline.store import shapes

    after = _time(since)

    async def ask(session: "Session") -> "tuple[list[DriftRow], list[FindingRow]]":
        return (
            await shapes.drift(session, source=source, type_=type_, since=after, within=_WITHIN),
            await shapes.findings(session, source=source, type_=type_, since=after, within=_WITHIN),
        )

    drifts, findings = _ask(config, ask)
    if json:
        print_json(
            {
                "drift": [_drift_as_json(row) for row in drifts],
                "findings": [_as_json(row) for row in findings],
            }
        )
    else:
        _print_drifts(drifts)
        if findings:
            _print_findings(findings)


@drift_app.command()
def accept(
    source: SourceArgument,
    *,
    type_: TypeOption = None,
    path: PathOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Make the shape as it is now the known one, and forget what has drifted."""
    from hookline.model import SourceName
    from hookline.store import shapes

    async def ask(session: "Session") -> list[str]:
        return await shapes.accept(
            session, SourceName(source), type_=type_, paths=path or None, within=_WITHIN
        )

    types = _ask(config, ask)
    if json:
        print_json({"accepted": types})
    elif types:
        typer.echo(f"accepted: {', '.join(printable(name) for name in types)}")
    else:
        typer.echo("nothing was learned of it")


def shape(
    source: SourceArgument,
    type_: Annotated[
        str | None, typer.Argument(metavar="[TYPE]", help="Event type; by default all.", show_default=False)
    ] = None,
    *,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Show the shape of a source's bodies: paths and types, never a value."""
    from hookline.core.shape import types as shape_types
    from hookline.store import shapes

    async def ask(session: "Session") -> "dict[str, Shape]":
        found = await shapes.read(session, [source], within=_WITHIN)
        return {name: one.shape for (_, name), one in found.items() if type_ in (None, name)}

    found = _ask(config, ask)
    if json:
        print_json(
            {
                name: {
                    "bodies": one.bodies,
                    "learned": one.learned,
                    "marks": one.marks,
                    "paths": {
                        path: {
                            "types": shape_types.names(place.seen),
                            "bodies": place.bodies,
                            "known": place.known != 0,
                        }
                        for path, place in sorted(one.places.items())
                    },
                }
                for name, one in found.items()
            }
        )
    elif found:
        _print_trees(found)
    else:
        typer.echo("nothing was learned of it")


def _ask(config: Any, work: "Callable[[Session], Awaitable[_Answer]]") -> _Answer:
    """Ask the database."""
    from hookline.cli.local import ask
    from hookline.config import load

    return ask(load(config), work)


def _time(since: str | None) -> datetime:
    """The time that somebody gave, in this machine's zone unless it names one."""
    if since is None:
        return _EVER
    from pydantic import TypeAdapter, ValidationError

    from hookline.config.duration import Duration

    try:
        return datetime.now(UTC) - TypeAdapter(Duration).validate_python(since)
    except ValidationError:
        pass
    for form in _TIMES:
        try:
            return datetime.strptime(since, form).astimezone()
        except (ValueError, OverflowError):
            continue
    raise typer.BadParameter(
        "must be a time such as 2026-11-01T08:00:00, or an age such as 2h or 7d", param_hint="--since"
    )


def _as_json(row: "DriftRow | FindingRow") -> dict[str, Any]:
    from dataclasses import asdict

    values = asdict(row)
    for name in ("first_seen", "last_seen"):
        values[name] = values[name].astimezone(UTC).isoformat()
    if values.get("event_id"):
        values["event_id"] = str(values["event_id"])
    return values


def _drift_as_json(row: "DriftRow") -> dict[str, Any]:
    from hookline.core.shape import types as shape_types

    return _as_json(row) | {"was": shape_types.names(row.was), "now": shape_types.names(row.now)}


def _print_drifts(drifts: "Sequence[DriftRow]") -> None:
    from rich.table import Table
    from rich.text import Text

    from hookline.core.shape import types as shape_types

    if not drifts:
        typer.echo("no drift")
        return
    table = Table(
        "source", "type", "path", "kind", "was", "now", "bodies", "first seen", "last seen", highlight=False
    )
    for row in drifts:
        table.add_row(
            row.source,
            # A provider's words: nothing in them is markup.
            Text(printable(row.type)),
            Text(printable(row.path)),
            row.kind,
            shape_types.written(row.was),
            shape_types.written(row.now),
            str(row.count),
            _when(row.first_seen),
            _when(row.last_seen),
        )
    console().print(table)


def _print_findings(findings: "Sequence[FindingRow]") -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(
        "source",
        "type",
        "path",
        "keyword",
        "in the schema",
        "bodies",
        "last seen",
        "last event",
        highlight=False,
    )
    for row in findings:
        table.add_row(
            row.source,
            Text(printable(row.type)),
            Text(printable(row.path)),
            Text(row.keyword),
            Text(printable(row.schema_path)),
            str(row.count),
            _when(row.last_seen),
            str(row.event_id or "refused"),
        )
    console().print(table)


def _print_trees(found: "dict[str, Shape]") -> None:
    from rich.console import Console
    from rich.text import Text
    from rich.tree import Tree

    from hookline.core.shape import types as shape_types
    from hookline.core.shape.path import ROOT, steps

    console = Console(highlight=False)
    for name, one in found.items():
        state = "learned" if one.learned else "still learning"
        marks = "".join(f", {count} {mark}" for mark, count in sorted(one.marks.items()))
        tree = Tree(Text(f"{printable(name)}  {one.bodies} bodies, {state}{marks}"))
        branches = {ROOT: tree}
        # A path comes after all that it stands in.
        for path in sorted(one.places, key=lambda path: [*steps(path)]):
            way = steps(path)
            if not way:
                continue
            around = ROOT + "".join(way[:-1])
            place = one.places[path]
            text = Text(printable(way[-1].removeprefix(".")), style="" if place.known else "bold")
            text.append(f"  {shape_types.written(place.seen)}", style="dim")
            if not place.known:
                text.append("  new", style="bold")
            branches[path] = branches.get(around, tree).add(text)
        console.print(tree)


def _when(time: datetime) -> str:
    return time.astimezone().strftime("%Y-%m-%d %H:%M:%S")
