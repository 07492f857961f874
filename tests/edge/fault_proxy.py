"""A network between edge and Postgres that can be cut, frozen, or made to keep the server's answers back."""

import asyncio
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit, urlunsplit

SOCKET = ".s.PGSQL.5432"


class FaultProxy:
    """Forwards connections to the server's socket.

    Args:
        dsn: The server's URL; `dsn` is the one to use instead.
        directory: Where the proxy's own socket goes.
    """

    def __init__(self, dsn: str, directory: Path) -> None:
        parts = urlsplit(dsn)
        self._target = Path(parse_qs(parts.query)["host"][0]) / SOCKET
        self._socket = directory / SOCKET
        self.dsn = urlunsplit(parts._replace(query=f"host={directory}"))
        self._forward = asyncio.Event()
        self._answer = asyncio.Event()
        self._refusing = False
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._forward.set()
        self._answer.set()
        self._server = await asyncio.start_unix_server(self._connected, self._socket)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.cut()
        self.thaw()
        self._server.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Break every connection, and take no new one."""
        self._refusing = True
        for writer in self._writers:
            writer.transport.abort()

    def mend(self) -> None:
        """Take connections again."""
        self._refusing = False

    def freeze(self) -> None:
        """Deliver nothing in either direction: what a dead route looks like."""
        self._forward.clear()
        self._answer.clear()

    def keep_answers_back(self) -> None:
        """Deliver what the client sends, and nothing of what the server says."""
        self._answer.clear()

    def thaw(self) -> None:
        """Deliver everything that was kept back."""
        self._forward.set()
        self._answer.set()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            writer.transport.abort()
            return
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            there_reader, there_writer = await asyncio.open_unix_connection(self._target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, there_writer}
        try:
            await asyncio.gather(
                self._pump(reader, there_writer, self._forward),
                self._pump(there_reader, writer, self._answer),
            )
        finally:
            self._writers -= {writer, there_writer}
            writer.transport.abort()
            there_writer.transport.abort()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, gate: asyncio.Event
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                await gate.wait()
                writer.write(data)
                await writer.drain()
        with suppress(OSError):
            writer.close()
