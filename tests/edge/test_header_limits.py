"""A request's head has a size, whatever is sent: it is counted before anything is kept."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from itertools import islice, repeat
from typing import Any

import pytest

from edge.ledger import rows
from edge.provider import PATH, Wire, body
from edge.raw_requests import TYPE, genuine, pour, refused, serves
from edge.running import EdgeProcess

Start = Callable[..., Awaitable[EdgeProcess]]

MEBIBYTE = 1024 * 1024
MUCH = 100
"""Mebibytes that are sent on one socket."""
MOST_GROWTH = 16 * MEBIBYTE
BEGINNING = b"POST %b HTTP/1.1\r\nHost: edge\r\n" % PATH.encode()


def of_size(size: int, uid: str) -> bytes:
    """A genuine webhook whose head has so many bytes."""
    head, _, content = genuine(uid).partition(b"\r\n\r\n")
    head += b"\r\nX-Filler: "
    return head + b"x" * (size - len(head) - 4) + b"\r\n\r\n" + content


def of_lines(count: int, uid: str) -> bytes:
    """A genuine webhook with so many header lines."""
    head, _, content = genuine(uid).partition(b"\r\n\r\n")
    head += b"".join(b"\r\nX-%d: x" % number for number in range(count - head.count(b"\r\n")))
    return head + b"\r\n\r\n" + content


async def answers(edge: EdgeProcess, request: bytes, status: int) -> None:
    async with Wire(edge.address) as wire:
        await wire.write(request)
        assert (await wire.read()).status == status


async def test_a_head_at_each_limit_is_taken_and_one_more_is_refused(
    start_process: Start, foreign: Any, subtests: pytest.Subtests
) -> None:
    edge = await start_process()
    target = b"GET /%b HTTP/1.1\r\nHost: edge\r\n\r\n"
    with subtests.test("bytes"):
        await answers(edge, of_size(64 * 1024, "A"), 200)
        await refused(edge, of_size(64 * 1024 + 1, "B"), 431, "header_too_large")
    with subtests.test("lines"):
        await answers(edge, of_lines(128, "C"), 200)
        await refused(edge, of_lines(129, "D"), 431, "header_too_large")
    with subtests.test("many short lines"):
        await refused(edge, BEGINNING + b"a:\r\n" * 15_000 + b"\r\n", 431, "header_too_large")
    with subtests.test("URL"):
        await answers(edge, target % (b"x" * (8 * 1024 - 1)), 404)
        await refused(edge, target % (b"x" * 8 * 1024), 414, "url_too_long")
    with subtests.test("query"):
        await refused(edge, target % (b"?" + b"x" * 8 * 1024), 414, "url_too_long")
    await serves(edge, "E")
    assert await rows(foreign) == (3, 3)


async def test_the_limits_are_what_the_configuration_says(start_process: Start, foreign: Any) -> None:
    edge = await start_process(
        HOOKLINE_EDGE__MAX_HEADER_BYTES="1024",
        HOOKLINE_EDGE__MAX_HEADER_LINES="8",
        HOOKLINE_EDGE__MAX_URL_BYTES="64",
    )
    await answers(edge, of_size(1024, "A"), 200)
    await refused(edge, of_size(1025, "B"), 431, "header_too_large")
    await answers(edge, of_lines(8, "C"), 200)
    await refused(edge, of_lines(9, "D"), 431, "header_too_large")
    await refused(edge, b"GET /%b HTTP/1.1\r\nHost: edge\r\n\r\n" % (b"x" * 64), 414, "url_too_long")
    assert await rows(foreign) == (2, 2)


async def test_a_head_that_comes_in_pieces_is_counted_as_a_whole(start_process: Start, foreign: Any) -> None:
    edge = await start_process()
    for size, status in ((64 * 1024, 200), (64 * 1024 + 1, 431)):
        request = of_size(size, "A")
        async with Wire(edge.address) as wire:
            await pour(wire, (request[place : place + 997] for place in range(0, len(request), 997)))
            assert (await wire.read()).status == status
    # What belongs to the body before it is not counted.
    async with Wire(edge.address) as wire:
        content = body("B", filler="x" * 200_000)
        assert (await wire.send(content)).status == 200
        # Of a type that is taken, so that the body is read; it isn't signed.
        head = f"POST {PATH} HTTP/1.1\r\nHost: e\r\nContent-Length: {len(content)}\r\n".encode()
        head += b"Content-Type: application/json\r\n\r\n"
        half = of_size(64 * 1024, "C")
        await wire.write(head + content + half[:100])
        assert (await wire.read()).status == 403
        await wire.write(half[100:])
        assert (await wire.read()).status == 200
    assert await rows(foreign) == (3, 3)


ENDLESS = {
    "one header": (BEGINNING + b"X: ", b"x" * 65_536, "header_too_large"),
    "many headers": (BEGINNING, b"X-Filler: 0123456789abcdef\r\n" * 2_048, "header_too_large"),
    "a header's name": (BEGINNING, b"x" * 65_536, "header_too_large"),
    "a path": (b"POST /", b"x" * 65_536, "url_too_long"),
    "a method": (b"", b"P" * 65_536, "url_too_long"),
    "a chunk's extension": (
        BEGINNING + TYPE + b"Transfer-Encoding: chunked\r\n\r\n1;",
        b"x" * 65_536,
        "bad_chunk",
    ),
    "trailers": (
        BEGINNING + TYPE + b"Transfer-Encoding: chunked\r\n\r\n0\r\n",
        b"X-Filler: 0123456789abcdef\r\n" * 2_048,
        "bad_chunk",
    ),
}


@pytest.mark.parametrize("name", ENDLESS)
async def test_100_mb_of_it_on_one_socket_take_no_memory_and_delay_nobody(
    name: str, start_process: Start, foreign: Any
) -> None:
    edge = await start_process()
    await serves(edge, "A")
    first, more, code = ENDLESS[name]
    before = most = edge.resident

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, edge.resident)
            await asyncio.sleep(0.01)

    def pieces() -> Iterator[bytes]:
        yield first
        yield from repeat(more, MUCH * MEBIBYTE // len(more))

    watching = asyncio.create_task(watch())
    async with Wire(edge.address) as wire:
        reading = asyncio.create_task(wire.read())
        # The answer is read before the rest is sent: a client that only writes may lose it to the reset that follows.
        endless = pieces()
        await pour(wire, islice(endless, 1 + 2 * MEBIBYTE // len(more)))
        answer = await reading
        assert answer.json["code"] == code
        pouring = asyncio.create_task(pour(wire, endless))
        await serves(edge, "B")
        assert await pouring < MUCH * MEBIBYTE
    watching.cancel()
    assert max(most, edge.resident) - before <= MOST_GROWTH
    await serves(edge, "C")
    assert await rows(foreign) == (3, 3)
