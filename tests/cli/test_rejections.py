"""`hookline rejections`, as somebody types it after a secret was wrong."""

import asyncio
import base64
import json
import os
import pwd
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from edge.provider import Wire, body
from edge.running import edge
from path.rig.process import KEY
from path.rig.run import hookline
from store.waiting import until

SEALING_KEY = base64.b64encode(bytes(range(32))).decode()
FILE = """
[sources.begini]
scheme = "begini"
secrets = ["env:BEGINI_API_KEY"]
{more}
"""
SEALED = '[secrets]\nkeys = ["env:SEALING_KEY"]'
BODY_CANARY = "applicant-4711-canary"
WHO = pwd.getpwuid(os.getuid()).pw_name


class Command:
    """Runs `hookline rejections` where an edge could run."""

    def __init__(self, database: str, directory: Path) -> None:
        self.environment = {
            "HOOKLINE_DATABASE_URL": database,
            "BEGINI_API_KEY": KEY,
            "SEALING_KEY": SEALING_KEY,
        }
        self._directory = directory
        self.configure(SEALED)

    def configure(self, more: str) -> None:
        (self._directory / "hookline.toml").write_text(FILE.format(more=more), encoding="utf-8")

    async def __call__(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        return await hookline(
            "rejections", *arguments, cwd=self._directory, environment={**self.environment, **environment}
        )

    async def json(self, *arguments: str, code: int = 0) -> Any:
        result = await self(*arguments, "--json")
        assert result.returncode == code, result.stderr
        return json.loads(result.stdout)

    async def raw(self, *arguments: str, typed: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
        """With bytes in and out."""
        return await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "hookline", "rejections", *arguments],
            cwd=self._directory,
            env={**os.environ, **self.environment},
            input=typed,
            capture_output=True,
            timeout=60,
            check=False,
        )


@pytest.fixture
def command(database: str, tmp_path: Path) -> Command:
    return Command(database, tmp_path)


