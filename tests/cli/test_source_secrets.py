"""`hookline sources secrets`: secrets come from standard input or a hidden prompt, and never come out again."""

import asyncio
import json
import os
import pty
import re
import sys
import termios
from base64 import b64decode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from typer.testing import CliRunner

from hookline.cli import main
from hookline.model import SourceName
from hookline.sealing import Sealer, encode_key
from hookline.store import secrets
from hookline.store.session import Session
from path.rig.process import free_port

CANARY = "canary-secret-4711"
OLD, NEW = b"O" * 32, b"N" * 32
CONFIG = """
[sources.stripe]
scheme = "begini"
secrets = ["stored"]

[sources.shopify]
scheme = "begini"
secrets = ["env:SHOPIFY_KEY", "stored"]

[sources.standard]
scheme = "standard-webhooks"
secrets = ["stored"]

[sources.unused]
scheme = "begini"
secrets = ["env:BEGINI_API_KEY"]

[secrets]
keys = ["env:KEY_OF_THE_TEST"]
"""
NOWHERE = "postgresql://u:hunter2@127.0.0.1:{}/d"


@dataclass(frozen=True, slots=True)
class Result:
    code: int
    stdout: str
    stderr: str


class Commands:
    """Runs `hookline sources secrets …`."""

    def __init__(self, directory: Path, dsn: str) -> None:
        self.directory = directory
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("HOOKLINE_")},
            "HOOKLINE_DATABASE_URL": dsn,
            "KEY_OF_THE_TEST": encode_key(OLD),
            "COLUMNS": "250",
        }
        self.config(CONFIG)

    def config(self, text: str) -> None:
        (self.directory / "hookline.toml").write_text(text, encoding="utf-8")

    def line(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "hookline", "sources", "secrets", *arguments]

    async def run(self, *arguments: str, given: bytes = b"", code: int = 0) -> Result:
        result = await asyncio.to_thread(self._call, arguments, given)
        said = result.stdout + result.stderr
        assert result.code == code, said
        assert "Traceback" not in said
        for hidden in (CANARY, "hunter2", encode_key(OLD), encode_key(NEW)):
            assert hidden not in said
        return result

    def _call(self, arguments: tuple[str, ...], given: bytes) -> Result:
        """Call it in this process: to start one takes longer than most commands."""
        unset: dict[str, str | None] = dict.fromkeys(os.environ.keys() - self.environment.keys())
        with CliRunner().isolation(given, {**unset, **self.environment}) as (stdout, stderr, _):
            before, sys.argv = sys.argv, self.line(*arguments)[2:]
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

    async def says(self, *arguments: str, given: bytes = b"", code: int = 2) -> str:
        """What goes wrong, on one line."""
        result = await self.run(*arguments, given=given, code=code)
        return " ".join(re.sub(r"[│╭╮╰╯─]", "", result.stderr).split())

    async def listed(self, *arguments: str) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = json.loads((await self.run("list", "--json", *arguments)).stdout)
        return listed

    async def add(self, secret_id: str, *arguments: str, source: str = "stripe") -> None:
        await self.run("add", source, "--id", secret_id, *arguments, given=CANARY.encode())

    async def states(self) -> dict[str, str]:
        return {one["id"]: one["state"] for one in await self.listed("stripe")}


@pytest.fixture
def commands(tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch) -> Commands:
    monkeypatch.chdir(tmp_path)
    return Commands(tmp_path, database)


async def opened(database: str, *keys: bytes, source: str = "stripe") -> list[bytes]:
    session = Session(database, name="test")
    try:
        listed = await secrets.listed(session, SourceName(source), within=timedelta(seconds=5))
    finally:
        await session.close()
    return [one.secret.open(Sealer(keys)) for one in listed]


@pytest.mark.parametrize("given", [f"{CANARY}\n", CANARY, f"{CANARY}\r\n"])
async def test_a_secret_is_read_from_standard_input(commands: Commands, database: str, given: str) -> None:
    result = await commands.run("add", "stripe", given=given.encode())
    assert re.fullmatch(r"\d{4}-\d\d-\d\d-[0-9a-f]{6} added to stripe, live\n", result.stdout)
    assert result.stderr == ""
    assert await opened(database, OLD) == [CANARY.encode()]


async def test_a_secret_is_read_from_a_terminal_that_does_not_show_it(
    commands: Commands, database: str
) -> None:
    terminal, its_end = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *commands.line("add", "stripe"),
        cwd=commands.directory,
        env=commands.environment,
        stdin=its_end,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stderr
    async with asyncio.timeout(30):
        assert await process.stderr.readuntil(b": ") == b"Secret (not shown): "
        assert not termios.tcgetattr(its_end)[3] & termios.ECHO
        os.write(terminal, f"{CANARY}\n".encode())
        said = b"".join(await process.communicate())
    assert process.returncode == 0
    os.write(its_end, b"end")  # so that there is something to read
    shown = os.read(terminal, 1000)
    assert CANARY.encode() not in said + shown
    os.close(its_end)
    os.close(terminal)
    assert await opened(database, OLD) == [CANARY.encode()]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"x" * (64 * 1024 + 1), "is longer than 64 KiB"),
        (CANARY.encode() + b"\xff", "isn't UTF-8 text"),
    ],
)
async def test_what_can_t_be_a_secret_is_refused(
    commands: Commands, database: str, given: bytes, says: str
) -> None:
    for command in (("add", "stripe"), ("rotate", "stripe", "--overlap", "1h")):
        said = await commands.says(*command, given=given)
        assert said.startswith(f"hookline: the secret that was given {says}")
        assert said.endswith("; nothing was stored")
    assert await opened(database, OLD) == []


