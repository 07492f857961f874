"""Is the database's schema one that this program can work with?"""

from datetime import timedelta

import structlog

from hookline.errors import MigrationError, StatementRefused
from hookline.store.migrate import known
from hookline.store.session import Session
from hookline.store.statements import load

_log = structlog.get_logger(__name__)
_SQL = load("schema.sql")
_NO_TABLE = "42P01"
_NO_PRIVILEGE = "42501"


async def check_schema(session: Session, *, within: timedelta) -> None:
    """Refuse a schema that is older than this program; a newer one serves it as well (docs/operations/upgrades.md).

    Raises:
        MigrationError: It is older, or there is none.
        DatabaseUnavailable: It couldn't be asked.
    """
    try:
        [row] = await session.fetch(_SQL["newest_migration"], within=within)
    except StatementRefused as error:
        if error.sqlstate == _NO_TABLE:
            raise MigrationError("this database was never migrated: run `hookline migrate`") from None
        if error.sqlstate == _NO_PRIVILEGE:
            raise MigrationError(
                "our role may not read hookline.migrations: run `hookline migrate`, which grants it to the roles of"
                " `hookline roles create`; `hookline doctor` prints what to grant to others"
            ) from None
        raise
    newest, needed = row["version"] or 0, known()[-1].version
    if newest < needed:
        raise MigrationError(
            f"the database's schema is older than this program (at {newest:04}, needed is {needed:04}): run"
            " `hookline migrate`; processes of the version before go on meanwhile and after"
        )
    if newest > needed:
        _log.info("the schema is newer than this program", schema=newest, known=needed)
