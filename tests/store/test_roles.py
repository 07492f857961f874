"""What the roles of the duties may do, and above all what they may not; who may make them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from conftest import SHARDS
from hookline.errors import RolesError
from hookline.store.migrate import migrate
from hookline.store.rights import DUTIES, NEEDS, OWNER_ONLY, Duty
from hookline.store.statements import load
from path.rig.events import append_many
from store.role_rig import DutyRoles, as_role, refused

if TYPE_CHECKING:
    from hookline.embedded import EmbeddedPostgres

NOBODY: tuple[str, ...] = (
    "CREATE TABLE hookline.mine ()",
    "CREATE FUNCTION hookline.mine() RETURNS void LANGUAGE sql AS ''",
    "ALTER TABLE hookline.outbox ADD COLUMN mine text",
    "ALTER FUNCTION hookline.ensure_segments(integer) RESET ALL",
    "CREATE INDEX ON hookline.events (source)",
    "CREATE TRIGGER mine BEFORE INSERT ON hookline.events EXECUTE FUNCTION hookline.hint_secrets()",
    "DROP TABLE hookline.outbox_00000000",
    "DROP FUNCTION hookline.lock_shards",
    "DROP SCHEMA hookline CASCADE",
    "TRUNCATE hookline.events",
    "TRUNCATE hookline.outbox",
    "TRUNCATE hookline.rejections",
    "SELECT body FROM hookline.outbox_00000000",
    "INSERT INTO hookline.outbox_00000000 DEFAULT VALUES",
    "SELECT role FROM hookline.duty_roles",
    "DELETE FROM hookline.migrations",
    "UPDATE hookline.installation SET shards = 1",
    "UPDATE hookline.events SET source = ''",
    "DELETE FROM hookline.events",
    "UPDATE hookline.outbox SET body = ''",
    "DELETE FROM hookline.outbox",
    "UPDATE hookline.acks SET consumers = '{}'",
    "DELETE FROM hookline.acks",
    "UPDATE hookline.attempts SET outcome = 'acked'",
    "SELECT setval('hookline.outbox_seq', 1)",
)
"""Nobody but the owner."""
_TABLES_OF_DELIVERY = ("subscriptions", "cursors", "deliveries", "attempts", "acks", "members", "replays")
NOT: dict[Duty, tuple[str, ...]] = {
    "edge": (
        "SELECT body FROM hookline.outbox",
        "SELECT seq FROM hookline.outbox",
        "COPY hookline.outbox TO STDOUT",
        "SELECT body_sha256 FROM hookline.events",
        "SELECT count(*) FROM hookline.outbox",
        "SELECT original FROM hookline.rejections",
        "SELECT headers FROM hookline.rejections",
        "UPDATE hookline.rejections SET event_id = NULL",
        "INSERT INTO hookline.secrets (source, id) VALUES ('a', 'b')",
        "UPDATE hookline.secrets SET sealed = ''",
        "DELETE FROM hookline.secrets",
        "SELECT FROM hookline.access_tokens",
        "DELETE FROM hookline.shapes",
        "SELECT hookline.redrive('all', '{}', '{}', '{}', now())",
        "SELECT hookline.close_subscription('all', 0)",
        "SELECT hookline.ensure_days('acks', 'acked_at', 1)",
        *(f"SELECT FROM hookline.{table}" for table in _TABLES_OF_DELIVERY),
        *(f"DELETE FROM hookline.{table}" for table in _TABLES_OF_DELIVERY),
    ),
    "relay": (
        "INSERT INTO hookline.events DEFAULT VALUES",
        "INSERT INTO hookline.outbox DEFAULT VALUES",
        "SELECT nextval('hookline.outbox_seq')",
        "SELECT hookline.ensure_segments(1)",
        "SELECT * FROM hookline.ingest('{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}')",
        "SELECT FROM hookline.secrets",
        "SELECT FROM hookline.rejections",
        "SELECT FROM hookline.rejection_totals",
        "SELECT FROM hookline.shapes",
        "SELECT FROM hookline.drift",
        "SELECT FROM hookline.schema_findings",
        "INSERT INTO hookline.access_tokens DEFAULT VALUES",
        "UPDATE hookline.access_tokens SET revoked_at = NULL",
        "DELETE FROM hookline.access_tokens",
    ),
    "operator": (
        "SELECT body FROM hookline.outbox",
        "SELECT body_sha256 FROM hookline.events",
        "INSERT INTO hookline.rejections DEFAULT VALUES",
        "DELETE FROM hookline.rejections",
        "UPDATE hookline.rejections SET original = NULL",
        "UPDATE hookline.rejection_totals SET bytes = 0",
        "INSERT INTO hookline.shapes DEFAULT VALUES",
        "DELETE FROM hookline.access_tokens",
        "SELECT push FROM hookline.subscriptions",
        "UPDATE hookline.subscriptions SET paused = true",
        "SELECT hookline.redrive('all', '{}', '{}', '{}', now())",
        *(f"SELECT FROM hookline.{table}" for table in _TABLES_OF_DELIVERY if table != "subscriptions"),
        *(f"DELETE FROM hookline.{table}" for table in _TABLES_OF_DELIVERY),
    ),
}
RELAYS_WORK = Path(__file__).with_name("relays_work.sql")
EDGE_STATEMENTS: dict[str, tuple[str, ...]] = {
    "ingest.sql": (),
    "rejections.sql": ("keep", "sources", "trim"),
    "secrets.sql": ("current",),
    "shapes.sql": ("read", "read_some", "write"),
}
"""What an edge runs; () is everything in the file."""
OPERATOR_STATEMENTS: dict[str, tuple[str, ...]] = {
    "ingest.sql": ("ingest", "ensure_segments", "read_installation"),
    "rejections.sql": (
        "sources",
        "find_newest",
        "find_oldest",
        "count",
        "find",
        "originals",
        "mark_admitted",
    ),
    "secrets.sql": (),
    "shapes.sql": ("read", "read_some", "accept", "drift", "findings"),
    "access_tokens.sql": ("list", "add", "revoke"),
}
RELAY_FILES = (
    "acks", "attempts", "cursors", "dead_letters", "deliveries", "events", "forwarded", "gauges", "log", "replays",
    "settlements", "subscription_changes", "subscriptions", "timeline",
)  # fmt: skip
RELAY_STATEMENTS: dict[str, tuple[str, ...]] = {
    **{f"{name}.sql": () for name in RELAY_FILES},
    "access_tokens.sql": ("live",),
}
STATEMENTS: dict[Duty, dict[str, tuple[str, ...]]] = {
    "edge": EDGE_STATEMENTS,
    "relay": RELAY_STATEMENTS,
    "operator": OPERATOR_STATEMENTS,
}


@pytest.fixture
async def made(database: str) -> DutyRoles:
    made = DutyRoles(database)
    await made.create()
    return made


async def test_all_that_there_is_in_the_schema_is_some_dutys_or_the_owners(foreign: Any) -> None:
    """Whoever adds a table, sequence or function: name it in hookline/store/rights.py."""
    rows = await foreign.fetch(
        """
        SELECT CASE relkind WHEN 'S' THEN 'sequence' ELSE 'table' END AS kind, relname::text AS name
          FROM pg_class AS c
         WHERE relnamespace = 'hookline'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
           AND NOT relispartition
           -- The sequence of an identity column needs no right of its own.
           AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.objid = c.oid AND d.classid = 'pg_class'::regclass
                                                        AND d.deptype = 'i' AND c.relkind = 'S')
        UNION
        SELECT 'function', proname::text
          FROM pg_proc
         WHERE pronamespace = 'hookline'::regnamespace AND prorettype <> 'trigger'::regtype
        """
    )
    there = {(row["kind"], row["name"]) for row in rows}
    needed = {(right.kind, right.name) for duty in DUTIES for right in NEEDS[duty].each()} - {
        ("schema", "hookline")
    }
    assert {name for kind, name in there - needed} == OWNER_ONLY
    assert needed <= there
    # PostgreSQL makes a new function everybody's.
    everybodys = await foreign.fetch(
        "SELECT p.oid::regprocedure FROM pg_proc AS p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS a"
        " WHERE p.pronamespace = 'hookline'::regnamespace AND a.grantee = 0"
    )
    assert not everybodys


async def test_nobody_may_do_more_than_his_work(made: DutyRoles, foreign: Any) -> None:
    for duty in DUTIES:
        async with made.connected(duty) as connection:
            for statement in (*NOBODY, *NOT[duty]):
                await refused(connection, statement)
            # No way to more than that.
            await refused(connection, f'ALTER ROLE "{made.name(duty)}" SUPERUSER')
            await refused(connection, "SET ROLE postgres")
    somebody = made.name("somebody")
    await foreign.execute(f"CREATE ROLE {somebody} LOGIN")
    names = await foreign.fetch(
        "SELECT oid::regclass::text AS name FROM pg_class"
        " WHERE relnamespace = 'hookline'::regnamespace AND relkind IN ('r', 'p')"
    )
    async with made.connected("somebody") as connection:
        for statement in (*NOBODY, *(text for duty in DUTIES for text in NOT[duty])):
            await refused(connection, statement)
        for row in names:
            await refused(connection, f"SELECT FROM {row['name']}")
    # Not even if the schema were opened by mistake: no function is everybody's.
    await foreign.execute(f"GRANT USAGE ON SCHEMA hookline TO {somebody}")
    executable = await foreign.fetch(
        "SELECT oid::regprocedure FROM pg_proc WHERE pronamespace = 'hookline'::regnamespace"
        " AND has_function_privilege($1, oid, 'EXECUTE')",
        somebody,
    )
    assert not executable


async def test_each_statement_is_allowed_to_whose_it_is(made: DutyRoles) -> None:
    """To explain a statement takes the rights to run it."""
    for duty in DUTIES:
        async with made.connected(duty) as connection:
            for file, names in STATEMENTS[duty].items():
                for name, statement in load(file).items():
                    if names and name not in names:
                        continue
                    arguments = (await connection.prepare(statement)).get_parameters()
                    try:
                        await connection.fetch(f"EXPLAIN {statement}", *[None for _ in arguments])
                    except asyncpg.InsufficientPrivilegeError as error:
                        pytest.fail(f"{duty} may not {name} of {file}: {error}")


async def test_functions_do_their_work_with_the_rights_of_their_duty(made: DutyRoles, foreign: Any) -> None:
    """What they touch doesn't show in the statement that calls them."""
    async with made.connected("edge") as edge:
        assert (
            await edge.fetchval(
                "SELECT hookline.keep_rejections(ARRAY[gen_random_uuid()], ARRAY[now()], '{1}', '{403}', '{a}', '{b}',"
                " '{POST}', '{/}', '{large}', ARRAY['[]'::json], ARRAY[NULL::bytea], '{a}', '{0}', '{0}',"
                " ARRAY[interval '1 day'])"
            )
            == 1
        )
    ids = await append_many(made.database, 8, shards=1)
    async with made.connected("relay") as relay:
        for statement in RELAYS_WORK.read_text(encoding="utf-8").split(";\n"):
            await relay.execute(statement)
    assert len(ids) == await foreign.fetchval("SELECT count(*) FROM hookline.events")
    for table in ("subscriptions", "cursors", "deliveries", "replays", "members"):
        assert not await foreign.fetchval(f"SELECT count(*) FROM hookline.{table}")
    assert await foreign.fetchval("SELECT array_agg(outcome ORDER BY outcome) FROM hookline.attempts") == [
        "deleted",
        "rejected",
    ]


