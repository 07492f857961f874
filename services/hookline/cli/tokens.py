"""`hookline tokens`: who may call relays with `[relay] access = "tokens"`.

They work on the database, as there is no token yet when the first one is made.
"""
# ruff: noqa: PLC0415  (an edge starts with this package, and needs none of this)

import re
from datetime import timedelta
from enum import StrEnum
from typing import Annotated

import typer

from hookline.cli.local import ask
from hookline.cli.relay_call import ConfigOption, JsonOption
from hookline.config import load
from hookline.core.access_token import AccessToken
from hookline.errors import HooklineError

_WITHIN = timedelta(seconds=30)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_SUBSCRIPTION = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_ID = re.compile(r"(?:hkl_)?([0-9a-f]{12})(?:_.*)?", re.DOTALL)


class TokenRefused(HooklineError):
    """This can't be done with this token; the message says why."""


class _Role(StrEnum):
    CONSUMER = "consumer"
    READER = "reader"
    OPERATOR = "operator"


def _name(value: str) -> str:
    # Somebody may have put a token here, so it is not repeated.
    if not _NAME.fullmatch(value) or AccessToken.parse(value):
        raise typer.BadParameter("use letters, digits, '.', '-' and '_', at most 63, a letter or digit first")
    return value


def _subscriptions(values: list[str] | None) -> list[str]:
    for value in values or ():
        if not _SUBSCRIPTION.fullmatch(value):
            raise typer.BadParameter(f"{value!r} is no subscription's name; name each, there are no globs")
    return sorted(set(values or ()))


def _expires(text: str | None) -> str | None:
    if text is not None:
        _duration(text)
    return text


tokens_app = typer.Typer(
    name="tokens",
    help="Create, list and revoke the access tokens of those who call relays.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,  # locals hold tokens
)


@tokens_app.command()
def create(
    name: Annotated[str, typer.Argument(help="Whose it is, for people.", callback=_name)],
    *,
    role: Annotated[
        _Role,
        typer.Option(help="consumer: receives and settles; reader: looks at everything; operator: anything."),
    ],
    subscription: Annotated[
        list[str] | None,
        typer.Option(help="What a consumer may consume; may be repeated.", callback=_subscriptions),
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option(help='How long it counts, such as "90d"; without it, until revoked.', callback=_expires),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the token alone.")] = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Create a token and print it, once: it can't be shown again. What else is to say goes to standard error."""
    from hookline.cli.token_tables import print_created_json, when
    from hookline.store import access_tokens

    subscriptions = subscription or []
    _expect_fitting(role, subscriptions)
    token = AccessToken.new()
    added = ask(
        load(config),
        lambda session: access_tokens.add(
            session,
            token,
            name=name,
            role=role.value,
            subscriptions=subscriptions,
            expires_in=_duration(expires) if expires is not None else None,
            within=_WITHIN,
        ),
    )
    if json:
        print_created_json(token, added)
    else:
        typer.echo(token.reveal())
    for unknown in added.unknown_subscriptions:
        typer.echo(f"note: there is no subscription {unknown} yet", err=True)
    if not quiet and not json:
        ends = f"expires {when(added.expires_at)}" if added.expires_at else "never expires"
        typer.echo(
            f"{token.id} created for {name}, {role.value}; {ends}. Keep it now: it is shown once", err=True
        )


@tokens_app.command("list")
def list_(*, config: ConfigOption = None, json: JsonOption = False) -> None:
    """List tokens: ids, names, roles and state, never the tokens."""
    from hookline.cli.token_tables import print_tokens, print_tokens_json
    from hookline.store import access_tokens

    found = ask(load(config), lambda session: access_tokens.listed(session, within=_WITHIN))
    if json:
        print_tokens_json(found)
    else:
        print_tokens(found)


@tokens_app.command()
def revoke(
    token: Annotated[str, typer.Argument(metavar="ID", help="Its id, as `list` shows it.")],
    *,
    config: ConfigOption = None,
) -> None:
    """Revoke a token. Within five seconds no relay takes it, and streams that were opened with it have ended."""
    from hookline.cli.token_tables import when
    from hookline.store import access_tokens

    # Of a whole token its id is enough; the rest is never repeated.
    match = _ID.fullmatch(token)
    if match is None:
        raise TokenRefused("that is no id of a token; `hookline tokens list` shows them")
    token_id = match[1]
    revoked = ask(load(config), lambda session: access_tokens.revoke(session, token_id, within=_WITHIN))
    if revoked is None:
        raise TokenRefused(f"there is no token {token_id}; `hookline tokens list` shows them")
    already = "" if revoked.is_new else " already"
    typer.echo(f"{token_id} of {revoked.name} was{already} revoked at {when(revoked.at)}")


def _expect_fitting(role: _Role, subscriptions: list[str]) -> None:
    if role is _Role.CONSUMER and not subscriptions:
        raise typer.BadParameter("say which it may consume", param_hint="--subscription")
    if role is not _Role.CONSUMER and subscriptions:
        raise typer.BadParameter(
            f"only a consumer has some, not a role {role.value}", param_hint="--subscription"
        )


def _duration(text: str) -> timedelta:
    from pydantic import TypeAdapter, ValidationError

    from hookline.config.duration import Duration

    try:
        return TypeAdapter[timedelta](Duration).validate_python(text)
    except ValidationError:
        raise typer.BadParameter(
            'must be a duration such as "90d" or "12h"', param_hint="--expires"
        ) from None
