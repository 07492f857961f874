"""Requests written by hand, and what the front owes their senders."""

from collections.abc import Iterable
from contextlib import suppress
from time import monotonic

from edge.provider import PATH, Wire, body, sign
from edge.running import EdgeProcess

PROBLEM = "application/problem+json"
TYPE = b"Content-Type: application/json\r\n"


def genuine(uid: str) -> bytes:
    """A webhook that is stored wherever its bytes are taken for a request."""
    content = body(uid)
    return b"POST %b HTTP/1.1\r\nHost: edge\r\n%bX-Signature: %b\r\nContent-Length: %d\r\n\r\n%b" % (
        PATH.encode(),
        TYPE,
        sign(content).encode(),
        len(content),
        content,
    )


async def refused(edge: EdgeProcess, request: bytes, status: int, code: str) -> None:
    """Send what must be refused; what follows it on its connection must not be read."""
    async with Wire(edge.address) as wire:
        with suppress(ConnectionError):
            await wire.write(request)
        answer = await wire.read()
        assert (answer.status, answer.headers["content-type"]) == (status, PROBLEM), answer
        assert answer.json["code"] == code
        assert answer.json["status"] == status
        assert answer.headers["connection"] == "close"
        assert await wire.ended()


async def serves(edge: EdgeProcess, uid: str) -> None:
    """The same process answers a genuine webhook within a second."""
    began = monotonic()
    async with Wire(edge.address) as wire:
        answer = await wire.send(body(uid))
    assert (answer.status, answer.json["status"]) == (200, "accepted")
    assert monotonic() - began < 1
    assert edge.is_running


async def pour(wire: Wire, pieces: Iterable[bytes]) -> int:
    """Send until all is sent or the other side has had enough; answers how many bytes went."""
    sent = 0
    with suppress(ConnectionError):
        for piece in pieces:
            await wire.write(piece)
            sent += len(piece)
    return sent
