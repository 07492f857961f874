"""A sender that keeps to nothing: it writes bytes, and reads whatever comes back."""

import asyncio
from contextlib import suppress

from hostile.answer import Answer

PATIENCE = 10.0
"""Seconds after which a request counts as hanging. The edge's own shortest deadline is as long."""
_NO_BODY = (100, 204, 304)


class Ended(Exception):
    """The edge has closed the connection."""


class Client:
    """One connection."""

    def __init__(self, address: str) -> None:
        host, _, port = address.removeprefix("http://").rpartition(":")
        self._host, self._port = host, int(port)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def write(self, data: bytes, *, half_close: bool = False) -> None:
        """Send; an edge that has had enough may close while we do."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port)
        writer = self._streams[1]
        with suppress(ConnectionError):
            writer.write(data)
            await writer.drain()
            if half_close:
                writer.write_eof()

    async def read(self, *, is_head: bool = False) -> Answer:
        """The next answer.

        Raises:
            Ended: There is none.
        """
        assert self._streams is not None
        reader = self._streams[0]
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").rstrip().split("\r\n")
            headers = {
                name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
            }
            status = int(first.split()[1])
            without = is_head or status in _NO_BODY
            body = b"" if without else await reader.readexactly(int(headers["content-length"]))
        except (ConnectionError, asyncio.IncompleteReadError):
            raise Ended from None
        return Answer(status, headers, body)

    async def rest(self) -> bytes:
        """All that comes until the edge closes the connection."""
        assert self._streams is not None
        try:
            return await self._streams[0].read()
        except ConnectionError:
            return b""

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None
