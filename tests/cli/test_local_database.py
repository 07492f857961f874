"""Commands without a configured database: they find that of `hookline run`, running or not."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from hookline.cli.local import with_database
from hookline.config import Settings
from hookline.embedded import EmbeddedPostgres
from hookline.errors import ConfigError
from hookline.store.migrate import migrate
from hookline.store.session import Session

WITHIN = timedelta(seconds=10)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HOOKLINE_DATABASE_URL", raising=False)


def ask(dsn: str | None) -> int:
    async def run() -> int:
        session = Session(dsn or "", name="test")
        try:
            [row] = await session.fetch("SELECT count(*) AS shards FROM hookline.outbox", within=WITHIN)
            return int(row["shards"])
        finally:
            await session.close()

    return asyncio.run(run())


def test_a_configured_database_is_taken_as_it_is() -> None:
    settings = Settings(database_url="postgresql://somewhere/x")
    with with_database(settings) as reached:
        assert reached is settings


def test_without_any_it_says_where_one_would_be() -> None:
    with (
        pytest.raises(ConfigError, match=r"set HOOKLINE_DATABASE_URL, or go to where"),
        with_database(Settings()),
    ):
        pytest.fail("there is none")
    assert not Path(".hookline").exists()


def test_one_that_runs_is_used_and_one_that_does_not_is_started_and_stopped() -> None:
    server = EmbeddedPostgres(Path(".hookline/postgres"))
    with asyncio.Runner() as runner:
        runner.run(server.start())
        runner.run(migrate(server.url, shards=2))
        with with_database(Settings()) as reached:
            assert ask(reached.dsn()) == 0
        assert server.pid is not None
        runner.run(server.stop())
    assert not server.is_in_use
    with with_database(Settings()) as reached:
        assert ask(reached.dsn()) == 0
        assert server.is_in_use
    assert not server.is_in_use
    assert not Path(".hookline/postgres/postmaster.pid").exists()
