"""A URL that names several servers leads to the one that takes writes, before a failover and after it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import pytest

from hookline.config.database_url import checked
from hookline.errors import DatabaseUnavailable
from hookline.store.session import Session
from store.own_server import server_like

if TYPE_CHECKING:
    from hookline.embedded import EmbeddedPostgres

WITHIN = timedelta(seconds=10)


@asynccontextmanager
async def _at_port(server: "EmbeddedPostgres") -> AsyncIterator[int]:
    """A port for a server that has a socket only."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_unix_connection(server._sockets / ".s.PGSQL.5432")
        except OSError:
            writer.transport.abort()
            return
        async with asyncio.TaskGroup() as pumps:
            pumps.create_task(_pump(reader, far_writer))
            pumps.create_task(_pump(far_reader, writer))

    listener = await asyncio.start_server(accept, "127.0.0.1", 0)
    async with listener:
        yield listener.sockets[0].getsockname()[1]


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        while chunk := await source.read(65536):
            sink.write(chunk)
    except OSError:
        pass
    finally:
        sink.close()


async def _become_standby(server: "EmbeddedPostgres") -> None:
    await server.stop()
    (Path(server._data) / "standby.signal").touch()
    await server.start()


async def test_of_several_servers_the_one_is_found_that_takes_writes(postgres: "EmbeddedPostgres") -> None:
    async with server_like(postgres) as one, server_like(postgres) as other:
        await _become_standby(one)
        async with _at_port(one) as first, _at_port(other) as second:
            url = checked(
                f"postgresql://postgres@127.0.0.1:1,127.0.0.1:{first},127.0.0.1:{second}/postgres"
                "?target_session_attrs=read-write",
                where="database.url",
            )
            session = Session(url, name="test")
            write = "CREATE TABLE IF NOT EXISTS written AS SELECT inet_server_port()"
            where = "SELECT current_setting('data_directory') AS directory"
            # The first is nobody, the second a standby.
            await session.fetch(write, within=WITHIN)
            [row] = await session.fetch(where, within=WITHIN)
            assert row["directory"] == str(other._data)

            # The primary is gone, and its standby takes over.
            await _become_standby(other)
            with pytest.raises(DatabaseUnavailable):
                await session.fetch(write, within=WITHIN)
            with pytest.raises(DatabaseUnavailable):
                await session.fetch(write, within=WITHIN)
            promoter = await asyncpg.connect(one.url)
            assert await promoter.fetchval("SELECT pg_promote()")
            await promoter.close()
            await session.fetch(write, within=WITHIN)
            [row] = await session.fetch(where, within=WITHIN)
            assert row["directory"] == str(one._data)
            await session.close()
