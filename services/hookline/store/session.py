"""One connection to Postgres for one task, opened when it is needed and again when it broke."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

import asyncpg
import structlog

from hookline.errors import DatabaseUnavailable, StatementRefused
from hookline.store import pooler
from hookline.store.connections import OF_PROCESS

_log = structlog.get_logger(__name__)

CONNECT_TIMEOUT = timedelta(seconds=5)
"""Until an attempt to connect is given up."""

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

_BROKEN = (
    "08",  # connection exceptions
    "25006",  # read-only: this server was demoted to a standby
    "53",  # insufficient resources
    "57",  # operator intervention: shut down, crashed, starting up, cancelled
    "58",  # the server's own I/O errors
)
"""SQLSTATE prefixes after which a new connection is the cure."""

_CLIENT_ERRORS = (asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What asyncpg raises by itself when a connection breaks; the second when it breaks at a bad moment."""

_NOT_REPLICATED = "01000"
"""Warning that a cancelled COMMIT didn't wait for its synchronous standby, though it reports success."""


class Session:
    """Runs statements one at a time, each with a deadline, on a connection of its own. Callers wait for each other.

    After a deadline, a broken connection or a doubtful commit, the outcome of the statement is unknown: the
    connection is closed and `DatabaseUnavailable` raised. The next statement opens a new one.

    Nothing here depends on session state, except `listen`. Where a pooler stands between, nothing is heard.
    """

    def __init__(self, dsn: str, *, name: str) -> None:
        self._dsn = dsn
        self._name = name
        self._connection: Connection | None = None
        self._doubtful = False
        self._turn = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<Session {self._name} {'open' if self.is_open else 'closed'}>"

    @property
    def is_open(self) -> bool:
        """Whether the next statement finds a connection."""
        return self._connection is not None and not self._connection.is_closed()

    async def fetch(self, statement: str, *args: object, within: timedelta) -> list[asyncpg.Record]:
        """Run one statement as one transaction; its rows are durable when this returns.

        Raises:
            DatabaseUnavailable: It can't be known whether the statement was committed.
            StatementRefused: Postgres refused it, and nothing was written.
        """
        begun = False
        try:
            async with asyncio.timeout(within.total_seconds()), self._turn:
                begun = True
                connection = await self._open()
                OF_PROCESS.used += 1
                try:
                    rows = await connection.fetch(statement, *args)
                finally:
                    OF_PROCESS.used -= 1
        except (OSError, TimeoutError, *_CLIENT_ERRORS) as error:
            if begun:
                self._lose()
            reason = (
                f"no answer within {within.total_seconds():g} s"
                if isinstance(error, TimeoutError)
                else "connection lost"
            )
            raise DatabaseUnavailable(f"Postgres: {reason} ({type(error).__name__})") from None
        except asyncpg.PostgresError as error:
            raise self._translate(error) from None
        except BaseException:
            # Cancelled in the middle of a statement: what comes back next would not be ours.
            if begun:
                self.discard()
            raise
        if self._doubtful:
            self._lose()
            raise DatabaseUnavailable(
                "Postgres committed without its synchronous standby; the commit may be lost"
            )
        return rows

    async def listen(self, channel: str, heard: Callable[[str], None]) -> None:
        """Call `heard` with the payload of every NOTIFY, until the connection closes; through a pooler, never."""
        try:
            connection = await self._open()
            if pooler.is_behind(self._dsn):
                _log.info("a pooler stands before Postgres: polling, without hints", session=self._name)
                return
            await connection.add_listener(channel, lambda *notified: heard(str(notified[-1])))
        except (OSError, TimeoutError, *_CLIENT_ERRORS, asyncpg.PostgresError) as error:
            self._lose()
            raise DatabaseUnavailable(f"Postgres: can't listen ({type(error).__name__})") from None

    def discard(self) -> None:
        """Close the connection at once, whatever it is doing."""
        connection, self._connection = self._connection, None
        if connection is not None and not connection.is_closed():
            connection.terminate()

    def _lose(self) -> None:
        """Close the connection: it broke, or nobody knows what became of its statement."""
        if self._connection is not None:
            OF_PROCESS.losses += 1
        self.discard()

    async def close(self) -> None:
        """Close the connection politely, or at once if that takes longer than a second."""
        connection, self._connection = self._connection, None
        if connection is None or connection.is_closed():
            return
        try:
            await connection.close(timeout=1)
        except (OSError, TimeoutError, *_CLIENT_ERRORS, asyncpg.PostgresError):
            connection.terminate()

    async def _open(self) -> "Connection":
        if self._connection is not None and not self._connection.is_closed():
            return self._connection
        if self._connection is not None:
            OF_PROCESS.losses += 1
        self._connection = None
        self._doubtful = False
        try:
            connection = await pooler.connect(
                self._dsn, name=f"hookline {self._name}", within=CONNECT_TIMEOUT
            )
        except asyncpg.PostgresError as error:
            # Whatever the reason, no statement was refused: there is no connection to run one on.
            raise DatabaseUnavailable(
                f"Postgres: no connection: {type(error).__name__} (SQLSTATE {error.sqlstate})"
            ) from None
        connection.add_log_listener(self._on_log)
        OF_PROCESS.add(connection)
        self._connection = connection
        return connection

    def _on_log(self, _: object, message: asyncpg.PostgresLogMessage) -> None:
        if message.sqlstate == _NOT_REPLICATED and message.severity == "WARNING":
            self._doubtful = True

    def _translate(self, error: asyncpg.PostgresError) -> Exception:
        """Make an error of ours without the server's DETAIL, which quotes the row."""
        sqlstate: str = error.sqlstate or "?????"
        if sqlstate.startswith(_BROKEN):
            self._lose()
            return DatabaseUnavailable(f"Postgres: {type(error).__name__} (SQLSTATE {sqlstate})")
        return StatementRefused(f"Postgres: {type(error).__name__} (SQLSTATE {sqlstate})", sqlstate=sqlstate)
