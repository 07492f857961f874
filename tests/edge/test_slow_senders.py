"""Senders that take their time: each has a deadline, and nobody else waits for them."""

import asyncio
import resource
import socket
import statistics
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from itertools import count, repeat
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from edge.ledger import rows
from edge.provider import PATH, Wire, body
from edge.raw_requests import PROBLEM, TYPE, genuine, pour, serves
from edge.running import EdgeProcess
from store.waiting import hold_shards, let_shards_go, waiting_for_shard_locks

Start = Callable[..., Awaitable[EdgeProcess]]

SHARDS = 8
MEBIBYTE = 1024 * 1024
DEADLINE = 0.6
SHORT = {
    "HOOKLINE_EDGE__HEADER_DEADLINE": "600ms",
    "HOOKLINE_EDGE__REQUEST_DEADLINE": "600ms",
    "HOOKLINE_EDGE__KEEP_ALIVE": "1500ms",
    "HOOKLINE_EDGE__SEND_DEADLINE": "600ms",
}
LATE = 0.9
"""Seconds by which a deadline may be missed on a busy machine."""
ASKING = b"GET /v1/webhooks/nobody HTTP/1.1\r\nHost: edge\r\n\r\n"
HEAD = b"POST %b HTTP/1.1\r\nHost: edge\r\n%b" % (PATH.encode(), TYPE)


@asynccontextmanager
async def within(least: float, most: float) -> AsyncIterator[None]:
    """The block must take between so many seconds."""
    began = monotonic()
    async with asyncio.timeout(most + 5):
        yield
    assert least <= monotonic() - began <= most


async def trickle(wire: Wire, every: float = 0.02) -> None:
    with suppress(ConnectionError):
        while True:
            await wire.write(b"x")
            await asyncio.sleep(every)


async def test_a_silent_socket_is_closed_after_the_header_deadline(start_process: Start) -> None:
    edge = await start_process(**SHORT)
    async with within(DEADLINE * 0.9, DEADLINE + LATE), Wire(edge.address) as wire:
        assert await wire.ended()
    await serves(edge, "A")


@pytest.mark.parametrize(
    "start", [b"P", b"\r\n", HEAD, HEAD + b"X: "], ids=["P", "CRLF", "lines", "half a line"]
)
async def test_half_a_head_is_answered_408_at_the_deadline_though_it_goes_on(
    start: bytes, start_process: Start
) -> None:
    edge = await start_process(**SHORT)
    async with within(DEADLINE * 0.9, DEADLINE + LATE), Wire(edge.address) as wire:
        await wire.write(start)
        more = asyncio.create_task(trickle(wire) if start[-1:] == b" " else asyncio.sleep(0))
        if start == b"\r\n":
            assert await wire.ended()  # no more than silence
        else:
            answer = await wire.read()
            assert (answer.status, answer.headers["content-type"]) == (408, PROBLEM)
            assert (answer.json["code"], answer.headers["connection"]) == ("header_timeout", "close")
        more.cancel()
    await serves(edge, "A")


async def test_the_next_head_of_a_connection_has_the_same_deadline(start_process: Start) -> None:
    edge = await start_process(**SHORT)
    async with Wire(edge.address) as wire:
        assert (await wire.send(body("A"))).status == 200
        async with within(DEADLINE * 0.9, DEADLINE + LATE):
            await wire.write(HEAD)
            assert (await wire.read()).json["code"] == "header_timeout"
            assert await wire.ended()
    await serves(edge, "B")


async def test_an_idle_connection_is_closed_after_keep_alive_and_not_before(start_process: Start) -> None:
    edge = await start_process(**SHORT)
    async with Wire(edge.address) as wire:
        assert (await wire.send(body("A"))).status == 200
        async with within(1.5 * 0.9, 1.5 + LATE):
            assert await wire.ended()
    await serves(edge, "B")


