"""Roles of the duties in a test's database, and connections as each of them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import pytest

from hookline.store import roles
from hookline.store.migrate import known
from hookline.store.rights import DUTIES, Duty
from hookline.store.roles import Role

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

NEWEST = known()[-1].version


def as_role(url: str, role: str) -> str:
    """The same database, as somebody else: the tests' servers trust everybody."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{role}@{parts.netloc.rpartition('@')[2]}"))


class DutyRoles:
    """Login roles with names of their own: roles belong to a whole server, which other tests use too."""

    def __init__(self, database: str) -> None:
        self.database = database
        self.prefix = f"test_{uuid4().hex[:8]}"

    async def create(self, database: str | None = None) -> dict[Duty | None, Role]:
        found = await roles.create(
            database or self.database, prefix=self.prefix, logins=dict.fromkeys(DUTIES), newest=NEWEST
        )
        return {role.duty: role for role in found}

    async def show(self) -> dict[Duty | None, Role]:
        return {role.duty: role for role in await roles.show(self.database, newest=NEWEST)}

    def name(self, duty: str) -> str:
        return f"{self.prefix}_{duty}"

    def url(self, duty: str) -> str:
        return as_role(self.database, self.name(duty))

    @asynccontextmanager
    async def connected(self, duty: str) -> "AsyncIterator[Connection]":
        connection = await asyncpg.connect(self.url(duty))
        try:
            yield connection
        finally:
            await connection.close()


async def refused(connection: "Connection", statement: str) -> None:
    """Run it, and see it refused for want of a right and nothing else."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute(statement)
    except asyncpg.InsufficientPrivilegeError:
        return
    finally:
        await transaction.rollback()
    pytest.fail(f"was allowed: {statement}")
