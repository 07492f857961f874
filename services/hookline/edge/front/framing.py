"""How an answer is put on the wire: its head, and where its body ends."""

from starlette.types import Message

from hookline.edge.front import refusals
from hookline.edge.front.head import Head

_WITHOUT_BODY = frozenset({204, 304})


class Framing:
    """The form of one answer."""

    __slots__ = ("_chunked", "_missing", "_silent", "head", "keep_alive")

    def __init__(
        self, start: Message, request: Head, *, length: int | None, keep_alive: bool, date: bytes
    ) -> None:
        """Choose the form.

        Args:
            start: ASGI's `http.response.start`.
            request: What is answered.
            length: Bytes of the body; None when only its first piece is known.
            keep_alive: Whether another request may follow.
            date: The line with the date.

        Raises:
            RuntimeError: A header would end its line, and the next line would be anybody's.
        """
        status: int = start["status"]
        self._silent = request.method == "HEAD" or status in _WITHOUT_BODY
        self._missing: int | None = None
        self._chunked = False
        lines = [refusals.status_line(status), date]
        says_close = False
        for name, value in start.get("headers", ()):
            if b"\n" in value or b"\r" in value or b"\0" in value:
                raise RuntimeError("a header of the answer has a line end in it")
            if name == b"content-length":
                self._missing = int(value)
            elif name == b"connection" and b"close" in value.lower():
                says_close = True
            lines += (name, b": ", value, b"\r\n")
        if self._missing is None and not self._silent:
            if length is not None:
                self._missing = length
                lines.append(b"content-length: %d\r\n" % length)
            elif request.is_http_1_0:
                keep_alive = False  # the connection's end is the body's
            else:
                self._chunked = True
                lines.append(b"transfer-encoding: chunked\r\n")
        self.keep_alive = keep_alive and not says_close
        """Whether another request may follow this answer."""
        if not keep_alive and not says_close:
            lines.append(b"connection: close\r\n")
        lines.append(b"\r\n")
        self.head = b"".join(lines)
        """The answer's head."""

    def frame(self, body: bytes, *, more: bool) -> bytes:
        """A piece of the body as it goes over the wire.

        Raises:
            RuntimeError: It does not add up to the content-length.
        """
        if self._silent:
            return b""
        if self._chunked:
            chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            return chunk if more else chunk + b"0\r\n\r\n"
        if self._missing is not None:
            self._missing -= len(body)
            if self._missing < 0 or (self._missing and not more):
                raise RuntimeError("the answer is not as long as its content-length")
        return body