async def test_half_a_body_is_answered_408_at_the_deadline_though_it_goes_on(
    start_process: Start, foreign: Any
) -> None:
    edge = await start_process(**SHORT)
    for framing in (b"Content-Length: 100000\r\n\r\n{", b"Transfer-Encoding: chunked\r\n\r\nffff\r\n{"):
        async with within(DEADLINE * 0.9, DEADLINE + LATE), Wire(edge.address) as wire:
            await wire.write(HEAD + framing)
            more = asyncio.create_task(trickle(wire))
            answer = await wire.read()
            assert (answer.status, answer.json["code"]) == (408, "request_timeout")
            assert answer.headers["connection"] == "close"
            more.cancel()
        await serves(edge, f"u{len(framing)}")
    assert await rows(foreign) == (2, 2)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (HEAD + b"Content-Length: 104857600\r\n\r\n", 413),
        (HEAD.replace(b"begini", b"nobody") + b"Content-Length: 104857600\r\n\r\n", 404),
        (
            HEAD.replace(b"application/json", b"text/plain")
            + b"Transfer-Encoding: chunked\r\n\r\nfffffff\r\n",
            415,
        ),
    ],
    ids=["too large", "unknown source", "wrong type"],
)
async def test_a_body_that_nobody_reads_is_not_read_for_ever(
    request_: bytes, status: int, start_process: Start, foreign: Any
) -> None:
    edge = await start_process(**SHORT)
    async with within(0, 3 + LATE), Wire(edge.address) as wire:
        await wire.write(request_)
        answer = await wire.read()
        assert (answer.status, answer.headers["connection"]) == (status, "close")
        # The answer is there at once, and a client that goes on nevertheless is cut off.
        await trickle(wire)
    before = edge.resident
    async with Wire(edge.address) as wire:
        await wire.write(request_)
        # Read first: a client that only writes may lose the answer to the reset that follows.
        assert (await wire.read()).status == status
        assert await pour(wire, repeat(b"x" * 65_536, 1600)) < 100 * MEBIBYTE
    assert edge.resident - before <= 16 * MEBIBYTE
    await serves(edge, "A")
    assert await rows(foreign) == (1, 1)


async def test_a_client_that_sends_its_body_before_it_reads_gets_the_early_answer(
    start_process: Start,
) -> None:
    edge = await start_process()
    for _ in range(20):
        async with Wire(edge.address) as wire:
            await wire.write(HEAD.replace(b"begini", b"nobody") + b"Content-Length: 1000000\r\n\r\n")
            for _ in range(10):
                await wire.write(b"x" * 100_000)
                await asyncio.sleep(0.001)
            assert (await wire.read()).status == 404
            assert await wire.ended()


async def test_a_client_that_reads_no_answers_takes_no_memory_and_is_cut_off(start_process: Start) -> None:
    edge = await start_process(**SHORT)
    await serves(edge, "A")
    before = edge.resident
    async with within(0, 30), Wire(edge.address) as wire:
        wire._reader._transport.pause_reading()  # type: ignore[attr-defined]
        pouring = asyncio.create_task(pour(wire, repeat(ASKING * 1_000)))
        await serves(edge, "B")
        await pouring  # ends with the connection
        assert edge.resident - before <= 16 * MEBIBYTE
    await serves(edge, "C")


async def test_a_client_that_stops_to_read_is_cut_off_after_the_send_deadline(start_process: Start) -> None:
    edge = await start_process(**SHORT)
    host, _, port = edge.address.removeprefix("http://").rpartition(":")
    loop = asyncio.get_running_loop()
    with socket.socket() as sender:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sender.setblocking(False)
        await loop.sock_connect(sender, (host, int(port)))
        async with within(DEADLINE * 0.9, 15):
            with suppress(ConnectionError):
                # A few at a time, so that never much is sent ahead.
                for _ in range(100_000):
                    await loop.sock_sendall(sender, ASKING * 5)
                    await asyncio.sleep(0.002)
    await serves(edge, "A")


