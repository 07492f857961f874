"""What the command line says before it serves anything."""

import asyncio
from pathlib import Path

import pytest

import hookline as package
from path.rig.process import KEY, free_port
from path.rig.run import hookline


async def test_version_and_help(tmp_path: Path) -> None:
    version, help_, bare = await asyncio.gather(
        hookline("--version", cwd=tmp_path), hookline("--help", cwd=tmp_path), hookline(cwd=tmp_path)
    )
    assert (version.returncode, version.stdout.strip()) == (0, f"hookline {package.__version__}")
    assert help_.returncode == 0
    for command in ("run", "edge", "relay", "migrate", "send", "tail", "demo"):
        assert f" {command} " in help_.stdout
    assert " run " in bare.stdout + bare.stderr


async def test_a_missing_key_is_said_before_anything_is_started(tmp_path: Path) -> None:
    result = await hookline("run", "--data", "data", cwd=tmp_path, environment={})
    assert result.returncode == 2
    assert "BEGINI_API_KEY" in result.stderr
    assert "set the environment variable" in result.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("command", ["edge", "relay", "migrate"])
async def test_without_a_database_the_variable_is_named(tmp_path: Path, command: str) -> None:
    result = await hookline(command, cwd=tmp_path)
    assert (result.returncode, result.stderr.strip()) == (
        2,
        "hookline: no database: set HOOKLINE_DATABASE_URL",
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '[subscriptions.all]\nack_deadlin = "1s"',
            "subscriptions.all.ack_deadlin: no such setting; did you mean",
        ),
        ('[relay]\nlease = "soon"', "relay.lease = 'soon'"),
        ('[sources.begini]\nscheme = "strpe"\nsecrets = ["env:A"]', "sources.begini.scheme = 'strpe'"),
        ('[sources.begini]\nscheme = "begini"\nsecrets = ["hunter2"]', "secrets"),
        ("[relay\n", "not valid TOML"),
    ],
)
async def test_a_mistake_in_the_configuration_names_file_key_and_fix(
    tmp_path: Path, text: str, said: str
) -> None:
    (tmp_path / "hookline.toml").write_text(text, encoding="utf-8")
    result = await hookline("run", cwd=tmp_path)
    assert result.returncode == 2
    assert result.stderr.startswith("hookline: hookline.toml: ")
    assert said in result.stderr
    assert "hunter2" not in result.stderr
    assert "Traceback" not in result.stderr


async def test_a_configuration_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    result = await hookline("run", "--config", "nope.toml", cwd=tmp_path)
    assert result.returncode == 2
    assert "nope.toml: no such file" in result.stderr


async def test_an_address_that_is_none_is_said_so(tmp_path: Path) -> None:
    result = await hookline("run", "--http", "nowhere", cwd=tmp_path)
    assert result.returncode == 2
    assert "--http nowhere: must be an address" in result.stderr


async def test_a_database_that_is_not_there_is_said_without_its_password(tmp_path: Path) -> None:
    url = f"postgresql://user:hunter2@127.0.0.1:{free_port()}/db"
    environment = {"BEGINI_API_KEY": KEY, "HOOKLINE_DATABASE_URL": url}
    for command in ("migrate", "run", "edge", "relay"):
        result = await hookline(command, cwd=tmp_path, environment=environment)
        assert result.returncode == 1
        assert result.stderr.startswith("hookline: Postgres")
        assert "hunter2" not in result.stderr


async def test_send_without_a_key_or_an_endpoint_fails(tmp_path: Path) -> None:
    keyless = await hookline("send", "begini", cwd=tmp_path, environment={})
    assert keyless.returncode == 2
    assert "BEGINI_API_KEY" in keyless.stderr
    url = f"http://127.0.0.1:{free_port()}/v1/webhooks/begini"
    nobody = await hookline(
        "send", "begini", "--url", url, "--journeys", "1", "--attempts", "1", cwd=tmp_path
    )
    assert nobody.returncode == 1


async def test_migrate_is_repeatable(tmp_path: Path, database: str) -> None:
    (tmp_path / "hookline.toml").write_text("[database]\nshards = 8\n", encoding="utf-8")
    environment = {"HOOKLINE_DATABASE_URL": database}
    result = await hookline("migrate", cwd=tmp_path, environment=environment)
    assert (result.returncode, result.stdout.strip()) == (0, "up to date")
    (tmp_path / "hookline.toml").write_text("[database]\nshards = 9\n", encoding="utf-8")
    result = await hookline("migrate", cwd=tmp_path, environment=environment)
    assert result.returncode == 2
    assert "database.shards = 8" in result.stderr


@pytest.mark.timeout(180)
async def test_the_demo_adds_up(tmp_path: Path) -> None:
    result = await hookline("demo", "--journeys", "5", "--seed", "1", cwd=tmp_path, patience=150)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "acked" in result.stdout
    assert "Traceback" not in result.stderr
