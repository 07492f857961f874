"""Many senders that are slow on purpose, in a process of their own: `python slow_crowd.py HOST PORT COUNT`.

A quarter each says nothing, sends a head a byte at a time, sends a body a byte at a time, and asks without reading the
answers. Who is thrown out comes back at once. Prints `ready` when all are there, and ends with its standard input.
"""

import asyncio
import random
import socket
import sys
from contextlib import suppress

PATH = b"/v1/webhooks/begini"
HALF_HEAD = b"POST %b HTTP/1.1\r\nHost: edge\r\nX-Slow: " % PATH
HALF_BODY = (
    b"POST %b HTTP/1.1\r\nHost: edge\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{"
    % PATH
)
ASKING = b"GET /v1/webhooks/nobody HTTP/1.1\r\nHost: edge\r\n\r\n" * 16
FIRST = (b"", HALF_HEAD, HALF_BODY, ASKING)
BREATH = 1.0
"""Seconds between two bytes."""


async def slow(host: str, port: int, kind: int, ready: asyncio.Semaphore) -> None:
    loop = asyncio.get_running_loop()
    while True:
        with suppress(OSError), socket.socket() as sender:
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sender.setblocking(False)
            await loop.sock_connect(sender, (host, port))
            await loop.sock_sendall(sender, FIRST[kind])
            ready.release()
            if kind == 0:
                await loop.sock_recv(sender, 1)
            await asyncio.sleep(random.uniform(0, BREATH))  # they don't breathe in step
            while kind:
                await asyncio.sleep(BREATH)
                if kind in (1, 2):
                    await loop.sock_sendall(sender, b"x")
                elif not await loop.sock_recv(sender, 1):
                    break


async def main(host: str, port: int, count: int) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Semaphore(0)
    crowd = [asyncio.create_task(slow(host, port, number % len(FIRST), ready)) for number in range(count)]
    for _ in crowd:
        await ready.acquire()
    print("ready", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    for sender in crowd:
        sender.cancel()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
