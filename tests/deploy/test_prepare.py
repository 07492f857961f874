"""What `make compose-up` says and does before anything is started, and what it starts."""

import base64
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

DEPLOY = Path(__file__).parents[2] / "deploy"


@pytest.fixture
def deploy(tmp_path: Path) -> Path:
    for name in ("prepare.sh", ".env.example"):
        shutil.copy(DEPLOY / name, tmp_path / name)
    return tmp_path


def prepare(deploy: Path, *compose: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [deploy / "prepare.sh", *compose], capture_output=True, text=True, check=False, timeout=20
    )


def engine(deploy: Path, *, answers: bool) -> str:
    """A compose command whose engine answers, or doesn't."""
    program = deploy / "compose"
    program.write_text(
        f"#!/bin/sh\n[ $1 = version ] || {'exit 0' if answers else '{ echo no daemon; exit 1; }'}\n"
    )
    program.chmod(0o755)
    return str(program)


def values(file: Path) -> dict[str, str]:
    return dict(re.findall(r"^([A-Z_]+)=(.*)$", file.read_text(), flags=re.MULTILINE))


def test_secrets_are_drawn_once_and_are_for_nobody_else(deploy: Path) -> None:
    compose = engine(deploy, answers=True)
    assert prepare(deploy, compose).returncode == 0
    made = deploy / ".env"
    assert made.stat().st_mode & 0o777 == 0o600
    drawn, example = values(made), values(deploy / ".env.example")
    empty = {name for name, value in example.items() if not value}
    assert len(empty) == 6
    assert drawn.keys() == example.keys()
    assert all(drawn[name] == value for name, value in example.items() if value)
    assert len(base64.b64decode(drawn["HOOKLINE_SECRETS_KEY"], validate=True)) == 32
    for name in empty - {"HOOKLINE_SECRETS_KEY"}:
        assert re.fullmatch("[0-9a-f]{48}", drawn[name])
    assert len({drawn[name] for name in empty}) == 6
    made.write_text(f"{made.read_text()}# mine\n")
    before = made.read_text()
    again = prepare(deploy, compose)
    assert (again.returncode, again.stdout, made.read_text()) == (0, "", before)


def test_without_compose_it_says_what_to_install(deploy: Path) -> None:
    failed = prepare(deploy, "no-such-compose", "command")
    assert failed.returncode == 1
    assert "'no-such-compose command' doesn't work here" in failed.stderr
    assert "COMPOSE=docker-compose" in failed.stderr
    assert not (deploy / ".env").exists()


def test_without_an_engine_it_says_what_to_look_at(deploy: Path) -> None:
    failed = prepare(deploy, engine(deploy, answers=False))
    assert failed.returncode == 1
    assert "no daemon" in failed.stderr
    assert "docker info" in failed.stderr


def test_the_stack_gets_its_secrets_from_its_own_file_and_the_profiles_that_are_asked_for(
    deploy: Path,
) -> None:
    (deploy / "deploy").mkdir()
    for name in ("prepare.sh", ".env.example"):
        (deploy / name).rename(deploy / "deploy" / name)
    shutil.copy(DEPLOY.parent / "Makefile", deploy)
    program = deploy / "compose"
    program.write_text(f"#!/bin/sh\nprintf '%s\\n' \"$*\" >>{deploy}/calls\nenv >{deploy}/environment\n")
    program.chmod(0o755)
    subprocess.run(
        ["make", "compose-up", f"COMPOSE={program}", "PROFILES=observability,simulator"],
        cwd=deploy,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        check=True,
        timeout=20,
    )
    last = (deploy / "calls").read_text().splitlines()[-1]
    assert last == "--project-name hookline --file deploy/compose.yaml up --detach --build"
    given = dict(line.partition("=")[::2] for line in (deploy / "environment").read_text().splitlines())
    # Compose lets the environment win over the file.
    assert not given.keys() & values(deploy / "deploy" / ".env").keys()
    assert given["COMPOSE_PROFILES"] == "observability,simulator"
    assert given["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://otel-collector:4317"