async def test_at_the_limit_the_longest_idle_goes_first_and_then_who_was_slow_for_longest(
    start_process: Start,
) -> None:
    edge = await start_process(HOOKLINE_EDGE__MAX_CONNECTIONS="4")
    async with Wire(edge.address) as slow, Wire(edge.address) as silent:
        await slow.write(HEAD)
        async with Wire(edge.address) as idle, Wire(edge.address) as busy:
            assert (await idle.send(body("A"))).status == 200
            assert (await busy.send(body("B"))).status == 200
            async with Wire(edge.address) as first:
                assert await idle.ended()
                assert (await busy.send(body("C"))).status == 200
                async with Wire(edge.address) as second:
                    assert await busy.ended()
                    async with Wire(edge.address) as third:
                        answer = await slow.read()
                        assert (answer.status, answer.json["code"]) == (503, "too_many_connections")
                        assert (answer.headers["retry-after"], answer.headers["connection"]) == ("2", "close")
                        assert await slow.ended()
                        async with Wire(edge.address) as fourth:
                            assert await silent.ended()
                            for number, wire in enumerate((first, second, third, fourth)):
                                assert (await wire.send(body(f"u{number}"))).status == 200


async def test_when_every_connection_waits_for_us_a_new_one_is_told_to_come_again(
    start_process: Start, foreign: Any
) -> None:
    edge = await start_process(HOOKLINE_EDGE__MAX_CONNECTIONS="4")
    wires = [Wire(edge.address) for _ in range(4)]
    await hold_shards(foreign, SHARDS)
    requests = []
    for number, wire in enumerate(wires):
        await wire.__aenter__()
        requests.append(asyncio.create_task(wire.send(body(f"u{number}"))))
    await waiting_for_shard_locks(foreign, 1)
    async with asyncio.timeout(5):
        while True:  # until all four are known to be at work
            async with Wire(edge.address) as wire:
                await wire.write(genuine("late"))
                with suppress(ConnectionError, TimeoutError):
                    async with asyncio.timeout(0.2):
                        answer = await wire.read()
                        break
    assert (answer.status, answer.json["code"]) == (503, "too_many_connections")
    assert (answer.headers["retry-after"], answer.headers["connection"]) == ("2", "close")
    await let_shards_go(foreign)
    assert [answer.status for answer in await asyncio.gather(*requests)] == [200] * 4
    for wire in wires:
        await wire.__aexit__(None, None, None)
    await serves(edge, "Z")


async def test_one_address_may_be_held_to_a_number_of_connections(start_process: Start) -> None:
    edge = await start_process(HOOKLINE_EDGE__MAX_CONNECTIONS_PER_ADDRESS="2")
    async with Wire(edge.address) as one:
        async with Wire(edge.address) as two:
            async with Wire(edge.address) as three:
                assert (await three.read()).json["code"] == "too_many_connections"
                assert await three.ended()
            assert (await one.send(body("A"))).status == 200
            assert (await two.send(body("B"))).status == 200
        async with asyncio.timeout(5):
            while True:  # until the edge knows that the second is gone
                async with Wire(edge.address) as again:
                    with suppress(ConnectionError):
                        if (await again.send(body("C"))).status == 200:
                            break


