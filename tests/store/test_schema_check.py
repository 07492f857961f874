"""A program starts on a schema that isn't its own."""

from pathlib import Path

import asyncpg
import pytest
import structlog

from hookline.embedded import EmbeddedPostgres
from hookline.errors import MigrationError
from hookline.store.migrate import known
from hookline.store.schema import check_schema
from hookline.store.session import Session
from path.rig.process import EdgeProcess, Process, RelayProcess, write_config
from store.empty import empty_database, migrate_until
from store.webhooks import SHARDS, WITHIN

NEWEST = known()[-1].version
MISTAKE = 2
"""Exit code: somebody has to mend something before it is tried again."""


async def test_edge_and_relay_refuse_an_older_schema_and_say_what_to_run(
    postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    config = write_config(
        tmp_path / "hookline.toml",
        {"sources.begini": {"scheme": "begini", "secrets": ["env:BEGINI_API_KEY"]}, "subscriptions.all": {}},
    )
    async with empty_database(postgres) as old:
        await migrate_until(old, NEWEST - 1, shards=SHARDS)
        started: list[Process] = [EdgeProcess(old, config), RelayProcess(old, config)]
        for process in started:
            process.start()
        for process in started:
            assert await process.ended(patience=60) == MISTAKE, process.output()
            assert process.output().endswith(
                "hookline: the database's schema is older than this program"
                f" (at {NEWEST - 1:04}, needed is {NEWEST:04}): run `hookline migrate`;"
                " processes of the version before go on meanwhile and after\n"
            )
            assert "Traceback" not in process.output()


async def test_a_newer_schema_is_used_and_said(database: str) -> None:
    session = Session(database, name="test")
    later = "INSERT INTO hookline.migrations (version, name, sha256) VALUES (9999, 'later', '')"
    try:
        with structlog.testing.capture_logs() as told:
            await check_schema(session, within=WITHIN)
            assert told == []
            await session.fetch(later, within=WITHIN)
            await check_schema(session, within=WITHIN)
    finally:
        await session.close()
    assert [(line["event"], line["schema"], line["known"]) for line in told] == [
        ("the schema is newer than this program", 9999, NEWEST)
    ]


async def test_a_database_without_schema_or_rights_is_refused_with_what_mends_it(
    postgres: EmbeddedPostgres, database: str
) -> None:
    async with empty_database(postgres) as empty:
        session = Session(empty, name="test")
        try:
            with pytest.raises(MigrationError, match="never migrated: run `hookline migrate`"):
                await check_schema(session, within=WITHIN)
        finally:
            await session.close()
    operator = await asyncpg.connect(database)
    await operator.execute("CREATE ROLE nobody_yet")
    session = Session(database, name="test")
    try:
        await session.fetch("SET ROLE nobody_yet", within=WITHIN)
        await operator.execute("GRANT USAGE ON SCHEMA hookline TO nobody_yet")
        with pytest.raises(
            MigrationError, match=r"may not read hookline\.migrations: run `hookline migrate`"
        ):
            await check_schema(session, within=WITHIN)
    finally:
        await session.close()
        await operator.execute("DROP OWNED BY nobody_yet; DROP ROLE nobody_yet")
        await operator.close()
