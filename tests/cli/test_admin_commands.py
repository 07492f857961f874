"""`hookline subscriptions` and `hookline dead`, as somebody types them, against a real server."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from admin.rig import Admin
from hookline.v1 import subscription_pb2 as pb
from path.rig.process import free_port
from path.rig.run import hookline


@pytest.fixture
async def admin(database: str) -> AsyncIterator[Admin]:
    async with Admin(database) as admin:
        yield admin


class Command:
    """Runs commands against the server in an empty directory."""

    def __init__(self, admin: Admin, directory: Path) -> None:
        self._admin = admin
        self._directory = directory

    async def __call__(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return await hookline(*arguments, "--relay", self._admin.target, cwd=self._directory)

    async def json(self, *arguments: str) -> Any:
        result = await self(*arguments, "--json")
        assert (result.returncode, result.stderr) == (0, "")
        return json.loads(result.stdout)

    async def answering(self, answer: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Type an answer to what it asks."""
        return await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "hookline", *arguments, "--relay", self._admin.target],
            cwd=self._directory,
            env={name: value for name, value in os.environ.items() if not name.startswith("HOOKLINE_")},
            input=answer,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture
def command(admin: Admin, tmp_path: Path) -> Command:
    return Command(admin, tmp_path)


async def test_subscriptions_are_listed_shown_paused_resumed_and_deleted(
    admin: Admin, command: Command
) -> None:
    await admin.create("scores", types=["[bold]*", "a"], ordering=pb.ORDERING_KEY)
    await admin.create("pushed", push=pb.Push(target="dns:///scoring:50051"))
    listed = await command("subscriptions", "list")
    assert listed.returncode == 0
    for text in ("scores", "[bold]*, a", "by key", "dns:///scoring:50051", "active"):
        assert text in listed.stdout
    assert [one["name"] for one in await command.json("subscriptions", "list")] == ["pushed", "scores"]
    shown = await command("subscriptions", "show", "pushed")
    assert "push.target" in shown.stdout
    assert "dns:///scoring:50051" in shown.stdout
    assert (await command.json("subscriptions", "show", "scores"))["paused"] is False

    paused = await command("subscriptions", "pause", "scores")
    assert (paused.returncode, "resume scores" in paused.stdout) == (0, True)
    assert (await command.json("subscriptions", "show", "scores"))["paused"] is True
    assert "paused" in (await command("subscriptions", "list")).stdout
    assert (await command.json("subscriptions", "resume", "scores"))["paused"] is False

    refused = await command.answering("n\n", "subscriptions", "delete", "scores")
    assert refused.returncode == 1
    assert "dead letters?" in refused.stderr
    assert len(await command.json("subscriptions", "list")) == 2
    assert (await command("subscriptions", "delete", "scores", "--yes")).returncode == 0
    assert [one["name"] for one in await command.json("subscriptions", "list")] == ["pushed"]


async def test_dead_letters_are_listed_and_shown_and_nothing_in_them_is_obeyed(
    admin: Admin, command: Command
) -> None:
    await admin.create()
    [seq] = await admin.dead(
        "subject-7", type_="a\x1b[31m[red]", reason="no\x1b]0;title\x07", body=b"\x1b[2J secret"
    )
    await admin.db.execute(
        "INSERT INTO hookline.attempts (ended_at, started_at, seq, replay, attempt, shard, subscription, outcome,"
        " consumer, reason) VALUES (now(), now(), $1, 0, 1, 0, 'all', 'rejected', 'scorer', 'because')",
        seq,
    )
    listed = await command("dead", "list", "all")
    assert listed.returncode == 0
    assert f"0-{seq}" in listed.stdout
    assert "a?[31m[red]" in listed.stdout
    [letter] = await command.json("dead", "list", "all")
    assert (letter["attempts"], letter["event_id"][:2]) == (3, "00")
    shown = await command("dead", "show", "all", f"0-{seq}")
    assert "rejected" in shown.stdout
    assert "because" in shown.stdout
    assert "scorer" in shown.stdout
    with_body = await command("dead", "show", "all", letter["name"], "--body")
    assert "secret" in with_body.stdout
    assert "content-type: application/json" in with_body.stdout
    for result in (listed, shown, with_body):
        assert "\x1b" not in result.stdout
        assert "subject-7" not in result.stdout
    assert "secret" not in listed.stdout + shown.stdout


async def test_a_list_goes_on_for_as_many_as_asked_and_says_that_there_are_more(
    admin: Admin, command: Command
) -> None:
    await admin.create()
    await admin.db.execute(
        "INSERT INTO hookline.deliveries (seq, due_at, changed_at, event_id, shard, subscription, state, source,"
        " ordering_key, reason) SELECT n, now(), now(), gen_random_uuid(), n % 8, 'all', 'dead', 'x', '', 'r' || n % 2"
        " FROM generate_series(1, 1500) AS n"
    )
    letters = await command.json("dead", "list", "all", "--limit", "1200")
    assert len({letter["name"] for letter in letters}) == 1200
    assert len(await command.json("dead", "list", "all", "--limit", "2000", "--reason-contains", "r1")) == 750
    assert "the newest 10; --limit" in (await command("dead", "list", "all", "--limit", "10")).stdout


