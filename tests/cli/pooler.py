"""A connection pooler, as far as it can be told from PostgreSQL."""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Self
from urllib.parse import parse_qs, urlsplit, urlunsplit


class Pooler:
    """Announces another server process than the one that answers, as a pooler does."""

    def __init__(self, dsn: str, directory: Path) -> None:
        parts = urlsplit(dsn)
        self._target = Path(parse_qs(parts.query)["host"][0]) / ".s.PGSQL.5432"
        self._socket = directory / ".s.PGSQL.5432"
        self.dsn = urlunsplit(parts._replace(query=f"host={directory}"))

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_unix_server(self._connected, self._socket)
        return self

    async def __aexit__(self, *error: object) -> None:
        self._server.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, to_there = await asyncio.open_unix_connection(self._target)

        async def answers() -> None:
            while data := await there.read(65536):
                at = data.find(b"K\0\0\0\x0c")
                if at >= 0:
                    data = data[: at + 5] + b"\0\1\2\3" + data[at + 9 :]
                writer.write(data)
            writer.close()

        async def questions() -> None:
            while data := await reader.read(65536):
                to_there.write(data)
            to_there.close()

        with suppress(ConnectionError):
            await asyncio.gather(answers(), questions())
