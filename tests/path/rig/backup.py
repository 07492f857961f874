"""Backups as an operator makes them, with PostgreSQL's own programs."""

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg

from conftest import programs
from hookline.embedded import _SYSTEM_USER, wheel_programs
from path.rig.postgres import PostgresProcess

_USER = _SYSTEM_USER if os.geteuid() == 0 else None


async def run(program: str, *arguments: str | Path) -> None:
    """Run one of PostgreSQL's programs, as the server's user."""
    # By a command and not by `subprocess`, which would fork then: a process that has used gRPC must not.
    become = ["setpriv", f"--reuid={_USER}", f"--regid={_USER}", "--clear-groups"] if _USER else []

    def call() -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*become, (programs() or wheel_programs()) / program, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
        )

    result = await asyncio.to_thread(call)
    assert result.returncode == 0, f"{program} ended with {result.returncode}: {result.stderr}"


@contextmanager
def passable_directory() -> Iterator[Path]:
    """A directory that the server's user can reach: pytest's own is impassable for others."""
    with tempfile.TemporaryDirectory(prefix="hookline-test-") as name:
        path = Path(name)
        path.chmod(0o711)
        yield path


def own_directory(path: Path) -> Path:
    """A directory of the server's user."""
    path.mkdir(0o700, parents=True)
    path.parent.chmod(0o711)
    if _USER is not None:
        shutil.chown(path, _USER, _USER)
    return path


async def archive_to(server: PostgresProcess, archive: Path) -> None:
    """Let a server archive its WAL from now on; it is started again."""
    own_directory(archive)
    connection = await asyncpg.connect(server.url)
    await connection.execute("ALTER SYSTEM SET archive_mode = 'on'")
    await connection.execute(f"ALTER SYSTEM SET archive_command = 'cp %p {archive}/%f'")
    await connection.close()
    server.stop()
    server.start()


def replay_from(archive: Path, base: Path) -> None:
    """Let a server that is started on a base backup first replay the archived WAL, to its end."""
    with (base / "postgresql.auto.conf").open("a", encoding="utf-8") as settings:
        settings.write(f"archive_mode = 'off'\nrestore_command = 'cp {archive}/%f %p'\n")
    (base / "recovery.signal").touch()
    if _USER is not None:
        shutil.chown(base / "recovery.signal", _USER, _USER)