async def test_redriving_and_deleting_all_shows_the_number_and_asks_first(
    admin: Admin, command: Command
) -> None:
    await admin.create()
    await admin.dead("a", "b", reason="timeout")
    await admin.dead("c", reason="other")
    declined = await command.answering("n\n", "dead", "redrive", "all", "--all")
    assert declined.returncode == 1
    assert "Redrive 3 dead letters of all?" in declined.stderr
    nobody_there = await command("dead", "redrive", "all", "--all")
    assert nobody_there.returncode == 1
    assert set((await admin.states()).values()) == {"dead"}
    agreed = await command.answering("y\n", "dead", "redrive", "all", "--reason-contains", "other")
    assert (agreed.returncode, agreed.stdout) == (0, "1 redriven\n")
    assert "Redrive 1 dead letter of all?" in agreed.stderr
    deleted = await command.answering("y\n", "dead", "delete", "all", "--all", "--reason", "tests", "--json")
    assert json.loads(deleted.stdout) == {"deleted": 2}
    assert len(await admin.rows()) == 1
    reasons = await admin.db.fetch("SELECT DISTINCT reason FROM hookline.attempts WHERE outcome = 'deleted'")
    assert [row["reason"] for row in reasons] == ["tests"]
    nothing = await command("dead", "delete", "all", "--all", "--reason", "tests")
    assert (nothing.returncode, nothing.stdout, nothing.stderr) == (0, "0 deleted\n", "")


async def test_letters_that_are_named_or_agreed_to_before_need_no_answer(
    admin: Admin, command: Command
) -> None:
    await admin.create()
    first, second, _ = await admin.dead("a", "b", "c")
    redriven = await command(
        "dead", "redrive", "all", f"0-{first}", f"subscriptions/all/deadLetters/0-{second}"
    )
    assert (redriven.returncode, redriven.stdout) == (0, "2 redriven\n")
    assert await command.json("dead", "redrive", "all", "--all", "--yes") == {"redriven": 1}
    assert set((await admin.states()).values()) == {"waiting"}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("dead", "redrive", "all"), 2, "Say which"),
        (("dead", "redrive", "all", "0-1", "--all"), 2, "one of the three"),
        (("dead", "delete", "all", "0-1"), 2, "--reason"),
        (("dead", "delete", "all", "0-1", "--reason", " "), 2, "hookline: reason: is empty"),
        (("dead", "show", "all", "0-1"), 2, "hookline: 'subscriptions/all/deadLetters/0-1' isn't dead"),
        (("dead", "show", "all", "x"), 2, "isn't the name of a dead letter"),
        (("dead", "list", "nope"), 2, "hookline: there is no subscription 'nope'"),
        (("dead", "list", "all", "--after", "yesterday"), 2, "yesterday"),
        (("subscriptions", "show", "nope"), 2, "hookline: there is no subscription 'nope'"),
        (("subscriptions", "pause", "nope"), 2, "hookline: there is no subscription 'nope'"),
        (("subscriptions", "delete", "all", "--yes", "--etag", "7"), 2, "has changed since this etag"),
    ],
)
async def test_a_mistake_is_a_message_and_an_exit_code(
    admin: Admin, command: Command, arguments: tuple[str, ...], code: int, said: str
) -> None:
    await admin.create()
    result = await command(*arguments)
    assert (result.returncode, result.stdout) == (code, "")
    assert said in result.stderr
    assert "Traceback" not in result.stderr


async def test_without_a_relay_it_is_said_where_one_was_looked_for(tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "hookline.toml").write_text(f'[relay]\ngrpc = "0.0.0.0:{port}"\n', encoding="utf-8")
    for arguments in (
        ("subscriptions", "list"),
        ("dead", "list", "all"),
        ("dead", "redrive", "all", "--all"),
    ):
        result = await hookline(*arguments, cwd=tmp_path)
        assert result.returncode == 1
        assert result.stderr.startswith(f"hookline: no relay answers at localhost:{port}; start one with")
        assert "Traceback" not in result.stderr


async def test_the_relay_of_the_configuration_is_called_without_an_option(
    admin: Admin, tmp_path: Path
) -> None:
    await admin.create()
    (tmp_path / "hookline.toml").write_text(f'[relay]\ngrpc = "{admin.target}"\n', encoding="utf-8")
    result = await hookline("subscriptions", "list", "--json", cwd=tmp_path)
    assert [one["name"] for one in json.loads(result.stdout)] == ["all"]
