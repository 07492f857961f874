"""The database that commands work on: the configured one, or that of `hookline run` in this directory."""
# ruff: noqa: PLC0415  (most commands reach a database that is configured)

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pydantic import SecretStr

from hookline.config import Settings
from hookline.errors import ConfigError, StatementRefused

if TYPE_CHECKING:
    from hookline.store.session import Session

_T = TypeVar("_T")
_NO_TABLE = "42P01"
"""SQLSTATE of a table that isn't there."""

DATA = Path(".hookline")
"""Where `hookline run` keeps its data unless it is told otherwise."""


@contextmanager
def with_database(settings: Settings) -> Iterator[Settings]:
    """The settings with a database that can be reached while the block lasts.

    Where none is configured it is the embedded one of this directory. If `hookline run` has it in use, so do we;
    otherwise it is started for as long as the block lasts.

    Raises:
        ConfigError: There is none.
        EmbeddedPostgresError: It did not start.
    """
    if settings.dsn() is not None:
        yield settings
        return
    if not (DATA / "postgres").is_dir():
        raise ConfigError(
            "no database: set HOOKLINE_DATABASE_URL, or go to where `hookline run` keeps its data in .hookline"
        )
    from hookline.embedded import EmbeddedPostgres

    server = EmbeddedPostgres(DATA / "postgres")
    reached = settings.model_copy(update={"database_url": SecretStr(server.url)})
    if server.is_in_use:
        yield reached
        return
    with asyncio.Runner() as runner:
        runner.run(server.start())
        try:
            yield reached
        finally:
            runner.run(server.stop())


def ask(settings: Settings, work: "Callable[[Session], Awaitable[_T]]") -> _T:
    """Do something with a connection to the database.

    Raises:
        ConfigError: There is no database, or its schema is behind.
    """
    from hookline.store.session import Session

    with with_database(settings) as reached:

        async def answer() -> _T:
            session = Session(reached.dsn() or "", name="operator")
            try:
                return await work(session)
            finally:
                await session.close()

        return asyncio.run(explained(answer()))


async def explained(work: Awaitable[_T]) -> _T:
    """Wait for `work`, and say how to mend a schema that is behind."""
    try:
        return await work
    except StatementRefused as error:
        if error.sqlstate == _NO_TABLE:
            raise ConfigError("this database isn't up to date; run `hookline migrate`") from None
        raise
