"""Requests that two readers could read in two ways: each is refused, and nothing after it is read."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.ledger import rows
from edge.provider import PATH, Wire, body, sign
from edge.raw_requests import TYPE, genuine, refused, serves
from edge.running import EdgeProcess
from hookline.edge.front.body import ChunkedBody
from hookline.edge.front.refusals import Refused

Start = Callable[..., Awaitable[EdgeProcess]]

POST = b"POST %b HTTP/1.1\r\n" % PATH.encode()
HEAD = POST + b"Host: edge\r\n" + TYPE
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"

FRAMING = {
    "a length and chunks": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    "chunks and a length": b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
    "two equal lengths": b"Content-Length: 0\r\nContent-Length: 0\r\n",
    "two lengths": b"Content-Length: 0\r\nContent-Length: 300\r\n",
    "a list of lengths": b"Content-Length: 0, 0\r\n",
    "a length with a sign": b"Content-Length: +0\r\n",
    "a negative length": b"Content-Length: -1\r\n",
    "an empty length": b"Content-Length:\r\n",
    "a length in hex": b"Content-Length: 0x0\r\n",
    "a length with a tab behind it": b"Content-Length: 0\t\r\n",
    "a length beyond all bounds": b"Content-Length: 99999999999999999999999\r\n",
    "an encoding before chunks": b"Transfer-Encoding: gzip, chunked\r\n",
    "an encoding after chunks": b"Transfer-Encoding: chunked, gzip\r\n",
    "chunks twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    "chunks twice in a line": b"Transfer-Encoding: chunked, chunked\r\n",
    "no encoding": b"Transfer-Encoding: identity\r\n",
    "almost chunks": b"Transfer-Encoding: xchunked\r\n",
    "quoted chunks": b'Transfer-Encoding: "chunked"\r\n',
    "chunks with a tab behind": b"Transfer-Encoding: chunked\t\r\n",
}

HOSTS = {
    "no host": b"",
    "two hosts": b"Host: edge\r\nHost: edge\r\n",
    "two hosts, one elsewhere": b"Host: edge\r\nX: y\r\nhost: other\r\n",
    "a list of hosts": b"Host: edge other\r\n",
    "a host with a path": b"Host: edge/v1\r\n",
    "a host with a user": b"Host: user@edge\r\n",
}

MALFORMED = {
    "a folded header": HEAD + b"X: a\r\n b\r\n\r\n",
    "a folded encoding": HEAD + b"Transfer-Encoding:\r\n chunked\r\n\r\n",
    "line feeds alone": HEAD.replace(b"\r\n", b"\n") + b"\n",
    "a line feed in the headers": HEAD + b"X: a\nContent-Length: 300\r\n\r\n",
    "a carriage return in a value": HEAD + b"X: a\rContent-Length: 300\r\n\r\n",
    "an end of two sorts": HEAD + b"\n\r\n\r\n",
    "a NUL in a value": HEAD + b"X: a\x00b\r\n\r\n",
    "a control character in a value": HEAD + b"X: a\x01b\r\n\r\n",
    "a DEL in a value": HEAD + b"X: a\x7fb\r\n\r\n",
    "a vertical tab before a value": HEAD + b"Transfer-Encoding: \x0bchunked\r\n\r\n",
    "a space before a colon": HEAD + b"Content-Length : 300\r\n\r\n",
    "a tab before a colon": HEAD + b"Content-Length\t: 300\r\n\r\n",
    "no colon": HEAD + b"Content-Length\r\n\r\n",
    "no name": HEAD + b": 300\r\n\r\n",
    "a NUL in a name": HEAD + b"X\x00: a\r\n\r\n",
    "a name that is not ASCII": HEAD + "X\xe9: a\r\n\r\n".encode("latin-1"),
    "a space before the first header": POST + b" Host: edge\r\n\r\n",
    "two spaces after the method": HEAD.replace(b"POST ", b"POST  ") + b"\r\n",
    "two spaces before the version": HEAD.replace(b" HTTP", b"  HTTP") + b"\r\n",
    "a space after the version": HEAD.replace(b"1.1", b"1.1 ") + b"\r\n",
    "a tab after the method": HEAD.replace(b"POST ", b"POST\t") + b"\r\n",
    "a space in the path": HEAD.replace(PATH.encode(), b"/a b") + b"\r\n",
    "a path that is not ASCII": HEAD.replace(PATH.encode(), "/\xe9".encode()) + b"\r\n",
    "a query that is not ASCII": HEAD.replace(PATH.encode(), "/?\xe9".encode()) + b"\r\n",
    "a NUL in the path": HEAD.replace(PATH.encode(), b"/a\x00") + b"\r\n",
    "no slash first": HEAD.replace(b"/v1", b"v1") + b"\r\n",
    "a method in small letters": HEAD.replace(b"POST", b"post") + b"\r\n",
    "a method that nobody knows": HEAD.replace(b"POST", b"BREW") + b"\r\n",
    "another protocol": HEAD.replace(b"HTTP/1.1", b"RTSP/1.0") + b"\r\n",
    "small letters in the protocol": HEAD.replace(b"HTTP", b"http") + b"\r\n",
    "no version": b"GET /healthz\r\n\r\n",
    "a carriage return first": b"\r" + HEAD + b"\r\n",
    "a line feed first": b"\n" + HEAD + b"\r\n",
    "empty lines first": b"\r\n\r\n" + HEAD + b"\r\n",
    "TLS": bytes.fromhex("16030100c8010000c40303") + b"\x00" * 32,
    "junk": b"\x00\xff\xfe\r\n\r\n",
}

TARGETS = {
    "a whole URL": b"http://edge%b" % PATH.encode(),
    "another scheme": b"gopher://edge/",
    "a star": b"*",
    "a fragment": b"%b#x" % PATH.encode(),
}

VERSIONS = {
    "HTTP/2's preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/2": HEAD.replace(b"1.1", b"2.0") + b"\r\n",
    "HTTP/1.2": HEAD.replace(b"1.1", b"1.2") + b"\r\n",
    "HTTP/0.9": HEAD.replace(b"1.1", b"0.9") + b"\r\n",
}

CHUNKS = {
    "a size that is no number": b"x\r\n",
    "a size with a sign": b"+1\r\na\r\n0\r\n\r\n",
    "a size with 0x": b"0x1\r\na\r\n0\r\n\r\n",
    "a size with an underscore": b"1_0\r\n" + b"a" * 16 + b"\r\n0\r\n\r\n",
    "a size with a space before": b" 1\r\na\r\n0\r\n\r\n",
    "a size with a space behind": b"1 \r\na\r\n0\r\n\r\n",
    "a size beyond all bounds": b"ffffffffffffffff1\r\n",
    "an empty size": b"\r\n",
    "a line feed after the size": b"1\na\r\n0\r\n\r\n",
    "a carriage return after the size": b"1\ra\r\n0\r\n\r\n",
    "a line feed in an extension": b"1;a\nb\r\na\r\n0\r\n\r\n",
    "more than the chunk": b"1\r\nab\r\n0\r\n\r\n",
    "less than the chunk": b"3\r\na\r\n0\r\n\r\n" + b"\r\n" * 9,
    "a line feed after the chunk": b"1\r\na\n0\r\n\r\n",
    "a line feed in a trailer": b"0\r\nX: a\n\r\n\r\n",
    "an endless extension": b"1;" + b"a" * 300 + b"\r\na\r\n0\r\n\r\n",
    "an endless trailer": b"0\r\n" + b"X: a\r\n" * 4_000 + b"\r\n",
    "a byte in each of many chunks": b"1\r\na\r\n" * 6_000 + b"0\r\n\r\n",
}


def bad() -> list[tuple[str, bytes, str]]:
    """Every case: its name, its bytes, and the code of its refusal."""
    cases = [(name, HEAD + lines + b"\r\n", "bad_framing") for name, lines in FRAMING.items()]
    cases += [(name, POST + lines + TYPE + b"\r\n", "bad_host") for name, lines in HOSTS.items()]
    cases += [(name, request, "bad_request") for name, request in MALFORMED.items()]
    cases += [
        (name, HEAD.replace(PATH.encode(), target) + b"\r\n", "bad_target")
        for name, target in TARGETS.items()
    ]
    cases += [(name, request, "unsupported_version") for name, request in VERSIONS.items()]
    cases += [(name, CHUNKED + chunks, "bad_chunk") for name, chunks in CHUNKS.items()]
    old = b"POST %b HTTP/1.0\r\n%bTransfer-Encoding: chunked\r\n\r\n" % (PATH.encode(), TYPE)
    return [*cases, ("chunks in HTTP/1.0", old, "bad_framing")]


async def test_it_is_refused_and_no_byte_after_it_becomes_a_request(
    start_process: Start, foreign: Any, subtests: pytest.Subtests
) -> None:
    edge = await start_process()
    stored = 0
    for name, request, code in bad():
        with subtests.test(name):
            # Whatever the length that somebody else would read, a genuine webhook begins behind it.
            await refused(edge, request + genuine("smuggled"), 400, code)
            stored += 1
            await serves(edge, f"u{stored}")
            assert await rows(foreign) == (stored, stored)
    assert "failed unexpectedly" not in str(edge.lines)


async def test_it_is_refused_just_so_when_it_comes_byte_by_byte(
    start_process: Start, foreign: Any, subtests: pytest.Subtests
) -> None:
    edge = await start_process(HOOKLINE_EDGE__HEADER_DEADLINE="500ms")
    short = [case for case in bad() if len(case[1]) < 400]
    assert len(short) > 60

    async def trickle(request: bytes, code: str) -> None:
        async with Wire(edge.address) as wire:
            reading = asyncio.create_task(wire.read())
            for byte in request + b"\r\n":
                if reading.done():
                    break
                await wire.write(bytes([byte]))
                await asyncio.sleep(0)
            answer = await reading
            assert (answer.status, answer.json["code"]) == (400, code)

    for name, request, code in short:
        with subtests.test(name):
            await trickle(request, code)
    await serves(edge, "A")
    assert await rows(foreign) == (1, 1)


async def test_a_chunk_error_after_good_chunks_stores_nothing(start_process: Start, foreign: Any) -> None:
    content = body("A")
    head = CHUNKED.replace(TYPE, TYPE + b"X-Signature: %b\r\n" % sign(content).encode())
    edge = await start_process()
    async with Wire(edge.address) as wire:
        await wire.write(head + b"%x\r\n%b\r\n" % (len(content), content))
        await wire.write(b"0\r\nX\n\r\n\r\n" + genuine("smuggled"))
        answer = await wire.read()
        assert (answer.status, answer.json["code"]) == (400, "bad_chunk")
        assert await wire.ended()
    await serves(edge, "B")
    assert await rows(foreign) == (1, 1)


async def test_an_upgrade_is_answered_as_if_nobody_had_asked(start_process: Start, foreign: Any) -> None:
    edge = await start_process()
    async with Wire(edge.address) as wire:
        for number, upgrade in enumerate((b"h2c", b"websocket", b"TLS/1.0")):
            asked = b"Host: edge\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: %b\r\n" % upgrade
            await wire.write(genuine(f"u{number}").replace(b"Host: edge\r\n", asked))
            answer = await wire.read()
            assert (answer.status, "upgrade" in answer.headers) == (200, False)
    await refused(edge, b"CONNECT edge:443 HTTP/1.1\r\nHost: edge\r\n\r\n", 400, "bad_target")
    assert await rows(foreign) == (3, 3)


async def test_requests_sent_ahead_are_answered_in_their_order(start_process: Start, foreign: Any) -> None:
    edge = await start_process()
    async with Wire(edge.address) as wire:
        nobody = b"GET /v1/webhooks/nobody HTTP/1.1\r\nHost: edge\r\n\r\n"
        content = body("B")
        chunked = CHUNKED.replace(TYPE, TYPE + b"X-Signature: %b\r\n" % sign(content).encode())
        chunked += b"%x;ext=1\r\n%b\r\n0\r\nTrailer: x\r\n\r\n" % (len(content), content)
        await wire.write(genuine("A") + nobody + chunked + b"\r\n" + genuine("C") + genuine("A"))
        answers = [await wire.read() for _ in range(5)]
    assert [answer.status for answer in answers] == [200, 404, 200, 200, 200]
    statuses = [answer.json["status"] for answer in answers]
    assert statuses == ["accepted", 404, "accepted", "accepted", "duplicate"]
    assert await rows(foreign) == (3, 3)


async def test_one_empty_line_before_a_request_is_forgiven_and_no_more(
    start_process: Start, foreign: Any
) -> None:
    edge = await start_process()
    for number, (lines, statuses) in enumerate(((1, [200, 200]), (2, [200, 400]))):
        async with Wire(edge.address) as wire:
            await wire.write(genuine(f"{number} first"))
            answers = [await wire.read()]
            for byte in b"\r\n" * lines:
                await wire.write(bytes([byte]))
                await asyncio.sleep(0.02)  # so that each comes alone; together they mean the same
            await wire.write(genuine(f"{number} second"))
            answers.append(await wire.read())
        assert [answer.status for answer in answers] == statuses
    assert await rows(foreign) == (3, 3)


async def test_after_the_last_request_of_its_connection_nothing_is_read(
    start_process: Start, foreign: Any
) -> None:
    edge = await start_process()
    for number, last in enumerate((b"HTTP/1.1\r\nConnection: foo, Close", b"HTTP/1.0")):
        async with Wire(edge.address) as wire:
            await wire.write(genuine(f"u{number}").replace(b"HTTP/1.1", last, 1) + genuine("smuggled"))
            answer = await wire.read()
            assert (answer.status, answer.headers["connection"]) == (200, "close")
            assert await wire.ended()
        assert await rows(foreign) == (number + 1, number + 1)


async def test_http_1_0_needs_no_host_and_a_half_closed_client_gets_its_answer(
    start_process: Start, foreign: Any
) -> None:
    edge = await start_process()
    async with Wire(edge.address) as wire:
        await wire.write(genuine("A").replace(b"1.1\r\nHost: edge", b"1.0", 1))
        wire._writer.write_eof()
        answer = await wire.read()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert await wire.ended()
    assert await rows(foreign) == (1, 1)


async def test_100_continue_is_sent_when_the_body_is_wanted_and_only_then(
    start_process: Start, foreign: Any
) -> None:
    edge = await start_process()
    head, _, content = genuine("A").partition(b"\r\n\r\n")
    asking = head + b"\r\nExpect: 100-Continue\r\n\r\n"
    async with Wire(edge.address) as wire:
        await wire.write(asking)
        assert (await wire.read()).status == 100
        await wire.write(content)
        assert (await wire.read()).status == 200
        # Who sends the body without waiting needs no permission.
        await wire.write(asking + content)
        assert (await wire.read()).status == 200
        await wire.write(asking + content[:9])
        await asyncio.sleep(0.02)  # so that the beginning comes alone; together they mean the same
        await wire.write(content[9:])
        assert (await wire.read()).status == 200
        for unwanted in (
            asking.replace(b"application/json", b"text/plain"),
            asking.replace(b"begini", b"nobody"),
        ):
            async with Wire(edge.address) as other:
                await other.write(unwanted)
                answer = await other.read()
                assert (answer.status, answer.headers["connection"]) in ((415, "close"), (404, "close"))
                assert await other.ended()
    assert await rows(foreign) == (1, 1)


def taken(pieces: list[bytes]) -> tuple[bytes, bytes | None]:
    chunks, content = ChunkedBody(), b""
    for number, piece in enumerate(pieces):
        part, rest = chunks.take(piece)
        content += part
        if rest is not None:
            return content, rest + b"".join(pieces[number + 1 :])
    return content, None


WIRE_TEXT = st.lists(
    st.sampled_from(
        [b"0", b"1", b"5", b"a", b";", b" ", b"\r\n", b"\r\n", b"\r", b"\n", b"hello", b"x", b"1\r\nx\r\n"]
    )
).map(b"".join)


@given(
    contents=st.lists(st.binary(min_size=1, max_size=40)),
    cuts=st.lists(st.integers(0, 400)),
    after=st.binary(max_size=20),
)
def test_chunks_are_the_same_body_however_they_are_cut(
    contents: list[bytes], cuts: list[int], after: bytes
) -> None:
    wire = (
        b"".join(b"%X;a=b\r\n%b\r\n" % (len(part), part) for part in contents) + b"0\r\nT: x\r\n\r\n" + after
    )
    places = sorted({0, len(wire), *(cut for cut in cuts if cut < len(wire))})
    pieces = [wire[start:end] for start, end in pairwise(places)]
    assert taken(pieces) == (b"".join(contents), after)


@given(wire=WIRE_TEXT, cut=st.integers(0, 60))
def test_bad_chunks_are_bad_however_they_are_cut(wire: bytes, cut: int) -> None:
    def outcome(pieces: list[bytes]) -> tuple[bytes, bytes | None] | str:
        try:
            return taken(pieces)
        except Refused as refused_:
            return refused_.answer.outcome

    assert outcome([wire]) == outcome([wire[:cut], wire[cut:]]) == outcome([bytes([byte]) for byte in wire])
