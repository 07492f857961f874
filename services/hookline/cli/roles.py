"""`hookline roles`: a role of the database for each duty, with least rights."""
# ruff: noqa: PLC0415  (an edge starts with this package, and needs none of this)

import asyncio
import re
from typing import TYPE_CHECKING, Annotated

import typer

from hookline.cli.relay_call import ConfigOption, JsonOption, print_json
from hookline.config import load
from hookline.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hookline.store.rights import Duty
    from hookline.store.roles import Role

roles_app = typer.Typer(
    name="roles",
    help="The database's roles: one for each duty, with what it needs and nothing more.",
    no_args_is_help=True,
)
_PREFIX = re.compile(r"[a-z_][a-z0-9_]{0,40}")
LoginOption = Annotated[
    list[str] | None,
    typer.Option(
        "--login",
        metavar="DUTY[=REF]",
        help="Let the role of edge, relay or operator log in by itself; REF is env:NAME or file:PATH and holds its"
        " password. May be repeated. Without it a role is for login roles to be members of.",
    ),
]


def _prefix(value: str) -> str:
    if not _PREFIX.fullmatch(value) or value.startswith("pg_"):
        raise typer.BadParameter(
            "use up to 41 lower-case letters, digits and '_', and not pg_ at the beginning"
        )
    return value


@roles_app.command("create")
def create(
    *,
    prefix: Annotated[
        str,
        typer.Option(
            help="What the roles' names begin with: PREFIX_edge, PREFIX_relay, PREFIX_operator.",
            callback=_prefix,
        ),
    ] = "hookline",
    login: LoginOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Create the roles where they are missing, and give each what it needs and nothing more.

    Run it as who runs `hookline migrate`; to create roles takes CREATEROLE. It may be run again at any time;
    `hookline migrate` grants what later versions need.
    """
    from hookline.cli.local import with_database
    from hookline.store import roles
    from hookline.store.migrate import known

    logins = dict(_login(text) for text in login or ())
    with with_database(load(config)) as reached:
        made = roles.create(reached.dsn() or "", prefix=prefix, logins=logins, newest=known()[-1].version)
        found = asyncio.run(made)
    _print(found, as_json=json)


@roles_app.command("show")
def show(*, config: ConfigOption = None, json: JsonOption = False) -> None:
    """Show the roles, what they lack, and what they have too much. Everybody (PUBLIC) should have nothing."""
    from hookline.cli.local import with_database
    from hookline.store import roles
    from hookline.store.migrate import known

    with with_database(load(config)) as reached:
        found = asyncio.run(roles.show(reached.dsn() or "", newest=known()[-1].version))
    _print(found, as_json=json)
    if any(role.missing or role.superfluous for role in found):
        raise typer.Exit(1)


def _login(text: str) -> "tuple[Duty, str | None]":
    """A duty, and the verifier of the password that is given for it."""
    from pydantic import TypeAdapter, ValidationError

    from hookline.config.secret_reference import KeyReference
    from hookline.store.password import scram_verifier
    from hookline.store.rights import DUTIES

    name, has_password, place = text.partition("=")
    duty: Duty | None = next((duty for duty in DUTIES if duty == name), None)
    if duty is None:
        # What was given may be a password, so it is not repeated.
        raise typer.BadParameter(f"must begin with {', '.join(DUTIES)}", param_hint="--login")
    if not has_password:
        return duty, None
    try:
        reference = TypeAdapter(KeyReference).validate_python(place)
    except ValidationError:
        raise typer.BadParameter(
            f"must be such as {duty}=env:NAME or {duty}=file:PATH; never the password itself",
            param_hint="--login",
        ) from None
    try:
        return duty, scram_verifier(reference.resolve(f"--login {duty}").decode("ascii"))
    except ValueError:
        raise ConfigError(f"--login {duty}: {reference}: a password must be printable ASCII") from None


def _print(found: "Sequence[Role]", *, as_json: bool) -> None:
    from dataclasses import asdict

    from rich.table import Table

    from hookline.cli.tables import console

    if as_json:
        print_json([asdict(role) for role in found])
        return
    table = Table(
        "role", "duty", "may log in", "members", "granted", "missing", "superfluous", highlight=False
    )
    for role in found:
        table.add_row(
            role.name,
            role.duty or "",
            "yes" if role.can_login else "no",
            ", ".join(role.members),
            str(role.granted),
            "\n".join(role.missing) or "none",
            "\n".join(role.superfluous) or "none",
        )
    console().print(table)
    if len(found) == 1:
        typer.echo("no role of a duty was made here; `hookline roles create` does")
