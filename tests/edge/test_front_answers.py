"""How the front puts an application's answers on the wire, and what it makes of an application that fails."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from edge.provider import Wire
from hookline.config import Edge
from hookline.edge.front.server import build
from hookline.edge.listener import listen

GET = b"GET /a%20b?c=%20 HTTP/1.1\r\nHost: edge\r\n\r\n"
OLD = GET.replace(b"1.1", b"1.0")


@asynccontextmanager
async def served(app: ASGIApp, **limits: Any) -> AsyncIterator[str]:
    listener = listen("127.0.0.1:0")
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    server = build(app, Edge(**limits), drain=timedelta(seconds=5))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    yield address
    server.should_exit = True
    await serving


async def exchange(app: ASGIApp, request: bytes) -> bytes:
    """All that comes back, without the date."""
    async with served(app) as address, Wire(address) as wire, asyncio.timeout(10):
        await wire.write(request)
        wire._writer.write_eof()
        answer = await wire._reader.read()
        lines = answer.split(b"\r\n")
        return b"\r\n".join(line for line in lines if not line.startswith(b"date: "))


def says(*pieces: bytes, status: int = 200, headers: tuple[tuple[bytes, bytes], ...] = ()) -> ASGIApp:
    """An application that always answers so."""

    async def app(_: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": headers})
        for piece in pieces[:-1]:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": pieces[-1]})

    return app


LENGTH = ((b"content-length", b"2"),)
CLOSE = (b"connection", b"close")
HEAD = GET.replace(b"GET", b"HEAD")
WHOLE = b"content-length: 2\r\nconnection: close\r\n\r\n"
CHUNKS = b"transfer-encoding: chunked\r\nconnection: close\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n"
CASES: dict[str, tuple[ASGIApp, bytes, bytes]] = {
    "a length is told": (says(b"ab", headers=LENGTH), GET, WHOLE + b"ab"),
    "a length is added": (says(b"ab"), GET, WHOLE + b"ab"),
    "chunks": (says(b"a", b"", b"b"), GET, CHUNKS),
    "pieces of a known length": (says(b"a", b"b", headers=LENGTH), GET, WHOLE + b"ab"),
    "no chunks for HTTP/1.0": (says(b"a", b"b"), OLD, b"connection: close\r\n\r\nab"),
    "no body for HEAD": (says(b"ab", headers=LENGTH), HEAD, WHOLE),
    "close is told once": (says(b"ab", headers=(*LENGTH, CLOSE)), GET, WHOLE + b"ab"),
}


@pytest.mark.parametrize(("app", "request_", "rest"), CASES.values(), ids=CASES)
async def test_an_answer_is_put_on_the_wire(app: ASGIApp, request_: bytes, rest: bytes) -> None:
    closing = request_.replace(b"Host: edge\r\n", b"Host: edge\r\nConnection: close\r\n")
    assert await exchange(app, closing) == b"HTTP/1.1 200 OK\r\n" + rest


async def test_an_answer_without_body_has_none() -> None:
    closing = GET.replace(b"Host: edge\r\n", b"Host: edge\r\nConnection: close\r\n")
    for status in (b"204 No Content", b"304 Not Modified"):
        app = says(b"", status=int(status[:3]))
        assert await exchange(app, closing) == b"HTTP/1.1 %b\r\nconnection: close\r\n\r\n" % status


async def test_the_application_sees_the_request_as_it_was_sent() -> None:
    seen: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)
        assert await receive() == {"type": "http.request", "body": b"", "more_body": False}
        await says(b"")(scope, receive, send)
        assert await receive() == {"type": "http.disconnect"}

    async with served(app) as address, Wire(address) as wire:
        await wire.write(GET.replace(b"Host", b"X-Twice: 1\r\nx-twice: 2\r\nHost"))
        assert (await wire.read()).status == 200
    (scope,) = seen
    assert scope["headers"] == [(b"x-twice", b"1"), (b"x-twice", b"2"), (b"host", b"edge")]
    assert (scope["method"], scope["path"], scope["raw_path"]) == ("GET", "/a b", b"/a%20b")
    assert (scope["query_string"], scope["http_version"]) == (b"c=%20", "1.1")
    assert scope["server"] == ("127.0.0.1", int(address.rpartition(":")[2]))
    assert scope["client"][0] == "127.0.0.1"


async def fails(_: Scope, _receive: Receive, _send: Send) -> None:
    raise RuntimeError("a mistake")


async def forgets(_: Scope, _receive: Receive, _send: Send) -> None:
    pass


@pytest.mark.parametrize(
    "app",
    [
        fails,
        forgets,
        says(b"", headers=((b"x", b"a\r\nSet-Cookie: b"),)),
        says(b"abc", headers=LENGTH),
        says(b"a", headers=LENGTH),
    ],
    ids=["raises", "returns without an answer", "a line end in a header", "too long", "too short"],
)
async def test_an_application_s_mistake_is_503_and_the_connection_ends(app: ASGIApp) -> None:
    async with served(app) as address, Wire(address) as wire:
        await wire.write(GET)
        answer = await wire.read()
        assert (answer.status, answer.json["code"]) == (503, "internal_error")
        assert (answer.headers["retry-after"], answer.headers["connection"]) == ("2", "close")
        assert await wire.ended()


async def test_a_mistake_in_the_middle_of_an_answer_cuts_it_off() -> None:
    async def app(_: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise RuntimeError("a mistake")

    async with served(app) as address, Wire(address) as wire:
        await wire.write(GET)
        with pytest.raises(ConnectionError):
            await wire.read()


async def test_a_body_comes_in_pieces_and_waits_for_the_application() -> None:
    sizes: list[int] = []
    go = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await go.wait()
        more = True
        while more:
            message = await receive()
            sizes.append(len(message["body"]))
            more = message["more_body"]
        await says(b"")(scope, receive, send)

    size = 20_000_000
    async with served(app) as address, Wire(address) as wire:
        head = b"POST / HTTP/1.1\r\nHost: edge\r\nContent-Length: %d\r\n\r\n" % size
        writing = asyncio.create_task(wire.write(head + b"x" * size))
        await asyncio.wait({writing}, timeout=0.5)
        assert not writing.done()
        go.set()
        assert (await wire.read()).status == 200
        await writing
    assert sum(sizes) == size
    assert max(sizes) < 1_000_000  # what nobody asked for stays in the kernel


async def test_a_client_that_goes_away_is_told_to_the_application() -> None:
    told = asyncio.Event()

    async def app(_: Scope, receive: Receive, _send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        told.set()

    async with served(app) as address:
        async with Wire(address) as wire:
            await wire.write(b"POST / HTTP/1.1\r\nHost: edge\r\nContent-Length: 9\r\n\r\nx")
        async with asyncio.timeout(5):
            await told.wait()


async def test_who_asks_again_and_again_and_never_reads_is_cut_off() -> None:
    app = says(b"x" * 8_000_000)
    async with served(app, send_deadline=timedelta(seconds=0.3)) as address, Wire(address) as wire:
        wire._writer.transport.pause_reading()  # type: ignore[attr-defined]

        async def ask_for_ever() -> None:
            while True:
                await wire.write(GET)
                await asyncio.sleep(0.05)

        with pytest.raises(ConnectionError):
            await asyncio.wait_for(ask_for_ever(), 10)
