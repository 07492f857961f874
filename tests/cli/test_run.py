"""`hookline run` on the embedded default: started, stopped, killed, started again."""

import os
import signal
import socket
from pathlib import Path

import psutil
import pytest

from path.rig.process import KEY
from path.rig.run import Run, hookline
from path.rig.wait import until
from path.rig.webhooks import body, post

pytestmark = pytest.mark.timeout(180)

SMALL = """
[database]
shards = 8
[sources.begini]
scheme = "begini"
secrets = ["env:BEGINI_API_KEY"]
[subscriptions.all]
"""
"""Fits the tests' database."""


async def test_run_serves_until_ctrl_c_and_keeps_its_data(data: Path, tmp_path: Path) -> None:
    async with Run(data) as run:
        first = await post(run.url, body("APPLICANT1"))
        assert first["status"] == "accepted"
        tail = await hookline("tail", "all", "--target", run.target, "--count", "1", cwd=tmp_path)
        assert (tail.returncode, tail.stderr) == (0, "")
        assert first["event_id"] in tail.stdout
        assert "psychometric_score.complete" in tail.stdout
        assert "APPLICANT1" not in tail.stdout, "bodies are shown only when asked for"
        second = await post(run.url, body("APPLICANT2"))
        again = await hookline("run", "--data", str(data), "--http", "127.0.0.1:0", cwd=tmp_path)
        assert again.returncode == 2
        assert f"is in use by process {run.pid}" in again.stderr
        assert "--data" in again.stderr
        family = run.descendants()
        assert len(family) >= 3
        run.interrupt()
        assert await run.ended(patience=40) == 0
        assert not [process for process in family if process.is_running()]
        assert "Traceback" not in run.output()
    async with Run(data) as run:
        assert (await post(run.url, body("APPLICANT1")))["status"] == "duplicate"
        tail = await hookline("tail", "all", "--target", run.target, "--count", "1", "--body", cwd=tmp_path)
        assert tail.returncode == 0
        assert second["event_id"] in tail.stdout
        assert first["event_id"] not in tail.stdout, "what was acked stays acked"
        assert "APPLICANT2" in tail.stdout


async def test_a_killed_run_takes_edge_and_relay_along_and_the_next_finds_the_data(
    data: Path, tmp_path: Path
) -> None:
    async with Run(data) as run:
        accepted = await post(run.url, body("APPLICANT1"))
        parts = [run.part("edge"), run.part("relay")]
        await run.kill()
        await until(lambda: not any(part.is_running() for part in parts), "edge and relay end by themselves")
    async with Run(data) as run:
        assert (await post(run.url, body("APPLICANT1")))["status"] == "duplicate"
        tail = await hookline("tail", "all", "--target", run.target, "--count", "1", cwd=tmp_path)
        assert accepted["event_id"] in tail.stdout


async def test_whatever_dies_is_started_again(data: Path) -> None:
    async with Run(data) as run:
        for name in ("relay", "edge"):
            before = run.part(name).pid
            os.kill(before, signal.SIGKILL)
            await until(lambda before=before: not psutil.pid_exists(before), f"the {name} is gone")
            await run.ready()
            assert run.part(name).pid != before
        assert (await post(run.url, body("APPLICANT1")))["status"] == "accepted"
        server = int((data / "postgres" / "postmaster.pid").read_text(encoding="ascii").split("\n", 1)[0])
        os.kill(server, signal.SIGKILL)
        await until(lambda: not psutil.pid_exists(server), "the server is gone")

        async def takes_webhooks() -> bool:
            try:
                return bool((await post(run.url, body("APPLICANT1")))["status"] == "duplicate")
            except AssertionError:
                return False

        await until(takes_webhooks, "webhooks are taken again", patience=40)


async def test_a_port_in_use_is_named(tmp_path: Path, database: str) -> None:
    (tmp_path / "hookline.toml").write_text(SMALL, encoding="utf-8")
    environment = {"BEGINI_API_KEY": KEY, "HOOKLINE_DATABASE_URL": database}
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = f"127.0.0.1:{listener.getsockname()[1]}"
        for option, name in (("--http", "edge.http"), ("--grpc", "relay.grpc")):
            other = {"--http": "--grpc", "--grpc": "--http"}[option]
            arguments = (option, taken, other, "127.0.0.1:0")
            result = await hookline("run", *arguments, cwd=tmp_path, environment=environment)
            assert result.returncode == 2
            assert f"{name} = {taken!r}: can't listen there" in result.stderr
            assert "Traceback" not in result.stderr


async def test_the_simulator_and_tail_against_a_running_hookline(tmp_path: Path, database: str) -> None:
    (tmp_path / "hookline.toml").write_text(SMALL, encoding="utf-8")
    async with Run(tmp_path / "unused", dsn=database) as run:
        sent = await hookline(
            "send", "begini", "--url", run.url, "--journeys", "10", "--seed", "1", cwd=tmp_path
        )
        assert sent.returncode == 0, sent.stderr
        assert "accepted" in sent.stdout
        wrong = {"BEGINI_API_KEY": "another-key"}
        refused = await hookline(
            "send",
            "begini",
            "--url",
            run.url,
            "--journeys",
            "1",
            "--attempts",
            "1",
            cwd=tmp_path,
            environment=wrong,
        )
        assert refused.returncode == 1
        assert "another-key" not in refused.stdout + refused.stderr
        unknown = await hookline("tail", "nope", "--target", run.target, cwd=tmp_path)
        assert unknown.returncode == 2
        assert "no subscription 'nope'" in unknown.stderr
        assert "Traceback" not in unknown.stderr
