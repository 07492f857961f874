"""Access tokens of a test's own database, and how a call carries one."""

from datetime import timedelta

from hookline.core.access_token import AccessToken, Role
from hookline.store import access_tokens
from hookline.store.session import Session

_WITHIN = timedelta(seconds=10)
COUNTS_WITHIN = 5.0
"""Seconds within which a change of a token counts everywhere."""


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    """A call's metadata with the token; nothing for none."""
    return (("authorization", f"Bearer {token}"),) if token else ()


class Tokens:
    """Makes and ends tokens, as `hookline tokens` does."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    async def create(
        self, role: Role = "consumer", *subscriptions: str, expires_in: timedelta | None = None
    ) -> str:
        """A new token's text."""
        token = AccessToken.new()
        session = Session(self._dsn, name="test tokens")
        try:
            await access_tokens.add(
                session,
                token,
                name="test",
                role=role,
                subscriptions=subscriptions,
                expires_in=expires_in,
                within=_WITHIN,
            )
        finally:
            await session.close()
        return token.reveal()

    async def revoke(self, token: str) -> None:
        session = Session(self._dsn, name="test tokens")
        try:
            assert await access_tokens.revoke(session, id_of(token), within=_WITHIN) is not None
        finally:
            await session.close()


def id_of(token: str) -> str:
    """The public part of a token."""
    return token.split("_")[1]
