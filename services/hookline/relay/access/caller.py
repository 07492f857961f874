"""Whoever has called, as far as a call that goes on has to ask again."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Coroutine, Mapping
from typing import Any, NoReturn, TypeVar

from hookline.relay.access.live import LiveTokens
from hookline.relay.access.refusals import Refusals
from hookline.rpc import RpcError, permission_denied, unauthenticated
from hookline.store.access_tokens import KnownToken

_T = TypeVar("_T")


class Caller(ABC):
    """What a caller may do, now: the answer may be another one a moment later."""

    named: Mapping[str, str] = {}
    """Who it is, for logs."""

    @abstractmethod
    def check_may_consume(self, subscription: str) -> None:
        """Ask on every settlement and every pull: it costs a microsecond.

        Raises:
            RpcError: It may not, or not any more.
        """

    @abstractmethod
    async def refused(self, subscription: str) -> NoReturn:
        """Wait until it may not consume the subscription any more.

        Raises:
            RpcError: It may not.
        """

    async def while_allowed(self, subscription: str, work: Coroutine[Any, Any, _T]) -> _T:
        """Do something for it as long as it may consume the subscription; then `work` is cancelled.

        Raises:
            RpcError: It may not, or not any more.
        """
        working = asyncio.create_task(work)
        refusing = asyncio.create_task(self.refused(subscription))
        try:
            await asyncio.wait({working, refusing}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                refusing.result()
        finally:
            for task in (working, refusing):
                task.cancel()
            await asyncio.gather(working, refusing, return_exceptions=True)
        return working.result()


class Anybody(Caller):
    """Nobody is asked who they are."""

    def check_may_consume(self, subscription: str) -> None:
        """Yes."""

    async def refused(self, subscription: str) -> NoReturn:
        """Never."""
        del subscription
        await asyncio.Event().wait()
        raise AssertionError("nobody sets it")

    async def while_allowed(self, subscription: str, work: Coroutine[Any, Any, _T]) -> _T:
        """For ever."""
        del subscription
        return await work


class TokenCaller(Caller):
    """Has shown an access token.

    Args:
        token: It, as it was then.
        tokens: What it is now.
        refusals: Counts.
        method: What it called.
    """

    def __init__(self, token: KnownToken, tokens: LiveTokens, refusals: Refusals, method: str) -> None:
        self._id = token.id
        self._digest = token.digest
        self._tokens = tokens
        self._refusals = refusals
        self._method = method
        self.named = {"access_token": token.id}

    def __repr__(self) -> str:
        return f"<TokenCaller {self._id}>"

    def check_may_consume(self, subscription: str) -> None:
        """Ask what the token is now."""
        token = self._tokens.get(self._id)
        if token is not None and token.digest == self._digest and token.may_consume(subscription):
            return
        error = _why_not(token if token is not None and token.digest == self._digest else None, subscription)
        self._refusals.add(error.reason, self._method, self._id)
        raise error

    async def refused(self, subscription: str) -> NoReturn:
        """Ask again whenever the token may have changed."""
        while True:
            self.check_may_consume(subscription)
            await self._tokens.changed(self._id)


def invalid_token() -> RpcError:
    """The token doesn't count; which of the reasons it is, is not for strangers."""
    return unauthenticated(
        "ACCESS_TOKEN_INVALID", "there is no such access token, or it was revoked or has expired"
    )


def _why_not(token: KnownToken | None, subscription: str) -> RpcError:
    if token is None:
        return invalid_token()
    return permission_denied(
        "SUBSCRIPTION_NOT_ALLOWED",
        f"access token {token.id} is not for subscription {subscription[:64]!r}; it is the same whether there is one."
        " `hookline tokens list` shows what each is for",
    )
