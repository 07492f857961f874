"""One request and its answer, as an ASGI application sees them (ASGI 3.0, HTTP spec 2.3)."""

import asyncio
from typing import TYPE_CHECKING

import structlog
from starlette.types import ASGIApp, Message, Scope

from hookline.edge.front import refusals
from hookline.edge.front.framing import Framing
from hookline.edge.front.head import Head

if TYPE_CHECKING:
    from hookline.edge.front.connection import Connection
from hookline.telemetry.failure import report

_log = structlog.get_logger(__name__)

_MOST_UNREAD = 64 * 1024
"""Bytes of a body that are taken from the socket before the application asks for them."""
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Exchange:
    """Carries a body in and an answer out; the answer's head leaves together with its first piece of body."""

    __slots__ = (
        "_answered", "_body", "_connection", "_continue", "_delivered", "_framing", "_gone", "_request", "_start",
        "_waiter", "complete", "keep_alive",
    )  # fmt: skip

    def __init__(self, connection: "Connection", request: Head) -> None:
        self._connection = connection
        self._request = request
        self._body: bytes | bytearray = b""
        self._delivered = False
        """Whether the application has the whole body."""
        self._waiter: asyncio.Future[None] | None = None
        self._continue = request.expects_continue
        self._gone = False
        self._start: Message | None = None
        self._framing: Framing | None = None
        self._answered = False
        self.complete = False
        """Whether the request's body is here as a whole."""
        self.keep_alive = request.keep_alive
        """Whether another request may follow on the connection."""

    async def run(self, app: ASGIApp, scope: Scope) -> None:
        """Let the application answer."""
        try:
            await app(scope, self.receive, self.send)
            if not self._answered and not self._gone:
                _log.error("the application returned without an answer")
                self._fail()
        except Exception as error:  # noqa: BLE001  (whatever it is, the client is told and the connection goes)
            report(_log, "a request failed unexpectedly", error)
            self._fail()
        except asyncio.CancelledError:
            self._connection.abort()
            raise

    def begin_whole(self, body: bytes) -> None:
        """The body was there with the head."""
        self._body = body
        self.complete = True

    def feed(self, piece: bytes) -> None:
        """More of the body has come."""
        self._continue = False
        if self._gone or self._answered:
            return
        if not isinstance(self._body, bytearray):
            self._body = bytearray(self._body)
        self._body += piece
        if len(self._body) > _MOST_UNREAD:
            self._connection.pause_reading()
        self._wake()

    def end(self) -> None:
        """The body is complete."""
        self.complete = True
        self._wake()

    def disconnect(self) -> None:
        """There is nobody to answer any more."""
        self._gone = True
        self._body = b""
        self._wake()

    @property
    def has_begun(self) -> bool:
        """Whether some of the answer was sent."""
        return self._framing is not None

    async def receive(self) -> Message:
        """The next piece of the body; ASGI's `receive`."""
        while not (self._gone or self._answered):
            if self._body or (self.complete and not self._delivered):
                body, self._body = bytes(self._body), b""
                self._delivered = self.complete
                return {"type": "http.request", "body": body, "more_body": not self.complete}
            if self._continue and not self.complete:
                self._continue = False
                self._connection.write(_CONTINUE)
            if not self.complete:
                self._connection.resume_reading()
            self._waiter = self._connection.loop.create_future()
            await self._waiter
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Send the answer's head, or a piece of its body; ASGI's `send`.

        Raises:
            RuntimeError: The application does not keep to ASGI's order.
        """
        if self._connection.writable is not None and not self._gone:
            await self._connection.writable
        if self._gone:
            return
        kind = message["type"]
        if self._start is None and kind == "http.response.start":
            self._start = message
            return
        if self._start is None or kind != "http.response.body" or self._answered:
            raise RuntimeError(f"{kind} can't be sent now")
        body, more = message.get("body", b""), message.get("more_body", False)
        framing = self._framing
        if framing is None:
            framing = self._frame(self._start, None if more else len(body))
            data = framing.head + framing.frame(body, more=more)
            self._framing = framing
        else:
            data = framing.frame(body, more=more)
        self._connection.write(data)
        if not more:
            self._answered = True
            self._body = b""
            self._wake()
            self._connection.answered(self)

    def _frame(self, start: Message, length: int | None) -> Framing:
        framing = Framing(
            start,
            self._request,
            length=length,
            # The rest of a body won't be waited for, so the next request could not be found.
            keep_alive=self.keep_alive and self.complete,
            date=self._connection.date(),
        )
        self.keep_alive = framing.keep_alive
        return framing

    def _fail(self) -> None:
        if self._gone or self._answered:
            return
        if self.has_begun:
            self._connection.abort()
        else:
            self._connection.refuse(refusals.FAILED)

    def _wake(self) -> None:
        if self._waiter is not None:
            if not self._waiter.done():
                self._waiter.set_result(None)
            self._waiter = None