@pytest.fixture
async def foreign(database: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


@pytest.fixture
def wrong_edge(database: str, monkeypatch: pytest.MonkeyPatch, foreign: Any) -> Callable[..., Any]:
    """An edge with the wrong secret; at its end everything that it refused is written."""
    monkeypatch.setenv("BEGINI_API_KEY", "not the one that the provider signs with")
    monkeypatch.setenv("SEALING_KEY", SEALING_KEY)

    @asynccontextmanager
    async def run(*, expect: int, **beside: Any) -> AsyncIterator[Wire]:
        beside = {"secrets": {"keys": ["env:SEALING_KEY"]}, **beside}
        sources = {"begini": {"scheme": "begini", "secrets": ["env:BEGINI_API_KEY"]}}
        async with edge(database, sources=sources, beside=beside) as address, Wire(address) as wire:
            yield wire

            async def written() -> bool:
                return bool(await foreign.fetchval("SELECT count(*) FROM hookline.rejections") == expect)

            await until(written, f"{expect} rejections are written")

    return run


async def refuse(run: Callable[..., Any], count: int, **beside: Any) -> None:
    async with run(expect=count, **beside) as wire:
        for number in range(count):
            answer = await wire.send(body(f"{BODY_CANARY}-{number}"), key=KEY)
            assert answer.status == 403


async def events(foreign: Any) -> list[Any]:
    return list(await foreign.fetch("SELECT id, received_at FROM hookline.events ORDER BY seq"))


async def test_after_a_wrong_secret_is_mended_what_was_refused_is_admitted(
    command: Command, wrong_edge: Callable[..., Any], foreign: Any
) -> None:
    await refuse(wrong_edge, 3)
    listed = await command.json("list", "--source", "begini", "--cause", "bad_signature")
    assert [(one["status"], one["is_body_kept"], one["event_id"]) for one in listed] == [
        (403, True, None)
    ] * 3
    assert listed == sorted(listed, key=lambda one: str(one["received_at"]), reverse=True)

    still = await command("admit", "--source", "begini", "--dry-run", BEGINI_API_KEY="wrong as well")
    assert (still.returncode, still.stderr.splitlines()[-1]) == (2, "3 still refused")
    assert all(line.endswith("  still refused: bad_signature") for line in still.stdout.splitlines())

    foreseen = await command("admit", "--source", "begini", "--dry-run")
    assert (foreseen.returncode, foreseen.stderr) == (0, "3 accepted\n")
    assert await events(foreign) == []

    admitted = await command("admit", "--source", "begini", "--yes")
    assert admitted.returncode == 0
    summary, audit = admitted.stderr.splitlines()
    assert summary == "3 accepted"
    line = json.loads(audit)
    assert (line["event"], line["operator"], line["accepted"]) == ("rejections admitted", WHO, 3)
    assert line["timestamp"]
    stored = await events(foreign)
    oldest_first = listed[::-1]
    assert admitted.stdout.splitlines() == [
        f"{one['id']}  accepted  event {event['id']}" for one, event in zip(oldest_first, stored, strict=True)
    ]
    assert [row["received_at"].isoformat() for row in stored] == [one["received_at"] for one in oldest_first]
    assert foreseen.stdout.replace("would be ", "") == admitted.stdout

    ids = [one["id"] for one in listed]
    again = await command.json("admit", *ids)
    assert {one["verdict"] for one in again} == {"admitted_before"}
    assert [one["event_id"] for one in again] == [str(row["id"]) for row in stored]
    assert len(await events(foreign)) == 3
    everything = "".join(r.stdout + r.stderr for r in (still, foreseen, admitted))
    assert BODY_CANARY not in everything
    assert KEY not in everything


async def test_admitting_by_filter_asks_first(
    command: Command, wrong_edge: Callable[..., Any], foreign: Any
) -> None:
    await refuse(wrong_edge, 2)
    said_no = await command.raw("admit", "--source", "begini", typed=b"n\n")
    assert said_no.returncode == 1
    assert b"Verify 2 rejections of begini again and accept what verifies? [y/N]" in said_no.stderr
    nobody = await command("admit", "--all")
    assert nobody.returncode == 1
    assert await events(foreign) == []
    said_yes = await command.raw("admit", "--all", typed=b"y\n")
    assert said_yes.returncode == 0
    assert len(await events(foreign)) == 2
    nothing = await command("admit", "--all")
    assert (nothing.returncode, nothing.stdout, nothing.stderr) == (0, "", "nothing to admit\n")


async def test_one_is_shown_with_its_secrets_masked_and_its_body_only_when_asked(
    command: Command, wrong_edge: Callable[..., Any]
) -> None:
    content = body(BODY_CANARY) + b"\n\xff\x1b[31m"
    async with wrong_edge(expect=1) as wire:
        head = (
            "POST /v1/webhooks/begini?token=hunter2 HTTP/1.1\r\nHost: edge\r\nContent-Type: application/json\r\n"
            "X-Signature: ab\r\nAuthorization: Bearer hunter2\r\nX-Odd: \xe9[31m\r\n"
            f"Content-Length: {len(content)}\r\n\r\n"
        )
        await wire.write(head.encode("latin-1") + content)
        assert (await wire.read()).status == 403
    [listed] = await command.json("list")
    shown = await command("show", listed["id"])
    assert shown.returncode == 0
    lines = shown.stdout.splitlines()
    assert "request    POST /v1/webhooks/begini?token=***" in lines
    assert "body       kept, sealed" in lines
    assert "  authorization: ***" in lines
    assert "  x-signature: ab" in lines
    assert "  x-odd: é[31m" in lines
    assert "hunter2" not in shown.stdout
    assert BODY_CANARY not in shown.stdout

    as_json = await command.json("show", listed["id"])
    assert ["authorization", "***"] in as_json["headers"]
    assert {name: value for name, value in as_json.items() if name != "headers"} == listed

    whole = await command.raw("show", listed["id"], "--with-body")
    assert (whole.returncode, whole.stdout) == (0, content)
    assert whole.stderr.decode() == shown.stdout

    command.configure("")
    keyless = await command("show", listed["id"], "--with-body")
    assert (keyless.returncode, keyless.stdout) == (2, "")
    assert keyless.stderr.endswith("its body is sealed; set secrets.keys as the edge has it\n")
    command.configure(SEALED)
    other = base64.b64encode(bytes(32)).decode()
    mixed_up = await command("show", listed["id"], "--with-body", SEALING_KEY=other)
    assert (mixed_up.returncode, mixed_up.stdout) == (2, "")
    assert "which isn't configured; add that key to secrets.keys" in mixed_up.stderr


async def test_what_has_no_body_says_why_and_can_not_be_admitted(
    command: Command, wrong_edge: Callable[..., Any]
) -> None:
    await refuse(wrong_edge, 1, rejections={"body": "omit"})
    [listed] = await command.json("list")
    assert (listed["is_body_kept"], listed["omitted"]) == (False, "policy")
    shown = await command("show", listed["id"], "--with-body")
    assert (shown.returncode, shown.stdout) == (2, "")
    assert shown.stderr == f"hookline: {listed['id']}: its body was not kept (policy)\n"
    [admitted] = await command.json("admit", listed["id"], code=2)
    assert (admitted["verdict"], admitted["event_id"]) == ("impossible", None)
    assert "rejections.body" in admitted["why"]


async def test_a_long_list_says_that_it_goes_on(command: Command, wrong_edge: Callable[..., Any]) -> None:
    await refuse(wrong_edge, 4)
    listed = await command.json("list")
    assert await command.json("list", "--limit", "3") == listed[:3]
    table = await command("list", "--limit", "3")
    assert table.returncode == 0
    assert all(one["id"] in table.stdout for one in listed[:3])
    assert listed[3]["id"] not in table.stdout
    assert "the newest 3; --limit shows more" in table.stdout
    assert "bad_signature" in table.stdout
    assert await command.json("list", "--since", "2100-01-01") == []
    assert (
        len(await command.json("list", "--until", "2100-01-01T00:00:00+0000", "--since", "2026-01-01")) == 4
    )


async def test_mistakes_are_explained(command: Command, tmp_path: Path) -> None:
    unknown = str(uuid4())
    cases = [
        (("show", unknown), 2, f"{unknown}: no such rejection"),
        (("show", "7"), 2, "'7' is no id"),
        (("admit",), 2, "Say which: ids, or a filter such as --source, or --all"),
        (("admit", unknown, "--all"), 2, "Say which"),
        (("admit", "--all", "--source", "x"), 2, "Say which"),
        (("show", unknown, "--json", "--with-body"), 2, "ask for it alone"),
    ]
    for arguments, code, said in cases:
        result = await command(*arguments)
        text = " ".join(result.stderr.replace("│", " ").split())
        assert (result.returncode, said in text) == (code, True), result.stderr
        assert "Traceback" not in result.stderr
    [admitted] = await command.json("admit", unknown, code=2)
    assert (UUID(admitted["id"]), admitted["verdict"]) == (UUID(unknown), "not_found")
    away = await command("list", HOOKLINE_DATABASE_URL="postgresql://user:hunter2@127.0.0.1:1/db")
    assert away.returncode == 1
    assert away.stderr.startswith("hookline: Postgres")
    assert "hunter2" not in away.stderr
    keyless = await hookline("rejections", "list", cwd=tmp_path, environment={})
    assert (keyless.returncode, keyless.stderr) == (
        2,
        "hookline: no database: set HOOKLINE_DATABASE_URL, or go to where `hookline run` keeps its data in .hookline\n",
    )


async def test_a_database_that_is_not_up_to_date_is_said_so(command: Command, foreign: Any) -> None:
    await foreign.execute("DROP TABLE hookline.rejections")
    result = await command("list")
    assert (result.returncode, result.stderr) == (
        2,
        "hookline: this database isn't up to date; run `hookline migrate`\n",
    )
