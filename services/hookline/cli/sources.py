"""`hookline sources`: how webhooks of providers are recognised."""
# ruff: noqa: PLC0415  (an edge starts with this package, and needs no tables)

import re
from datetime import timedelta
from difflib import get_close_matches
from typing import Annotated, Any

import typer

from hookline.cli.relay_call import JsonOption, print_json
from hookline.cli.tables import console
from hookline.config import Scheme
from hookline.config.presets import preset, preset_names, preset_text
from hookline.errors import ConfigError

_TABLE = re.compile(r"^(\[\[?)([a-z_.]+)(\]\]?)", re.MULTILINE)
"""A heading of a table; brackets of lists are indented, or stand alone."""
_UNSIGNED = ("token", "basic", "none")

sources_app = typer.Typer(name="sources", help="Look at sources and their schemes.", no_args_is_help=True)


@sources_app.callback()
def sources() -> None:
    """Look at sources and their schemes."""


@sources_app.command()
def presets(
    name: Annotated[
        str | None,
        typer.Argument(help="A preset, to be printed as a scheme of your own.", show_default=False),
    ] = None,
    *,
    json: JsonOption = False,
) -> None:
    """List the providers that need no scheme of your own, or print one to begin with."""
    if name is not None:
        _print_one(name, json=json)
        return
    rows = [_summary(each, Scheme(**preset(each))) for each in preset_names()]
    if json:
        print_json(rows)
        return
    from rich.table import Table
    from rich.text import Text

    columns = ("name", "title", "algorithm", "signed", "tolerance", "handshake", "success")
    table = Table(*columns, highlight=False)
    for row in rows:
        # Brackets and braces are no markup.
        table.add_row(*(Text(str(row[column])) for column in columns))
    console().print(table)


def _print_one(name: str, *, json: bool) -> None:
    if name not in preset_names():
        close = get_close_matches(name, preset_names(), n=1)
        hint = f"did you mean {close[0]!r}?" if close else "`hookline sources presets` lists them"
        raise ConfigError(f"{name!r} is no preset; {hint}")
    if json:
        print_json(preset(name))
        return
    scheme = f"schemes.my-{name}"
    text = _TABLE.sub(rf"\g<1>{scheme}.\g<2>\g<3>", preset_text(name).rstrip())
    comment, heading, settings = text.partition("title = ")
    typer.echo(f"{comment}[{scheme}]\n{heading}{settings}")


def _summary(name: str, scheme: Scheme) -> dict[str, Any]:
    """What there is to know of a preset at a glance."""
    signatures = scheme.signatures
    times = [signature.timestamp for signature in signatures if signature.timestamp]
    return {
        "name": name,
        "title": scheme.title,
        "algorithm": _joined([one.algorithm for one in signatures]) or f"plugin {scheme.plugin}",
        "signed": _joined(["nothing" if one.algorithm in _UNSIGNED else one.template for one in signatures])
        or "see its plugin",
        "tolerance": _joined([_span(time.past, time.future) for time in times])
        or ("see its plugin" if scheme.plugin else "none"),
        "handshake": _joined([one.method for one in scheme.handshakes]) or "none",
        "success": scheme.success.status if scheme.success else 200,
        "docs": list(scheme.docs),
    }


def _joined(texts: list[str]) -> str:
    return ", ".join(dict.fromkeys(texts))


def _span(past: timedelta, future: timedelta) -> str:
    return _duration(past) if past == future else f"-{_duration(past)} +{_duration(future)}"


def _duration(time: timedelta) -> str:
    seconds = int(time.total_seconds())
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds and seconds % length == 0:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"
