"""Read a request within its bounds."""

from collections.abc import Collection

import msgspec
from starlette.types import Receive

from hookline.edge.schemes.incoming import Headers

NOT_KEPT = frozenset(
    {
        # Hop-by-hop (RFC 9110, section 7.6.1) and framing: they describe the connection, not the webhook.
        b"connection", b"content-length", b"host", b"keep-alive", b"proxy-connection", b"te", b"trailer",
        b"transfer-encoding", b"upgrade",
        # Credentials.
        b"authorization", b"cookie", b"proxy-authorization",
        # Untrusted context; what is trusted travels beside the headers.
        b"baggage", b"traceparent", b"tracestate",
    }
)  # fmt: skip


class BodyTooLarge(Exception):
    """The body is over the limit; the rest of it was not read."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        """Bytes that were read."""


class Disconnected(Exception):
    """The client went away before the body was complete."""


class NoRoom(Exception):
    """Too much of other large bodies is here already."""


class LargeBodies:
    """The room that large bodies share while they are read.

    Small ones need none of it: as many as there can be connections are bounded by that.

    Args:
        limit: Bytes of all of them together.
    """

    SMALL = 64 * 1024
    """Bytes of a body up to which it isn't a large one."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0

    def __repr__(self) -> str:
        return f"<LargeBodies {self._held} of {self._limit} bytes>"

    def grow(self, before: int, now: int) -> int:
        """Take room for a body that has grown; answers what it holds now.

        Raises:
            NoRoom: There is not enough.
        """
        if now <= self.SMALL:
            return before
        if self._held + now - before > self._limit:
            raise NoRoom
        self._held += now - before
        return now

    def release(self, held: int) -> None:
        """Give back what a body held."""
        self._held -= held


async def read_body(receive: Receive, limit: int, room: LargeBodies) -> bytes:
    """Read the whole body, at most `limit` bytes.

    Raises:
        BodyTooLarge: There is more.
        NoRoom: Other large bodies are being read.
        Disconnected: There is no one to answer.
    """
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body", False):
        whole: bytes = message.get("body", b"")
        if len(whole) > limit:
            raise BodyTooLarge(len(whole))
        return whole
    parts = bytearray()
    held = 0
    try:
        while True:
            if message["type"] == "http.disconnect":
                raise Disconnected
            parts += message.get("body", b"")
            if len(parts) > limit:
                raise BodyTooLarge(len(parts))
            if not message.get("more_body", False):
                return bytes(parts)
            held = room.grow(held, len(parts))
            message = await receive()
    finally:
        room.release(held)


def keep(headers: Headers, not_kept: Collection[bytes]) -> str:
    """The headers that are stored with the event, as JSON. Latin-1 maps every byte to the character of its number."""
    return msgspec.json.encode(
        [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers if name not in not_kept]
    ).decode()
