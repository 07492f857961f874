"""What `hookline doctor` finds in a database, made wrong for real."""

import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest

from cli.doctored import ALL, FREE, LONG, NO_KEY, looked, settings, wrong
from cli.pooler import Pooler
from conftest import SHARDS
from hookline.admin.server import AdminServices
from hookline.core.validity import ALWAYS
from hookline.doctor import connections, finding
from hookline.doctor.finding import Finding
from hookline.edge.app import create_app
from hookline.model import SourceName
from hookline.relay import server
from hookline.sealing import encode_key, random_key
from hookline.store import secrets
from hookline.store.migrate import known, migrate
from hookline.store.rights import Duty
from hookline.store.session import Session
from hookline.telemetry.metrics import Metrics
from hookline.telemetry.tracing import Tracing
from path.rig.database import connect
from path.rig.postgres import PostgresProcess
from path.rig.process import EdgeProcess, RelayProcess, write_config
from path.rig.stream import RawStream
from path.rig.webhooks import body, post
from store.role_rig import DutyRoles

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCTORS_KEY", LONG)


async def test_every_connection_is_counted(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever adds a session to edge or relay: count it in hookline/doctor/connections.py."""

    names: list[str] = []
    plain = Session.__init__

    def counted(self: Session, dsn: str, *, name: str) -> None:
        if not name.endswith(" start"):  # closed before the others are opened
            names.append(name)
        plain(self, dsn, name=name)

    monkeypatch.setattr(Session, "__init__", counted)
    chosen = settings(database, subscriptions={"all": {}})
    async with create_app(chosen).running():
        edge = len(names)
    await server.declare_subscriptions(database, chosen)
    names.clear()
    quiet = chosen.telemetry
    admin = AdminServices(database)
    relay = server.Relay(
        database, chosen.relay, Tracing(quiet, service="x"), Metrics(quiet, service="x"), admin
    )
    await relay.start()
    try:
        without = len(names)
        async with RawStream(f"127.0.0.1:{relay.port}") as stream:
            await stream.start()
            assert len(names) - without == connections.SUBSCRIPTION, names
    finally:
        await relay.stop(grace=0)
        await admin.close()
    assert edge == connections.EDGE + chosen.edge.writers
    assert without == connections.RELAY, names


def _in_database(url: str, name: str, role: str = "") -> str:
    parts = urlsplit(url)
    netloc = f"{role}@" if role else parts.netloc
    return urlunsplit(parts._replace(netloc=netloc, path=f"/{name}"))


@asynccontextmanager
async def _role(url: str, *sql: str, name: str = "doctored") -> AsyncIterator[str]:
    """A role of its own for the database, set up so; answers its URL."""
    database = urlsplit(url).path[1:]
    async with connect(url) as connection:
        await connection.execute(f"CREATE ROLE {name} LOGIN SUPERUSER")
        for statement in sql:
            await connection.execute(statement)
        yield _in_database(url, database, name)
        await connection.execute(f"DROP OWNED BY {name}")
        await connection.execute(f"DROP ROLE {name}")


async def test_what_the_database_is_told_wrong_is_found(tmp_path: Path, database: str) -> None:
    """Settings of a role, a pooler, an older or newer schema, segments that are gone, stored secrets."""
    fine = settings(database)
    # Checksums are on by default since 18.
    usual = {**NO_KEY, **{k: v for k, v in (await wrong(fine)).items() if k == "database.data_checksums"}}
    assert await wrong(fine) == usual

    alter = "ALTER ROLE doctored SET"
    async with _role(
        database,
        f"{alter} synchronous_commit = off",
        f"{alter} statement_timeout = '1s'",
        f"{alter} lock_timeout = '2s'",
        f"{alter} idle_session_timeout = '1min'",
    ) as url:
        assert await wrong(settings(url)) == {
            **usual,
            "database.synchronous_commit": "problem",
            "database.statement_timeout": "problem",
            "database.lock_timeout": "problem",
            "database.idle_session_timeout": "warning",
        }
    async with _role(
        database, f"{alter} statement_timeout = '20s'", "ALTER ROLE doctored CONNECTION LIMIT 9"
    ) as url:
        assert await wrong(settings(url)) == {
            **usual,
            "database.statement_timeout": "warning",
            "database.connections": "problem",
        }
    for seconds, level in ((5, "warning"), (100, "problem"), (-100, "problem")):
        # Somebody else's clock: found before PostgreSQL's own.
        async with _role(
            database,
            "CREATE SCHEMA wrong",
            "CREATE FUNCTION wrong.clock_timestamp() RETURNS timestamptz LANGUAGE sql"
            f" AS $$ SELECT pg_catalog.clock_timestamp() + interval '{seconds}s' $$",
            f"{alter} search_path = wrong, pg_catalog",
        ) as url:
            found = await looked(settings(url))
            assert found["clock"].level == level
            assert (
                f"{abs(seconds) - 1}.9" in found["clock"].found or f"{abs(seconds)}.0" in found["clock"].found
            )
            assert ("behind" in found["clock"].found) is (seconds < 0)
            async with connect(database) as connection:
                await connection.execute("DROP SCHEMA wrong CASCADE")

    async with Pooler(database, tmp_path) as pooler:
        assert await wrong(settings(pooler.dsn)) == {**usual, "database.pooler": "warning"}
        hearing = settings(pooler.dsn, database={**FREE["database"], "direct_url": database})
        assert await wrong(hearing) == usual

    newest = known()[-1].version
    async with connect(database) as connection:
        for change, said in (
            (
                f"DELETE FROM hookline.migrations WHERE version >= {newest - 1}",
                f"2 pending: {newest - 1:04}_",
            ),
            (
                "UPDATE hookline.migrations SET sha256 = 'x' WHERE version = 3",
                "0003_lock_shards was applied with",
            ),
            ("INSERT INTO hookline.migrations VALUES (9999, 'x', 'x')", "the database is at migration 9999"),
        ):
            await connection.execute("CREATE TABLE saved AS SELECT * FROM hookline.migrations")
            await connection.execute(change)
            found = await looked(fine)
            assert {k: v.level for k, v in found.items() if v.level != "ok"} == {
                **usual,
                "schema.migrations": "problem",
            }
            assert said in found["schema.migrations"].found
            await connection.execute("TRUNCATE hookline.migrations")
            await connection.execute("INSERT INTO hookline.migrations SELECT * FROM saved")
            await connection.execute("DROP TABLE saved")
        other = settings(database, database={"shards": SHARDS + 1})
        assert await wrong(other) == {**usual, "schema.shards": "problem"}
        for number, level in ((2, "ok"), (1, "warning"), (0, "problem")):
            await connection.execute(f"DROP TABLE hookline.outbox_{number:08}")
            assert (await looked(fine))["schema.segments"].level == level


async def test_stored_secrets_are_opened(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCTORS_SEAL", encode_key(random_key()))
    monkeypatch.setenv("DOCTORS_OTHER_SEAL", encode_key(random_key()))
    sources = {"begini": {"scheme": "begini", "secrets": ["stored"]}}
    right = settings(database, sources=sources, secrets={"keys": ["env:DOCTORS_SEAL"]})
    none = (await looked(right))["secrets.begini.stored"]
    assert (none.level, none.found) == ("problem", "no stored secret is live")
    sealer = right.secrets.sealer()
    assert sealer is not None
    session = Session(database, name="test")
    await secrets.add(
        session,
        sealer,
        LONG.encode(),
        source=SourceName("begini"),
        secret_id="first",
        validity=ALWAYS,
        within=timedelta(seconds=10),
    )
    await session.close()
    assert (await looked(right))["secrets.begini.stored"] == finding.ok("secrets.begini.stored", "1 opened")
    other = settings(database, sources=sources, secrets={"keys": ["env:DOCTORS_OTHER_SEAL"]})
    broken = (await looked(other))["secrets.begini.stored"]
    assert broken.level == "problem"
    assert broken.found.startswith(
        f"secret first of source begini: sealed with key {sealer.key_id}, which isn't"
    )
    assert broken.fix == "add that key to secrets.keys"
    assert (await looked(settings(database, sources=sources)))["secrets.stored"].level == "problem"


async def test_a_role_with_nothing_but_what_the_doctor_says_can_do_the_work(
    tmp_path: Path, database: str
) -> None:
    async with _role(database, "ALTER ROLE doctored NOSUPERUSER") as url:
        chosen = settings(url)
        lacking = await looked(chosen)
        assert {check for check, one in lacking.items() if one.level == "problem"} == {
            f"rights.{duty}" for duty in ALL
        }
        assert lacking["schema.migrations"].level == "warning"
        assert lacking["rights.relay"].found.startswith(
            "role doctored lacks USAGE on schema hookline, SELECT on table installation, "
        )
        roles = DutyRoles(database)
        await roles.create()
        async with connect(database) as connection:
            await _grant(connection, lacking, roles, "edge", "relay")
            config = write_config(
                tmp_path / "hookline.toml",
                {
                    "sources.begini": {"scheme": "begini", "secrets": ["env:BEGINI_API_KEY"]},
                    "subscriptions.all": {"start": "earliest"},
                    "database": {"shards": SHARDS},
                },
            )
            async with RelayProcess(url, config) as relay, EdgeProcess(url, config) as edge:
                async with RawStream(relay.target) as stream:
                    await stream.start()
                    assert (await post(edge.url, body("A")))["status"] == "accepted"
                    held = await stream.deliveries(1)
                    assert not (await stream.reject(*held, reason="no")).failures
                for process in (edge, relay):
                    assert "InsufficientPrivilege" not in process.output()
            await _grant(connection, await looked(chosen), roles, "operator")
            found = await looked(chosen)
            assert [found[f"rights.{duty}"].level for duty in ALL] == ["ok"] * 3
            # One right less, and it is named; by those whose work takes it.
            for duty in ALL:
                await connection.execute(f"REVOKE INSERT ON hookline.events FROM {roles.name(duty)}")
            found = await looked(chosen)
            assert [check for check, one in found.items() if one.level == "problem"] == [
                "rights.edge",
                "rights.operator",
            ]
            assert found["rights.edge"].found == "role doctored lacks INSERT on table events"
            assert "rights.edge" not in await looked(chosen, "relay")


@pytest.fixture
def directory() -> Iterator[Path]:
    """Not pytest's: another run of it would take the server's user the way to it."""
    with tempfile.TemporaryDirectory(prefix="hookline-test-") as directory:
        yield Path(directory)


async def test_a_server_that_keeps_no_promise_is_told_so(directory: Path) -> None:
    postgres = PostgresProcess(directory)
    postgres.start()
    try:
        chosen = settings(postgres.url)
        # Never migrated.
        never = await looked(chosen)
        assert never["schema.migrations"].found == "this database was never migrated"
        assert never["schema.migrations"].level == "problem"
        await migrate(postgres.url, shards=SHARDS)
        usual = await wrong(chosen)
        assert set(usual) <= {*NO_KEY, "database.data_checksums"}

        postgres.stop()
        gone = (await looked(chosen))["database"]
        assert (gone.level, gone.found.startswith("can't be reached: ")) == ("problem", True)
        signal_file = directory / "postgres" / "standby.signal"
        signal_file.touch()
        owner = (directory / "postgres").stat()
        os.chown(signal_file, owner.st_uid, owner.st_gid)
        postgres.start()
        assert await wrong(chosen) == {**usual, "database.recovery": "problem"}
        postgres.stop()
        signal_file.unlink()
        with (directory / "postgres" / "postgresql.auto.conf").open("a", encoding="utf-8") as file:
            file.write("fsync = off\nfull_page_writes = off\nwal_level = minimal\nmax_wal_senders = 0\n")
            file.write("max_connections = 20\n")
        postgres.start()
        many = settings(postgres.url, subscriptions={f"s{number}": {} for number in range(5)})
        assert await wrong(many) == {
            **usual,
            "database.fsync": "problem",
            "database.full_page_writes": "problem",
            "database.wal_level": "warning",
            "database.connections": "problem",
        }
        found = await looked(many)
        assert found["database.fsync"].fix == "ALTER SYSTEM SET fsync = on; then SELECT pg_reload_conf()"
        need = connections.needed(edges=1, relays=1, writers=2, subscriptions=5)
        assert f"take up to {need} connections, and there are 20 (max_connections)" in (
            found["database.connections"].found
        )
        nobody = settings(postgres.url.replace("postgres@", "nobody@"))
        refused = (await looked(nobody))["database"]
        assert refused.found == 'the server refuses the connection: role "nobody" does not exist'
    finally:
        postgres.stop()


async def _grant(connection: Any, found: dict[str, Finding], roles: DutyRoles, *duties: Duty) -> None:
    """Do what the doctor says, with the roles of this test."""
    for duty in duties:
        said = 'run "hookline roles create" as who owns the schema, then '
        fix = found[f"rights.{duty}"].fix
        assert fix.startswith(said)
        grant = fix.removeprefix(said).partition(";")[0]
        assert grant == f'GRANT hookline_{duty} TO "doctored"'
        await connection.execute(grant.replace(f"hookline_{duty}", roles.name(duty)))
