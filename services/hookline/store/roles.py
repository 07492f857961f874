"""The roles of the duties: made, and given what `rights` declares and nothing more."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncpg

from hookline.errors import RolesError
from hookline.store.owner import LOCK, owner_connection
from hookline.store.rights import DUTIES, NEEDS, Duty, Kind
from hookline.store.statements import load

if TYPE_CHECKING:
    from hookline.store.owner import Connection

_SQL = load("roles.sql")
EVERYBODY = "PUBLIC"


@dataclass(frozen=True, slots=True, order=True)
class Grant:
    """One privilege on one object, as GRANT names them."""

    kind: Kind
    target: str
    column: str
    privilege: str

    def __str__(self) -> str:
        columns = f" ({self.column})" if self.column else ""
        return f"{self.privilege}{columns} ON {self.kind.upper()} {self.target}"


@dataclass(frozen=True, slots=True)
class Role:
    """A role, and how what it has differs from what its duty needs."""

    name: str
    duty: Duty | None
    """None is everybody, who should have nothing."""
    can_login: bool
    members: tuple[str, ...]
    """Who has its rights by being in it."""
    granted: int
    """Privileges that it has and needs."""
    missing: tuple[str, ...]
    superfluous: tuple[str, ...]


async def create(dsn: str, *, prefix: str, logins: Mapping[Duty, str | None], newest: int) -> list[Role]:
    """Make a role for each duty where there is none, and give each what it needs and nothing more.

    Args:
        dsn: Who owns the schema, and may create roles.
        prefix: The roles' names are this, "_" and the duty.
        logins: Which of them may log in by themselves, with the verifier of a password or None for none.
        newest: The migration that the schema must be at.

    Raises:
        RolesError: We may not, or a role has more than can be taken from it here.
        DatabaseUnavailable: The server can't be reached.
    """
    names = {duty: f"{prefix}_{duty}" for duty in DUTIES}
    async with _as_owner(dsn, newest) as connection:
        await connection.execute(LOCK)
        there = {row["name"] for row in await connection.fetch(_SQL["roles"], list(names.values()))}
        for duty, name in names.items():
            if name not in there:
                await _order(connection, f'CREATE ROLE "{name}" NOLOGIN', _MAY_CREATE)
            if duty in logins:
                verifier = logins[duty]
                # A verifier has nothing to escape: base64, "$", ":" and digits.
                password = f" PASSWORD '{verifier}'" if verifier else ""
                await _order(connection, f'ALTER ROLE "{name}" LOGIN{password}', _MAY_CREATE)
            await connection.execute(_SQL["register"], name, duty)
        return await _renewed(connection)


async def show(dsn: str, *, newest: int) -> list[Role]:
    """The roles that were made, and everybody.

    Raises:
        RolesError: The schema is not up to date, or we may not look.
        DatabaseUnavailable: The server can't be reached.
    """
    async with _as_owner(dsn, newest) as connection:
        return [role for role, _ in await _look(connection)]


async def renew(connection: "Connection") -> None:
    """Give the roles that there are what this version needs.

    Raises:
        RolesError: A role has more than can be taken from it here.
    """
    if await connection.fetch(_SQL["registered"]):
        async with connection.transaction():
            await connection.execute(LOCK)
            await _renewed(connection)


@asynccontextmanager
async def _as_owner(dsn: str, newest: int) -> "AsyncIterator[Connection]":
    """A transaction on a schema that is at its newest migration."""
    async with owner_connection(dsn) as connection, connection.transaction():
        try:
            applied = await connection.fetchval(_SQL["newest"])
            if applied != newest:
                raise RolesError(_BEHIND)
            yield connection
        except asyncpg.UndefinedTableError:
            raise RolesError(_BEHIND) from None
        except asyncpg.InsufficientPrivilegeError as error:
            raise RolesError(f"refused: {error.args[0]}; {_MAY_GRANT}") from None


async def _renewed(connection: "Connection") -> list[Role]:
    # Twice: a privilege on a table that is revoked takes the same one on its columns along, which may be needed.
    for _ in range(2):
        for _, statements in await _look(connection):
            for statement in statements:
                await _order(connection, statement, _MAY_GRANT)
    roles = [role for role, _ in await _look(connection)]
    left = [f"{role.name}: {text}" for role in roles for text in role.superfluous]
    if left:
        raise RolesError(
            f"roles have more than they need, which can't be taken from them here: {'; '.join(left)};"
            " let who gave it take it back, then run this again"
        )
    return roles


_BEHIND = "this database isn't at the migrations of this version; run `hookline migrate` first"
_MAY_CREATE = "this takes CREATEROLE, or ask who has it to create the roles, and run this again"
_MAY_GRANT = "this takes the owner of schema hookline: who runs `hookline migrate`"


async def _order(connection: "Connection", statement: str, fix: str) -> None:
    try:
        await connection.execute(statement)
    except asyncpg.InsufficientPrivilegeError as error:
        # Up to where a verifier may stand.
        raise RolesError(f"refused: {statement.partition(' PASSWORD ')[0]}: {error.args[0]}; {fix}") from None


async def _look(connection: "Connection") -> list[tuple[Role, list[str]]]:
    """Each role, and the statements that would put it right; last everybody."""
    objects = await connection.fetch(_SQL["objects"])
    duties = {row["role"]: row["duty"] for row in await connection.fetch(_SQL["registered"])}
    found = []
    for row in await connection.fetch(_SQL["roles"], list(duties)):
        name, duty = row["name"], duties[row["name"]]
        wanted = _wanted(duty, objects)
        held = await _held(connection, name)
        also = [*row["attributes"], *(f"member of {group}" for group in row["member_of"])]
        role = Role(
            name=name,
            duty=duty,
            can_login=row["can_login"],
            members=tuple(row["members"]),
            granted=len(wanted & held),
            missing=tuple(map(str, sorted(wanted - held))),
            superfluous=(*also, *map(str, sorted(held - wanted))),
        )
        found.append((role, _changes(f'"{name}"', wanted, held)))
    given = await _held(connection, "")
    public = Role(EVERYBODY, None, False, (), 0, (), tuple(map(str, sorted(given))))
    return [*found, (public, _changes(EVERYBODY, set(), given))]


def _wanted(duty: Duty, objects: "Sequence[asyncpg.Record]") -> set[Grant]:
    targets: dict[tuple[str, str], list[str]] = {}
    for row in objects:
        targets.setdefault((row["kind"], row["name"]), []).append(row["target"])
    return {
        Grant(right.kind, target, right.column, right.privilege)
        for right in NEEDS[duty].each()
        for target in targets.get((right.kind, right.name), ())
    }


async def _held(connection: "Connection", role: str) -> set[Grant]:
    rows = await connection.fetch(_SQL["held"], role)
    return {Grant(row["kind"], row["target"], row["column_name"], row["privilege"]) for row in rows}


def _changes(grantee: str, wanted: set[Grant], held: set[Grant]) -> list[str]:
    # Cascades to whom it was passed on.
    return [
        *(
            f"REVOKE {grant} FROM {grantee} CASCADE"
            for grant in sorted(held - wanted)
            if grant.privilege != "OWNER"
        ),
        *(f"GRANT {grant} TO {grantee}" for grant in sorted(wanted - held)),
    ]
