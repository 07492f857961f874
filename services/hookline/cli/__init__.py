"""The `hookline` command."""

import sys

import typer

import hookline
from hookline.cli.dead import dead_app
from hookline.cli.demo import demo
from hookline.cli.doctor import doctor
from hookline.cli.events import events_app
from hookline.cli.maintain import maintain
from hookline.cli.rejections import rejections_app
from hookline.cli.relay_call import RelayUnreachable
from hookline.cli.replays import replays_app
from hookline.cli.roles import roles_app
from hookline.cli.send import send_app
from hookline.cli.serve import edge, migrate, relay, run
from hookline.cli.source_drift import drift_app, shape
from hookline.cli.source_secrets import secrets_app
from hookline.cli.sources import sources_app
from hookline.cli.subscriptions import subscriptions_app
from hookline.cli.tail import tail
from hookline.cli.tokens import tokens_app
from hookline.errors import DatabaseUnavailable, HooklineError
from hookline.process import EXIT_CONFIG_ERROR, BackgroundFailed
from hookline.telemetry.logs import flush

app = typer.Typer(
    name="hookline",
    help="The durable front door for webhooks: in over HTTP, stored in Postgres, out over gRPC.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,  # locals hold keys and payloads
)
app.command()(run)
app.command()(edge)
app.command()(relay)
app.command()(migrate)
app.add_typer(roles_app)
app.command()(doctor)
app.command()(maintain)
app.add_typer(send_app)
app.command()(tail)
sources_app.add_typer(secrets_app)
sources_app.add_typer(drift_app)
sources_app.command()(shape)
app.add_typer(sources_app)
app.add_typer(subscriptions_app)
app.add_typer(events_app)
app.add_typer(dead_app)
app.add_typer(replays_app)
app.add_typer(rejections_app)
app.add_typer(tokens_app)
app.command()(demo)


EXIT_UNAVAILABLE = 1
"""Exit code when the database or the relay can't be reached, or something failed: trying again may help."""


def _version(wanted: bool) -> None:  # noqa: FBT001  (typer's callback)
    if wanted:
        typer.echo(f"hookline {hookline.__version__}")
        raise typer.Exit


@app.callback()
def _hookline(
    *,
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version."
    ),
) -> None:
    """The durable front door for webhooks: in over HTTP, stored in Postgres, out over gRPC."""


def main() -> None:
    """Run the command; an error that Hookline reports on purpose is a message, not a traceback."""
    try:
        app()
    except (BackgroundFailed, DatabaseUnavailable, RelayUnreachable) as error:
        flush()
        typer.echo(f"hookline: {error}", err=True)
        sys.exit(EXIT_UNAVAILABLE)
    except HooklineError as error:
        flush()
        typer.echo(f"hookline: {error}", err=True)
        sys.exit(EXIT_CONFIG_ERROR)