async def test_what_runs_with_the_owners_rights_finds_nothing_that_a_caller_put_in_its_way(
    made: DutyRoles, foreign: Any
) -> None:
    definers = await foreign.fetch(
        "SELECT oid::regprocedure::text AS name, proconfig FROM pg_proc"
        " WHERE pronamespace = 'hookline'::regnamespace AND prosecdef"
    )
    assert {row["name"] for row in definers} >= {
        "hookline.ensure_segments(integer)",
        "hookline.ensure_days(text,text,integer)",
        "hookline.ensure_attempt_days(integer)",
    }
    for row in definers:
        [path] = [text for text in row["proconfig"] or [] if text.startswith("search_path=")]
        schemas = path.removeprefix("search_path=").split(", ")
        # Everything of ours is named with its schema; temporary things come last, and public not at all.
        assert schemas in (["pg_catalog", "hookline", "pg_temp"], ["pg_catalog", "pg_temp"]), row["name"]

    await foreign.execute(
        "CREATE TABLE public.hijacked (by text);"
        " GRANT INSERT, SELECT ON public.hijacked TO PUBLIC; GRANT CREATE, USAGE ON SCHEMA public TO PUBLIC"
    )
    for duty, call, pinned in (
        ("edge", "SELECT hookline.ensure_segments(4)", True),
        ("relay", "SELECT hookline.ensure_days('acks', 'acked_at', 9)", True),
        ("relay", "SELECT hookline.ensure_attempt_days(9)", True),
        ("edge", "SELECT hookline.ensure_segments(6)", False),  # so this test would see it
    ):
        if not pinned:
            await foreign.execute("ALTER FUNCTION hookline.ensure_segments(integer) RESET search_path")

        async with made.connected(duty) as connection:
            body = "INSERT INTO public.hijacked SELECT current_user; SELECT"
            for schema in ("public", "pg_temp"):
                await connection.execute(
                    f"""
                    CREATE FUNCTION {schema}.lpad(text, integer, text) RETURNS text LANGUAGE sql
                        AS $$ {body} pg_catalog.lpad($1, $2, $3) $$;
                    CREATE FUNCTION {schema}.to_char(date, text) RETURNS text LANGUAGE sql
                        AS $$ {body} pg_catalog.to_char($1, $2) $$;
                    CREATE FUNCTION {schema}.hashtextextended(text, integer) RETURNS bigint LANGUAGE sql
                        AS $$ {body} 0::bigint $$
                    """
                )
            await connection.execute("CREATE TEMP TABLE pg_class (relname name, relnamespace oid)")
            await connection.execute("CREATE TEMP TABLE pg_proc ()")
            path = "pg_temp, public, pg_catalog" if pinned else "public, pg_catalog, pg_temp"
            await connection.execute(f"SET search_path = {path}")
            assert await connection.fetchval(call) == 2
            # As with its own rights, where it is called in vain.
            assert await connection.fetchval("SELECT public.lpad('a', 2, 'b')") == "ba"
            who = {row["by"] for row in await foreign.fetch("DELETE FROM public.hijacked RETURNING by")}
            assert who == {made.name(duty), *(() if pinned else ("postgres",))}
            await foreign.execute(
                "DROP FUNCTION public.lpad(text, integer, text), public.to_char(date, text),"
                " public.hashtextextended(text, integer)"
            )

    async with made.connected("relay") as relay, made.connected("edge") as edge:
        for connection, call in (
            (relay, "SELECT hookline.ensure_days('rejections', 'received_at', 1)"),
            (relay, "SELECT hookline.ensure_days('acks', 'block', 1)"),
            (relay, "SELECT hookline.ensure_days('acks', 'acked_at', 101)"),
            (relay, "SELECT hookline.ensure_attempt_days(101)"),
            (edge, "SELECT hookline.ensure_segments(101)"),
            (edge, "SELECT hookline.ensure_segments(-1)"),
        ):
            with pytest.raises(asyncpg.InvalidParameterValueError):
                await connection.execute(call)


