"""Debian's PgBouncer in front of a test's server, in transaction mode."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit

import asyncpg

from path.rig.process import free_port
from path.rig.wait import until


def program() -> str:
    """Where it is. Without it nothing is proven, so that is a failure and no skip."""
    found = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    assert found, (
        "pgbouncer is not installed. On Debian: apt-get install -y --no-install-recommends pgbouncer"
        " (.ci/run does it when it may); elsewhere: https://www.pgbouncer.org/install.html"
    )
    return found


class PgBouncer:
    """Each user's transactions share a few connections to the server.

    Args:
        server: The URL of a server with a socket that trusts everybody.
        directory: Where it keeps its configuration, which its own user must be able to read.
        users: Who may log in, with the SCRAM verifier of a password.
        settings: Settings of its own.
    """

    def __init__(
        self, server: str, directory: Path, users: Mapping[str, str], settings: Mapping[str, object]
    ) -> None:
        self._parts = urlsplit(server)
        self._directory = directory
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._log = directory / "pgbouncer.log"
        (directory / "users.txt").write_text(
            "".join(f'"{user}" "{verifier}"\n' for user, verifier in users.items()), encoding="ascii"
        )
        chosen = {
            "listen_addr": "127.0.0.1",
            "listen_port": self.port,
            "unix_socket_dir": "",
            "auth_type": "scram-sha-256",
            "auth_file": directory / "users.txt",
            "pool_mode": "transaction",
            **settings,
        }
        host = parse_qs(self._parts.query)["host"][0]
        # The server's: it refuses to run as root, and nobody else comes to the socket.
        self._owner = Path(host).stat()
        (directory / "pgbouncer.ini").write_text(
            f"[databases]\n* = host={host}\n[pgbouncer]\n"
            + "".join(f"{name} = {value}\n" for name, value in chosen.items()),
            encoding="ascii",
        )

    def url(self, user: str, password: str) -> str:
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}{self._parts.path}"

    def output(self) -> str:
        return self._log.read_text(encoding="utf-8")

    async def __aenter__(self) -> Self:
        self.start()
        await until(self._listens, "PgBouncer listens")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.kill()
        if kind is not None:
            sys.stderr.write(self.output())

    def start(self) -> None:
        is_root = os.getuid() == 0
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [program(), str(self._directory / "pgbouncer.ini")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=self._owner.st_uid if is_root else None,
                group=self._owner.st_gid if is_root else None,
                extra_groups=[] if is_root else None,
            )

    def kill(self) -> None:
        """End it at once: every connection through it breaks."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    async def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.output()
        try:
            connection = await asyncpg.connect(
                f"postgresql://nobody@127.0.0.1:{self.port}/x", statement_cache_size=0
            )
        except OSError:
            return False
        except asyncpg.PostgresError:
            return True  # it knows no such user
        await connection.close()
        return True