async def test_a_secret_that_the_scheme_can_t_use_is_refused(commands: Commands, database: str) -> None:
    for command in (("add", "standard"), ("rotate", "standard", "--overlap", "1h")):
        said = await commands.says(*command, given=f"whsec_{CANARY}!".encode())
        assert said.startswith("hookline: the secret that was given is none for standard: ")
    assert await opened(database, OLD, source="standard") == []


async def test_a_secret_on_the_command_line_is_refused_and_not_repeated(commands: Commands) -> None:
    for command in (("add", "stripe"), ("rotate", "stripe", "--overlap", "1h")):
        said = await commands.says(*command, CANARY, given=b"x")
        assert "give it on standard input" in said
    said = await commands.says("add", "stripe", "--id", CANARY.upper(), given=b"x")
    assert "use lower-case letters" in said
    assert CANARY.upper() not in said
    assert await commands.listed() == []


async def test_secrets_are_listed_with_everything_but_themselves(commands: Commands) -> None:
    await commands.add("old", "--valid-until", "2999-01-01T00:00:00+0000")
    await commands.add(
        "coming", "--valid-from", "2998-01-01T00:00:00Z", "--valid-until", "2999-01-01T00:00:00Z"
    )
    await commands.add("of-shopify", source="shopify")
    key_id = Sealer([OLD]).key_id
    of_shopify, old, coming = await commands.listed()
    assert {**old, "created_at": ""} == {
        "source": "stripe",
        "id": "old",
        "state": "live",
        "valid_from": None,
        "valid_until": "2999-01-01T00:00:00+00:00",
        "created_at": "",
        "key_id": key_id,
    }
    assert abs(datetime.fromisoformat(old["created_at"]) - datetime.now(UTC)) < timedelta(minutes=1)
    assert (coming["state"], coming["valid_from"]) == ("coming", "2998-01-01T00:00:00+00:00")
    assert (of_shopify["source"], of_shopify["id"]) == ("shopify", "of-shopify")
    assert [one["id"] for one in await commands.listed("stripe")] == ["old", "coming"]
    table = (await commands.run("list", "stripe")).stdout
    for part in ("stripe", "old", "coming", "live", "ever since", key_id, "2998-01-01", "2999-01-01"):
        assert part in table
    assert "shopify" not in table


async def test_a_rotation_adds_one_and_tells_which_ones_end(commands: Commands) -> None:
    await commands.add("old")
    result = await commands.run("rotate", "stripe", "--overlap", "24h", "--id", "new", given=CANARY.encode())
    assert result.stdout == "new added to stripe, live\nold ends within 24h\n"
    old, new = await commands.listed("stripe")
    ends = datetime.fromisoformat(old["valid_until"]) - datetime.now(UTC)
    assert timedelta(hours=24, minutes=-1) < ends <= timedelta(hours=24)
    assert (new["id"], new["valid_until"]) == ("new", None)
    await commands.run("rotate", "stripe", "--overlap", "0s", "--id", "newer", given=CANARY.encode())
    assert await commands.states() == {"old": "expired", "new": "expired", "newer": "live"}


async def test_what_a_rotation_does_not_end_is_said(commands: Commands) -> None:
    result = await commands.run("rotate", "shopify", "--overlap", "1h", given=CANARY.encode())
    assert result.stderr == ("note: env:SHOPIFY_KEY stays live as long as sources.shopify.secrets names it\n")


async def test_a_secret_that_no_edge_uses_yet_is_said(commands: Commands) -> None:
    result = await commands.run("add", "unused", given=CANARY.encode())
    assert result.stderr.startswith('note: no edge uses it yet; add "stored" to sources.unused.secrets')


async def test_a_secret_ends_now_or_at_a_time(commands: Commands) -> None:
    await commands.add("a")
    await commands.add("b")
    await commands.add("c")
    result = await commands.run("expire", "stripe", "a", "--at", "2999-01-01T00:00:00Z")
    assert result.stdout.startswith("a of stripe ends 2999-01-01 ")
    await commands.run("expire", "stripe", "b")
    assert await commands.states() == {"a": "live", "b": "expired", "c": "live"}
    assert await commands.says("expire", "stripe", "b") == "hookline: b of stripe is over already"
    await commands.add("coming", "--valid-from", "2999-01-01")
    assert "would end before it begins; `hookline sources secrets remove stripe coming`" in (
        await commands.says("expire", "stripe", "coming")
    )
    for command in ("expire", "remove"):
        assert await commands.says(command, "stripe", "nobody") == (
            "hookline: stripe has no stored secret nobody; `hookline sources secrets list` shows them"
        )


