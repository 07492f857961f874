"""The access token that commands call a relay with: `HOOKLINE_RELAY_TOKEN`, for on a command line everybody sees it."""

import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import grpc

from hookline.core.access_token import AccessToken
from hookline.errors import ConfigError

VARIABLE = "HOOKLINE_RELAY_TOKEN"
_T = TypeVar("_T")
_Metadata = Sequence[tuple[str, str | bytes]]


def relay_token() -> str | None:
    """The token, if there is one.

    Raises:
        ConfigError: The variable holds something else, which isn't repeated.
    """
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        return None
    if AccessToken.parse(text) is None:
        raise ConfigError(f"{VARIABLE} is no access token; `hookline tokens create` makes one: hkl_…")
    return text


def with_token(channel: grpc.Channel) -> grpc.Channel:
    """The channel, whose calls carry the token if there is one.

    Raises:
        ConfigError: As of `relay_token`.
    """
    token = relay_token()
    return channel if token is None else grpc.intercept_channel(channel, _Bearer(token))


class _Details(NamedTuple):
    method: str
    timeout: float | None
    metadata: _Metadata | None
    credentials: grpc.CallCredentials | None
    wait_for_ready: bool | None
    compression: grpc.Compression | None


class _Bearer(grpc.UnaryUnaryClientInterceptor):
    """Adds the token to each call."""

    def __init__(self, token: str) -> None:
        self._entry = ("authorization", f"Bearer {token}")

    def intercept_unary_unary(
        self, continuation: Callable[[Any, _T], Any], client_call_details: Any, request: _T
    ) -> Any:
        """Add it to the call's metadata."""
        details = _Details(
            client_call_details.method,
            client_call_details.timeout,
            [*(client_call_details.metadata or ()), self._entry],
            client_call_details.credentials,
            client_call_details.wait_for_ready,
            client_call_details.compression,
        )
        return continuation(details, request)