def test_the_limit_of_open_files_is_raised_or_the_edge_says_what_it_needs() -> None:
    code = (
        "import resource, sys; from hookline.edge.front import descriptors; from hookline.errors import ConfigError\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (256, int(sys.argv[1])))\n"
        "try: descriptors.reserve(int(sys.argv[2]), backlog=100); print(resource.getrlimit(resource.RLIMIT_NOFILE))\n"
        "except ConfigError as error: print(error)"
    )

    def reserve(hard: int, connections: int) -> str:
        command = [sys.executable, "-c", code, str(hard), str(connections)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    assert reserve(2_000, 1_000) == "(1484, 2000)"
    assert reserve(1_484, 1_000) == "(1484, 1484)"
    assert reserve(1_483, 1_000) == (
        "edge.max_connections = 1000 needs 1484 open files, and this process may have 1483: set it to 999 at most, or "
        "raise the limit (ulimit -n, or LimitNOFILE= of its systemd unit)"
    )


WINDOWS = 5
REQUESTS = 400
"""Good requests of each window: its p99 is the fourth worst of them."""
GOOD = 4
"""Good senders."""
CROWD = 1_000


async def good_p99(wires: list[Wire], uids: "count[int]") -> float:
    """The 99th percentile of some good requests, in seconds."""
    took: list[float] = []

    async def send(wire: Wire) -> None:
        for _ in range(REQUESTS // GOOD):
            content = body(f"good-{next(uids)}")
            began = monotonic()
            answer = await wire.send(content)
            took.append(monotonic() - began)
            assert (answer.status, answer.json["status"]) == (200, "accepted")

    await asyncio.gather(*(send(wire) for wire in wires))
    return sorted(took)[int(len(took) * 0.99)]


@asynccontextmanager
async def crowd(edge: EdgeProcess) -> AsyncIterator[None]:
    """Slow senders, all connected."""
    host, _, port = edge.address.removeprefix("http://").rpartition(":")
    script = Path(__file__).with_name("slow_crowd.py")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        script,
        host,
        port,
        str(CROWD),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin
    assert process.stdout
    try:
        async with asyncio.timeout(30):
            assert await process.stdout.readline() == b"ready\n"
        yield
    finally:
        process.kill()
        await process.wait()


def allow_open_files(number: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard >= number, "this test needs more open files than the machine allows"
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@pytest.mark.timeout(240)
async def test_1000_slow_senders_don_t_double_the_p99_of_good_ones_nor_take_64_mib(
    start_process: Start,
) -> None:
    allow_open_files(4_096)
    edge = await start_process()
    uids = count()
    wires = [Wire(edge.address) for _ in range(GOOD)]
    for wire in wires:
        await wire.__aenter__()
    await good_p99(wires, uids)  # a warm-up
    quiet, beside = [], []
    before = most = edge.resident
    # Turn by turn, so that what slows the machine for a while slows both.
    for _ in range(WINDOWS):
        quiet.append(await good_p99(wires, uids))
        async with crowd(edge):
            await good_p99(wires, uids)  # while they arrive
            beside.append(await good_p99(wires, uids))
            most = max(most, edge.resident)
    print(f"p99 quiet {[f'{s * 1e3:.1f}' for s in quiet]} ms, beside {[f'{s * 1e3:.1f}' for s in beside]} ms")
    print(f"resident {before / MEBIBYTE:.1f} MiB, most {most / MEBIBYTE:.1f} MiB")
    assert statistics.median(beside) <= 2 * statistics.median(quiet)
    assert most - before <= 64 * MEBIBYTE
    for wire in wires:
        await wire.__aexit__(None, None, None)
    await serves(edge, "A")


async def test_1000_silent_sockets_are_all_closed_at_the_deadline(start_process: Start) -> None:
    allow_open_files(4_096)
    edge = await start_process(**{**SHORT, "HOOKLINE_EDGE__KEEP_ALIVE": "1h"})
    async with Wire(edge.address) as good:
        assert (await good.send(body("A"))).status == 200
        silent = [Wire(edge.address) for _ in range(CROWD)]
        async with within(0, 10):
            await asyncio.gather(*(wire.__aenter__() for wire in silent))
            assert (await good.send(body("B"))).status == 200
            assert all(await asyncio.gather(*(wire.ended() for wire in silent)))
        assert (await good.send(body("C"))).status == 200
    for wire in silent:
        await wire.__aexit__(None, None, None)


async def test_4000_idle_connections_don_t_keep_a_new_sender_out(start_process: Start) -> None:
    allow_open_files(8_192)
    edge = await start_process()
    idle = [Wire(edge.address) for _ in range(4_000)]
    asking = b"GET /healthz HTTP/1.1\r\nHost: edge\r\n\r\n"
    try:
        for first in range(0, len(idle), 200):
            group = idle[first : first + 200]
            await asyncio.gather(*(wire.__aenter__() for wire in group))
            await asyncio.gather(*(wire.write(asking) for wire in group))
            answers = await asyncio.gather(*(wire.read() for wire in group))
            assert {answer.status for answer in answers} == {200}
        await serves(edge, "A")
        for wire in (idle[0], idle[-1]):
            assert (await wire.send(body(f"u{id(wire)}"))).status == 200
    finally:
        for wire in idle:
            await wire.__aexit__(None, None, None)
    await serves(edge, "B")
