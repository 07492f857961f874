"""One socket: where its bytes go, in which order its requests are answered, and how it ends."""

import asyncio
import urllib.parse
from typing import Any, cast

from starlette.types import Scope
from uvicorn import Config
from uvicorn.server import ServerState

from hookline.edge.answers import Answer
from hookline.edge.front import head, refusals
from hookline.edge.front.body import Body, ChunkedBody, SizedBody
from hookline.edge.front.connections import Connections, Waiting
from hookline.edge.front.exchange import Exchange
from hookline.edge.front.head import Head
from hookline.edge.front.refusals import Refused

_MOST_UNSENT = 16 * 1024
"""Bytes of answers that wait for a client to read; beyond them its next request waits too."""
_MOST_DISCARDED = 4 * 1024 * 1024
"""Bytes that are read and dropped after a last answer, so that the client gets to read it."""
_LINE_END = b"\r\n"
_CR = _LINE_END[0]
_ASGI = {"version": "3.0", "spec_version": "2.3"}


class Connection(asyncio.Protocol):
    """A client's connection, for uvicorn.

    Bytes go one way: head, body, and what came ahead of its turn. A request is read when the one before it was
    answered, so at most one is in memory, with the beginning of the next.
    """

    def __init__(
        self,
        connections: Connections,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.loop = _loop or asyncio.get_running_loop()
        self.queue: Waiting | None = None
        """What its client is waited for; `Connections` changes it."""
        self.writable: asyncio.Future[None] | None = None
        """Set while the client is too slow to read its answers; done when it may be written to."""
        self._connections = connections
        self._limits = connections.limits
        self._app = config.loaded_app
        self._app_state = app_state
        self._server_state = server_state
        self._transport: asyncio.Transport = None  # type: ignore[assignment] # until connection_made
        self._server: tuple[str, int] | None = None
        self._client: tuple[str, int] | None = None
        self._scheme = "http"
        self._held: bytearray | None = None
        """The beginning of a head."""
        self._skipped = False
        """Whether an empty line before the next head was forgiven."""
        self._exchange: Exchange | None = None
        self._body: Body | None = None
        """The rest of the body of the present request, while it isn't complete."""
        self._ahead = b""
        """What came before its turn."""
        self._pieces: list[bytes] = []
        """What is written at the end of this turn."""
        self._reading = True
        self._discarded = 0

    # What the event loop tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to serve a connection."""
        transport = self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass of it
        self._server = _address(transport.get_extra_info("sockname"))
        self._client = _address(transport.get_extra_info("peername"))
        if transport.get_extra_info("ssl_object") is not None:
            self._scheme = "https"
        transport.set_write_buffer_limits(high=_MOST_UNSENT)
        self._server_state.connections.add(self)  # type: ignore[arg-type] # uvicorn names its own protocols
        if self._connections.admit(self, self._client[0] if self._client else ""):
            self._connections.place(self, self._connections.heads)
        else:
            self.refuse(refusals.TOO_MANY_CONNECTIONS)

    def data_received(self, data: bytes) -> None:
        """Take what was read from the socket."""
        if self.queue is self._connections.leaving:
            self._discard(len(data))
            return
        try:
            if self._body is not None:
                self._take_body(data)
            elif self._exchange is None and self.writable is None:
                self._take_head(data)
            else:
                self._keep_ahead(data)
        except Refused as refused:
            self.refuse(refused.answer)

    def eof_received(self) -> bool:
        """The client sends no more; it may still wait for its answer."""
        if self._exchange is None or self._body is not None or self.queue is self._connections.leaving:
            self._flush()  # the transport closes when this returns
            return False
        self._exchange.keep_alive = False
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """End; whoever waits for this connection is woken."""
        del exc
        self._server_state.connections.discard(self)
        self._connections.forget(self, self._client[0] if self._client else "")
        if self._exchange is not None:
            self._exchange.disconnect()
            self._exchange = None
        self._held = None
        self._ahead = b""
        self._release_writer()

    def pause_writing(self) -> None:
        """The client is too slow to read."""
        self.writable = self.loop.create_future()
        if self.queue is None or self.queue is self._connections.idle:
            self._connections.place(self, self._connections.unread)

    def resume_writing(self) -> None:
        """The client has read."""
        self._release_writer()
        if self.queue is self._connections.unread:
            self._connections.place(self, None)
            if self._exchange is None:
                self._go_on()

    # What the exchange asks for.

    def write(self, data: bytes) -> None:
        """Write to the client, at the end of this turn of the event loop.

        A commit answers many requests in one turn. Written one by one, each wakes a client that takes the processor
        from those whose answers aren't made yet.
        """
        if not self._pieces:
            self.loop.call_soon(self._flush)
        self._pieces.append(data)

    def _flush(self) -> None:
        pieces, self._pieces = self._pieces, []
        if pieces and not self._transport.is_closing():
            self._transport.write(b"".join(pieces))

    def pause_reading(self) -> None:
        """Take nothing more from the socket."""
        if self._reading and not self._transport.is_closing():
            self._reading = False
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Take from the socket again."""
        if not self._reading and not self._transport.is_closing():
            self._reading = True
            self._transport.resume_reading()

    def date(self) -> bytes:
        """The line with the date, which uvicorn keeps up to date."""
        return b"".join([b"%b: %b\r\n" % header for header in self._server_state.default_headers])

    def answered(self, exchange: Exchange) -> None:
        """An answer was written as a whole."""
        self._server_state.total_requests += 1
        self._exchange = None
        if self._body is not None:
            self._leave()
        elif not exchange.keep_alive:
            if self._reading:
                self._close()
            else:
                self._leave()  # there is more that nobody has read
        elif self.writable is None:
            self._go_on()
        # Otherwise the client has to read first.

    # What the connections and the server ask for.

    def refuse(self, answer: Answer) -> None:
        """Answer instead of the application, and end."""
        self._connections.count(answer.outcome)
        if self._exchange is not None:
            begun = self._exchange.has_begun
            self._exchange.disconnect()
            self._exchange = None
            if begun:
                self.abort()
                return
        self.write(refusals.wire(answer))
        self._leave()

    def expire(self) -> None:
        """The wait for the client was too long."""
        connections = self._connections
        if self.queue is connections.heads and self._held:
            self.refuse(refusals.HEAD_TOO_SLOW)
        elif self.queue is connections.heads or self.queue is connections.idle:
            connections.count("idle" if self.queue is connections.idle else "silent")
            self._close()
        else:
            self.abort()

    def evict(self) -> None:
        """Make room for another connection; only while we wait for this one's client."""
        if self._held or self._body is not None:
            self.refuse(refusals.TOO_MANY_CONNECTIONS)
        else:
            self._close()

    def shutdown(self) -> None:
        """The server ends: nothing new is begun; called by uvicorn."""
        if self._exchange is not None:
            self._exchange.keep_alive = False
        elif self.queue is not self._connections.leaving:
            self._close()

    def abort(self) -> None:
        """End at once."""
        self._transport.abort()

    def count(self, cause: str) -> None:
        """Count that its client sent what isn't even the beginning of a request."""
        self._connections.count(cause)

    # From bytes to requests.

    def _take_head(self, data: bytes | bytearray) -> None:
        held = self._held
        searched = 0
        if held is not None:
            searched = max(len(held) - len(head.END) + 1, 0)
            held += data
            data = held
        if data[0] == _CR:
            data = self._skip_line_end(data)
        whole = data.find(head.END, searched) + len(head.END)
        if not len(head.END) <= whole <= self._limits.max_header_bytes:
            self._hold(data, searched)
            return
        self._held = None
        data = bytes(data)  # not copied if it is bytes
        self._begin(head.read(data[:whole], self._limits), data[whole:])

    def _skip_line_end(self, data: bytes | bytearray) -> bytes | bytearray:
        """One empty line before a request is forgiven: RFC 9112, section 2.2."""
        if self._skipped or not data.startswith(_LINE_END):
            return data
        self._skipped = True
        return data[len(_LINE_END) :]

    def _hold(self, data: bytes | bytearray, searched: int) -> None:
        """Keep the beginning of a head until there is more of it."""
        head.refuse_beginning(data, searched, self._limits)
        self._held = bytearray(data) if data and not isinstance(data, bytearray) else data or None
        if self._held and self.queue is not self._connections.heads:
            self._connections.place(self, self._connections.heads)
        elif self.queue is None:
            self._connections.place(self, self._connections.idle)
        self.resume_reading()

    def _begin(self, request: Head, rest: bytes) -> None:
        """Let the application answer a request."""
        self._skipped = False
        exchange = self._exchange = Exchange(self, request)
        if len(rest) == request.length:
            exchange.begin_whole(rest)
            self._connections.place(self, None)
        else:
            self._body = ChunkedBody() if request.is_chunked else SizedBody(request.length)
            self._connections.place(self, self._connections.bodies)
            self._take_body(rest)
        task = self.loop.create_task(exchange.run(self._app, self._scope(request)))
        tasks = self._server_state.tasks
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    def _take_body(self, data: bytes) -> None:
        assert self._body is not None
        assert self._exchange is not None
        piece, rest = self._body.take(data)
        if piece:
            self._exchange.feed(piece)
        if rest is not None:
            self._body = None
            self._exchange.end()
            self._connections.place(self, None if self.writable is None else self._connections.unread)
            if rest:
                self._keep_ahead(rest)

    def _keep_ahead(self, data: bytes) -> None:
        """Keep what came before its turn, but not much of it: nobody has to send ahead."""
        self._ahead += data
        if self._exchange is not None and len(self._ahead) > self._limits.max_header_bytes:
            self._ahead = b""
            self._exchange.keep_alive = False
        self.pause_reading()

    def _go_on(self) -> None:
        """Turn to the next request."""
        if not self._ahead:
            self._connections.place(self, self._connections.idle)
            self.resume_reading()
            return
        data, self._ahead = self._ahead, b""
        try:
            self._take_head(data)
        except Refused as refused:
            self.refuse(refused.answer)

    def _scope(self, request: Head) -> Scope:
        raw_path, _, query = request.target.partition(b"?")
        path = raw_path.decode("ascii")
        if "%" in path:
            path = urllib.parse.unquote(path)
        return {
            "type": "http",
            "asgi": _ASGI,
            "http_version": "1.0" if request.is_http_1_0 else "1.1",
            "server": self._server,
            "client": self._client,
            "scheme": self._scheme,
            "method": request.method,
            "root_path": "",
            "path": path,
            "raw_path": raw_path,
            "query_string": query,
            "headers": request.headers,
            "state": self._app_state.copy(),
        }

    # The end.

    def _close(self) -> None:
        """End when everything was sent; what the client does not read in time is dropped."""
        self._connections.place(self, self._connections.leaving)
        self._flush()
        self._transport.close()

    def _leave(self) -> None:
        """End, but let the client read its last answer: to close on unread bytes would take that from it.

        RFC 9112, section 9.6.
        """
        if self._transport.is_closing():
            return
        self._held = None
        self._ahead = b""
        self._body = None
        self._connections.place(self, self._connections.leaving)
        self.resume_reading()
        self._flush()
        self._transport.write_eof()

    def _discard(self, size: int) -> None:
        self._discarded += size
        if self._discarded > _MOST_DISCARDED:
            self.abort()

    def _release_writer(self) -> None:
        writable, self.writable = self.writable, None
        if writable is not None and not writable.done():
            writable.set_result(None)


def _address(name: Any) -> tuple[str, int] | None:
    """Host and port of a TCP socket's name; an IPv6 socket's has more to it."""
    return (str(name[0]), int(name[1])) if isinstance(name, tuple) else None
