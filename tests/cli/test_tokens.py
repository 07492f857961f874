"""`hookline tokens`, and the commands that show one to a relay."""

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from typer.testing import CliRunner

from hookline.admin.server import AdminServices
from hookline.cli import main
from hookline.core.access_token import AccessToken
from path.rig.access import id_of
from path.rig.database import connect
from path.rig.events import append_many
from path.rig.relay import Relay

CANARY = AccessToken.new().reveal()


@dataclass(frozen=True, slots=True)
class Result:
    code: int
    stdout: str
    stderr: str


class Commands:
    """Runs `hookline …` in this process, as to start one takes longer than most commands."""

    def __init__(self, dsn: str) -> None:
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("HOOKLINE_")},
            "HOOKLINE_DATABASE_URL": dsn,
            "COLUMNS": "250",
        }

    async def run(self, *arguments: str, code: int = 0) -> Result:
        result = await asyncio.to_thread(self._call, arguments)
        assert result.code == code, result
        assert "Traceback" not in result.stderr
        assert CANARY not in result.stdout + result.stderr
        return result

    def _call(self, arguments: tuple[str, ...]) -> Result:
        unset: dict[str, str | None] = dict.fromkeys(os.environ.keys() - self.environment.keys())
        with CliRunner().isolation(env={**unset, **self.environment}) as (stdout, stderr, _):
            before, sys.argv = sys.argv, ["hookline", *arguments]
            try:
                main()
                code: Any = 0
            except SystemExit as ended:
                code = ended.code
            finally:
                sys.argv = before
                sys.stdout.flush()
                sys.stderr.flush()
            return Result(code or 0, stdout.getvalue().decode(), stderr.getvalue().decode())

    async def tail(self, target: str, *, code: int) -> str:
        """`hookline tail` for one event, in a process: it wants signals; answers all it says."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "hookline", "tail", "all", "--count", "1", "--target", target),
            env=self.environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(30):
            said, _ = await process.communicate()
        assert process.returncode == code, said
        assert CANARY.encode() not in said
        return said.decode()

    async def says(self, *arguments: str) -> str:
        """What goes wrong, on one line."""
        result = await self.run(*arguments, code=2)
        return " ".join(re.sub(r"[│╭╮╰╯─]", "", result.stderr).split())

    async def create(self, *arguments: str) -> str:
        return (await self.run("tokens", "create", *arguments, "--quiet")).stdout.strip()

    async def listed(self) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = json.loads((await self.run("tokens", "list", "--json")).stdout)
        return listed


@pytest.fixture
def commands(tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch) -> Commands:
    monkeypatch.chdir(tmp_path)
    return Commands(database)


@pytest.fixture
async def guarded(database: str) -> AsyncIterator[Relay]:
    async with Relay(database, access="tokens", beside=AdminServices(database)) as relay:
        yield relay


async def test_a_token_is_printed_once_and_then_only_described_until_it_is_revoked(
    commands: Commands, database: str
) -> None:
    made = await commands.run(
        "tokens", "create", "scoring", "--role", "consumer", "--subscription", "b", "--subscription", "a"
    )
    token = made.stdout.removesuffix("\n")
    assert AccessToken.parse(token) is not None
    assert made.stderr == (
        "note: there is no subscription a yet\nnote: there is no subscription b yet\n"
        f"{id_of(token)} created for scoring, consumer; never expires. Keep it now: it is shown once\n"
    )
    quiet = await commands.run("tokens", "create", "ops", "--role", "operator", "--quiet", "--expires", "90d")
    assert (AccessToken.parse(quiet.stdout.strip()) is not None, quiet.stderr) == (True, "")
    as_json = json.loads(
        (await commands.run("tokens", "create", "look", "--role", "reader", "--json")).stdout
    )
    assert as_json == {"id": id_of(as_json["token"]), "token": as_json["token"], "expires_at": None}

    scoring, ops, look = await commands.listed()
    assert {**scoring, "created_at": ""} == {
        "id": id_of(token),
        "name": "scoring",
        "role": "consumer",
        "subscriptions": ["a", "b"],
        "state": "live",
        "created_at": "",
        "expires_at": None,
        "revoked_at": None,
    }
    expires = datetime.fromisoformat(ops["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=89) < expires <= timedelta(days=90)
    assert [one["role"] for one in (scoring, ops, look)] == ["consumer", "operator", "reader"]

    # An id will do, and so does the token, of which only the id is used.
    revoked = await commands.run("tokens", "revoke", id_of(token))
    assert re.fullmatch(rf"{id_of(token)} of scoring was revoked at [-\d: ]+\n", revoked.stdout)
    again = await commands.run("tokens", "revoke", token)
    assert again.stdout == revoked.stdout.replace("was revoked", "was already revoked")
    async with connect(database) as connection:
        await connection.execute(
            "UPDATE hookline.access_tokens SET created_at = created_at - interval '91 days',"
            " expires_at = expires_at - interval '91 days' WHERE name = 'ops'"
        )
        stored = str(await connection.fetch("SELECT t::text FROM hookline.access_tokens AS t"))
    assert {one["name"]: one["state"] for one in await commands.listed()} == {
        "scoring": "revoked",
        "ops": "expired",
        "look": "live",
    }
    table = (await commands.run("tokens", "list")).stdout
    for part in ("scoring", "a, b", "consumer", "revoked", "expired", "never", id_of(token)):
        assert part in table
    for shown in (token, quiet.stdout.strip(), as_json["token"]):
        secret = shown.rpartition("_")[2]
        for where in (table, revoked.stdout, again.stdout, stored):
            assert secret not in where


async def test_a_mistake_says_how_to_mend_it_and_makes_no_token(commands: Commands, database: str) -> None:
    create = ("tokens", "create")
    for arguments, says in {
        (*create, "a", "--role", "consumer"): "say which it may consume",
        (*create, "a", "--role", "reader", "--subscription", "all"): "only a consumer has some",
        (*create, "a", "--role", "consumer", "--subscription", "*"): "there are no globs",
        (*create, "a", "--role", "admin"): "'admin' is not one of 'consumer', 'reader', 'operator'",
        (*create, "a", "--role", "reader", "--expires", "soon"): 'a duration such as "90d"',
        (*create, "a", "--role", "reader", "--expires", "0s"): 'a duration such as "90d"',
        (*create, CANARY, "--role", "reader"): "use letters, digits",
        (*create, "a\nb", "--role", "reader"): "use letters, digits",
        ("tokens", "revoke", "scoring"): "that is no id of a token",
        ("tokens", "revoke", CANARY): f"there is no token {id_of(CANARY)}",
    }.items():
        assert says in await commands.says(*arguments), arguments
    assert await commands.listed() == []
    connection = await asyncpg.connect(database)
    await connection.execute("DROP TABLE hookline.access_tokens")
    await connection.close()
    behind = "hookline: this database isn't up to date; run `hookline migrate`"
    assert await commands.says("tokens", "list") == behind
    assert await commands.says(*create, "a", "--role", "reader") == behind


async def test_commands_show_the_token_of_the_environment_to_the_relay(
    commands: Commands, guarded: Relay, database: str
) -> None:
    reader = await commands.create("look", "--role", "reader")
    consumer = await commands.create("tail", "--role", "consumer", "--subscription", "all")
    await append_many(database, 1)
    listing = ("subscriptions", "list", "--json", "--relay", guarded.target)
    assert "HOOKLINE_RELAY_TOKEN" in await commands.says(*listing)

    commands.environment["HOOKLINE_RELAY_TOKEN"] = f" {reader}\n"
    assert [one["name"] for one in json.loads((await commands.run(*listing)).stdout)] == ["all"]
    denied = await commands.tail(guarded.target, code=2)
    assert f"access token {id_of(reader)} has the role 'reader'" in denied
    paused = await commands.says("subscriptions", "pause", "all", "--relay", guarded.target)
    assert "may not call /hookline.v1.SubscriptionService/PauseSubscription" in paused
    commands.environment["HOOKLINE_RELAY_TOKEN"] = consumer
    assert (await commands.tail(guarded.target, code=0)).count("\n") == 1

    commands.environment["HOOKLINE_RELAY_TOKEN"] = CANARY
    assert "there is no such access token" in await commands.says(*listing)
    commands.environment["HOOKLINE_RELAY_TOKEN"] = f"{CANARY}é"
    wrong = "hookline: HOOKLINE_RELAY_TOKEN is no access token; `hookline tokens create` makes one: hkl_…"
    assert await commands.says(*listing) == wrong
    assert (await commands.tail(guarded.target, code=2)).strip() == wrong
