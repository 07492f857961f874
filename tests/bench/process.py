"""A process of the bench's own: it is gone when its context ends, whatever happened in it."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

Message = TypeVar("Message")

_STOP = 10.0
"""Seconds that a process may take to end after SIGTERM."""
_LINE_LIMIT = 64 * 1024 * 1024
"""Bytes of one line: the send times of an open loop come in one."""


class ProcessFailedError(Exception):
    """A process of the bench ended by itself."""


class Process:
    """A running program, and the file with what it writes to stderr."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.name = name
        self._process = process
        self._log = log

    @property
    def pid(self) -> int:
        return self._process.pid

    def check(self) -> None:
        """Raise ProcessFailedError if it has ended, with the end of its log."""
        if self._process.returncode is not None:
            end = self._log.read_text(errors="replace")[-2000:]
            raise ProcessFailedError(f"{self.name} ended with {self._process.returncode}\n{end}")

    async def ask(self, message: object, answer: type[Message]) -> Message:
        """Send a JSON line and read one."""
        assert self._process.stdin
        assert self._process.stdout
        try:
            self._process.stdin.write(msgspec.json.encode(message) + b"\n")
            await self._process.stdin.drain()
            line = await self._process.stdout.readline()
        except ConnectionError:
            line = b""
        if not line:
            await self._process.wait()
            self.check()
        return msgspec.json.decode(line, type=answer)

    async def wait(self) -> None:
        """Wait for its end, and raise ProcessFailedError unless that is a success."""
        if await self._process.wait():
            self.check()

    async def kill(self) -> None:
        """SIGKILL, and wait for its end."""
        self._process.kill()
        await self._process.wait()

    async def stop(self) -> None:
        """SIGTERM, then SIGKILL."""
        if self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), _STOP)
        except TimeoutError:
            print(f"{self.name} did not stop in {_STOP:.0f} s and was killed", file=sys.stderr)
        finally:
            # Also when the bench itself is cancelled while it waits.
            if self._process.returncode is None:
                self._process.kill()
                await self._process.wait()


@asynccontextmanager
async def run(
    name: str, *command: str | Path, logs: Path, env: Mapping[str, str] | None = None, talks: bool = False
) -> AsyncIterator[Process]:
    """Start a program; its output goes to `logs/NAME.log`, or to `Process.ask` if it talks."""
    log = logs / f"{name}.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE if talks else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE if talks else output,
            stderr=output,
            env={**os.environ, **(env or {})},
            limit=_LINE_LIMIT,
            # Ctrl-C is for the bench, which then ends its processes in order.
            start_new_session=True,
        )
    running = Process(name, process, log)
    try:
        yield running
    finally:
        await running.stop()


def run_python(
    name: str,
    module: str,
    *arguments: str,
    logs: Path,
    env: Mapping[str, str] | None = None,
    talks: bool = False,
) -> AbstractAsyncContextManager[Process]:
    """Start `python -m module` with the interpreter that runs the bench."""
    return run(name, sys.executable, "-m", module, *arguments, logs=logs, env=env, talks=talks)


def free_port() -> int:
    """A port of the loopback interface that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port
