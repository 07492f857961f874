"""A database that is as good as new: making one takes longer than most tests do.

A test that changed the schema or the database's settings leaves a database that is dropped; every other one leaves a
database that is emptied for the next test.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg

from hookline.embedded import EmbeddedPostgres

TEMPLATE = "hookline_template"
_SHAPE = """
SELECT (SELECT array_agg(c.oid::text || c.relchecks || c.relhastriggers ORDER BY c.oid)
          FROM pg_class AS c WHERE relnamespace NOT IN ('pg_catalog'::regnamespace, 'pg_toast'::regnamespace))::text
    || (SELECT array_agg(oid::text || xmin::text ORDER BY oid)
          FROM pg_proc WHERE pronamespace = 'hookline'::regnamespace)::text
    || (SELECT array_agg(m.*::text ORDER BY version) FROM hookline.migrations AS m)::text
    || (SELECT i.*::text FROM hookline.installation AS i)
    || (SELECT coalesce(array_agg(setconfig::text), '{}') FROM pg_db_role_setting
         WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database()))::text
"""
_EMPTY = """
DO $$
DECLARE
    full_one text;
    used     boolean;
BEGIN
    -- Only what was used: to truncate a table costs more than most tests do.
    FOR full_one IN
        SELECT oid::regclass::text FROM pg_class
         WHERE relnamespace = 'hookline'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
           AND relname NOT IN ('migrations', 'installation')
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %s)', full_one) INTO used;
        IF used THEN
            EXECUTE format('TRUNCATE %s', full_one);
        END IF;
    END LOOP;
END $$;
ALTER SEQUENCE hookline.outbox_seq RESTART
"""
_spare: dict[str, tuple[str, str]] = {}
"""By server: the name and shape of a database that waits for its next test."""


@asynccontextmanager
async def database_of(server: EmbeddedPostgres) -> AsyncIterator[str]:
    """The URL of an empty, migrated database."""
    operator = await asyncpg.connect(server.url)
    try:
        name, shape = _spare.pop(server.url, ("", ""))
        if not name:
            name = f"test_{uuid4().hex}"
            await operator.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
        url = urlunsplit(urlsplit(server.url)._replace(path=f"/{name}"))
        shape = shape or await _shape(url)
        yield url
        # What a test left running must not write into the next one's database.
        await operator.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = $1 AND backend_type = 'client backend'",
            name,
        )
        if await _shape(url) == shape and server.url not in _spare:
            await _empty(url)
            _spare[server.url] = (name, shape)
        else:
            await operator.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await operator.close()


async def _shape(url: str) -> str:
    connection = await asyncpg.connect(url)
    try:
        return str(await connection.fetchval(_SHAPE))
    finally:
        await connection.close()


async def _empty(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(_EMPTY)
    finally:
        await connection.close()
