"""TLS on one socket: what a connection sees as its transport, and the socket sees as its protocol.

The event loop's own TLS tells a protocol of a connection once the handshake is over. Who doesn't end his handshake
would be in no count and under no deadline of the front. So the bytes go through OpenSSL here: a connection is one from
its first byte on, and the handshake is part of the wait for its first request.
"""

import asyncio
import ssl
from contextlib import suppress
from typing import Any, cast

from hookline.edge.front.connection import Connection

_PIECE = 32 * 1024
"""Bytes that OpenSSL is given at a time: it keeps the room that it once needed."""
_MOST_UNSENT = 256 * 1024
"""Bytes that wait for a client to read, beyond any answer: it makes OpenSSL answer, and doesn't read that."""
BAD_TLS = "bad_tls"
"""How connections are counted that end because what came wasn't TLS as it should be."""


class Tls(asyncio.Transport, asyncio.Protocol):
    """One socket's TLS.

    Args:
        connection: Whose requests come through it.
        context: What is shown to the client; of this moment, so that a new certificate counts from the next one on.
    """

    def __init__(self, connection: Connection, context: ssl.SSLContext) -> None:
        super().__init__()
        self._connection = connection
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._socket: asyncio.Transport = None  # type: ignore[assignment] # until connection_made
        self._ahead = b""
        """What was read from the socket and OpenSSL hasn't got yet."""
        self._shaken = False
        """Whether the handshake is over."""
        self._paused = False
        self._ended = False
        """Whether the client has said that it sends no more."""
        self._closed = False
        """Whether we have."""

    def __repr__(self) -> str:
        return f"<Tls {self._tls.version() if self._shaken else 'handshake'}>"

    # What the event loop tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; the connection counts from now on."""
        self._socket = cast("asyncio.Transport", transport)  # uvloop's are no subclass of it
        self._connection.connection_made(self)

    def data_received(self, data: bytes) -> None:
        """Take what was read from the socket."""
        if self._closed:
            self._connection.data_received(data)  # which only counts it: nobody reads it any more
            return
        if self._socket.get_write_buffer_size() > _MOST_UNSENT:
            self.abort()
            return
        self._ahead = self._ahead + data if self._ahead else data
        if self._shaken or self._shake_hands():
            self._read()

    def eof_received(self) -> bool:
        """The client has half closed the socket."""
        if not self._ended:
            self._ended = True
            return self._connection.eof_received()
        return True  # it may still wait for its answer

    def pause_writing(self) -> None:
        """The client is too slow to read."""
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        """The client has read."""
        self._connection.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._connection.connection_lost(exc)

    # What the connection asks for.

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What is known of the socket, or of its TLS ("ssl_object")."""
        return self._tls if name == "ssl_object" else self._socket.get_extra_info(name, default)

    def is_closing(self) -> bool:
        """Whether it is about to end."""
        return self._socket.is_closing()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """How much may wait for a client that is slow to read."""
        self._socket.set_write_buffer_limits(high, low)

    def pause_reading(self) -> None:
        """Take nothing more from the client."""
        self._paused = True
        self._socket.pause_reading()

    def resume_reading(self) -> None:
        """Take from the client again."""
        self._paused = False
        self._socket.resume_reading()
        if not self._closed:
            # Later, because whoever asks is in the middle of something.
            self._connection.loop.call_soon(self._read)

    def write(self, data: Any) -> None:
        """Send; a client that we have no secret with yet gets nothing."""
        if not self._shaken or self._closed or self._socket.is_closing():
            return
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._tls.write(rest) :]
        except ssl.SSLError:
            self.abort()
            return
        self._flush()

    def can_write_eof(self) -> bool:
        """It can."""
        return True

    def write_eof(self) -> None:
        """Say that no more comes, and let the client go on."""
        if self._shaken:
            self._say_end()
            self._socket.write_eof()
        else:
            self._socket.abort()  # there is nothing that it would understand

    def close(self) -> None:
        """End when everything was sent."""
        if self._shaken:
            self._say_end()
        self._socket.close()

    def abort(self) -> None:
        """End at once."""
        self._socket.abort()

    # Between the two.

    def _shake_hands(self) -> bool:
        """Go on with the handshake; answers whether it is over."""
        try:
            while self._feed():
                try:
                    self._tls.do_handshake()
                except ssl.SSLWantReadError:
                    continue
                self._shaken = True
                break
        except ssl.SSLError:
            self._fail()
        self._flush()
        return self._shaken

    def _read(self) -> None:
        """Hand over what came, for as long as it is wanted."""
        try:
            while self._shaken and not (self._paused or self._closed or self._socket.is_closing()):
                try:
                    data = self._tls.read(_PIECE)
                except ssl.SSLWantReadError:
                    if self._feed():
                        continue
                    break
                if not data:
                    self._end()
                    break
                self._connection.data_received(data)
        except ssl.SSLError:
            self._fail()
        self._flush()

    def _feed(self) -> bool:
        """Give OpenSSL more, if there is more."""
        piece, self._ahead = self._ahead[:_PIECE], self._ahead[_PIECE:]
        self._incoming.write(piece)
        return bool(piece)

    def _end(self) -> None:
        """The client sends no more."""
        if not self._ended:
            self._ended = True
            if not self._connection.eof_received():
                self.close()

    def _fail(self) -> None:
        """What came can't be TLS. The client is told so by an alert, and no more is read."""
        if self._closed or self._socket.is_closing():
            return
        self._connection.count(BAD_TLS)
        self._flush()
        self._shaken = False
        self._socket.close()

    def _say_end(self) -> None:
        if self._closed:
            return
        self._closed = True
        with suppress(ssl.SSLError):  # it is said; the client's own end has not come yet, or never will
            self._tls.unwrap()
        self._flush()

    def _flush(self) -> None:
        if self._outgoing.pending and not self._socket.is_closing():
            self._socket.write(self._outgoing.read())
