"""The PostgreSQL that comes along: keeps data through every kind of end, and leaves no process behind."""

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from hookline.embedded import EmbeddedPostgres
from hookline.errors import EmbeddedPostgresError
from store.waiting import until

KEEPER = Path(__file__).parent / "keeper.py"


@pytest.fixture
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="hookline-test-") as name:
        yield Path(name)


@pytest.fixture
def programs(postgres: EmbeddedPostgres) -> Path:
    return postgres._programs


@pytest.fixture
async def keeper(directory: Path, programs: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that keeps the server of `directory`/data."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, KEEPER, directory / "data", programs,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    yield process
    if process.returncode is None:
        process.kill()
    await process.wait()


async def served(keeper: asyncio.subprocess.Process) -> int:
    """The process id of the keeper's server."""
    assert keeper.stdout is not None
    async with asyncio.timeout(30):
        async for line in keeper.stdout:
            if line.startswith(b"pid "):
                return int(line[4:])
    raise AssertionError("the keeper ended")


async def execute(server: EmbeddedPostgres, *statements: str) -> None:
    connection = await asyncpg.connect(server.url)
    for statement in statements:
        await connection.execute(statement)
    await connection.close()


async def numbers(server: EmbeddedPostgres) -> list[int]:
    connection = await asyncpg.connect(server.url)
    try:
        return [row["n"] for row in await connection.fetch("SELECT n FROM kept ORDER BY n")]
    finally:
        await connection.close()


def processes_in(data: Path) -> list[int]:
    """Every process that runs a server on this directory."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        arguments = process.info["cmdline"] or []
        if str(data) in arguments or process.info["cwd"] == str(data):
            found.append(process.pid)
    return found


async def ended(pid: int) -> None:
    async def is_gone() -> bool:
        return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE

    await until(is_gone, f"process {pid} has ended")


async def test_data_survive_a_restart_and_stopping_leaves_no_process(directory: Path, programs: Path) -> None:
    server = EmbeddedPostgres(directory / "data", programs=programs)
    await server.start()
    await execute(server, "CREATE TABLE kept (n integer)", "INSERT INTO kept VALUES (1)")
    assert processes_in(directory / "data")
    await server.stop()
    assert server.pid is None
    assert processes_in(directory / "data") == []
    async with server:
        assert await numbers(server) == [1]
    assert processes_in(directory / "data") == []
    await server.stop()  # again is nothing


async def test_durability_is_never_switched_off(postgres: EmbeddedPostgres) -> None:
    connection = await asyncpg.connect(postgres.url)
    settings = {
        name: await connection.fetchval(f"SHOW {name}")
        for name in ("fsync", "synchronous_commit", "full_page_writes", "listen_addresses", "log_statement")
    }
    await connection.close()
    assert settings == {
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "listen_addresses": "",
        "log_statement": "none",
    }


async def test_the_server_of_a_killed_process_is_stopped_by_the_next_start(
    directory: Path, programs: Path, keeper: asyncio.subprocess.Process
) -> None:
    orphan = await served(keeper)
    keeper.kill()
    await keeper.wait()
    assert psutil.pid_exists(orphan), "nobody stopped it"
    async with EmbeddedPostgres(directory / "data", programs=programs) as server:
        await ended(orphan)
        assert server.pid not in (None, orphan)
        await execute(server, "SELECT 1")
    assert processes_in(directory / "data") == []


async def test_a_directory_in_use_is_an_error_that_names_the_process(
    directory: Path, programs: Path, keeper: asyncio.subprocess.Process
) -> None:
    running = await served(keeper)
    with pytest.raises(EmbeddedPostgresError, match=rf"in use by process {keeper.pid}; .*--data"):
        await EmbeddedPostgres(directory / "data", programs=programs).start()
    assert psutil.pid_exists(running), "the other's server is left alone"
    assert keeper.stdin is not None
    keeper.stdin.close()
    assert await keeper.wait() == 0
    await ended(running)
    async with EmbeddedPostgres(directory / "data", programs=programs) as server:
        await execute(server, "SELECT 1")


async def test_what_was_committed_survives_the_server_s_sudden_death(directory: Path, programs: Path) -> None:
    server = EmbeddedPostgres(directory / "data", programs=programs)
    await server.start()
    await execute(
        server, "CREATE TABLE kept (n integer)", *(f"INSERT INTO kept VALUES ({n})" for n in range(20))
    )
    pid = server.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert await server.wait() == -signal.SIGKILL
    assert server.pid is None
    await server.stop()
    await server.start()
    assert await numbers(server) == list(range(20))
    await server.stop()
    assert processes_in(directory / "data") == []


async def test_a_path_too_long_for_a_socket_works(directory: Path, programs: Path) -> None:
    data = directory / ("long" * 20) / ("path" * 20) / "data"
    async with EmbeddedPostgres(data, programs=programs) as server:
        assert str(data) not in server.url
        await execute(server, "CREATE TABLE kept (n integer)", "INSERT INTO kept VALUES (7)")
        assert await numbers(server) == [7]
        assert (data / "PG_VERSION").exists()
    async with EmbeddedPostgres(data, programs=programs) as server:
        assert await numbers(server) == [7]


async def test_a_path_with_spaces_and_signs_works(directory: Path, programs: Path) -> None:
    async with EmbeddedPostgres(directory / "it's a path & ü" / "data", programs=programs) as server:
        await execute(server, "SELECT 1")


async def test_a_server_that_can_t_start_says_why_and_frees_the_directory(
    directory: Path, programs: Path
) -> None:
    wrong = EmbeddedPostgres(directory / "data", {"shared_buffers": "nonsense"}, programs=programs)
    with pytest.raises(EmbeddedPostgresError, match="shared_buffers"):
        await wrong.start()
    assert processes_in(directory / "data") == []
    async with EmbeddedPostgres(directory / "data", programs=programs) as server:
        await execute(server, "SELECT 1")
