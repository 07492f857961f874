"""`hookline sources secrets`: store, rotate and end the secrets of sources.

A secret comes from standard input or from a prompt that doesn't show it, never from the command line, which everybody
on the machine can read (`ps`). None is ever printed.
"""
# ruff: noqa: PLC0415  (an edge starts with this package, and needs none of this)

from datetime import UTC, datetime
from typing import Annotated

import typer

from hookline.cli.relay_call import ConfigOption, JsonOption, YesOption, confirm
from hookline.cli.secret_input import IdOption, new_id, overlap_of, read_secret, validity_of
from hookline.cli.secret_store import SecretRefused, SecretStore
from hookline.config import Settings, load

_TIMES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"]


def _nothing(given: list[str] | None) -> None:
    if given:
        raise typer.BadParameter(
            "The secret isn't given here, where everybody on this machine can read it (ps) and the shell keeps it:"
            " give it on standard input, or at the prompt. This one should be replaced."
        )


GivenArgument = Annotated[list[str] | None, typer.Argument(hidden=True, callback=_nothing)]
SourceArgument = Annotated[str, typer.Argument(help="Name of the source.")]
SecretArgument = Annotated[str, typer.Argument(metavar="ID", help="Its id, as `list` shows it.")]
FromOption = Annotated[
    datetime | None,
    typer.Option("--valid-from", help="Counts from then on; without it, at once.", formats=_TIMES),
]
UntilOption = Annotated[
    datetime | None,
    typer.Option("--valid-until", help="Counts until then; without it, for good.", formats=_TIMES),
]
AtOption = Annotated[
    datetime | None, typer.Option("--at", help="Ends then; without it, now.", formats=_TIMES)
]

secrets_app = typer.Typer(
    name="secrets",
    help="Store, rotate and end the secrets of sources.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,  # locals hold secrets
)


@secrets_app.command()
def add(
    source: SourceArgument,
    _given: GivenArgument = None,
    *,
    id_: IdOption = "",
    valid_from: FromOption = None,
    valid_until: UntilOption = None,
    config: ConfigOption = None,
) -> None:
    """Store one more secret, read from standard input or a prompt. Those that are there stay live."""
    settings = load(config)
    _expect_configured(settings, source)
    validity = validity_of(valid_from, valid_until)
    with SecretStore(settings) as store:
        store.expect_keys()
        secret = read_secret()
        _expect_usable(settings, source, secret)
        secret_id = store.add(source, id_ or new_id(), secret, validity)
    typer.echo(f"{secret_id} added to {source}, {validity.state(datetime.now(UTC))}")
    _note_unused(settings, source)


@secrets_app.command("list")
def list_(
    source: Annotated[str | None, typer.Argument(help="Name of the source; without it, all.")] = None,
    *,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """List stored secrets: ids, validity and state, never the secrets."""
    from hookline.cli.secret_tables import print_secrets, print_secrets_json

    with SecretStore(load(config)) as store:
        found = store.listed(source)
    if json:
        print_secrets_json(found)
    else:
        print_secrets(found)


@secrets_app.command()
def rotate(
    source: SourceArgument,
    _given: GivenArgument = None,
    *,
    overlap: Annotated[
        str, typer.Option(help='How long those that are live stay so, such as "24h"; "0s" ends them at once.')
    ],
    id_: IdOption = "",
    config: ConfigOption = None,
) -> None:
    """Store a new secret, read from standard input or a prompt, and let the others end after an overlap."""
    settings = load(config)
    _expect_configured(settings, source)
    length = overlap_of(overlap)
    with SecretStore(settings) as store:
        store.expect_keys()
        secret = read_secret()
        _expect_usable(settings, source, secret)
        secret_id, ended = store.rotate(source, id_ or new_id(), secret, length)
    typer.echo(f"{secret_id} added to {source}, live")
    for other in ended:
        typer.echo(f"{other} ends within {overlap}")
    for reference in settings.sources[source].secrets:
        if reference.kind != "stored":
            typer.echo(f"note: {reference} stays live as long as sources.{source}.secrets names it", err=True)
    _note_unused(settings, source)


@secrets_app.command()
def expire(
    source: SourceArgument,
    secret: SecretArgument,
    *,
    at: AtOption = None,
    yes: YesOption = False,
    config: ConfigOption = None,
) -> None:
    """Let a secret end, now or at a time."""
    settings = load(config)
    moment = at.astimezone(UTC) if at else None
    with SecretStore(settings) as store:
        if not yes:
            _ask_if_last(settings, store, source, secret, moment or datetime.now(UTC))
        ends = store.expire(source, secret, moment)
    typer.echo(f"{secret} of {source} ends {ends.astimezone():%Y-%m-%d %H:%M:%S%z}")


@secrets_app.command()
def remove(
    source: SourceArgument, secret: SecretArgument, *, yes: YesOption = False, config: ConfigOption = None
) -> None:
    """Forget a secret. If it is live, it ends now."""
    settings = load(config)
    with SecretStore(settings) as store:
        if not yes:
            _ask_if_last(settings, store, source, secret, datetime.now(UTC))
        store.remove(source, secret)
    typer.echo(f"{secret} of {source} removed")


@secrets_app.command()
def reseal(*, config: ConfigOption = None) -> None:
    """Seal everything again with the first of `secrets.keys`, so that the others can go."""
    with SecretStore(load(config)) as store:
        done, wanted = store.reseal()
        key_id = store.sealer.key_id
    typer.echo(f"{done} sealed again, with key {key_id}")
    if done < wanted:
        typer.echo(f"{wanted - done} were changed in between; run it again", err=True)
        raise typer.Exit(1)


@secrets_app.command("new-key")
def new_key() -> None:
    """Print a new key for `secrets.keys`. It is made here and kept nowhere."""
    from hookline.sealing import encode_key, random_key

    typer.echo(encode_key(random_key()))


def _expect_configured(settings: Settings, source: str) -> None:
    if source not in settings.sources:
        known = ", ".join(sorted(settings.sources)) or "none"
        raise SecretRefused(
            f"no source {source!r} is configured (known: {known}); write [sources.{source}] into hookline.toml first,"
            " or name the file with --config"
        )


def _expect_usable(settings: Settings, source: str, secret: bytes) -> None:
    """Find out here, and not in every edge, that the source's scheme can't use it."""
    from hookline.edge.schemes.keys import WrongKey
    from hookline.edge.schemes.scheme import Scheme

    configured = settings.sources[source]
    try:
        Scheme(settings.scheme_of(configured), [secret], verify_token=b"any", options=configured.options)
    except WrongKey as error:
        raise SecretRefused(
            f"the secret that was given is none for {source}: {error}. Nothing was stored"
        ) from None


def _note_unused(settings: Settings, source: str) -> None:
    if all(reference.kind != "stored" for reference in settings.sources[source].secrets):
        typer.echo(
            f'note: no edge uses it yet; add "stored" to sources.{source}.secrets and restart the edges',
            err=True,
        )


def _ask_if_last(settings: Settings, store: SecretStore, source: str, secret: str, moment: datetime) -> None:
    """Ask before the source is left without any live secret."""
    found = [listed.secret for listed in store.listed(source)]
    live = {known.id for known in found if known.validity.state(moment) == "live"}
    configured = settings.sources.get(source)
    if live == {secret} and not (
        configured and any(reference.kind != "stored" for reference in configured.secrets)
    ):
        confirm(f"No other secret of {source} is live then: every webhook will be refused. Go on?")
