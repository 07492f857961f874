"""A process of ours that another one looks after."""

import asyncio
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog

from hookline.errors import HooklineError
from hookline.process import EXIT_CONFIG_ERROR, SUPERVISED

_log = structlog.get_logger(__name__)

_PAUSE = 1.0
"""Seconds before a child that died is started again."""


class ChildFailed(HooklineError):
    """A part of Hookline could not be started."""


@dataclass(slots=True)
class Child:
    """One `hookline` command as a process, kept running until it is stopped.

    Its standard input is a pipe whose other end is ours: it stops when we end, however we end.
    """

    command: str
    """The command's name, as in `hookline COMMAND`."""
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    """What is set for it beyond our own environment."""
    stop_patience: float
    """Seconds that it may take to finish what is under way."""
    files: tuple[int, ...] = ()
    """Open files of ours that it inherits, under the same numbers."""
    _process: asyncio.subprocess.Process | None = field(default=None, init=False)

    async def start(self) -> None:
        """Start the process."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "hookline",
            self.command,
            *self.arguments,
            env={**os.environ, **self.environment, SUPERVISED: "1"},
            stdin=asyncio.subprocess.PIPE,
            pass_fds=self.files,
            start_new_session=True,  # Ctrl-C is for us: children are stopped in order
        )

    async def keep(self) -> None:
        """Start the process again whenever it dies.

        Raises:
            ChildFailed: It can't start as it is configured.
        """
        while True:
            assert self._process is not None, "start() first"
            code = await self._process.wait()
            if code == EXIT_CONFIG_ERROR:
                raise ChildFailed(f"hookline {self.command} could not start; its message is above")
            _log.error("a part of Hookline died; starting it again", part=self.command, exit_code=code)
            await asyncio.sleep(_PAUSE)
            await self.start()

    async def stop(self) -> None:
        """Ask the process to finish, and end it if it takes too long."""
        if self._process is None or self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            async with asyncio.timeout(self.stop_patience):
                await self._process.wait()
        except TimeoutError:
            _log.warning("a part of Hookline did not stop in time", part=self.command)
            self._process.kill()
            await self._process.wait()