async def test_to_create_again_takes_what_is_too_much_and_gives_what_is_missing(
    made: DutyRoles, foreign: Any
) -> None:
    right = await made.show()
    assert [(role.missing, role.superfluous) for role in right.values()] == [((), ())] * 4
    assert all(role.granted for duty, role in right.items() if duty)
    edge, relay = made.name("edge"), made.name("relay")
    for change in (
        f"GRANT SELECT ON hookline.events TO {edge} WITH GRANT OPTION",  # also on columns that it needs
        f"GRANT UPDATE (body) ON hookline.outbox TO {edge}",
        f"GRANT CREATE ON SCHEMA hookline TO {edge}",
        f"GRANT SELECT ON hookline.outbox_00000000 TO {edge}",
        f"GRANT EXECUTE ON FUNCTION hookline.ingest TO {relay}",
        f"REVOKE EXECUTE ON FUNCTION hookline.settle FROM {relay}",
        f"REVOKE INSERT ON hookline.acks FROM {relay}",
        "GRANT SELECT ON hookline.secrets TO PUBLIC",
        "GRANT EXECUTE ON FUNCTION hookline.ingest TO PUBLIC",
    ):
        await foreign.execute(change)
    found = await made.show()
    assert set(found["edge"].superfluous) == {
        "CREATE ON SCHEMA hookline",
        "GRANT OPTION FOR SELECT ON TABLE hookline.events",
        "SELECT ON TABLE hookline.events",
        "UPDATE (body) ON TABLE hookline.outbox",
        "SELECT ON TABLE hookline.outbox_00000000",
    }
    assert len(found["relay"].missing) == 2
    assert found["relay"].missing[0].startswith("EXECUTE ON FUNCTION hookline.settle(")
    assert found["relay"].missing[1] == "INSERT ON TABLE hookline.acks"
    assert [text.partition("(")[0] for text in found["relay"].superfluous] == [
        "EXECUTE ON FUNCTION hookline.ingest"
    ]
    assert len(found[None].superfluous) == 2
    assert found["operator"] == right["operator"]
    assert await made.create() == right
    assert await made.show() == right

    # What a migration takes away or adds, `hookline migrate` puts right.
    await foreign.execute(f"REVOKE INSERT ON hookline.acks FROM {relay}")
    await migrate(made.database, shards=SHARDS)
    assert await made.show() == right

    # What isn't ours to take is said, and nothing is changed.
    await foreign.execute(f"GRANT pg_read_all_data TO {edge}; ALTER ROLE {relay} BYPASSRLS")
    with pytest.raises(RolesError) as raised:
        await made.create()
    assert f"{edge}: member of pg_read_all_data" in str(raised.value)
    assert f"{relay}: BYPASSRLS" in str(raised.value)


