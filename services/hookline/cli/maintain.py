"""`hookline maintain`: drop what is old and what nobody needs, as relays do by themselves; say who needs the rest."""
# ruff: noqa: PLC0415  (an edge starts with this package, and needs none of this)

from datetime import timedelta
from typing import Annotated

import typer

from hookline.cli.local import ask
from hookline.cli.relay_call import ConfigOption, JsonOption
from hookline.config import load

EXIT_BUSY = 1
"""Exit code when something was in use: trying again later helps."""
_WITHIN = timedelta(seconds=60)


def maintain(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Drop nothing, say what would go.")] = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Drop old parts of the log and of the histories, as `[retention]` says; say what is kept, and who needs it."""
    from hookline.cli.maintain_tables import print_report, print_report_json
    from hookline.store import retention

    settings = load(config)
    work = retention.survey if dry_run else retention.maintain
    report = ask(settings, lambda session: work(session, settings.retention, within=_WITHIN))
    if json:
        print_report_json(report, dry_run=dry_run)
    else:
        print_report(report, dry_run=dry_run)
    if report.busy:
        raise typer.Exit(EXIT_BUSY)
