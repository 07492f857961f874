"""A PostgreSQL of the test's own that can be stopped and started again.

In a process of its own: starting a server forks, and a process that has used gRPC must not.
"""

import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

_PROGRAM = """
import asyncio, os, sys
from pathlib import Path
from hookline.embedded import EmbeddedPostgres

async def main() -> None:
    programs = os.environ.get("HOOKLINE_TEST_PROGRAMS")
    async with EmbeddedPostgres(Path(sys.argv[1]), programs=Path(programs) if programs else None) as server:
        print(server.url, flush=True)
        await asyncio.to_thread(sys.stdin.read)

asyncio.run(main())
"""


class PostgresProcess:
    """Keeps its data and its address from one start to the next."""

    def __init__(self, directory: Path) -> None:
        self._data = directory / "postgres"
        self._process: subprocess.Popen[str] | None = None
        self.url = ""

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, self._data],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        lines = iter(self._process.stdout.readline, "")
        self.url = next((line.strip() for line in lines if line.startswith("postgresql://")), "")
        assert self.url, "PostgreSQL did not start"

    def stop(self) -> None:
        if self._process is not None:
            self._process.communicate(timeout=60)
            self._process = None

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
