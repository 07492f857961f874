"""`hookline doctor`: check a deployment, and say what to fix."""
# ruff: noqa: PLC0415  (an edge starts with this package, and needs none of this)

import asyncio
import os
import sys
from contextlib import ExitStack
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from hookline.cli.relay_call import ConfigOption, JsonOption, print_json, printable
from hookline.config import Settings, load
from hookline.errors import ConfigError, EmbeddedPostgresError
from hookline.process import EXIT_CONFIG_ERROR
from hookline.telemetry.logs import configure

if TYPE_CHECKING:
    from hookline.doctor.finding import Finding

EXIT_PROBLEM = 1
"""Exit code when there is a problem."""


class _Duty(StrEnum):
    """What the database's role is meant to do."""

    EDGE = "edge"
    RELAY = "relay"
    OPERATOR = "operator"


DutyOption = Annotated[
    list[_Duty] | None,
    typer.Option(
        "--duty", help="What the database's role is meant to do; may be repeated. Without it, everything."
    ),
]


def doctor(*, config: ConfigOption = None, duty: DutyOption = None, json: JsonOption = False) -> None:
    """Check a deployment: database, rights, clock, sources, secrets, OTLP, ports. Say what to fix."""
    from hookline.doctor.finding import problem, worst

    try:
        settings = load(config)
    except ConfigError as error:
        mistakes = [
            problem("configuration", line, "mend it; hookline.toml, then the environment, say it")
            for line in str(error).splitlines()
        ]
        _print(mistakes, as_json=json)
        raise typer.Exit(EXIT_CONFIG_ERROR) from None
    # What is wrong is a finding, and not a line of the log.
    configure(settings.telemetry.model_copy(update={"log_level": "error"}))
    found = _examine(settings, duty or list(_Duty))
    _print(found, as_json=json)
    code = EXIT_PROBLEM if worst(found) == "problem" else 0
    sys.stdout.flush()
    # A thread that still waits for a name server or a file system would keep the process for long.
    os._exit(code)


def _examine(settings: Settings, duties: "list[_Duty]") -> "list[Finding]":
    from hookline.cli.local import with_database
    from hookline.doctor.examination import examine
    from hookline.doctor.finding import of_error

    with ExitStack() as stack:
        nowhere: list[Finding] = []
        try:
            settings = stack.enter_context(with_database(settings))
        except (ConfigError, EmbeddedPostgresError) as error:
            nowhere = [of_error("database", error)]
        # Left open: to close it is to wait for its threads.
        loop = asyncio.new_event_loop()
        found = loop.run_until_complete(examine(settings, [duty.value for duty in duties]))
    return [found[0], *nowhere, *found[1:]]


def _print(found: "list[Finding]", *, as_json: bool) -> None:
    from dataclasses import asdict

    from hookline.doctor.finding import worst

    if as_json:
        print_json({"status": worst(found), "findings": [asdict(finding) for finding in found]})
        return
    width = max(len(finding.check) for finding in found)
    for finding in found:
        typer.echo(f"{finding.level:<7}  {finding.check:<{width}}  {printable(finding.found)}")
        if finding.fix:
            typer.echo(f"{'':<7}  {'':<{width}}  fix: {printable(finding.fix)}")
    counts = [(sum(each.level == level for each in found), level) for level in ("problem", "warning", "ok")]
    typer.echo(", ".join(f"{count} {level}{'s' * (count != 1 and level != 'ok')}" for count, level in counts))
