"""A count that one process keeps and another asks for: a line in, a line out."""

import asyncio
import sys
import time

import msgspec
from msgspec import Struct


class Tally(Struct):
    """How many, and when the first and the last were counted, in nanoseconds of the monotonic clock."""

    count: int = 0
    first: int = 0
    last: int = 0

    def add(self, more: int) -> None:
        self.last = time.monotonic_ns()
        self.first = self.first or self.last
        self.count += more


async def lines() -> asyncio.StreamReader:
    """Stdin as a stream. Its end is the sign to stop: whoever started this process has gone."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    return reader


def say(message: object) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(message) + b"\n")
    sys.stdout.buffer.flush()


async def answer(tally: Tally) -> None:
    """Tell the tally for every line on stdin, until its end."""
    questions = await lines()
    while await questions.readline():
        say(tally)
