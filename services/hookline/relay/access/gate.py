"""Every call comes through here: who is it, and may it?"""

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextvars import ContextVar
from hmac import compare_digest
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

import grpc

from hookline.core.access_token import AccessToken
from hookline.relay.access.caller import Anybody, Caller, TokenCaller, invalid_token
from hookline.relay.access.live import LiveTokens
from hookline.relay.access.methods import METHODS, OPEN
from hookline.relay.access.refusals import Refusals
from hookline.rpc import RpcError, abort, permission_denied, unauthenticated
from hookline.store.access_tokens import KnownToken
from hookline.store.session import Session

_RequestT = TypeVar("_RequestT")
_ResponseT = TypeVar("_ResponseT")

if TYPE_CHECKING:
    Handler = grpc.RpcMethodHandler[_RequestT, _ResponseT]
    Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[Handler[_RequestT, _ResponseT] | None]]

_HEADER = "authorization"
_SCHEME = "bearer"
"""https://www.rfc-editor.org/rfc/rfc6750; the scheme's case doesn't matter, https://www.rfc-editor.org/rfc/rfc9110."""
_LONGEST_METHOD = 200
"""Characters: more than any of ours has."""
_NO_DIGEST = bytes(32)
"""No secret's: what an unknown id is compared with, so that it takes as long as a known one."""


class Access(Protocol):
    """How a relay judges its callers."""

    interceptors: Sequence[grpc.aio.ServerInterceptor]
    """What its server needs."""

    def caller(self) -> Caller:
        """Whoever made the call that is being handled."""

    async def start(self) -> None:
        """Get ready to judge; before the server takes calls.

        Raises:
            DatabaseUnavailable: It can't know yet who may call.
            StatementRefused: The database was not migrated.
        """

    def jobs(self) -> Sequence[Coroutine[None, None, None]]:
        """What has to run as long as the relay serves."""

    def hear(self) -> None:
        """Somebody has changed something, perhaps."""


def access_of(mode: Literal["open", "tokens"], session: Session) -> Access:
    """What `[relay] access` asks for.

    Args:
        mode: The setting.
        session: To the database, for this alone.
    """
    return TokenAccess(LiveTokens(session)) if mode == "tokens" else OpenAccess()


class OpenAccess:
    """Anybody may do anything."""

    def __init__(self) -> None:
        self.interceptors: Sequence[grpc.aio.ServerInterceptor] = ()
        self._anybody = Anybody()

    def caller(self) -> Caller:
        """Nobody knows who."""
        return self._anybody

    async def start(self) -> None:
        """Nothing to do."""

    def jobs(self) -> Sequence[Coroutine[None, None, None]]:
        """None."""
        return ()

    def hear(self) -> None:
        """Nothing that matters."""


class TokenAccess(grpc.aio.ServerInterceptor):
    """A call needs an access token whose role allows it."""

    def __init__(self, tokens: LiveTokens) -> None:
        self.interceptors: Sequence[grpc.aio.ServerInterceptor] = (self,)
        self._tokens = tokens
        self._refusals = Refusals()
        self._caller: ContextVar[Caller] = ContextVar("caller")
        """Each call has a task, and so a context, of its own; the interceptor runs in it too. Without a default: a
        call that came past the gate fails."""

    def caller(self) -> Caller:
        """Whose token it was."""
        return self._caller.get()

    async def start(self) -> None:
        """Read the tokens."""
        await self._tokens.load()

    def jobs(self) -> Sequence[Coroutine[None, None, None]]:
        """Follow the tokens."""
        return (self._tokens.run(),)

    def hear(self) -> None:
        """Look at the tokens."""
        self._tokens.hear()

    async def intercept_service(
        self,
        continuation: "Continuation[_RequestT, _ResponseT]",
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "Handler[_RequestT, _ResponseT] | None":
        """Let the call pass, or answer it."""
        method = handler_call_details.method[:_LONGEST_METHOD]
        if method in OPEN:
            return await continuation(handler_call_details)
        token = None
        try:
            token = self._authenticated(handler_call_details.invocation_metadata)
            _check_may_call(token, method)
        except RpcError as error:
            self._refusals.add(error.reason, method, token.id if token is not None else None)
            return _refusing(error)
        self._caller.set(TokenCaller(token, self._tokens, self._refusals, method))
        # As it is: to wrap a handler that reads and writes by itself would break it.
        return await continuation(handler_call_details)

    def _authenticated(self, metadata: Sequence[tuple[str, str | bytes]]) -> KnownToken:
        """The token that came with a call, if it counts."""
        shown = _shown(metadata)
        token = AccessToken.parse(shown)
        if token is None:
            raise invalid_token()
        known = self._tokens.get(token.id)
        is_same = compare_digest(token.digest, known.digest if known is not None else _NO_DIGEST)
        if known is None or not is_same:
            raise invalid_token()
        return known


def _shown(metadata: Sequence[tuple[str, str | bytes]]) -> str:
    values = [value for key, value in metadata if key == _HEADER]
    if not values:
        raise unauthenticated(
            "ACCESS_TOKEN_MISSING",
            "this relay takes calls with an access token only: send it as `authorization: Bearer hkl_…`"
            " (commands take it from HOOKLINE_RELAY_TOKEN); `hookline tokens create` makes one",
        )
    # Two of them: whose call is it? Neither's.
    if len(values) > 1 or not isinstance(values[0], str):
        raise invalid_token()
    scheme, _, shown = values[0].partition(" ")
    if scheme.lower() != _SCHEME:
        raise invalid_token()
    return shown


def _check_may_call(token: KnownToken, method: str) -> None:
    if token.role not in METHODS.get(method, frozenset()):
        raise permission_denied(
            "ROLE_NOT_ALLOWED",
            f"access token {token.id} has the role {token.role!r}, which may not call {method}",
        )


def _refusing(error: RpcError) -> "Handler[Any, Any]":
    """Answers with an error, whatever the kind of call, and reads nothing of it."""

    async def refuse(_: object, context: "grpc.aio.ServicerContext[Any, Any]") -> None:
        await abort(context, error)

    return grpc.stream_stream_rpc_method_handler(refuse)
