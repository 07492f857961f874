"""Read a request within its bounds."""

import msgspec
from starlette.types import Receive

from hookline.edge.schemes.incoming import Headers

_NOT_KEPT = frozenset(
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


async def read_body(receive: Receive, limit: int) -> bytes:
    """Read the whole body, at most `limit` bytes.

    Raises:
        BodyTooLarge: There is more.
        Disconnected: There is no one to answer.
    """
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body", False):
        whole: bytes = message.get("body", b"")
        if len(whole) > limit:
            raise BodyTooLarge(len(whole))
        return whole
    parts = bytearray()
    while True:
        if message["type"] == "http.disconnect":
            raise Disconnected
        parts += message.get("body", b"")
        if len(parts) > limit:
            raise BodyTooLarge(len(parts))
        if not message.get("more_body", False):
            return bytes(parts)
        message = await receive()


def keep(headers: Headers) -> str:
    """The headers that are stored with the event, as JSON. Latin-1 maps every byte to the character of its number."""
    return msgspec.json.encode(
        [
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in headers
            if name not in _NOT_KEPT
        ]
    ).decode()