async def test_to_create_roles_takes_no_superuser_and_who_may_not_is_told_what_it_takes(
    postgres: "EmbeddedPostgres", foreign: Any
) -> None:
    made = DutyRoles(postgres.url)
    owner, other, name = made.name("owner"), made.name("other"), f"of_{made.prefix}"
    await foreign.execute(f"CREATE ROLE {owner} LOGIN; CREATE ROLE {other} LOGIN CREATEROLE")
    await foreign.execute(f"CREATE DATABASE {name} OWNER {owner}")
    made.database = urlunsplit(urlsplit(postgres.url)._replace(path=f"/{name}"))
    try:
        url = as_role(made.database, owner)
        with pytest.raises(
            RolesError, match=r"isn't at the migrations of this version; run `hookline migrate`"
        ):
            await made.create(url)
        await migrate(url, shards=SHARDS)
        with pytest.raises(
            RolesError, match=r'refused: CREATE ROLE "\w+_edge" NOLOGIN: .*; this takes CREATEROLE'
        ):
            await made.create(url)
        with pytest.raises(RolesError, match=r"takes the owner of schema hookline"):
            await made.create(as_role(made.database, other))
        await foreign.execute(f"ALTER ROLE {owner} CREATEROLE")
        created = await made.create(url)
        assert all(
            role.can_login and not role.missing and not role.superfluous
            for role in created.values()
            if role.duty
        )
        # From here on without.
        await foreign.execute(f"ALTER ROLE {owner} NOCREATEROLE")
        await foreign.execute(f"ALTER ROLE {made.name('relay')} NOLOGIN")
        await migrate(url, shards=SHARDS)
        shown = await made.show()
        assert not shown["relay"].can_login
        assert shown["edge"] == created["edge"]
    finally:
        await foreign.execute(f"DROP DATABASE {name} WITH (FORCE)")
