"""The looks that share one connection to the database."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import TYPE_CHECKING, Any

import asyncpg

from hookline.config import Settings
from hookline.doctor import clock, connections, rights, schema, server, stored_secrets
from hookline.doctor.connections import Connections
from hookline.doctor.finding import Finding, ok, problem, warning
from hookline.doctor.server import Server
from hookline.errors import HooklineError
from hookline.model import SourceName
from hookline.store import secrets
from hookline.store.migrate import known
from hookline.store.rights import Duty, Right, asked
from hookline.store.session import Session
from hookline.store.statements import load

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

_SQL = load("diagnosis.sql")
_CONNECT = timedelta(seconds=4)
_STATEMENT = timedelta(seconds=2)
_CLOCK_TRIES = 5
_FORBIDDEN = asyncpg.InsufficientPrivilegeError


async def look(settings: Settings, duties: Sequence[Duty], found: list[Finding]) -> None:
    """Look at everything in the database.

    Args:
        settings: The configuration, with the database's URL.
        duties: What our role is meant to do.
        found: Takes what is found, as it is found: a database may fall silent in between.
    """
    dsn = settings.dsn()
    assert dsn is not None, "there is a database to look at"
    started = perf_counter()
    try:
        connection = await asyncpg.connect(
            dsn,
            timeout=_CONNECT.total_seconds(),
            command_timeout=_STATEMENT.total_seconds(),
            # For a pooler, which need not let us set more than our name either.
            statement_cache_size=0,
            server_settings={"application_name": "hookline doctor"},
        )
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        found.append(_unreachable(error))
        return
    took = perf_counter() - started
    try:
        await _Look(settings, connection, found).everything(duties, took)
    except asyncpg.PostgresError as error:
        found.append(
            problem(
                "database.answers",
                f"a question was refused: {type(error).__name__} (SQLSTATE {error.sqlstate})",
                "see the server's log",
            )
        )
    except (OSError, asyncpg.InterfaceError) as error:
        found.append(
            problem(
                "database.answers", f"no answer: {type(error).__name__}", "see the server's log, and its load"
            )
        )
    finally:
        connection.terminate()


def _unreachable(error: Exception) -> Finding:
    """Why there is no connection. What asyncpg says by itself may quote the URL; what the server says doesn't."""
    check = "database"
    if isinstance(error, asyncpg.PostgresError):
        return problem(
            check,
            f"the server refuses the connection: {error}",
            "check the role, its password and the database in HOOKLINE_DATABASE_URL, and the server's pg_hba.conf",
        )
    if isinstance(error, OSError):
        reason = (
            "no answer in time" if isinstance(error, TimeoutError) else error.strerror or type(error).__name__
        )
        return problem(
            check,
            f"can't be reached: {reason}",
            "check host and port in HOOKLINE_DATABASE_URL, that the server runs, and that a firewall lets us through",
        )
    return problem(
        check,
        f"the URL can't be used ({type(error).__name__})",
        "write it as postgresql://ROLE:PASSWORD@HOST:PORT/DATABASE; what isn't a letter or digit is %-encoded",
    )


class _Look:
    """One connection, and what is found through it."""

    def __init__(self, settings: Settings, connection: "Connection", found: list[Finding]) -> None:
        self._settings = settings
        self._connection = connection
        self._found = found

    async def everything(self, duties: Sequence[Duty], took: float) -> None:
        """Look at everything, the most important first."""
        facts = await self._row("server")
        announced = self._connection.get_server_pid()
        facts["is_behind_pooler"] = facts.pop("backend") != announced
        seen = Server(**facts)
        self._found.append(
            ok("database", f"{seen.database} reached as role {seen.role} in {took * 1000:.0f} ms")
        )
        self._found += server.judge(
            seen,
            commit_deadline=self._settings.edge.commit_deadline,
            hears=self._settings.database.direct_url is not None,
        )
        self._found.append(await self._clock())
        if not await self._connection.fetchval(_SQL["has_schema"]):
            self._found.append(schema.missing())
            await self._connections(len(self._settings.subscriptions))
            return
        await self._rights(duties, seen.role)
        await self._schema()
        await self._connections(await self._count_subscriptions())
        await self._stored_secrets()

    async def _row(self, statement: str) -> dict[str, Any]:
        row = await self._connection.fetchrow(_SQL[statement])
        assert row is not None, "an aggregate has a row"
        return dict(row)

    async def _clock(self) -> Finding:
        """The quickest of a few answers says the most."""
        answers = []
        for _ in range(_CLOCK_TRIES):
            before, started = datetime.now(UTC), perf_counter()
            there = await self._connection.fetchval(_SQL["clock"])
            half = timedelta(seconds=(perf_counter() - started) / 2)
            answers.append((half, there - (before + half)))
        half, skew = min(answers)
        return clock.judge(skew, half)

    async def _connections(self, subscriptions: int) -> None:
        counted = Connections(**await self._row("connections"))
        writers = self._settings.edge.writers
        self._found.append(connections.judge(counted, writers=writers, subscriptions=subscriptions))

    async def _count_subscriptions(self) -> int:
        """Those that are there, and those that the configuration is about to add."""
        try:
            names = {row["name"] for row in await self._connection.fetch(_SQL["subscriptions"])}
        except _FORBIDDEN:
            names = set()
        return len(names.union(self._settings.subscriptions))

    async def _rights(self, duties: Sequence[Duty], role: str) -> None:
        wanted = [(each.kind, each.name, each.privilege, each.column) for each in asked(duties)]
        rows = await self._connection.fetch(_SQL["rights"], *map(list, zip(*wanted, strict=True)))
        lacking = [Right(**row) for row in rows]
        self._found += [rights.judge(duty, role, lacking) for duty in duties]

    async def _schema(self) -> None:
        try:
            applied = {
                row["version"]: row["sha256"] for row in await self._connection.fetch(_SQL["migrations"])
            }
            self._found.append(schema.judge_migrations(applied, known()))
        except _FORBIDDEN:
            self._found.append(
                warning(
                    "schema.migrations",
                    "this role can't see what was applied",
                    "GRANT SELECT ON hookline.migrations",
                )
            )
        try:
            fixed = await self._row("installation")
            self._found.append(schema.judge_shards(fixed["shards"], self._settings.database.shards))
            segments = await self._row("segments")
            self._found.append(schema.judge_segments(segments["current"], segments["last"]))
        except (_FORBIDDEN, asyncpg.UndefinedTableError):
            pass  # said of the rights, or of the migrations

    async def _stored_secrets(self) -> None:
        session = Session(self._settings.dsn() or "", name="doctor")
        try:
            names = [SourceName(name) for name in self._settings.sources]
            listed = [
                one
                for one in await secrets.listed(session, None, within=_STATEMENT)
                if one.secret.source in names
            ]
        except HooklineError:
            return  # said of the rights, the migrations or the server
        finally:
            await session.close()
        self._found += stored_secrets.judge(self._settings, listed)