@pytest.mark.parametrize("command", ["expire", "remove"])
async def test_the_last_live_secret_ends_only_when_somebody_agrees(commands: Commands, command: str) -> None:
    await commands.add("last")
    await commands.add("coming", "--valid-from", "2999-01-01")
    said = await commands.says(command, "stripe", "last", given=b"n\n", code=1)
    assert said.startswith("No other secret of stripe is live then: every webhook will be refused. Go on?")
    assert (await commands.states())["last"] == "live"
    await commands.run(command, "stripe", "last", given=b"y\n")
    assert (await commands.states()).get("last", "expired") == "expired"
    await commands.add("again")
    await commands.run(command, "stripe", "again", "--yes")
    await commands.add("of-shopify", source="shopify")
    await commands.run(command, "shopify", "of-shopify")  # which has another one in a variable


async def test_everything_is_sealed_again_and_the_old_key_can_go(commands: Commands, database: str) -> None:
    await commands.add("a")
    await commands.add("b", source="shopify")
    commands.config(CONFIG.replace('["env:KEY', '["env:NEW_KEY", "env:KEY'))
    commands.environment["NEW_KEY"] = encode_key(NEW)
    await commands.add("c")
    result = await commands.run("reseal")
    assert result.stdout == f"2 sealed again, with key {Sealer([NEW]).key_id}\n"
    assert {one["key_id"] for one in await commands.listed()} == {Sealer([NEW]).key_id}
    assert await opened(database, NEW) == [CANARY.encode()] * 2


async def test_nothing_is_sealed_again_while_a_key_is_missing(commands: Commands, database: str) -> None:
    await commands.add("a")
    commands.environment["KEY_OF_THE_TEST"] = encode_key(NEW)
    assert await commands.says("reseal") == (
        f"hookline: secret a of source stripe: sealed with key {Sealer([OLD]).key_id}, which isn't configured; "
        "add that key to secrets.keys"
    )
    assert await opened(database, OLD) == [CANARY.encode()]


async def test_a_new_key_is_one(commands: Commands) -> None:
    first, second = [(await commands.run("new-key")).stdout for _ in range(2)]
    assert first != second
    assert len(b64decode(first.strip(), validate=True)) == 32
    commands.environment["KEY_OF_THE_TEST"] = first.strip()
    await commands.run("add", "stripe", given=CANARY.encode())


async def test_an_id_is_taken_once(commands: Commands, database: str) -> None:
    await commands.add("a")
    taken = "hookline: stripe has a secret a already; choose another --id. Nothing was stored"
    assert await commands.says("add", "stripe", "--id", "a", given=b"other") == taken
    assert await commands.says("rotate", "stripe", "--overlap", "1h", "--id", "a", given=b"x") == taken
    assert await opened(database, OLD) == [CANARY.encode()]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--valid-from", "2999-01-01", "--valid-until", "2998-01-01"), "must be later than --valid-from"),
        (("--valid-until", "2020-01-01"), "and than now"),
        (("--valid-until", "soon"), "'soon' does not match the formats"),
    ],
)
async def test_times_that_make_no_sense_are_refused(
    commands: Commands, arguments: tuple[str, ...], says: str
) -> None:
    assert says in await commands.says("add", "stripe", *arguments, given=CANARY.encode())


async def test_a_mistake_says_how_to_mend_it(commands: Commands, database: str) -> None:
    given = CANARY.encode()
    said = await commands.says("add", "strip", given=given)
    assert "no source 'strip' is configured (known: shopify, standard, stripe, unused)" in said
    assert 'such as "24h"' in await commands.says("rotate", "stripe", "--overlap", "soon", given=given)
    commands.environment.pop("KEY_OF_THE_TEST")
    said = await commands.says("add", "stripe", given=given)
    assert said == (
        "hookline: secrets.keys: env:KEY_OF_THE_TEST: is empty or not set; "
        "set the environment variable KEY_OF_THE_TEST"
    )
    commands.config(CONFIG.partition("[secrets]")[0])
    for command in (("add", "stripe"), ("rotate", "stripe", "--overlap", "1h"), ("reseal",)):
        said = await commands.says(*command, given=given)
        assert "nothing can be sealed" in said
        assert "`hookline sources secrets new-key` makes a key" in said
    commands.environment["HOOKLINE_DATABASE_URL"] = NOWHERE.format(free_port())
    assert (await commands.says("list", code=1)).startswith("hookline: Postgres: connection lost")
    commands.environment.pop("HOOKLINE_DATABASE_URL")
    assert (
        await commands.says("list")
        == "hookline: no database: set HOOKLINE_DATABASE_URL, or go to where `hookline run` keeps its data in .hookline"
    )
    connection = await asyncpg.connect(database)
    await connection.execute("DROP TABLE hookline.secrets")
    await connection.close()
    commands.environment["HOOKLINE_DATABASE_URL"] = database
    assert await commands.says("list") == "hookline: this database isn't up to date; run `hookline migrate`"
