"""What the operators' commands share: a call to a relay, and what becomes of an error."""
# ruff: noqa: PLC0415  (an edge starts with this package, and needs no gRPC)

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hookline.cli.serve import ConfigOption
from hookline.errors import ConfigError, HooklineError

if TYPE_CHECKING:
    from pathlib import Path

    import grpc
    from google.protobuf.message import Message

RelayOption = Annotated[
    str | None,
    typer.Option(
        "--relay", help="A relay's address; by default `relay.grpc` of hookline.toml.", show_default=False
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]
__all__ = ["ConfigOption", "JsonOption", "RelayOption", "YesOption"]
READ_DEADLINE = 65.0
"""Seconds; a relay gives its database a minute for a long search."""
_TLS_ENDED = re.compile("handshake|certificate|verification", re.IGNORECASE)
"""In what gRPC says of a connection that TLS has ended."""
_EVERYWHERE = ("0.0.0.0", "::", "")  # noqa: S104  (addresses to listen on, which nobody can call)


class RelayUnreachable(HooklineError):
    """No relay answers, or not now."""


class CallRefused(HooklineError):
    """The relay has refused the call and says why."""


@contextmanager
def connected(relay: str | None, config: "Path | None") -> "Iterator[grpc.Channel]":
    """A channel to the relay; errors of calls become messages.

    Raises:
        RelayUnreachable: No relay answers there, or it can't reach its database.
        CallRefused: The relay has refused the call.
        ConfigError: HOOKLINE_RELAY_TOKEN holds no token, or a file of HOOKLINE_RELAY_CA and the like can't be used.
    """
    import grpc

    from hookline.cli.relay_token import with_token

    target, speaks_tls = (relay, False) if relay else _configured(config)
    channel = _channel(target, speaks_tls=speaks_tls)
    try:
        yield with_token(channel)
    except grpc.RpcError as error:
        raise _explain(error, target) from None
    finally:
        channel.close()


def confirm(question: str) -> None:
    """Ask on standard error, so that standard output stays the command's answer; anything but yes ends it.

    Raises:
        typer.Abort: Somebody said no, or nobody is there.
    """
    typer.echo(f"{question} [y/N]: ", nl=False, err=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        typer.echo(err=True)
        raise typer.Abort


def as_json(message: "Message") -> dict[str, Any]:
    """The message, with its fields named as in the contract."""
    from google.protobuf.json_format import MessageToDict

    values: dict[str, Any] = MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return values


def print_json(value: object) -> None:
    """Print one JSON document."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def printable(text: str) -> str:
    """The text without what a terminal would obey."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _channel(target: str, *, speaks_tls: bool) -> "grpc.Channel":
    import grpc

    from hookline.cli.relay_tls import relay_tls
    from hookline.client.tls import UnusableFile

    # An event's body is larger than gRPC's usual limit where the edge allows it.
    options: list[tuple[str, int | str]] = [("grpc.max_receive_message_length", -1)]
    tls = relay_tls(is_expected=speaks_tls)
    if tls is None:
        return grpc.insecure_channel(target, options=options)
    if tls.server_name:
        options.append(("grpc.ssl_target_name_override", tls.server_name))
    try:
        return grpc.secure_channel(target, tls.credentials(), options=options)
    except UnusableFile as error:
        raise ConfigError(f"{error}; let HOOKLINE_RELAY_CA and its companions name PEM files") from None


def _configured(config: "Path | None") -> tuple[str, bool]:
    """Where the configured relay listens, as somebody on this machine calls it, and whether it speaks TLS."""
    from hookline.address import Address, parse
    from hookline.config import load

    settings = load(config).relay
    address = parse(settings.grpc)
    called = str(Address("localhost", address.port) if address.host in _EVERYWHERE else address)
    return called, settings.tls is not None


def _explain(error: "grpc.RpcError", target: str) -> HooklineError:
    import grpc

    assert isinstance(error, grpc.Call)
    said = error.details() or ""
    explained_by_relay = any(key == "grpc-status-details-bin" for key, _ in error.trailing_metadata() or ())
    if explained_by_relay:
        is_temporary = error.code() is grpc.StatusCode.UNAVAILABLE
        return RelayUnreachable(said) if is_temporary else CallRefused(said)
    match error.code():
        case grpc.StatusCode.UNAVAILABLE if _TLS_ENDED.search(said):
            return RelayUnreachable(
                f"{target} and this command don't agree on TLS: {said}; HOOKLINE_RELAY_CA names the authorities to "
                "trust, HOOKLINE_RELAY_CERTIFICATE and HOOKLINE_RELAY_KEY what to show, HOOKLINE_RELAY_SERVER_NAME the "
                "name in the relay's certificate"
            )
        case grpc.StatusCode.UNAVAILABLE:
            return RelayUnreachable(
                f"no relay answers at {target}; start one with `hookline relay`, or name another with --relay"
            )
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return RelayUnreachable(f"the relay at {target} did not answer in time; try again")
        case grpc.StatusCode.UNIMPLEMENTED:
            return CallRefused(
                f"{target} doesn't know this call; is it a relay, and of the same version of Hookline?"
            )
        case code:
            return CallRefused(f"the relay at {target} failed: {code.name}: {said}")
