"""Secrets of sources as they are stored: sealed, each with the time for which it counts.

Every change is one transaction that also hints to the edges, on the channel `SECRETS`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import asyncpg

from hookline.core.validity import Validity, ValidityState
from hookline.model import SourceName
from hookline.sealing import SealBroken, Sealer
from hookline.store.session import Session
from hookline.store.statements import load

SECRETS = "hookline_secrets"
"""Somebody has changed a secret."""
_SQL = load("secrets.sql")


@dataclass(frozen=True, slots=True)
class SealedSecret:
    """A secret as it is in the database."""

    source: SourceName
    id: str
    sealed: bytes = field(repr=False)
    validity: Validity
    created_at: datetime

    def open(self, sealer: Sealer) -> bytes:
        """The secret itself.

        Raises:
            SealBroken: With these keys it can't be opened, or it isn't what was stored here.
        """
        try:
            return sealer.open(self.sealed, bound_to=_place(self.source, self.id))
        except SealBroken as error:
            raise SealBroken(f"secret {self.id} of source {self.source}: {error}") from None


@dataclass(frozen=True, slots=True)
class ListedSecret:
    """One of a list, with what it was at that moment by the database's clock."""

    secret: SealedSecret
    state: ValidityState


async def current(
    session: Session, sources: Sequence[SourceName], *, within: timedelta
) -> list[SealedSecret]:
    """Those of these sources that are live or still to come."""
    return [_secret(row) for row in await session.fetch(_SQL["current"], sources, within=within)]


async def listed(session: Session, source: SourceName | None, *, within: timedelta) -> list[ListedSecret]:
    """All of one source, or of all sources."""
    rows = await session.fetch(_SQL["list"], source, within=within)
    return [ListedSecret(secret := _secret(row), secret.validity.state(row["now"])) for row in rows]


async def add(
    session: Session,
    sealer: Sealer,
    secret: bytes,
    *,
    source: SourceName,
    secret_id: str,
    validity: Validity,
    within: timedelta,
) -> bool:
    """Store one more. Answers whether its id was free."""
    sealed = sealer.seal(secret, bound_to=_place(source, secret_id))
    rows = await session.fetch(
        _SQL["add"], source, secret_id, sealed, validity.valid_from, validity.valid_until, within=within
    )
    return bool(rows)


async def rotate(
    session: Session,
    sealer: Sealer,
    secret: bytes,
    *,
    source: SourceName,
    secret_id: str,
    overlap: timedelta,
    within: timedelta,
) -> list[str] | None:
    """Store a new one, and let those that are live end after the overlap.

    Returns:
        The ids of those that end; None if the new one's id was taken, and then nothing has changed.
    """
    sealed = sealer.seal(secret, bound_to=_place(source, secret_id))
    rows = await session.fetch(_SQL["rotate"], source, secret_id, sealed, overlap, within=within)
    return list(rows[0]["ended"]) if rows else None


async def expire(
    session: Session, source: SourceName, secret_id: str, *, at: datetime | None, within: timedelta
) -> datetime | None:
    """End one at a moment, or now.

    Returns:
        When it ends; None if there is no such secret, it is over already, or it would end before it begins.
    """
    rows = await session.fetch(_SQL["expire"], source, secret_id, at, within=within)
    return rows[0]["valid_until"] if rows else None


async def remove(session: Session, source: SourceName, secret_id: str, *, within: timedelta) -> bool:
    """Forget one. Answers whether there was one of that id."""
    return bool(await session.fetch(_SQL["remove"], source, secret_id, within=within))


async def reseal(session: Session, sealer: Sealer, *, within: timedelta) -> tuple[int, int]:
    """Seal again, with the sealer's first key, what another key has sealed: all of it or nothing.

    Returns:
        How many were sealed again, and how many there were to seal. Fewer means that somebody changed the others
        in between.

    Raises:
        SealBroken: One of all that are stored can't be opened, and nothing has changed.
    """
    rows: list[tuple[str, str, bytes, bytes]] = []
    for listing in await listed(session, None, within=within):
        secret = listing.secret
        plaintext = secret.open(sealer)
        if not sealer.is_sealed_by_first(secret.sealed):
            again = sealer.seal(plaintext, bound_to=_place(secret.source, secret.id))
            rows.append((secret.source, secret.id, secret.sealed, again))
    if not rows:
        return 0, 0
    [row] = await session.fetch(_SQL["reseal"], *map(list, zip(*rows, strict=True)), within=within)
    return row["resealed"], len(rows)


def _place(source: str, secret_id: str) -> tuple[str, ...]:
    """What the seal is bound to: moved to another row, it doesn't open."""
    return ("secret", source, secret_id)


def _secret(row: asyncpg.Record) -> SealedSecret:
    return SealedSecret(
        source=SourceName(row["source"]),
        id=row["id"],
        sealed=row["sealed"],
        validity=Validity(row["valid_from"], row["valid_until"]),
        created_at=row["created_at"],
    )
