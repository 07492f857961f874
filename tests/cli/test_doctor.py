"""`hookline doctor`: a healthy deployment, and what is wrong with others, made wrong for real."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import httpx
import pytest

from cli.doctored import LONG, SOURCE, looked, settings
from hookline import status
from path.rig.collector import BlackHole, Collector
from path.rig.process import KEY
from path.rig.run import Run, hookline

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCTORS_KEY", LONG)


async def test_a_healthy_hookline_run_has_no_problem_and_its_status_is_found_where_it_says(
    tmp_path: Path,
) -> None:
    with _taken(status.EDGE_DEFAULT), _taken(status.RELAY_DEFAULT):
        run = Run(tmp_path / ".hookline")
        async with run:
            lines = run.output().splitlines()
            for default in (status.EDGE_DEFAULT, status.RELAY_DEFAULT):
                assert f"{default} is in use, so another port was chosen for the status" in lines
            [line] = [line for line in lines if line.startswith("status ")]
            _, edge, _, relay, _ = line.split()
            async with httpx.AsyncClient() as client:
                for where, service in ((edge, "hookline-edge"), (relay, "hookline-relay")):
                    ready = await client.get(f"{where}/readyz")
                    assert (ready.status_code, ready.json()["service"]) == (200, service)
            environment = {
                "BEGINI_API_KEY": KEY,
                "HOOKLINE_EDGE__HTTP": f"127.0.0.1:{run.http}",
                "HOOKLINE_RELAY__GRPC": f"127.0.0.1:{run.grpc}",
                "HOOKLINE_EDGE__STATUS": edge.removeprefix("http://"),
                "HOOKLINE_RELAY__STATUS": relay.removeprefix("http://"),
            }
            ended = await hookline("doctor", "--json", cwd=tmp_path, environment=environment)
            assert ended.returncode == 0, ended.stdout
            assert ended.stderr == ""
            told = json.loads(ended.stdout)
            found = {one["check"]: one for one in told["findings"]}
            not_ok = {check for check, one in found.items() if one["level"] != "ok"}
            assert not_ok - {"database.data_checksums"} == {"secrets.keys"}
            assert told["status"] == "warning"
            assert found["configuration"]["found"] == "loads: 1 source, 1 subscription"
            assert found["ports.edge.http"]["found"].endswith(": an edge that is ready")
            assert found["ports.relay.grpc"]["found"].endswith(": a relay that serves")
            assert found["ports.edge.status"]["found"].endswith(": an edge that is ready")
            assert found["ports.relay.status"]["found"].endswith(": a relay that is ready")


async def test_mistakes_in_the_configuration_are_findings_and_end_with_2(tmp_path: Path) -> None:
    (tmp_path / "hookline.toml").write_text('[edge]\nhttp = "nowhere"\n[relay]\nlaese = "1s"\n', "utf-8")
    ended = await hookline("doctor", "--json", cwd=tmp_path)
    found = json.loads(ended.stdout)["findings"]
    assert ended.returncode == 2
    assert [(one["check"], one["level"]) for one in found] == [("configuration", "problem")] * 2
    assert "edge.http = 'nowhere'" in found[0]["found"]
    assert "relay.laese" in found[1]["found"]


async def test_what_never_answers_is_told_within_ten_seconds_and_no_password_with_it(tmp_path: Path) -> None:
    async with BlackHole() as silent, BlackHole() as dead_otlp:
        where = silent.endpoint.removeprefix("http://")
        (tmp_path / "hookline.toml").write_text(
            f'[edge]\nhttp = "{where}"\n[relay]\ngrpc = "{where}"\n'
            f'[telemetry]\notlp_endpoint = "{dead_otlp.endpoint}"\n',
            "utf-8",
        )
        started = monotonic()
        ended = await hookline(
            "doctor",
            cwd=tmp_path,
            environment={"HOOKLINE_DATABASE_URL": f"postgresql://role:pass-word-1@{where}/x"},
        )
    assert monotonic() - started < 40, "ten seconds, and what a very busy machine takes to start Python"
    assert ended.returncode == 1
    assert "pass-word-1" not in ended.stdout + ended.stderr
    for line in (
        "database          can't be reached: no answer in time",
        f"ports             edge.http and relay.grpc are the same address, {where}",
        f"ports.edge.http   {where} is in use, and not by Hookline",
        f"ports.relay.grpc  {where} is in use, and not by Hookline",
        f"otlp              {dead_otlp.endpoint.removeprefix('http://')} takes connections, and no spans",
    ):
        assert f"problem  {line}" in ended.stdout, ended.stdout
    assert "5 problems, " in ended.stdout


async def test_sources_secrets_and_schemas_are_looked_at_as_an_edge_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "secret"
    secret.write_text(LONG, "utf-8")
    secret.chmod(0o644)
    not_json = tmp_path / "schema.json"
    not_json.write_text("{", "utf-8")
    monkeypatch.setenv("DOCTORS_SHORT", "abc123")
    monkeypatch.setenv("DOCTORS_PLACEHOLDER", "change-me-before-you-go-live")
    monkeypatch.setenv("DOCTORS_NO_KEY", "short")
    chosen = settings(
        sources={
            "unset": {"scheme": "begini", "secrets": ["env:DOCTORS_UNSET"]},
            "open": {"scheme": "begini", "secrets": [f"file:{secret}"]},
            "weak": {"scheme": "begini", "secrets": ["env:DOCTORS_SHORT", "env:DOCTORS_PLACEHOLDER"]},
            "over": {
                "scheme": "begini",
                "secrets": [{"ref": "env:DOCTORS_KEY", "valid_until": "2020-01-01T00:00:00Z"}],
            },
            "form": {"scheme": "discord", "secrets": ["env:DOCTORS_KEY"]},
            "watched": {**SOURCE, "watch": {"files": {"score": str(not_json)}}},
        },
        secrets={"keys": ["env:DOCTORS_NO_KEY"]},
    )
    found = await looked(chosen)
    assert {check: one.level for check, one in found.items() if one.level != "ok"} == {
        "secrets.unset.0": "problem",
        "secrets.open.0": "warning",
        "secrets.weak.0": "warning",
        "secrets.weak.1": "warning",
        "secrets.over.0": "warning",
        "secrets.over": "problem",
        "sources.form": "problem",
        "schemas.watched": "problem",
        "secrets.keys": "problem",
    }
    assert found["secrets.unset.0"].found == "sources.unset.secrets: env:DOCTORS_UNSET: is empty or not set"
    assert found["secrets.unset.0"].fix == "set the environment variable DOCTORS_UNSET"
    said = " ".join(one.found + one.fix for one in found.values())
    assert not [value for value in (LONG, "abc123", "change-me-before") if value in said]
    secret.chmod(0o600)
    assert (await looked(chosen))["secrets.open.0"].level == "ok"


async def test_a_collector_is_asked_in_its_protocol() -> None:
    async with Collector() as collector:
        grpc_ = settings(telemetry={"otlp_endpoint": collector.endpoint})
        assert (await looked(grpc_))["otlp"].found.endswith("takes spans")
        other = settings(telemetry={"otlp_endpoint": collector.endpoint, "otlp_protocol": "http/protobuf"})
        assert (await looked(other))["otlp"].level == "problem"
    dead = (await looked(grpc_))["otlp"]
    assert (dead.level, "can't be reached" in dead.found) == ("problem", True)


@contextmanager
def _taken(where: str) -> Iterator[None]:
    """See that somebody else has the address: this test, or another one that runs beside it."""
    host, port = where.split(":")
    try:
        listener = socket.create_server((host, int(port)))
    except OSError:
        yield
        return
    with listener:
        yield
