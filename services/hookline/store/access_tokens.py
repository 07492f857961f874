"""Access tokens as they are stored: who each was made for, and a digest; never the secret.

Every change hints to the relays, on the channel for operators' changes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from hookline.core.access_token import AccessToken, Role
from hookline.store.session import Session
from hookline.store.statements import load

State = Literal["live", "revoked", "expired"]
_SQL = load("access_tokens.sql")


@dataclass(frozen=True, slots=True)
class KnownToken:
    """A token that counts: what a relay judges callers by."""

    id: str
    role: Role
    subscriptions: frozenset[str]
    digest: bytes = field(repr=False)
    expires_at: datetime | None
    remaining: timedelta | None = field(compare=False)
    """Until it expires, when it was read. None: it doesn't."""

    def may_consume(self, subscription: str) -> bool:
        """Whether its owner may receive and settle events of this subscription."""
        return self.role == "operator" or (self.role == "consumer" and subscription in self.subscriptions)


@dataclass(frozen=True, slots=True)
class ListedToken:
    """One of a list, as it was at that moment by the database's clock."""

    id: str
    name: str
    role: Role
    subscriptions: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    state: State


@dataclass(frozen=True, slots=True)
class Added:
    """What became of a new token."""

    expires_at: datetime | None
    unknown_subscriptions: tuple[str, ...]
    """Those of its subscriptions that there aren't yet."""


@dataclass(frozen=True, slots=True)
class Revoked:
    """What became of a token that was to end."""

    name: str
    at: datetime
    is_new: bool
    """False: it was revoked before."""


async def live(session: Session, *, within: timedelta) -> list[KnownToken]:
    """Those that are neither revoked nor expired."""
    return [
        KnownToken(
            id=row["id"],
            role=row["role"],
            subscriptions=frozenset(row["subscriptions"]),
            digest=row["secret_sha256"],
            expires_at=row["expires_at"],
            remaining=row["remaining"],
        )
        for row in await session.fetch(_SQL["live"], within=within)
    ]


async def listed(session: Session, *, within: timedelta) -> list[ListedToken]:
    """All there are, the newest last."""
    return [
        ListedToken(
            id=row["id"],
            name=row["name"],
            role=row["role"],
            subscriptions=tuple(row["subscriptions"]),
            created_at=row["created_at"],
            expires_at=row["expires_at"],
            revoked_at=row["revoked_at"],
            state=row["state"],
        )
        for row in await session.fetch(_SQL["list"], within=within)
    ]


async def add(
    session: Session,
    token: AccessToken,
    *,
    name: str,
    role: Role,
    subscriptions: Sequence[str],
    expires_in: timedelta | None,
    within: timedelta,
) -> Added:
    """Store a new one: of its secret the digest alone."""
    values = (token.id, name, role, subscriptions, token.digest, expires_in)
    [row] = await session.fetch(_SQL["add"], *values, within=within)
    missing = [subscription for subscription in subscriptions if subscription not in row["found"]]
    return Added(row["expires_at"], tuple(missing))


async def revoke(session: Session, token_id: str, *, within: timedelta) -> Revoked | None:
    """End one, now and for good. None: there is none of that id."""
    rows = await session.fetch(_SQL["revoke"], token_id, within=within)
    return Revoked(rows[0]["name"], rows[0]["revoked_at"], rows[0]["is_new"]) if rows else None
