"""Can anything be committed now?"""

from datetime import timedelta

from hookline.errors import DatabaseUnavailable
from hookline.store.session import Session
from hookline.store.statements import load

_SQL = load("probe.sql")


async def probe(session: Session, *, within: timedelta) -> None:
    """See whether the database is there and takes writes; writes nothing.

    Raises:
        DatabaseUnavailable: It isn't there, or doesn't.
        StatementRefused: It answers otherwise than it should.
    """
    [row] = await session.fetch(_SQL["probe"], within=within)
    if not row["is_writable"]:
        session.discard()  # its URL may name a server that does
        raise DatabaseUnavailable("Postgres: is read-only")
