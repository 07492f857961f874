"""The manifests are what the published schemas allow, and agree with the image and with each other."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from hookline.config import Settings

DEPLOY = Path(__file__).parents[2] / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
VERSIONS = ("1.32", "1.34")
SECRET_WORDS = re.compile(r"password|token|secret|://[^@\s]+@", re.IGNORECASE)


def build(directory: str) -> list[dict[str, Any]]:
    kubectl = shutil.which("kubectl")
    assert kubectl, "install kubectl: its kustomize (5 or newer) builds what would be applied"
    built = subprocess.run(
        [kubectl, "kustomize", KUBERNETES / directory], capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    return list(yaml.safe_load_all(built.stdout))


@pytest.fixture(scope="module", params=["base", "overlays/example"])
def resources(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    return build(request.param)


@pytest.fixture(scope="module")
def example() -> list[dict[str, Any]]:
    return build("overlays/example")


def pods(resources: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Pod templates by the name of what makes the pods."""
    return {
        r["metadata"]["name"]: r["spec"]["template"] for r in resources if r["kind"] in {"Deployment", "Job"}
    }


@pytest.mark.parametrize("version", VERSIONS)
def test_every_resource_is_what_kubernetes_takes(resources: list[dict[str, Any]], version: str) -> None:
    assert len(resources) >= 14
    for resource in resources:
        kubernetes_validate.validate(resource, version, strict=True)


def test_an_unknown_field_would_be_found(example: list[dict[str, Any]]) -> None:
    [job] = [resource for resource in example if resource["kind"] == "Job"]
    broken = {**job, "spec": {**job["spec"], "backOffLimit": 1}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, VERSIONS[-1], strict=True)


def test_every_container_is_confined(resources: list[dict[str, Any]]) -> None:
    for template in pods(resources).values():
        spec = template["spec"]
        user = re.search(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE)
        assert user
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert (spec["securityContext"]["runAsUser"], spec["securityContext"]["runAsGroup"]) == (
            int(user[1]),
            int(user[2]),
        )
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is False
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}
            assert "memory" in container["resources"]["limits"]


def test_edge_and_relay_are_watched_at_the_ports_of_the_image(resources: list[dict[str, Any]]) -> None:
    templates = pods(resources)
    for name in ("edge", "relay"):
        template = templates[f"hookline-{name}"]
        [container] = template["spec"]["containers"]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        said = re.search(rf"HOOKLINE_{name.upper()}__STATUS=\S+:(\d+)", DOCKERFILE)
        assert said
        assert ports["status"] == int(said[1])
        assert template["metadata"]["annotations"]["prometheus.io/port"] == said[1]
        for probe, path in (
            ("startupProbe", "/readyz"),
            ("readinessProbe", "/readyz"),
            ("livenessProbe", "/healthz"),
        ):
            assert container[probe]["httpGet"] == {"path": path, "port": "status"}


def test_secrets_are_referred_to_and_never_written(resources: list[dict[str, Any]]) -> None:
    assert not [resource for resource in resources if resource["kind"] == "Secret"]
    for template in pods(resources).values():
        for container in template["spec"]["containers"]:
            for variable in container["env"]:
                assert ("valueFrom" in variable) != ("value" in variable)
                assert not SECRET_WORDS.search(variable.get("value", ""))
    for resource in resources:
        if resource["kind"] == "ConfigMap":
            references = re.findall(r'"(?:file|env):[^"]+"', resource["data"]["hookline.toml"])
            rest = re.sub(r"secrets = \[[^\]]*\]", "", resource["data"]["hookline.toml"])
            assert references
            assert not SECRET_WORDS.search(rest)


def test_each_role_has_a_database_url_of_its_own(resources: list[dict[str, Any]]) -> None:
    keys = {
        name: variable["valueFrom"]["secretKeyRef"]["key"]
        for name, template in pods(resources).items()
        for variable in template["spec"]["containers"][0]["env"]
        if variable["name"] == "HOOKLINE_DATABASE_URL"
    }
    assert keys == {
        "hookline-migrate": "migrate-url",
        "hookline-edge": "edge-url",
        "hookline-relay": "relay-url",
    }


def test_everything_that_selects_pods_finds_some(resources: list[dict[str, Any]]) -> None:
    labels = [template["metadata"]["labels"] for template in pods(resources).values()]
    ports = {
        port["name"]
        for template in pods(resources).values()
        for container in template["spec"]["containers"]
        for port in container.get("ports", [])
    }
    selectors = {}
    for resource in resources:
        spec = resource.get("spec", {})
        selector = spec.get("podSelector") or spec.get("selector") or {}
        selectors[resource["kind"], resource["metadata"]["name"]] = selector.get("matchLabels", selector)
        for port in spec.get("ports", []):
            assert port["targetPort"] in ports
        for rule in spec.get("ingress", []):
            assert {port["port"] for port in rule["ports"]} <= ports
    wanted = {name: selector for name, selector in selectors.items() if selector}
    assert {kind for kind, _ in wanted} == {"Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy"}
    for selector in wanted.values():
        assert any(selector.items() <= found.items() for found in labels)
    names = {r["metadata"]["name"] for r in resources if r["kind"] == "Deployment"}
    scaled = {
        r["spec"]["scaleTargetRef"]["name"] for r in resources if r["kind"] == "HorizontalPodAutoscaler"
    }
    assert scaled == names


def test_pods_are_given_the_time_that_draining_takes(resources: list[dict[str, Any]]) -> None:
    spec = pods(resources)["hookline-edge"]["spec"]
    [delay] = [v["value"] for v in spec["containers"][0]["env"] if v["name"] == "HOOKLINE_EDGE__DRAIN_DELAY"]
    settings = Settings(edge={"drain_delay": delay})  # type: ignore[arg-type]
    drain, spans = 15, 5
    assert settings.edge.drain_delay.total_seconds() >= 5
    assert spec["terminationGracePeriodSeconds"] > settings.edge.drain_delay.total_seconds() + drain + spans


def test_the_configuration_is_one_that_hookline_takes(resources: list[dict[str, Any]]) -> None:
    [found] = [resource for resource in resources if resource["kind"] == "ConfigMap"]
    settings = Settings(**tomllib.loads(found["data"]["hookline.toml"]))
    assert settings.sources.keys() == {"begini"}
    mounts = [
        mount
        for name in ("hookline-edge", "hookline-relay")
        for mount in pods(resources)[name]["spec"]["containers"][0]["volumeMounts"]
    ]
    assert {mount["mountPath"] for mount in mounts} == {"/etc/hookline", "/run/secrets/hookline"}
    assert all(mount["readOnly"] for mount in mounts)


def test_the_overlay_names_an_image_of_a_version(example: list[dict[str, Any]]) -> None:
    images = {template["spec"]["containers"][0]["image"] for template in pods(example).values()}
    assert images == {"registry.example.com/hookline:0.1.0"}


def test_the_backlog_that_relays_scale_by_is_what_the_adapter_offers(resources: list[dict[str, Any]]) -> None:
    [scaler] = [
        r
        for r in resources
        if r["kind"] == "HorizontalPodAutoscaler" and r["metadata"]["name"] == "hookline-relay"
    ]
    [external] = [metric["external"] for metric in scaler["spec"]["metrics"] if metric["type"] == "External"]
    adapter = yaml.safe_load((KUBERNETES / "overlays/example/prometheus-adapter.yaml").read_text())
    assert [rule["name"]["as"] for rule in adapter["rules"]["external"]] == [external["metric"]["name"]]
